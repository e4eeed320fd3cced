//! Subset construction: states are sets of nodes of the graph.

use std::collections::HashMap;
use std::rc::Rc;

use super::Overflow;
use super::alphabet::Alphabet;
use crate::policy::nfa::{Label, Nfa, NodeId, Root};
use crate::policy::reach::Reach;
use crate::policy::spread::Spread;

/// Subset construction in progress.
pub(super) struct Builder<'a> {
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
    numbers: HashMap<Rc<[NodeId]>, u32, Spread>,
    /// Rows with state numbers instead of indices, and numbers of label sets instead of answers.
    pub(super) words: Vec<u32>,
    /// What states accept and exclude; number 0 is nothing.
    pub(super) accepted: Vec<Vec<Label>>,
    accepted_numbers: HashMap<Vec<Label>, u32, Spread>,
    /// The root that is being explored, for blame.
    root_loop: Option<NodeId>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(nfa: &'a Nfa, alphabet: &'a Alphabet, budget: usize) -> Self {
        let empty: Rc<[NodeId]> = Rc::from([]);
        Self {
            nfa,
            alphabet,
            budget,
            closures: closures(nfa),
            reach: Reach::of(nfa),
            settled: (0..nfa.nodes.len() as NodeId).map(|id| nfa.saturated.get(&id).copied()).collect(),
            sets: vec![Rc::clone(&empty)],
            numbers: std::iter::once((empty, 0)).collect(),
            words: vec![0; alphabet.count + 1],
            accepted: vec![Vec::new()],
            accepted_numbers: std::iter::once((Vec::new(), 0)).collect(),
            root_loop: None,
        }
    }

    /// Builds every state behind `root`; returns the number of the first.
    pub(super) fn explore(&mut self, root: Root) -> Result<u32, Overflow> {
        self.root_loop = self.nfa.root_loop(root);
        let first = self.sets.len();
        let mut targets = self.closures[root.start as usize].clone();
        let start = self.intern(&mut targets)?;
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
            self.row(&common, &exact, separator)?;
            let index = state * (self.alphabet.count + 1);
            self.words[index] = self.labels(&set);
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

    /// Number of what a state accepts and excludes.
    fn labels(&mut self, set: &[NodeId]) -> u32 {
        let mut labels: Vec<Label> =
            set.iter().flat_map(|id| self.nfa.nodes[*id as usize].labels.iter().copied()).collect();
        labels.sort_unstable();
        labels.dedup();
        if let Some(number) = self.accepted_numbers.get(&labels) {
            return *number;
        }
        let number = self.accepted.len() as u32;
        self.accepted.push(labels.clone());
        self.accepted_numbers.insert(labels, number);
        number
    }

    /// Who made so many states.
    pub(super) fn blame(&self) -> Overflow {
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
