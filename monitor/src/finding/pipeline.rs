//! From the bytes of the ring buffer to events and findings: decode, enrich, group.

use std::collections::VecDeque;
use std::sync::Arc;

use monitor_common::event::{COARSE_START, Kind, NEW_SCOPE, Subject};
use monitor_common::label::MAX_MARKS;
use monitor_common::object::KernelObject;
use monitor_common::verdict::{Achieved, Tier};

use super::{Finding, Findings, Summary};
use crate::bpf::traffic::Flow;
use crate::enrich::package::{Packages, Start};
use crate::enrich::process::{self, Identity, Image, ProcessTable, Program};
use crate::event::decode::{self, DecodeError, Record};
use crate::event::flags::flag_words;
use crate::event::log::{End, Run};
use crate::event::model::{Event, Judgement, Object, Scope, Thing, What};
use crate::event::text::Text;
use crate::event::time::Timestamp;
use crate::event::traffic::Traffic;
use crate::policy::Names;
use crate::report::redact;
use crate::rule::syntax::Severity;

/// Turns records into events and findings. Holds what the processes of a run have in common, within fixed bounds.
#[derive(Debug)]
pub struct Pipeline {
    names: Arc<Names>,
    pub(super) tier: Tier,
    clock_offset: i64,
    pub(super) processes: ProcessTable,
    pub(super) packages: Packages,
    pub(super) findings: Findings,
    /// Events that come of enriching others, and wait to be taken.
    pub(super) more: VecDeque<Event>,
}

impl Pipeline {
    /// A pipeline for one run. `clock_offset` is the wall clock minus the boot clock, in nanoseconds.
    #[must_use]
    pub fn new(names: Arc<Names>, tier: Tier, clock_offset: i64) -> Self {
        Self {
            names,
            tier,
            clock_offset,
            processes: ProcessTable::new(),
            packages: Packages::new(),
            findings: Findings::new(),
            more: VecDeque::new(),
        }
    }

