//! What the numbers in a record mean: the names of the compiled policy.

use std::collections::BTreeMap;

use monitor_common::label::ActorId;

use crate::rule::syntax::{Severity, Verdict};

/// Names behind the numbers of a compiled policy.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Actors by number: `script:npm`, `manager:npm`, `tool:git`. Entry 0 is empty.
    pub actors: Vec<String>,
    /// purl type of an actor's packages (`npm`), for managers and their scripts.
    pub ecosystems: BTreeMap<ActorId, String>,
    /// Title of an actor's manager ("npm"), for managers and their scripts.
    pub managers: BTreeMap<ActorId, String>,
    /// Rules by number, as in an outcome.
    pub rules: Vec<RuleInfo>,
    /// Objects of each group, by group number; group 0 has none.
    pub groups: Vec<Vec<String>>,
    /// Marks by bit.
    pub marks: Vec<String>,
    /// Objects by name.
    pub objects: BTreeMap<String, ObjectInfo>,
    /// Actor of the root command when it is no known manager: `script:command`.
    pub command: ActorId,
}

/// What a finding says of its rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// `PW-CRED-001`.
    pub id: String,
    /// One line.
    pub title: String,
    /// How bad a match is.
    pub severity: Severity,
    /// What it asks for.
    pub verdict: Verdict,
    /// ATT&CK techniques.
    pub attack: Vec<String>,
    /// Why, and what to do.
    pub why: String,
    /// Mark it sets.
    pub mark: Option<String>,
    /// Names of the objects it is about.
    pub objects: Vec<String>,
    /// File it was read from, for people.
    pub file: String,
}

/// What a finding says of its object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectInfo {
    /// A few words.
    pub title: String,
    /// Kind of secret, if it is one.
    pub secret: Option<String>,
}

impl Names {
    /// The rule with number `index`.
    #[must_use]
    pub fn rule(&self, index: u16) -> Option<&RuleInfo> {
        self.rules.get(usize::from(index))
    }

    /// Objects of the group with number `index`.
    #[must_use]
    pub fn group(&self, index: u16) -> &[String] {
        self.groups.get(usize::from(index)).map_or(&[], Vec::as_slice)
    }
}
