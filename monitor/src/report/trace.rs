//! What the events of a run say about its processes: who started whom, when each ended, which verdicts it met.

use std::collections::HashMap;

use monitor_common::label::TreeId;
use monitor_common::verdict::Achieved;

use crate::event::Event;
use crate::event::model::{Object, Package, Scope, What};
use crate::event::text::Text;
use crate::event::time::Timestamp;
use crate::finding::{Finding, Summary};

/// The most processes that are kept, and the most verdicts: a report has to stay readable. The rest is counted.
pub const MOST: usize = 20_000;

/// A program that a process was.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// When it became that.
    pub time: Timestamp,
    /// As what it acted then.
    pub actor: String,
    /// Program.
    pub exe: Option<Text>,
    /// Arguments.
    pub argv: Vec<Text>,
    /// Working directory.
    pub cwd: Option<Text>,
}

/// One process.
#[derive(Clone, Debug, PartialEq)]
pub struct Traced {
    /// Process id.
    pub pid: u32,
    /// When it was forked, or first seen.
    pub begun: Timestamp,
    /// When it ended, if that was seen.
    pub ended: Option<Timestamp>,
    /// Its exit code, or the signal that ended it.
    pub exit: (Option<u8>, Option<u8>),
    /// Who started it: an index.
    pub parent: Option<usize>,
    /// Its programs, in order. One that ran nothing of its own has none.
    pub images: Vec<Image>,
    /// For which package: an index into [`Summary::packages`].
    pub package: Option<usize>,
}

/// One verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Met {
    /// When.
    pub time: Timestamp,
    /// By whom: an index.
    pub process: usize,
    /// Which finding tells it: an index into [`Summary::findings`]; none where there were too many.
    pub finding: Option<usize>,
    /// What became of it.
    pub achieved: Achieved,
    /// Rule.
    pub rule: String,
    /// What the process was judged as.
    pub actor: String,
    /// To what.
    pub object: Object,
    /// For which package: an index into [`Summary::packages`].
    pub package: Option<usize>,
}

/// The whole of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// Processes in the order in which they began.
    pub processes: Vec<Traced>,
    /// Verdicts in the order of time.
    pub verdicts: Vec<Met>,
    /// What does not fit.
    pub left_out: u64,
}

/// A finding as its verdicts name it.
type Key<'a> = (&'a str, TreeId, Option<Scope>, Option<&'a Package>, &'a [String]);

fn key(finding: &Finding) -> Key<'_> {
    let Finding { rule, tree, scope, package, object, .. } = finding;
    (rule, *tree, *scope, package.as_ref(), &object.classes)
}

/// Fields of a package that tell it from others; its script does not.
type Name<'a> = (&'a str, &'a Text, Option<&'a Text>);

fn name(package: &Package) -> Name<'_> {
    (&package.ecosystem, &package.name, package.version.as_ref())
}

/// Where a package is in [`Summary::packages`].
#[must_use]
pub fn place(summary: &Summary, package: &Package) -> Option<usize> {
    summary.packages.iter().position(|known| name(&known.package) == name(package))
}

impl Trace {
    /// Follows `events`, which `summary` was made of.
    pub fn follow(summary: &Summary, events: &mut dyn Iterator<Item = Event>) -> Self {
        let findings: HashMap<Key<'_>, usize> =
            summary.findings.iter().enumerate().map(|(index, finding)| (key(finding), index)).collect();
        let packages: HashMap<Name<'_>, usize> =
            summary.packages.iter().enumerate().map(|(index, known)| (name(&known.package), index)).collect();
        let mut trace = Self::default();
        // The process that has an id now.
        let mut alive: HashMap<u32, usize> = HashMap::new();
        for event in events {
            let package = event.package.as_ref().and_then(|package| packages.get(&name(package)).copied());
            let Some(process) = trace.process(&mut alive, &event) else { continue };
            match event.what {
                What::Fork { child } => {
                    trace.begin(&mut alive, child, event.time, Some(process), package);
                }
                What::Exec { .. } => {
                    let known = &mut trace.processes[process];
                    known.package = package;
                    known.images.push(Image {
                        time: event.time,
                        actor: event.actor,
                        exe: event.process.exe,
                        argv: event.process.argv,
                        cwd: event.process.cwd,
                    });
                }
                What::Exit { code, signal } => {
                    let known = &mut trace.processes[process];
                    (known.ended, known.exit) = (Some(event.time), (code, signal));
                }
                What::Verdict(judgement) => {
                    let classes = &judgement.object.classes[..];
                    let key = (&judgement.rule[..], event.tree, event.scope, event.package.as_ref(), classes);
                    let finding = findings.get(&key).copied();
                    if trace.verdicts.len() >= MOST {
                        trace.left_out += 1;
                        continue;
                    }
                    trace.verdicts.push(Met {
                        time: event.time,
                        process,
                        finding,
                        achieved: judgement.achieved,
                        rule: judgement.rule,
                        actor: event.actor,
                        object: judgement.object,
                        package,
                    });
                }
                What::Act { .. } | What::Orphaned | What::Resolved { .. } => {}
            }
        }
        trace
    }

    /// The process that an event is about.
    fn process(&mut self, alive: &mut HashMap<u32, usize>, event: &Event) -> Option<usize> {
        let pid = event.process.pid;
        if let Some(index) = alive.get(&pid) {
            return Some(*index);
        }
        let parent = alive.get(&event.process.ppid).copied();
        self.begin(alive, pid, event.process.start, parent, None)
    }

    fn begin(
        &mut self,
        alive: &mut HashMap<u32, usize>,
        pid: u32,
        begun: Timestamp,
        parent: Option<usize>,
        package: Option<usize>,
    ) -> Option<usize> {
        if self.processes.len() >= MOST {
            alive.remove(&pid);
            self.left_out += 1;
            return None;
        }
        let index = self.processes.len();
        self.processes.push(Traced {
            pid,
            begun,
            ended: None,
            exit: (None, None),
            parent,
            images: Vec::new(),
            package,
        });
        alive.insert(pid, index);
        Some(index)
    }
}
