//! What can still be accepted from each node of the graph.

use std::collections::HashMap;
use std::rc::Rc;

use super::nfa::{Label, Nfa, NodeId};
use super::spread::Spread;

/// Nodes that can lead to more labels than this are not kept track of.
const MOST: usize = 128;

/// The labels that each node can lead to.
pub(super) struct Reach {
    /// Sorted; none where there are too many.
    labels: Vec<Option<Rc<[Label]>>>,
}

impl Reach {
    pub(super) fn of(nfa: &Nfa) -> Self {
        let before = before(nfa);
        let mut interned: HashMap<Rc<[Label]>, Rc<[Label]>, Spread> = HashMap::default();
        let mut intern = |labels: Vec<Label>| -> Rc<[Label]> {
            let labels: Rc<[Label]> = Rc::from(labels);
            Rc::clone(interned.entry(Rc::clone(&labels)).or_insert(labels))
        };
        let own = |labels: &[Label]| {
            let mut labels = labels.to_vec();
            labels.sort_unstable();
            labels
        };
        let mut labels: Vec<Option<Rc<[Label]>>> =
            nfa.nodes.iter().map(|node| Some(intern(own(&node.labels)))).collect();
        // Later nodes first: most edges lead to later ones, so nearly every node is final when it is passed on.
        let mut work: Vec<NodeId> = (0..nfa.nodes.len() as NodeId).collect();
        let mut queued = vec![true; nfa.nodes.len()];
        while let Some(id) = work.pop() {
            queued[id as usize] = false;
            for from in &before[id as usize] {
                let joined = match (&labels[*from as usize], &labels[id as usize]) {
                    (None, _) => continue,
                    (Some(_), None) => None,
                    (Some(one), Some(other))
                        if other.iter().all(|label| one.binary_search(label).is_ok()) =>
                    {
                        continue;
                    }
                    (Some(one), Some(other)) => {
                        let mut all = [&one[..], &other[..]].concat();
                        all.sort_unstable();
                        all.dedup();
                        (all.len() <= MOST).then(|| intern(all))
                    }
                };
                labels[*from as usize] = joined;
                if !queued[*from as usize] {
                    queued[*from as usize] = true;
                    work.push(*from);
                }
            }
        }
        Self { labels }
    }

    /// Whether nothing but `labels` (sorted) can be accepted from the node.
    pub(super) fn is_within(&self, id: NodeId, labels: &[Label]) -> bool {
        let Some(reached) = &self.labels[id as usize] else { return false };
        reached.iter().all(|label| labels.binary_search(label).is_ok())
    }
}

/// Nodes with an edge to each node.
fn before(nfa: &Nfa) -> Vec<Vec<NodeId>> {
    let mut before: Vec<Vec<NodeId>> = vec![Vec::new(); nfa.nodes.len()];
    for (id, node) in nfa.nodes.iter().enumerate() {
        let next = node.bytes.iter().map(|edge| edge.1).chain(node.sets.iter().map(|edge| edge.1));
        for next in next.chain(node.any).chain(node.with.iter().copied()) {
            before[next as usize].push(id as NodeId);
        }
    }
    before
}
