//! What the script of the page draws: processes, verdicts and connections, as JSON with short lists.
//!
//! Every string is there once. Times are microseconds since the run began.

use std::collections::{BTreeMap, HashMap};
use std::io;

use serde::Serialize;

use crate::event::Traffic;
use crate::event::model::{Object, Package, Thing};
use crate::event::time::Timestamp;
use crate::finding::Summary;
use crate::report::layout::{Screen, plain, shorten};
use crate::report::phrase::{object_text, outcome_word};
use crate::report::trace::{Image, Trace, place};

/// The most columns of a command line.
const LONG: usize = 300;
/// The most entries of traffic, which are in the order of bytes.
pub(super) const MOST_FLOWS: usize = 2000;

/// `-1` where an index would be stands for none.
type Index = i64;

#[derive(Serialize)]
struct Data {
    /// Microseconds from the beginning of the run to the last thing seen.
    span: u64,
    strings: Vec<String>,
    /// Name of each package, by string.
    packages: Vec<usize>,
    processes: Vec<ProcessRow>,
    verdicts: Vec<VerdictRow>,
    network: Vec<ConnectionRow>,
}

/// Beginning, end or -1, parent, package, pid, how it ended (string or -1), programs.
type ProcessRow = (u64, Index, Index, Index, u32, Index, Vec<ImageRow>);

/// Time, process, finding, outcome (string), what (string), package.
type VerdictRow = (u64, usize, Index, usize, usize, Index);

/// Who (string), package, endpoint (string), outcome (string), rule (string or -1), how often, bytes that were sent.
type ConnectionRow = (usize, Index, usize, usize, Index, u64, u64);

/// Actor, command line, directory or -1: strings.
type ImageRow = (usize, usize, Index);

/// Strings, each once.
#[derive(Default)]
struct Strings {
    all: Vec<String>,
    known: HashMap<String, usize>,
}

impl Strings {
    fn index(&mut self, text: &str) -> usize {
        let text = shorten(&plain(text, Screen::default()), LONG, Screen::default());
        if let Some(index) = self.known.get(&text) {
            return *index;
        }
        self.all.push(text.clone());
        self.known.insert(text, self.all.len() - 1);
        self.all.len() - 1
    }

    fn optional(&mut self, text: Option<String>) -> Index {
        text.map_or(-1, |text| self.index(&text) as Index)
    }
}

fn index(index: Option<usize>) -> Index {
    index.map_or(-1, |index| index as Index)
}

/// The data as JSON that can stand in a `script` element: without `<`, `>` and `&`, which only strings can hold.
pub(super) fn json(summary: &Summary, trace: &Trace) -> io::Result<String> {
    let begun = trace.processes.iter().map(|process| process.begun).min().unwrap_or(summary.run.time);
    let begun = begun.min(summary.run.time);
    let since = |time: Timestamp| time.0.saturating_sub(begun.0) / 1000;
    let mut strings = Strings::default();
    let packages = summary.packages.iter().map(|known| strings.index(&short(&known.package))).collect();
    let processes = trace
        .processes
        .iter()
        .map(|process| {
            let images: Vec<ImageRow> = process.images.iter().map(|image| row(image, &mut strings)).collect();
            let ended = process.ended.map_or(-1, |time| since(time) as Index);
            let exit = match process.exit {
                (_, Some(signal)) => Some(format!("killed by signal {signal}")),
                (Some(code), None) if code != 0 => Some(format!("exit code {code}")),
                _ => None,
            };
            let exit = strings.optional(exit);
            let (parent, package) = (index(process.parent), index(process.package));
            (since(process.begun), ended, parent, package, process.pid, exit, images)
        })
        .collect();
    let verdicts = trace
        .verdicts
        .iter()
        .map(|met| {
            let outcome = strings.index(outcome_word(met.achieved));
            let what = strings.index(&object_text(&met.object));
            (since(met.time), met.process, index(met.finding), outcome, what, index(met.package))
        })
        .collect();
    let network = network(summary, trace, &mut strings);
    let last = trace.processes.iter().filter_map(|process| process.ended).max();
    let last =
        last.into_iter().chain(trace.verdicts.iter().map(|met| met.time)).map(since).max().unwrap_or(0);
    let end = summary.end.as_ref().map_or(0, |end| since(end.time));
    let data = Data { span: last.max(end), strings: strings.all, packages, processes, verdicts, network };
    let json = serde_json::to_string(&data)?;
    Ok(json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"))
}

/// Name and version.
fn short(package: &Package) -> String {
    let version = package.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    format!("{}{version}", package.name)
}

fn row(image: &Image, strings: &mut Strings) -> ImageRow {
    let mut words: Vec<String> = image.argv.iter().map(ToString::to_string).collect();
    if words.is_empty() {
        words.extend(image.exe.as_ref().map(ToString::to_string));
    }
    let actor = strings.index(&image.actor);
    let command = strings.index(&words.join(" "));
    let directory = strings.optional(image.cwd.as_ref().map(ToString::to_string));
    (actor, command, directory)
}

/// Connections that a rule spoke about, the same ones together, and what was sent where.
fn network(summary: &Summary, trace: &Trace, strings: &mut Strings) -> Vec<ConnectionRow> {
    let mut connections: BTreeMap<(Index, String, String, String, String), u64> = BTreeMap::new();
    for met in &trace.verdicts {
        if matches!(met.object.what, Thing::Address { .. } | Thing::Name { .. } | Thing::Socket { .. }) {
            let key = (
                index(met.package),
                met.actor.clone(),
                object_text(&met.object),
                outcome_word(met.achieved).to_owned(),
                met.rule.clone(),
            );
            *connections.entry(key).or_default() += 1;
        }
    }
    let mut rows: Vec<ConnectionRow> = connections
        .into_iter()
        .map(|((package, actor, endpoint, outcome, rule), count)| {
            let [actor, endpoint, outcome] = [actor, endpoint, outcome].map(|text| strings.index(&text));
            (actor, package, endpoint, outcome, strings.index(&rule) as Index, count, 0)
        })
        .collect();
    for flow in summary.end.iter().flat_map(|end| &end.traffic).take(MOST_FLOWS) {
        let Traffic { address, port, protocol, domain, .. } = flow.clone();
        let what = Thing::Address { address, port, protocol, domain, server_name: None };
        let endpoint = object_text(&Object { classes: Vec::new(), title: String::new(), what });
        let outcome = if flow.sent == 0 && flow.refused > 0 { "refused" } else { "sent" };
        let package = index(flow.package.as_ref().and_then(|package| place(summary, package)));
        let [actor, endpoint, outcome] = [&flow.actor, &endpoint, outcome].map(|text| strings.index(text));
        rows.push((actor, package, endpoint, outcome, -1, 0, flow.sent));
    }
    rows
}
