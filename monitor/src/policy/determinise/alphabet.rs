//! Classes of bytes.

use std::collections::HashMap;

use crate::policy::nfa::{Nfa, Root};

/// Bytes that no pattern tells apart are one class.
pub(super) struct Alphabet {
    pub(super) classes: [u8; 256],
    pub(super) count: usize,
    /// Classes of each set of the graph.
    pub(super) sets: Vec<Vec<u8>>,
}

impl Alphabet {
    pub(super) fn of(nfa: &Nfa, roots: &[Root]) -> Self {
        let mut single = [false; 256];
        for root in roots {
            single[usize::from(root.separator)] = true;
        }
        for node in &nfa.nodes {
            for (byte, _) in &node.bytes {
                single[usize::from(*byte)] = true;
            }
        }
        let mut numbers: HashMap<(Option<u8>, Vec<bool>), u8> = HashMap::new();
        let mut classes = [0; 256];
        for byte in 0..=255_u8 {
            let alone = single[usize::from(byte)].then_some(byte);
            let members = match alone {
                Some(_) => Vec::new(),
                None => nfa.sets.iter().map(|set| set.contains(byte)).collect(),
            };
            // At most 256 different keys, one for each byte.
            let next = numbers.len() as u8;
            classes[usize::from(byte)] = *numbers.entry((alone, members)).or_insert(next);
        }
        let sets = nfa.sets.iter().map(|set| {
            let mut of_set: Vec<u8> =
                (0..=255).filter(|byte| set.contains(*byte)).map(|byte| classes[usize::from(byte)]).collect();
            of_set.sort_unstable();
            of_set.dedup();
            of_set
        });
        Self { classes, count: numbers.len(), sets: sets.collect() }
    }

    pub(super) fn class(&self, byte: u8) -> u8 {
        self.classes[usize::from(byte)]
    }
}
