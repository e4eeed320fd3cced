//! `rules test --coverage`: which rules no test has seen at work, and which words of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use clap::ValueEnum;
use monitor_common::policy::Decision;
use serde::Serialize;

use crate::policy::{Judgement, Policy};
use crate::rule::RuleSet;
use crate::rule::syntax::{Given, Rule};

/// What is made of rules that no test has seen at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Wanted {
    /// They are listed
    Show,
    /// They are listed, and are an error
    Require,
}

/// What tests have seen of one rule.
#[derive(Clone, Debug, Default)]
struct Seen {
    fired: bool,
    silent: bool,
    actions: BTreeSet<String>,
    objects: BTreeSet<String>,
}

/// What tests have seen of all rules, by number.
#[derive(Clone, Debug)]
pub(super) struct Coverage(Vec<Seen>);

/// A rule with something that no test has seen.
#[derive(Debug, Serialize)]
pub(super) struct Gap {
    rule: String,
    file: String,
    title: String,
    /// It decided nothing in any test.
    never_fired: bool,
    /// No test of its own shows where it does not fire.
    no_neighbour: bool,
    /// Its actions in which no test has seen it.
    actions: Vec<String>,
    /// Its objects on which no test has seen it.
    objects: Vec<String>,
}

/// How much of the rules tests have seen.
#[derive(Debug, Serialize)]
pub(super) struct Covered {
    rules: usize,
    fired: usize,
    /// Verdict branches: each action and each object of a rule, and its silence.
    branches: usize,
    taken: usize,
    gaps: Vec<Gap>,
}

impl Coverage {
    pub(super) fn new(set: &RuleSet) -> Self {
        Self(vec![Seen::default(); set.rules.len()])
    }

    /// Notes what a test has seen. `own` is the number of the rule that it stands with.
    pub(super) fn note(&mut self, policy: &Policy, own: usize, given: &Given, judgement: &Judgement) {
        let Judgement { decision, groups, .. } = judgement;
        let decided = deciding(decision);
        if decided != Some(own)
            && let Some(seen) = self.0.get_mut(own)
        {
            seen.silent = true;
        }
        if let Some(seen) = decided.and_then(|rule| self.0.get_mut(rule)) {
            seen.fired = true;
        }
        // A rule that another one outranks has held all the same: its mark is set.
        for (rule, group) in policy.holding(given, *groups) {
            if let Some(seen) = self.0.get_mut(usize::from(rule)) {
                seen.actions.insert(given.does.clone());
                seen.objects.extend(policy.names.group(group).iter().cloned());
            }
        }
    }

    pub(super) fn told(&self, set: &RuleSet) -> Covered {
        let mut told = Covered { rules: set.rules.len(), fired: 0, branches: 0, taken: 0, gaps: Vec::new() };
        for (index, (rule, seen)) in set.rules.iter().zip(&self.0).enumerate() {
            told.fired += usize::from(seen.fired);
            let missing = |words: &[String], seen: &BTreeSet<String>| -> Vec<String> {
                words.iter().filter(|word| !seen.contains(*word)).cloned().collect()
            };
            let actions = missing(rule.when.does.words(), &seen.actions);
            let objects = missing(rule.when.object.words(), &seen.objects);
            told.branches += branches(rule);
            told.taken += branches(rule) - actions.len() - objects.len() - usize::from(!seen.silent);
            if actions.is_empty() && objects.is_empty() && seen.silent {
                continue;
            }
            told.gaps.push(Gap {
                rule: rule.id.clone(),
                file: set.position(&["rules".to_owned(), index.to_string()]),
                title: rule.title.clone(),
                never_fired: !seen.fired,
                no_neighbour: !seen.silent,
                actions,
                objects,
            });
        }
        told
    }
}

impl Covered {
    /// Whether every rule fires somewhere, in every way that it names, and is silent somewhere.
    pub(super) fn is_full(&self) -> bool {
        self.gaps.is_empty()
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut files: BTreeMap<&str, Vec<&Gap>> = BTreeMap::new();
        for gap in &self.gaps {
            let file = gap.file.split(':').next().unwrap_or_default();
            files.entry(file).or_default().push(gap);
        }
        for (file, gaps) in files {
            // Writing to a string does not fail, here and below.
            let _ = writeln!(text, "{file}");
            for gap in gaps {
                let _ = writeln!(text, "  {} ({})", gap.rule, gap.title);
                if gap.never_fired {
                    text.push_str("    rule never fired in any test\n");
                } else {
                    for (what, words) in [("action", &gap.actions), ("object", &gap.objects)] {
                        for word in words {
                            let _ = writeln!(text, "    no test has seen it with the {what} {word}");
                        }
                    }
                }
                if gap.no_neighbour {
                    text.push_str("    no test of it shows where it does not fire\n");
                }
            }
        }
        if !text.is_empty() {
            text.push('\n');
        }
        let Self { rules, fired, branches, taken, .. } = self;
        let _ = writeln!(
            text,
            "coverage: {fired} of {rules} rules fired, {taken} of {branches} verdict branches taken"
        );
        text
    }
}

fn branches(rule: &Rule) -> usize {
    rule.when.does.words().len() + rule.when.object.words().len() + 1
}

fn deciding(decision: &Decision) -> Option<usize> {
    (decision.rank != 0).then_some(usize::from(decision.rule))
}
