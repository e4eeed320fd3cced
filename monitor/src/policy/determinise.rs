//! From the shared graph of patterns to the table of words that [`monitor_common::policy::automaton`] walks.
//!
//! Subset construction. Accept sets are exact: a state accepts every pattern that matches, which is what lets objects
//! overlap. Three things keep it small and quick: what most bytes of a row lead to is computed once for the row; a
//! node that can only lead to what is accepted for good is dropped from a set; and states from which nothing can be
//! accepted any more are the dead state.

use std::collections::HashMap;
use std::rc::Rc;

use super::nfa::{Label, Nfa, NodeId, Root, SubjectId};
use super::reach::Reach;

/// The tables of all automata.
#[derive(Debug)]
pub(super) struct Table {
    /// Rows; row 0 is dead.
    pub(super) words: Vec<u32>,
    /// Start states, in the order of the roots.
    pub(super) starts: Vec<u32>,
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
    roots: &[Root],
    budget: usize,
    mut accept: impl FnMut(usize, &[SubjectId]) -> Result<u32, E>,
) -> Result<Table, Failure<E>> {
    let alphabet = Alphabet::of(nfa, roots);
    let mut builder = Builder::new(nfa, &alphabet, budget);
    let mut starts = Vec::with_capacity(roots.len());
    for (index, root) in roots.iter().enumerate() {
        starts.push(builder.explore(*root, |subjects| accept(index, subjects))?);
    }
    Ok(builder.finish(&starts))
}

/// Bytes that no pattern tells apart are one class.
struct Alphabet {
    classes: [u8; 256],
    count: usize,
    /// Classes of each set of the graph.
    sets: Vec<Vec<u8>>,
}

impl Alphabet {
    fn of(nfa: &Nfa, roots: &[Root]) -> Self {
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

    fn class(&self, byte: u8) -> u8 {
        self.classes[usize::from(byte)]
    }
}

struct Builder<'a> {
    nfa: &'a Nfa,
    alphabet: &'a Alphabet,
    budget: usize,
    /// Nodes entered together with each, itself included, as far as they matter.
    closures: Vec<Vec<NodeId>>,
    reach: Reach,
    /// The label of each node that accepts it whatever follows.
    settled: Vec<Option<Label>>,
    /// Set of nodes of each state; the dead state's is empty.
    sets: Vec<Rc<[NodeId]>>,
    numbers: HashMap<Rc<[NodeId]>, u32>,
    /// Rows with state numbers instead of indices.
    words: Vec<u32>,
    /// The root that is being explored, for blame.
    root_loop: Option<NodeId>,
}

impl<'a> Builder<'a> {
    fn new(nfa: &'a Nfa, alphabet: &'a Alphabet, budget: usize) -> Self {
        let empty: Rc<[NodeId]> = Rc::from([]);
        Self {
            nfa,
            alphabet,
            budget,
            closures: closures(nfa),
            reach: Reach::of(nfa),
            settled: (0..nfa.nodes.len() as NodeId).map(|id| nfa.saturated.get(&id).copied()).collect(),
            sets: vec![Rc::clone(&empty)],
            numbers: HashMap::from([(empty, 0)]),
            words: vec![0; alphabet.count + 1],
            root_loop: None,
        }
    }

    /// Builds every state behind `root`; returns the number of the first.
    fn explore<E>(
        &mut self,
        root: Root,
        mut accept: impl FnMut(&[SubjectId]) -> Result<u32, E>,
    ) -> Result<u32, Failure<E>> {
        self.root_loop = self.nfa.root_loop(root);
        let first = self.sets.len();
        let mut targets = self.closures[root.start as usize].clone();
        let start = self.intern(&mut targets).map_err(Failure::Overflow)?;
        let mut state = first;
        let separator = self.alphabet.class(root.separator);
        let (mut common, mut exact) = (Vec::new(), Vec::new());
        while state < self.sets.len() {
            let set = Rc::clone(&self.sets[state]);
            common.clear();
            exact.clear();
            for id in set.iter() {
                let node = &self.nfa.nodes[*id as usize];
                common.extend(node.looping.then_some(*id));
                common.extend(node.any);
                exact.extend(node.bytes.iter().map(|(byte, next)| (self.alphabet.class(*byte), *next)));
                for (index, next) in &node.sets {
                    exact.extend(self.alphabet.sets[*index as usize].iter().map(|class| (*class, *next)));
                }
            }
            exact.sort_unstable();
            self.row(&common, &exact, separator).map_err(Failure::Overflow)?;
            let subjects = self.subjects(&set);
            if !subjects.is_empty() {
                let index = state * (self.alphabet.count + 1);
                self.words[index] = accept(&subjects).map_err(Failure::Accept)?;
            }
            state += 1;
        }
        Ok(start)
    }

