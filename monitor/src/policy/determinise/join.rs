//! What the two halves of a state say together.
//!
//! Only pairs of sets that some text really leads to get an answer: a pattern that floats meets few of those that do
//! not, and answers are groups of the verdict table.

use std::collections::{BTreeSet, HashSet};

use monitor_common::policy::automaton::state;

use crate::policy::spread::Spread;

/// The most pairs of half states that are looked at.
const MOST_PAIRS: usize = 1 << 20;

/// Pairs of what both halves accept at the end of the same text; none if finding out takes too long, and any pair
/// must be reckoned with. Rows hold numbers of sets in their first word.
pub(super) fn pairs(words: &[u32], stride: usize, fixed: u32, floating: u32) -> Option<BTreeSet<(u32, u32)>> {
    let mut found = BTreeSet::new();
    let mut seen: HashSet<u64, Spread> = HashSet::default();
    let mut work = Vec::new();
    if fixed != 0 && floating != 0 {
        seen.insert(state(fixed, floating));
        work.push((fixed, floating));
    }
    while let Some((fixed, floating)) = work.pop() {
        let one = &words[fixed as usize..fixed as usize + stride];
        let other = &words[floating as usize..floating as usize + stride];
        if one[0] != 0 && other[0] != 0 {
            found.insert((one[0], other[0]));
        }
        // Neighbours in a row are mostly alike.
        let mut last = (0, 0);
        for pair in one[1..].iter().copied().zip(other[1..].iter().copied()) {
            if pair == last || pair.0 == 0 || pair.1 == 0 {
                continue;
            }
            last = pair;
            if seen.insert(state(pair.0, pair.1)) {
                if seen.len() > MOST_PAIRS {
                    return None;
                }
                work.push(pair);
            }
        }
    }
    Some(found)
}
