//! What one lockfile has and another has not.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::format::{Act, Behaviour, Lock, Scripts, Versions};
use super::recorder::nothing;
use crate::event::text::Text;

/// One script that behaves otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `npm`, `pypi`, `cargo`, `gem`, or `command`.
    pub ecosystem: Text,
    /// Name of the package.
    pub name: Text,
    /// Versions before; empty if the package is new.
    pub from: Vec<Text>,
    /// Versions after; empty if the package is gone.
    pub to: Vec<Text>,
    /// Name of the script.
    pub script: Text,
    /// What is new about it.
    pub state: State,
    /// What is done now and was not.
    pub added: Vec<Act>,
    /// What was done and is not now.
    pub removed: Vec<Act>,
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// No version of the package ran a script before.
    NewPackage,
    /// The package had no such script.
    NewScript,
    /// The script does something else.
    Changed,
    /// The package has no such script any more.
    GoneScript,
    /// No version of the package runs a script any more.
    GonePackage,
}

/// How many acts are new.
#[must_use]
pub fn added(changes: &[Change]) -> usize {
    changes.iter().map(|change| change.added.len()).sum()
}

/// What `run` has that is new to `known`: of a version that is known, to it; of another, to all that are known.
#[must_use]
pub fn check(known: &Lock, run: &Lock) -> Vec<Change> {
    let mut changes = pair(known, run, |before, after| {
        let mut changes = Vec::new();
        for (version, scripts) in after {
            let (from, base) = match before.get(version) {
                Some(known) => (vec![version.clone()], known.clone()),
                None => (before.keys().cloned().collect(), union(before.values())),
            };
            changes.push((from, vec![version.clone()], base, scripts.clone()));
        }
        changes
    });
    changes.retain(|change| !matches!(change.state, State::GoneScript | State::GonePackage));
    for change in &mut changes {
        change.removed.clear();
    }
    changes.retain(|change| change.state != State::Changed || !change.added.is_empty());
    changes
}

/// Versions of `run` that are unknown to `known` and whose scripts do nothing that another version did not: ecosystem,
/// name, version.
#[must_use]
pub fn unknown_versions(known: &Lock, run: &Lock) -> Vec<[Text; 3]> {
    let mut found = BTreeSet::new();
    for ([ecosystem, name, version, _], _) in run.scripts() {
        let versions = known.packages.get(ecosystem).and_then(|packages| packages.get(name));
        if versions.is_some_and(|versions| !versions.contains_key(version)) {
            found.insert([ecosystem.clone(), name.clone(), version.clone()]);
        }
    }
    for change in check(known, run) {
        let version = change.to.first().cloned().unwrap_or_default();
        found.remove(&[change.ecosystem, change.name, version]);
    }
    found.into_iter().collect()
}

/// What differs between two lockfiles. A version of `after` that `before` has not is compared with those that `after` has
/// not, or, if there are none, with all of `before`.
#[must_use]
pub fn diff(before: &Lock, after: &Lock) -> Vec<Change> {
    pair(before, after, |before, after| {
        let only = |these: &Versions, those: &Versions| -> Vec<Text> {
            these.keys().filter(|version| !those.contains_key(*version)).cloned().collect()
        };
        let mut changes = Vec::new();
        for (version, scripts) in after {
            if let Some(known) = before.get(version) {
                changes.push((vec![version.clone()], vec![version.clone()], known.clone(), scripts.clone()));
            }
        }
        let (left, come) = (only(before, after), only(after, before));
        let from = if left.is_empty() { before.keys().cloned().collect() } else { left.clone() };
        let base = union(from.iter().filter_map(|version| before.get(version)));
        if come.is_empty() && !left.is_empty() {
            // A version that is gone is no change of another.
            let all = after.is_empty().then_some((left, Vec::new(), base, Scripts::new()));
            changes.extend(all);
        } else if !come.is_empty() {
            let now = union(come.iter().filter_map(|version| after.get(version)));
            changes.push((from, come, base, now));
        }
        changes
    })
}

/// Versions before and after, and what their scripts did.
type Pair = (Vec<Text>, Vec<Text>, Scripts, Scripts);

fn pair(before: &Lock, after: &Lock, versions: impl Fn(&Versions, &Versions) -> Vec<Pair>) -> Vec<Change> {
    let mut names: BTreeSet<(&Text, &Text)> = BTreeSet::new();
    for lock in [before, after] {
        for (ecosystem, packages) in &lock.packages {
            names.extend(packages.keys().map(|name| (ecosystem, name)));
        }
    }
    let none = Versions::new();
    let of = |lock: &'_ Lock, ecosystem, name| -> Option<Versions> {
        lock.packages.get(ecosystem)?.get(name).cloned()
    };
    let mut changes = Vec::new();
    for (ecosystem, name) in names {
        let (old, new) = (of(before, ecosystem, name), of(after, ecosystem, name));
        let (old, new) = (old.as_ref().unwrap_or(&none), new.as_ref().unwrap_or(&none));
        for (from, to, base, now) in versions(old, new) {
            let scripts: BTreeSet<&Text> = base.keys().chain(now.keys()).collect();
            for script in scripts {
                let state = match (base.get(script), now.get(script)) {
                    _ if old.is_empty() => State::NewPackage,
                    _ if new.is_empty() => State::GonePackage,
                    (None, _) => State::NewScript,
                    (_, None) => State::GoneScript,
                    _ => State::Changed,
                };
                let (base, now) =
                    (base.get(script).unwrap_or(nothing()), now.get(script).unwrap_or(nothing()));
                let (added, removed) = (beyond(now, base), beyond(base, now));
                if state != State::Changed || !added.is_empty() || !removed.is_empty() {
                    changes.push(Change {
                        ecosystem: ecosystem.clone(),
                        name: name.clone(),
                        from: from.clone(),
                        to: to.clone(),
                        script: script.clone(),
                        state,
                        added,
                        removed,
                    });
                }
            }
        }
    }
    changes
}

/// What these do that those do not.
fn beyond(these: &Behaviour, those: &Behaviour) -> Vec<Act> {
    these.acts().filter(|act| !those.covers(act)).collect()
}

fn union<'a>(versions: impl Iterator<Item = &'a Scripts>) -> Scripts {
    let mut all: BTreeMap<Text, Behaviour> = BTreeMap::new();
    for (script, behaviour) in versions.flatten() {
        let known = all.entry(script.clone()).or_default();
        known.merge(behaviour);
        known.fold();
    }
    all
}