    /// Appends the row of one state.
    fn row(&mut self, common: &[NodeId], exact: &[(u8, NodeId)], separator: u8) -> Result<(), Overflow> {
        let from = self.words.len() + 1;
        let mut targets = Vec::new();
        self.enter(common, &mut targets);
        let usual = self.intern(&mut targets)?;
        self.words.resize(from + self.alphabet.count, usual);
        self.words[from - 1] = 0;
        self.words[from + usize::from(separator)] = 0;
        for group in exact.chunk_by(|one, other| one.0 == other.0) {
            let class = group[0].0;
            targets.clear();
            if class != separator {
                self.enter(common, &mut targets);
            }
            for (_, next) in group {
                targets.extend_from_slice(&self.closures[*next as usize]);
            }
            let next = self.intern(&mut targets)?;
            self.words[from + usize::from(class)] = next;
        }
        Ok(())
    }

    fn enter(&self, nodes: &[NodeId], targets: &mut Vec<NodeId>) {
        for node in nodes {
            targets.extend_from_slice(&self.closures[*node as usize]);
        }
    }

    /// Number of the state with these nodes.
    fn intern(&mut self, nodes: &mut Vec<NodeId>) -> Result<u32, Overflow> {
        nodes.sort_unstable();
        nodes.dedup();
        self.prune(nodes);
        if let Some(state) = self.numbers.get(&nodes[..]) {
            return Ok(*state);
        }
        let state = self.sets.len();
        if (state + 1) * (self.alphabet.count + 1) > self.budget {
            return Err(self.blame());
        }
        let set: Rc<[NodeId]> = Rc::from(&nodes[..]);
        self.sets.push(Rc::clone(&set));
        self.numbers.insert(set, state as u32);
        Ok(state as u32)
    }

    /// Drops nodes that cannot change what is accepted from here on.
    fn prune(&self, nodes: &mut Vec<NodeId>) {
        let tails = nodes.iter().filter_map(|id| self.settled[*id as usize]);
        let mut settled: Vec<Label> = tails.collect();
        if settled.is_empty() {
            return;
        }
        // An exclusion for good also settles what it excludes.
        let excluded = settled.iter().filter(|label| label.excluded()).map(|label| label.opposite());
        settled.extend(excluded.collect::<Vec<_>>());
        settled.sort_unstable();
        nodes.retain(|id| match self.settled[*id as usize] {
            Some(label) => label.excluded() || settled.binary_search(&label.opposite()).is_err(),
            None => !self.reach.is_within(*id, &settled),
        });
    }

    /// What matches in a state: everything that is accepted and not excluded.
    fn subjects(&self, set: &[NodeId]) -> Vec<SubjectId> {
        let mut labels: Vec<Label> =
            set.iter().flat_map(|id| self.nfa.nodes[*id as usize].labels.iter().copied()).collect();
        labels.sort_unstable();
        labels.dedup();
        let wanted = labels.iter().filter(|label| !label.excluded());
        wanted.filter(|label| !labels.contains(&label.opposite())).map(|label| label.subject()).collect()
    }

    fn blame(&self) -> Overflow {
        let mut shares = vec![0_usize; self.nfa.nodes.len()];
        for id in self.sets.iter().flat_map(|set| set.iter()) {
            let node = &self.nfa.nodes[*id as usize];
            // Only loops stay in a set and so multiply the states of the others.
            if node.looping && node.origin != u32::MAX && Some(*id) != self.root_loop {
                shares[*id as usize] += 1;
            }
        }
        let worst = (0..shares.len()).max_by_key(|id| shares[*id]).unwrap_or(0);
        let last =
            self.sets.last().and_then(|set| set.iter().map(|id| self.nfa.nodes[*id as usize].origin).min());
        let states = self.sets.len();
        match shares[worst] {
            0 => Overflow { origin: last.unwrap_or(0), percent: 0, states },
            share => Overflow { origin: self.nfa.nodes[worst].origin, percent: share * 100 / states, states },
        }
    }

    /// Merges dead states and turns numbers into indices.
    fn finish(self, starts: &[u32]) -> Table {
        let stride = self.alphabet.count + 1;
        let rows = || self.words.chunks_exact(stride);
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
        let starts = starts.iter().map(|state| index[*state as usize]).collect();
        Table { words, starts, classes: self.alphabet.classes, states }
    }
}

fn closures(nfa: &Nfa) -> Vec<Vec<NodeId>> {
    (0..nfa.nodes.len() as NodeId)
        .map(|start| {
            let mut all = vec![start];
            let mut at = 0;
            while let Some(id) = all.get(at) {
                for next in &nfa.nodes[*id as usize].with {
                    if !all.contains(next) {
                        all.push(*next);
                    }
                }
                at += 1;
            }
            // A node that only leads to others by empty steps would tell equal states apart.
            all.retain(|id| {
                let node = &nfa.nodes[*id as usize];
                node.looping
                    || node.any.is_some()
                    || !node.bytes.is_empty()
                    || !node.sets.is_empty()
                    || !node.labels.is_empty()
            });
            all
        })
        .collect()
}
