//! Verdicts become findings: what one scope did to one class of objects against one rule is told once.

use std::collections::{BTreeMap, HashMap};

use monitor_common::action::Action;
use monitor_common::label::TreeId;
use monitor_common::verdict::{Achieved, Tier, Verdict};
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::event::log::{End, Run};
use crate::event::model::{Ancestor, Judgement, Object, Package, Process, Scope, What, word};
use crate::event::time::Timestamp;
use crate::rule::syntax::Severity;

mod key;
mod own;
pub mod pipeline;

pub use pipeline::Pipeline;

/// The most different objects a finding shows.
pub const MAX_SAMPLES: usize = 5;
/// The most findings below high severity that are kept, and as many of the others: a flood of small ones must not
/// hide a big one. Verdicts that would begin another finding are counted.
pub const MAX_FINDINGS: usize = 250;
/// Actor of the command itself. Its scope is no script of a package.
const COMMAND: &str = "script:command";
/// The most packages that are kept.
pub const MAX_PACKAGES: usize = 2000;

/// What one scope did to one class of objects against one rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Unique in its report: `F1`, `F2`, ... in the order of time.
    pub id: String,
    /// The same for the same act of the same script in the next run: ten hexadecimal digits.
    pub key: String,
    /// First time.
    pub time: Timestamp,
    /// Rule.
    pub rule: String,
    /// What the rule is about.
    pub title: String,
    /// How bad that is.
    pub severity: Severity,
    /// Why, and what to do.
    pub why: String,
    /// ATT&CK techniques.
    pub attack: Vec<String>,
    /// What the rule asks for.
    #[serde(with = "word")]
    pub asked: Verdict,
    /// The worst that became of it, see [`badness`].
    #[serde(with = "word")]
    pub achieved: Achieved,
    /// How often each outcome was met.
    pub outcomes: BTreeMap<String, u64>,
    /// What this kernel let us do.
    #[serde(with = "word")]
    pub tier: Tier,
    /// What was done first.
    #[serde(with = "word")]
    pub action: Action,
    /// To what first, or to what the worst outcome was.
    pub object: Object,
    /// Different objects, the first ones.
    pub samples: Vec<Object>,
    /// As what the process acted.
    pub actor: String,
    /// Who did it first, or with the worst outcome.
    pub process: Process,
    /// Where that process came from.
    pub ancestry: Vec<Ancestor>,
    /// Tree.
    pub tree: TreeId,
    /// Scope.
    pub scope: Option<Scope>,
    /// For whom.
    pub package: Option<Package>,
    /// How often.
    pub count: u64,
    /// All flags met.
    pub flags: Vec<String>,
    /// All marks that the scope had.
    pub marks: Vec<String>,
}

/// What one package did, as far as it was watched.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PackageSummary {
    /// Which; its `script` is the first that ran.
    #[serde(flatten)]
    pub package: Package,
    /// Scopes that ran for it.
    pub scopes: u64,
    /// Programs that were started for it.
    pub programs: u64,
    /// Ids of its findings.
    pub findings: Vec<String>,
}

/// Everything a report says.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// What ran.
    pub run: Run,
    /// How it ended; absent when the log breaks off.
    pub end: Option<End>,
    /// Findings in the order of time.
    pub findings: Vec<Finding>,
    /// Packages in the order of their first script.
    pub packages: Vec<PackageSummary>,
    /// Processes that were watched.
    pub processes: u64,
    /// Scripts that were watched: scopes, without that of the command itself.
    pub scopes: u64,
    /// What the findings and packages lack because there were too many.
    pub left_out: u64,
    /// The worst severity of all verdicts, those left out included.
    pub worst: Option<Severity>,
}

/// How bad an outcome is, for the one that stands for all: what was asked for and did not happen comes first.
#[must_use]
pub fn badness(achieved: Achieved) -> u8 {
    match achieved {
        Achieved::Missed => 5,
        Achieved::Observed => 4,
        Achieved::Alerted => 3,
        Achieved::Killed => 2,
        Achieved::Denied => 1,
        Achieved::Allowed => 0,
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    rule: String,
    tree: TreeId,
    scope: Option<Scope>,
    package: Option<Package>,
    classes: Vec<String>,
}

/// Groups events into findings.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    findings: Vec<Finding>,
    index: HashMap<Key, usize>,
    packages: Vec<PackageSummary>,
    /// By package without its script.
    package_index: HashMap<Package, usize>,
    scopes: u64,
    forks: u64,
    roots: u64,
    left_out: u64,
    worst: Option<Severity>,
    /// Findings below high severity, and the others.
    kept: [usize; 2],
}

impl Findings {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Those so far, in the order of time.
    #[must_use]
    pub fn all(&self) -> &[Finding] {
        &self.findings
    }

