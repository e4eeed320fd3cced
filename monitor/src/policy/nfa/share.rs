//! Makes one node of all nodes that lead to the same.
//!
//! `**/*{ca,root}*.pem` is six patterns whose ends are alike. Without this every one of their loops would be a flag of
//! its own in the states, and flags multiply.

use std::collections::HashMap;

use super::{Label, Nfa, Node, NodeId, Root};
use crate::policy::spread::Spread;

/// Stands for the node itself, and for the loop of a hub, in a key.
const ITSELF: NodeId = NodeId::MAX;
const SKIP: NodeId = NodeId::MAX - 1;

/// Nodes with equal keys lead to the same.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    /// Automata stay apart: separators and what is accepted mean something else in each.
    automaton: usize,
    bytes: Vec<(u8, NodeId)>,
    sets: Vec<(u32, NodeId)>,
    any: Option<NodeId>,
    looping: bool,
    with: Vec<NodeId>,
    labels: Vec<Label>,
}

impl Nfa {
    /// Redirects every edge to the first of the nodes that lead to the same.
    pub(crate) fn share(&mut self, roots: &[Root]) {
        let automata = self.automata(roots);
        let mut first: Vec<NodeId> = (0..self.nodes.len() as NodeId).collect();
        let mut known: HashMap<Key, NodeId, Spread> = HashMap::default();
        let mut fixed = vec![false; self.nodes.len()];
        for id in roots.iter().flat_map(|root| [root.start, root.home]).chain(self.saturated.keys().copied())
        {
            fixed[id as usize] = true;
        }
        let hubs: HashMap<NodeId, NodeId> = self.hubs.iter().map(|(hub, skip)| (*hub, *skip)).collect();
        for skip in hubs.values() {
            fixed[*skip as usize] = true;
        }
        // Edges lead to later nodes, or to fixed ones.
        for id in (1..self.nodes.len() as NodeId).rev().filter(|id| !fixed[*id as usize]) {
            let automaton = automata[id as usize];
            let key = key(&self.nodes[id as usize], automaton, id, hubs.get(&id).copied(), &first);
            let same = *known.entry(key).or_insert(id);
            first[id as usize] = same;
            if let (Some(skip), Some(other)) = (hubs.get(&id), hubs.get(&same)) {
                first[*skip as usize] = *other;
            }
        }
        for node in &mut self.nodes {
            let edges = node.bytes.iter_mut().map(|edge| &mut edge.1);
            let edges = edges.chain(node.sets.iter_mut().map(|edge| &mut edge.1));
            for next in edges.chain(&mut node.any).chain(&mut node.with) {
                *next = first[*next as usize];
            }
        }
    }

    /// Which root leads to each node.
    fn automata(&self, roots: &[Root]) -> Vec<usize> {
        let mut automata = vec![usize::MAX; self.nodes.len()];
        for (number, root) in roots.iter().enumerate() {
            let mut work = vec![root.start, root.home];
            while let Some(id) = work.pop() {
                if automata[id as usize] != number {
                    automata[id as usize] = number;
                    let node = &self.nodes[id as usize];
                    work.extend(node.bytes.iter().map(|edge| edge.1));
                    work.extend(node.sets.iter().map(|edge| edge.1));
                    work.extend(node.any);
                    work.extend(&node.with);
                }
            }
        }
        automata
    }
}

fn key(node: &Node, automaton: usize, id: NodeId, skip: Option<NodeId>, first: &[NodeId]) -> Key {
    let same = |next: NodeId| match next {
        _ if next == id => ITSELF,
        _ if Some(next) == skip => SKIP,
        _ => first[next as usize],
    };
    let mut with: Vec<NodeId> = node.with.iter().map(|next| same(*next)).collect();
    with.sort_unstable();
    let mut labels = node.labels.clone();
    labels.sort_unstable();
    let mut sets: Vec<(u32, NodeId)> = node.sets.iter().map(|(set, next)| (*set, same(*next))).collect();
    sets.sort_unstable();
    Key {
        automaton,
        bytes: node.bytes.iter().map(|(byte, next)| (*byte, same(*next))).collect(),
        sets,
        any: node.any.map(same),
        looping: node.looping,
        with,
        labels,
    }
}