    /// Takes one record of the ring buffer and gives the event for the sinks.
    ///
    /// # Errors
    /// When the bytes are no record; the pipeline can go on with the next one.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Event, DecodeError> {
        let record = decode::decode(bytes)?;
        let mut event = self.enrich(&record);
        // After packages were told by their paths, and before anybody keeps the event.
        redact::event(&mut event);
        self.findings.push(&event);
        Ok(event)
    }

    /// Takes an event that came of the last record beside its own: a finding that no rule of the kernel's asks for.
    pub fn more(&mut self) -> Option<Event> {
        self.more.pop_front()
    }

    /// The findings so far, in the order of time.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        self.findings.all()
    }

    /// The worst severity of all verdicts so far, those of findings that were left out included.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.worst()
    }

    /// What a report needs.
    #[must_use]
    pub fn summary(&self, run: Run, end: Option<End>) -> Summary {
        self.findings.summary(run, end)
    }

    /// What was sent where, with names for its numbers: the most bytes first.
    #[must_use]
    pub fn traffic(&self, flows: &[Flow]) -> Vec<Traffic> {
        let mut traffic: Vec<Traffic> = flows
            .iter()
            .map(|flow| {
                let scope = (flow.scope != u64::from(flow.tree)).then_some(Scope(flow.scope));
                Traffic {
                    tree: flow.tree,
                    scope,
                    actor: self.actor_name(flow.actor),
                    package: scope.and_then(|scope| self.packages.of(scope)).cloned(),
                    address: flow.address,
                    port: flow.port,
                    protocol: flow.protocol.into(),
                    domain: text(&flow.domain),
                    sent: flow.sent,
                    refused: flow.refused,
                }
            })
            .collect();
        traffic.iter_mut().for_each(redact::traffic);
        traffic.sort_by_key(|flow| (std::cmp::Reverse(flow.sent), flow.address, flow.port));
        traffic
    }

    fn enrich(&mut self, record: &Record) -> Event {
        // A manager's own acts are numbered like their tree or not at all.
        let scope =
            (record.scope != 0 && record.scope != u64::from(record.tree)).then_some(Scope(record.scope));
        let start = Timestamp::from_boot(record.start, self.clock_offset);
        // A start that is only nearly known must not begin another entry; it is looked up where it is known.
        let known =
            if record.flags & COARSE_START == 0 { None } else { self.processes.nearly(record.tgid, start) };
        let who = Identity {
            pid: record.tgid,
            start: known.as_ref().and_then(|(start, _)| *start).unwrap_or(start),
            ppid: record.ppid,
            uid: record.uid,
            tree: record.tree,
            scope,
        };
        let actor = self.actor(record);
        let mut inside = None;
        let (process, what) = match record.kind {
            Kind::Fork => {
                let child = u32::try_from(record.detail).unwrap_or_default();
                self.processes.fork(who, &actor, child);
                (process::name(who), What::Fork { child })
            }
            Kind::Exec => {
                let image = self.exec(record, who, &actor, scope);
                let new_scope = record.flags & NEW_SCOPE != 0;
                let script = text(&record.strings[3]);
                (process::describe(who, &image), What::Exec { script, new_scope })
            }
            Kind::Exit => {
                self.processes.exit(who);
                (process::name(who), exit(record.detail))
            }
            Kind::Verdict => {
                let image = match known {
                    Some((_, image)) => image,
                    None => self.processes.get(who, &actor),
                };
                let what = if self.names.observer == Some(record.rule) {
                    What::Act { action: record.action, object: self.object(record) }
                } else {
                    What::Verdict(Box::new(self.judgement(record, &image)))
                };
                inside = image.guest(|| Packages::inside(&actor, &image));
                (process::describe(who, &image), what)
            }
            Kind::Orphaned => (process::name(who), What::Orphaned),
            Kind::Resolved => {
                let domain = Text::from(&record.strings[0][..]);
                let ttl = u32::try_from(record.detail).unwrap_or(u32::MAX);
                (process::name(who), What::Resolved { domain, address: record.address, ttl })
            }
        };
        Event {
            time: Timestamp::from_boot(record.time, self.clock_offset),
            tree: record.tree,
            scope,
            actor,
            process,
            package: scope.and_then(|scope| self.packages.of(scope)).cloned().or(inside),
            flags: flag_words(record.flags & !(NEW_SCOPE | COARSE_START)),
            what,
        }
    }

    fn exec(&mut self, record: &Record, who: Identity, actor: &str, scope: Option<Scope>) -> Arc<Image> {
        let [exe, arguments, cwd, script] = &record.strings;
        let words = decode::words(arguments);
        let program = Program::new(text(exe), redact::arguments(&words), text(cwd));
        let image = self.processes.exec(who, actor, program);
        if let Some(scope) = scope {
            let ecosystem = self.names.ecosystems.get(&record.actor).map_or("", String::as_str);
            let start = Start { exe, argv: &words, cwd, script, ecosystem, image: &image };
            if self.packages.enter(scope, &start, record.flags & NEW_SCOPE != 0) {
                self.tell_claims(who, scope, &image);
            }
        }
        image
    }

    fn actor(&self, record: &Record) -> String {
        self.actor_name(record.actor)
    }

    fn actor_name(&self, actor: u8) -> String {
        let name = self.names.actors.get(usize::from(actor)).filter(|name| !name.is_empty());
        name.cloned().unwrap_or_else(|| format!("actor-{actor}"))
    }

    fn judgement(&self, record: &Record, image: &Image) -> Judgement {
        let rule = self.names.rule(record.rule);
        let marks = (0..MAX_MARKS).filter(|bit| record.marks & (1 << bit) != 0);
        Judgement {
            rule: rule.map_or_else(|| format!("rule-{}", record.rule), |rule| rule.id.clone()),
            title: rule.map_or_else(|| "a rule without a name matched".to_owned(), |rule| rule.title.clone()),
            // A verdict whose rule is unknown must not be lost below a threshold.
            severity: rule.map_or(Severity::High, |rule| rule.severity),
            why: rule.map_or_else(String::new, |rule| rule.why.clone()),
            attack: rule.map_or_else(Vec::new, |rule| rule.attack.clone()),
            asked: record.asked,
            achieved: record.achieved,
            tier: self.tier,
            action: record.action,
            object: self.object(record),
            ancestry: process::ancestry(image),
            marks: marks
                .map(|bit| self.names.marks.get(bit).cloned().unwrap_or_else(|| format!("mark-{bit}")))
                .collect(),
            syscall: record.syscall,
        }
    }

    fn object(&self, record: &Record) -> Object {
        let mut classes = self.names.group(record.group).to_vec();
        let rule = self.names.rule(record.rule);
        // Of all classes of the object, the one the rule is about tells best what it is: it comes first.
        classes.sort_by_key(|class| !rule.is_some_and(|rule| rule.objects.contains(class)));
        let titled = classes.first().and_then(|class| {
            let title = &self.names.objects.get(class)?.title;
            (!title.is_empty()).then(|| title.clone())
        });
        let [path, arguments, ..] = &record.strings;
        let what = match record.subject {
            Subject::None => Thing::None,
            Subject::File => Thing::File { path: Text::from(&path[..]) },
            Subject::Program => Thing::Program {
                path: Text::from(&path[..]),
                argv: Program::new(None, redact::arguments(&decode::words(arguments)), None).argv,
            },
            Subject::Address => Thing::Address {
                address: record.address,
                port: record.port,
                protocol: record.detail,
                domain: text(path),
                server_name: text(arguments),
            },
            Subject::Name => Thing::Name {
                domain: text(path),
                record: record.detail & 0xffff_ffff,
                resolver: record.address,
                port: record.port,
                protocol: record.detail >> 32,
            },
            Subject::Socket => Thing::Socket { socket: Text::from(&path[..]) },
            Subject::Process => Thing::Process { pid: record.detail },
            Subject::Kernel => {
                let known = classes.iter().find(|class| KernelObject::from_word(class).is_some());
                Thing::Kernel { kernel: known.cloned().unwrap_or_default(), detail: record.detail }
            }
        };
        Object { title: titled.or_else(|| classes.first().cloned()).unwrap_or_default(), classes, what }
    }
}

/// Whether an event is one that a person should be shown at once: an act that a rule wanted stopped, and that matters.
#[must_use]
pub fn is_urgent(event: &Event) -> bool {
    matches!(&event.what, What::Verdict(judgement)
        if judgement.achieved != Achieved::Alerted && judgement.severity > Severity::Info)
}

fn text(bytes: &[u8]) -> Option<Text> {
    (!bytes.is_empty()).then(|| Text::from(bytes))
}

/// The status as in `wait(2)`: the low seven bits are the signal, the next byte the exit code.
fn exit(status: u64) -> What {
    let [low, high, ..] = status.to_le_bytes();
    match low & 0x7f {
        0 => What::Exit { code: Some(high), signal: None },
        signal => What::Exit { code: None, signal: Some(signal) },
    }
}