    /// Takes an event. Says whether it began a finding.
    pub fn push(&mut self, event: &Event) -> bool {
        match &event.what {
            What::Fork { .. } => self.forks += 1,
            What::Exec { new_scope, .. } => {
                // The root of a tree is forked before it is watched.
                self.roots += u64::from(event.process.pid == event.tree && self.roots == 0);
                self.scopes += u64::from(*new_scope && event.actor != COMMAND);
                if let Some(package) = &event.package
                    && let Some(summary) = self.package(package)
                {
                    summary.programs += 1;
                    summary.scopes += u64::from(*new_scope);
                }
            }
            What::Verdict(judgement) => return self.judge(event, judgement),
            What::Act { .. } | What::Exit { .. } | What::Orphaned | What::Resolved { .. } => {}
        }
        false
    }

    /// The worst severity of all verdicts so far.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.worst
    }

    /// All of it.
    #[must_use]
    pub fn summary(&self, run: Run, end: Option<End>) -> Summary {
        Summary {
            run,
            end,
            findings: self.findings.clone(),
            packages: self.packages.clone(),
            processes: self.forks + self.roots,
            scopes: self.scopes,
            left_out: self.left_out,
            worst: self.worst,
        }
    }

    fn package(&mut self, package: &Package) -> Option<&mut PackageSummary> {
        let key = Package { script: None, ..package.clone() };
        let index = match self.package_index.get(&key) {
            Some(index) => *index,
            None if self.packages.len() >= MAX_PACKAGES => {
                self.left_out += 1;
                return None;
            }
            None => {
                let summary =
                    PackageSummary { package: package.clone(), scopes: 0, programs: 0, findings: Vec::new() };
                self.packages.push(summary);
                self.package_index.insert(key, self.packages.len() - 1);
                self.packages.len() - 1
            }
        };
        self.packages.get_mut(index)
    }

    fn judge(&mut self, event: &Event, judgement: &Judgement) -> bool {
        self.worst = self.worst.max(Some(judgement.severity));
        let key = Key {
            rule: judgement.rule.clone(),
            tree: event.tree,
            scope: event.scope,
            package: event.package.clone(),
            classes: judgement.object.classes.clone(),
        };
        if let Some(finding) = self.index.get(&key).and_then(|index| self.findings.get_mut(*index)) {
            finding.add(event, judgement);
            return false;
        }
        let kept = &mut self.kept[usize::from(judgement.severity >= Severity::High)];
        if *kept >= MAX_FINDINGS {
            self.left_out += 1;
            return false;
        }
        *kept += 1;
        let id = format!("F{}", self.findings.len() + 1);
        if let Some(package) = &event.package
            && let Some(summary) = self.package(package)
        {
            summary.findings.push(id.clone());
        }
        self.index.insert(key, self.findings.len());
        self.findings.push(Finding::new(id, event, judgement));
        true
    }
}

impl Finding {
    fn new(id: String, event: &Event, judgement: &Judgement) -> Self {
        Self {
            id,
            key: key::key(event, judgement),
            time: event.time,
            rule: judgement.rule.clone(),
            title: judgement.title.clone(),
            severity: judgement.severity,
            why: judgement.why.clone(),
            attack: judgement.attack.clone(),
            asked: judgement.asked,
            achieved: judgement.achieved,
            outcomes: BTreeMap::from([(judgement.achieved.word().to_owned(), 1)]),
            tier: judgement.tier,
            action: judgement.action,
            object: judgement.object.clone(),
            samples: vec![judgement.object.clone()],
            actor: event.actor.clone(),
            process: event.process.clone(),
            ancestry: judgement.ancestry.clone(),
            tree: event.tree,
            scope: event.scope,
            package: event.package.clone(),
            count: 1,
            flags: event.flags.clone(),
            marks: judgement.marks.clone(),
        }
    }

    fn add(&mut self, event: &Event, judgement: &Judgement) {
        self.count += 1;
        *self.outcomes.entry(judgement.achieved.word().to_owned()).or_default() += 1;
        if self.samples.len() < MAX_SAMPLES && !self.samples.contains(&judgement.object) {
            self.samples.push(judgement.object.clone());
        }
        for (all, new) in [(&mut self.flags, &event.flags), (&mut self.marks, &judgement.marks)] {
            for word in new {
                if !all.contains(word) {
                    all.push(word.clone());
                }
            }
        }
        if badness(judgement.achieved) > badness(self.achieved) {
            self.achieved = judgement.achieved;
            self.action = judgement.action;
            self.object.clone_from(&judgement.object);
            self.process.clone_from(&event.process);
            self.ancestry.clone_from(&judgement.ancestry);
            self.actor.clone_from(&event.actor);
            if !self.samples.contains(&judgement.object) {
                self.samples.pop();
                self.samples.push(judgement.object.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests;
