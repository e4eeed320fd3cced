//! The policy compiler: rules become tables that the kernel walks.
//!
//! ```text
//! RuleSet + Environment --compile--> Policy --bpf--> maps
//!                                       |--evaluate--> Decision (rules test, replay)
//! ```
//!
//! The meaning of the tables is fixed by [`monitor_common::policy`]; this module only fills them in.

mod classify;
mod compile;
mod determinise;
pub mod domain;
pub mod environment;
pub mod evaluate;
pub mod glob;
mod identities;
pub mod network;
mod nfa;
mod observe;
mod reach;
pub mod registries;
mod spread;
mod verdicts;

use std::collections::BTreeMap;

use monitor_common::label::ActorId;
use monitor_common::policy::decide::Outcome;
use monitor_common::policy::{Actor, ExecClass, Identity, Layout};

pub use classify::WORD_BUDGET;
pub use environment::Environment;
pub use evaluate::{Judge, Judgement, Program, QuestionError};

use crate::rule::syntax::{Severity, Verdict};

/// Compiled rules: what the kernel maps are filled with, and the names behind the numbers.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Start states, columns, byte classes, kernel objects.
    pub layout: Layout,
    /// Rows of all automata. Row 0 is dead; a state is the index of its row.
    pub words: Vec<u32>,
    /// What the automata over programs and command lines accept, by number; entry 0 is "nothing".
    pub exec_classes: Vec<ExecClass>,
    /// Ways to recognise an actor; the lowest number wins. A bit in [`ExecClass`] and [`Actor`] is an index here.
    pub identities: Vec<Identity>,
    /// Actors by number; entry 0 is "none".
    pub actors: Vec<Actor>,
    /// First outcome of each cell: index `decide::row(actor, action) * layout.groups + group`.
    pub cells: Vec<u16>,
    /// Outcomes by number; entry 0 is unused, because 0 ends a chain.
    pub outcomes: Vec<Outcome>,
    /// Entries of the LPM trie; an address that meets none has set 0. A set of each kind is a column or row of
    /// [`Policy::net_groups`].
    pub networks: Vec<Network>,
    /// Port set of each of the 65,536 ports.
    pub ports: Vec<u8>,
    /// Group of an address and port: index `address_set * layout.port_sets + port_set`.
    pub net_groups: Vec<u16>,
    /// Group of a name and port: index `domain_set * layout.port_sets + port_set`. Set 0 is for names that no pattern
    /// is about.
    pub domain_groups: Vec<u16>,
    /// By group: classes of the secrets in it, a bit each.
    pub group_secrets: Vec<u64>,
    /// Rows of [`Policy::words`].
    pub states: usize,
    /// Patterns that went in, each way through braces counted.
    pub patterns: usize,
    /// What the numbers mean.
    pub names: Names,
    /// What `~` and variables stood for.
    pub environment: Environment,
}

/// One entry of the LPM trie over addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    /// Leading bits that count, 0 to 128. An IPv4 prefix of n bits is 96 + n here.
    pub prefix_len: u32,
    /// Network byte order; IPv4 as `::ffff:a.b.c.d`. Bits behind the prefix are zero.
    pub address: [u8; 16],
    /// Address set.
    pub set: u16,
}

/// Names behind the numbers of a [`Policy`].
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
    /// Classes of secrets by bit: `ssh`, `aws`.
    pub secrets: Vec<String>,
    /// Objects by name.
    pub objects: BTreeMap<String, ObjectInfo>,
    /// Actor of the root command when it is no known manager: `script:command`.
    pub command: ActorId,
    /// The rule whose matches are no findings but acts that no rule is about; see `observe`.
    pub observer: Option<u16>,
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

impl Policy {
    /// A number that differs when the tables do, or what their numbers mean (FNV-1a, 64 bits). Not for secrets.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let words = self.words.iter().flat_map(|word| word.to_le_bytes());
        let cells = self
            .cells
            .iter()
            .chain(&self.net_groups)
            .chain(&self.domain_groups)
            .flat_map(|cell| cell.to_le_bytes());
        let names = self.names.actors.iter().chain(self.names.rules.iter().map(|rule| &rule.id));
        let names = names.flat_map(|name| name.bytes().chain([0]));
        let objects = self.layout.kernel_objects.iter().flat_map(|group| group.to_le_bytes());
        words
            .chain(cells)
            .chain(self.ports.iter().copied())
            .chain(objects)
            .chain(names)
            .fold(0xcbf2_9ce4_8422_2325, |digest, byte| {
                (digest ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
            })
    }
}

impl Names {
    /// Number of the actor called `name`.
    #[must_use]
    pub fn actor(&self, name: &str) -> Option<ActorId> {
        let index = self.actors.iter().position(|known| known == name && !name.is_empty())?;
        ActorId::try_from(index).ok()
    }

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
