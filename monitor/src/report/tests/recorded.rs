//! A run that was recorded for real, and the same made as large as an install of 1,500 packages.

use crate::cli::report::summarise;
use crate::event::Event;
use crate::event::log::{End, Entry, Reader, Run};
use crate::event::model::{Package, Scope, What};
use crate::event::text::Text;
use crate::event::time::Timestamp;
use crate::finding::{Findings, Summary};
use crate::report::redact;

/// What `pkgwarden run --events` wrote about `npm ci` in a project with decoys in its home.
pub(crate) const LOG: &str = include_str!("recorded.jsonl");

/// A summary and its events.
pub(crate) type Told = (Summary, Vec<Event>);

/// The run as it was.
pub(crate) fn small() -> Told {
    (summarise(LOG.as_bytes()).unwrap(), entries().1)
}

fn entries() -> (Run, Vec<Event>, End) {
    let mut reader = Reader::new(LOG.as_bytes());
    let (mut run, mut events, mut end) = (None, Vec::new(), None);
    while let Some(entry) = reader.next_entry().unwrap() {
        match entry {
            Entry::Run(header) => run = Some(header),
            Entry::Event(event) => events.push(*event),
            Entry::End(footer) => end = Some(footer),
        }
    }
    (run.unwrap(), events, end.unwrap())
}

/// A summary of `events` as `pkgwarden report` makes it.
pub(crate) fn told(run: Run, mut events: Vec<Event>, end: Option<End>) -> Told {
    let mut findings = Findings::new();
    for event in &mut events {
        redact::event(event);
        findings.push(event);
    }
    (findings.summary(run, end), events)
}

/// The acts of scripts repeated, each time for other packages, scopes and processes, until `packages` have run.
pub(crate) fn large(packages: usize) -> Told {
    let (run, recorded, mut end) = entries();
    let is_of_script = |event: &&Event| event.package.is_some();
    let mut names: Vec<&Package> = recorded.iter().filter_map(|event| event.package.as_ref()).collect();
    names.sort();
    names.dedup_by_key(|package| &package.name);
    let (first, last) = (recorded[0].time.0, recorded[recorded.len() - 1].time.0);
    let length = (last - first).max(1);
    let mut events = recorded.clone();
    for copy in 1..=packages.div_ceil(names.len()) as u64 {
        // Process ids of a copy are its own; the manager stays the same.
        let own = |pid: u32| {
            let known = recorded.iter().any(|event| event.process.pid == pid && event.package.is_some());
            if known { pid + 100_000 * copy as u32 } else { pid }
        };
        let later = |time: Timestamp| Timestamp(time.0 + copy * length / 40);
        let scripts = recorded.iter().filter(|event| {
            // The manager forks what becomes a script.
            is_of_script(event) || matches!(event.what, What::Fork { child } if own(child) != child)
        });
        events.extend(scripts.cloned().map(|mut event| {
            event.time = later(event.time);
            event.process.start = later(event.process.start);
            event.process.ppid = own(event.process.ppid);
            event.process.pid = own(event.process.pid);
            event.scope = event.scope.map(|scope| Scope(scope.0 ^ copy << 40));
            if let Some(package) = &mut event.package {
                package.name = Text::from(format!("{}-{copy}", package.name));
                package.purl = package.purl.as_ref().map(|purl| purl.replace('@', &format!("-{copy}@")));
            }
            match &mut event.what {
                What::Fork { child } => *child = own(*child),
                // Most packages do nothing wrong.
                What::Verdict(_) if copy % 50 != 0 => event.what = What::Orphaned,
                _ => {}
            }
            event
        }));
    }
    events.retain(|event| !matches!(event.what, What::Orphaned));
    events.sort_by_key(|event| event.time);
    end.time = Timestamp(events[events.len() - 1].time.0 + 1_000_000);
    told(run, events, Some(end))
}
