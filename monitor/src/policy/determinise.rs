//! From the shared graph of patterns to the table of words that [`monitor_common::policy::automaton`] walks.
//!
//! Subset construction. Accept sets are exact: a state accepts every pattern that matches, which is what lets objects
//! overlap. Three things keep it small and quick: what most bytes of a row lead to is computed once for the row; a
//! node that can only lead to what is accepted for good is dropped from a set; and states from which nothing can be
//! accepted any more are the dead state.
//! Patterns that float are kept apart from the others, see [`monitor_common::policy::automaton`].

mod alphabet;
mod join;
mod subset;

use std::collections::{BTreeMap, BTreeSet};

use monitor_common::policy::automaton::{State, state};

use self::alphabet::Alphabet;
use self::join::pairs;
use self::subset::Builder;
use super::nfa::{Label, Nfa, Root, SubjectId};

/// The automata over one kind of text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// For patterns that begin at a fixed place.
    pub(super) fixed: Root,
    /// For the others.
    pub(super) floating: Root,
}

/// The tables of all automata.
#[derive(Debug)]
pub(super) struct Table {
    /// Rows, then records; row 0 is dead.
    pub(super) words: Vec<u32>,
    /// Start states, in the order of the kinds.
    pub(super) starts: Vec<State>,
    /// Class of each byte.
    pub(super) classes: [u8; 256],
    /// Number of rows, the dead one included.
    pub(super) states: usize,
}

/// The tables would not fit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overflow {
    /// The pattern that takes part in the most states.
    pub(super) origin: u32,
    /// In how many of 100 states.
    pub(super) percent: usize,
    /// States when the construction was given up.
    pub(super) states: usize,
}

/// Why there is no table.
#[derive(Debug)]
pub(super) enum Failure<E> {
    Overflow(Overflow),
    Accept(E),
}

/// Builds the tables. `accept` turns the subjects that match into the number that the state accepts; `budget` is in
/// words.
pub(super) fn determinise<E>(
    nfa: &Nfa,
    kinds: &[Kind],
    budget: usize,
    mut accept: impl FnMut(usize, &[SubjectId]) -> Result<u32, E>,
) -> Result<Table, Failure<E>> {
    let roots: Vec<Root> = kinds.iter().flat_map(|kind| [kind.fixed, kind.floating]).collect();
    let alphabet = Alphabet::of(nfa, &roots);
    let stride = alphabet.count + 1;
    let mut builder = Builder::new(nfa, &alphabet, budget);
    let mut starts = Vec::with_capacity(roots.len());
    for root in &roots {
        starts.push(builder.explore(*root).map_err(Failure::Overflow)?);
    }
    let (mut words, starts) = compact(&builder.words, stride, &starts);
    let states = words.len() / stride;
    let mut records = BTreeMap::new();
    for (kind, start) in starts.chunks_exact(2).enumerate() {
        let pairs = pairs(&words[..states * stride], stride, start[0], start[1]);
        let sets = |half: usize| numbers(&words, stride, states, &starts, 2 * kind + half);
        let (fixed, floating) = (sets(0), sets(1));
        let mut answer = |numbers: &[u32]| {
            accept(kind, &subjects(numbers.iter().flat_map(|number| &builder.accepted[*number as usize])))
                .map_err(Failure::Accept)
        };
        for (column, number) in (1..).zip(&floating) {
            records.insert((2 * kind + 1, *number), words.len() as u32);
            words.extend([column, answer(&[*number])?]);
        }
        for number in &fixed {
            records.insert((2 * kind, *number), words.len() as u32);
            words.push(answer(&[*number])?);
            for other in &floating {
                let meets = pairs.as_ref().is_none_or(|pairs| pairs.contains(&(*number, *other)));
                words.push(if meets { answer(&[*number, *other])? } else { 0 });
            }
        }
        if words.len() > budget {
            return Err(Failure::Overflow(builder.blame()));
        }
    }
    for row in 1..states {
        let number = words[row * stride];
        if number != 0 {
            let half = half_of(&starts, row * stride);
            words[row * stride] = records.get(&(half, number)).copied().unwrap_or(0);
        }
    }
    let starts = starts.chunks_exact(2).map(|half| state(half[0], half[1])).collect();
    Ok(Table { words, starts, classes: alphabet.classes, states })
}

/// Merges dead states and turns state numbers into indices, also in `starts`; the rows of one root stay together.
fn compact(rows: &[u32], stride: usize, starts: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let rows = || rows.chunks_exact(stride);
    let mut alive: Vec<bool> = rows().map(|row| row[0] != 0).collect();
    loop {
        let mut changed = false;
        for (state, row) in rows().enumerate().rev() {
            if !alive[state] && row[1..].iter().any(|next| alive[*next as usize]) {
                alive[state] = true;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    let mut index = vec![0_u32; alive.len()];
    let mut states = 1;
    for (state, alive) in alive.iter().enumerate() {
        if *alive {
            index[state] = (states * stride) as u32;
            states += 1;
        }
    }
    let mut words = Vec::with_capacity(states * stride);
    words.resize(stride, 0);
    for (row, _) in rows().zip(&alive).filter(|(_, alive)| **alive) {
        words.push(row[0]);
        words.extend(row[1..].iter().map(|next| index[*next as usize]));
    }
    (words, starts.iter().map(|state| index[*state as usize]).collect())
}

/// Which root a row belongs to: its start is the last one at or before it.
fn half_of(starts: &[u32], row: usize) -> usize {
    let before = starts.iter().enumerate().filter(|(_, start)| **start != 0 && **start as usize <= row);
    before.max_by_key(|(_, start)| **start).map_or(0, |(half, _)| half)
}

/// Numbers of the sets that the rows of a root accept.
fn numbers(words: &[u32], stride: usize, states: usize, starts: &[u32], half: usize) -> BTreeSet<u32> {
    let start = starts[half];
    if start == 0 {
        return BTreeSet::new();
    }
    let end = starts.iter().copied().filter(|other| *other > start).min();
    let end = end.map_or(states * stride, |end| end as usize);
    let rows = words[start as usize..end].chunks_exact(stride);
    rows.map(|row| row[0]).filter(|number| *number != 0).collect()
}

/// What matches: everything that is accepted and not excluded.
fn subjects<'a>(labels: impl Iterator<Item = &'a Label>) -> Vec<SubjectId> {
    let labels: BTreeSet<Label> = labels.copied().collect();
    let wanted = labels.iter().filter(|label| !label.excluded());
    wanted.filter(|label| !labels.contains(&label.opposite())).map(|label| label.subject()).collect()
}
