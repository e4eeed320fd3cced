//! The patterns of all objects as one graph that shares what they have in common.
//!
//! A trie over elements, with three kinds of empty steps: into the loop of a `*`, into the hub of a `**` (re-entered
//! after every separator), and from every home directory into the one trie of `~`. So neither homes nor floating
//! patterns multiply anything, and what two patterns begin with is there once.

mod share;

use std::collections::HashMap;

use super::glob::{Anchor, ByteSet, Component, Element, Pattern};

/// What a pattern stands for; numbered by the caller. A label is a subject and a sign.
pub(super) type SubjectId = u32;

/// A subject that a node accepts (even) or excludes (odd).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Label(u32);

impl Label {
    pub(super) fn new(subject: SubjectId, excluded: bool) -> Self {
        Self(subject * 2 + u32::from(excluded))
    }

    pub(super) fn subject(self) -> SubjectId {
        self.0 / 2
    }

    pub(super) fn excluded(self) -> bool {
        self.0 % 2 == 1
    }

    pub(super) fn opposite(self) -> Self {
        Self(self.0 ^ 1)
    }
}

/// Number of a node; 0 is never used.
pub(super) type NodeId = u32;

/// A place inside the patterns.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Next nodes by exact byte, sorted.
    pub(super) bytes: Vec<(u8, NodeId)>,
    /// Next nodes by set, as indices into [`Nfa::sets`].
    pub(super) sets: Vec<(u32, NodeId)>,
    /// Next node by any byte but the separator.
    pub(super) any: Option<NodeId>,
    /// The same node again by any byte but the separator.
    pub(super) looping: bool,
    /// Nodes that are entered together with this one.
    pub(super) with: Vec<NodeId>,
    /// What the input is when it ends here.
    pub(super) labels: Vec<Label>,
    /// The loop of a `*` here, the hub of a `**` here.
    star: Option<NodeId>,
    hub: Option<NodeId>,
    /// The pattern that made it, for blame.
    pub(super) origin: u32,
}

/// The graph. Automata with different separators have different roots and share no nodes.
#[derive(Debug)]
pub(super) struct Nfa {
    pub(super) nodes: Vec<Node>,
    pub(super) sets: Vec<ByteSet>,
    set_numbers: HashMap<ByteSet, u32>,
    /// Nodes that accept a label whatever follows.
    tails: HashMap<(NodeId, Label), NodeId>,
    /// The label of a node made by [`Nfa::tail`].
    pub(super) saturated: HashMap<NodeId, Label>,
    /// Hubs and their loops.
    hubs: Vec<(NodeId, NodeId)>,
}

/// One automaton's part of the graph.
#[derive(Clone, Copy, Debug)]
pub(super) struct Root {
    pub(super) start: NodeId,
    /// The trie of `~`.
    home: NodeId,
    pub(super) separator: u8,
}

impl Nfa {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Node::default()],
            sets: Vec::new(),
            set_numbers: HashMap::new(),
            tails: HashMap::new(),
            saturated: HashMap::new(),
            hubs: Vec::new(),
        }
    }

    /// A new automaton; `homes` are literal paths.
    pub(super) fn root(&mut self, separator: u8, homes: &[&[u8]]) -> Root {
        let root = Root { start: self.node(u32::MAX), home: self.node(u32::MAX), separator };
        for home in homes {
            let end = self.literal(root, home, u32::MAX);
            if !self.nodes[end as usize].with.contains(&root.home) {
                self.nodes[end as usize].with.push(root.home);
            }
        }
        root
    }

    /// Adds a path pattern. `variable` is where a variable's directory lies, if the pattern hangs from one.
    pub(super) fn path(&mut self, root: Root, pattern: &Pattern, variable: &[u8], label: Label, origin: u32) {
        let end = match &pattern.anchor {
            Anchor::Root => root.start,
            Anchor::Home => root.home,
            Anchor::Variable(_) => self.literal(root, variable, origin),
            Anchor::Start => {
                let end = self.joined(root, root.start, &pattern.components, origin);
                self.accept(end, label);
                return;
            }
        };
        if pattern.components.is_empty() && pattern.anchor == Anchor::Root {
            let end = self.byte(root.start, root.separator, origin);
            self.accept(end, label);
            return;
        }
        let mut named = end;
        let mut components = pattern.components.iter().peekable();
        while let Some(component) = components.next() {
            let base = self.byte(named, root.separator, origin);
            named = match component {
                Component::Name(elements) => self.elements(base, elements, origin),
                Component::Deep => {
                    let Some(Component::Name(elements)) = components.next() else {
                        let tail = self.tail(root, label, origin);
                        self.enter_by_any(base, tail, origin);
                        return;
                    };
                    let hub = self.hub(base, root.separator, origin);
                    self.elements(hub, elements, origin)
                }
            };
        }
        self.accept(named, label);
    }

    /// Adds a command line: more words may follow it.
    pub(super) fn command(&mut self, root: Root, pattern: &Pattern, label: Label, origin: u32) {
        let mut components = pattern.components.clone();
        // What ends in a `*` has no end: the rest of the word is as free as the words that follow.
        let open = match components.last_mut() {
            Some(Component::Name(elements)) if elements.last() == Some(&Element::Star) => {
                elements.pop().is_some()
            }
            Some(_) => false,
            None => true,
        };
        let end = self.joined(root, root.start, &components, origin);
        let tail = self.tail(root, label, origin);
        if open {
            self.together(end, tail);
            return;
        }
        self.accept(end, label);
        let after = self.byte(end, root.separator, origin);
        self.together(after, tail);
    }

    /// Adds a name of a host, or with `below` the names below it; an empty one is any. Names are walked from their end,
    /// so that what is below a name begins like it.
    pub(super) fn domain(&mut self, root: Root, name: &str, below: bool, label: Label, origin: u32) {
        let end = name.bytes().rev().fold(root.start, |node, byte| self.byte(node, byte, origin));
        if !below {
            self.accept(end, label);
            return;
        }
        let base = if name.is_empty() { end } else { self.byte(end, root.separator, origin) };
        let tail = self.tail(root, label, origin);
        self.enter_by_any(base, tail, origin);
    }

    /// Components with separators between them, but none in front.
    fn joined(&mut self, root: Root, start: NodeId, components: &[Component], origin: u32) -> NodeId {
        let mut base = start;
        let mut named = start;
        for (index, component) in components.iter().enumerate() {
            match component {
                Component::Deep => base = self.hub(base, root.separator, origin),
                Component::Name(elements) => {
                    named = self.elements(base, elements, origin);
                    if index + 1 < components.len() {
                        base = self.byte(named, root.separator, origin);
                    }
                }
            }
        }
        named
    }

    fn literal(&mut self, root: Root, path: &[u8], origin: u32) -> NodeId {
        path.iter().fold(root.start, |node, byte| self.byte(node, *byte, origin))
    }

    fn elements(&mut self, from: NodeId, elements: &[Element], origin: u32) -> NodeId {
        elements.iter().fold(from, |node, element| match element {
            Element::Byte(byte) => self.byte(node, *byte, origin),
            Element::Set(set) => self.set(node, *set, origin),
            Element::Any => self.any(node, origin),
            Element::Star => self.star(node, origin),
        })
    }

    fn node(&mut self, origin: u32) -> NodeId {
        let id = self.nodes.len() as NodeId;
        self.nodes.push(Node { origin, ..Node::default() });
        id
    }

    fn byte(&mut self, from: NodeId, byte: u8, origin: u32) -> NodeId {
        match self.nodes[from as usize].bytes.binary_search_by_key(&byte, |edge| edge.0) {
            Ok(index) => self.nodes[from as usize].bytes[index].1,
            Err(index) => {
                let next = self.node(origin);
                self.nodes[from as usize].bytes.insert(index, (byte, next));
                next
            }
        }
    }

    fn set(&mut self, from: NodeId, set: ByteSet, origin: u32) -> NodeId {
        let count = self.sets.len() as u32;
        let index = *self.set_numbers.entry(set).or_insert(count);
        if index == count {
            self.sets.push(set);
        }
        if let Some(edge) = self.nodes[from as usize].sets.iter().find(|edge| edge.0 == index) {
            return edge.1;
        }
        let next = self.node(origin);
        self.nodes[from as usize].sets.push((index, next));
        next
    }

    fn any(&mut self, from: NodeId, origin: u32) -> NodeId {
        if let Some(next) = self.nodes[from as usize].any {
            return next;
        }
        let next = self.node(origin);
        self.nodes[from as usize].any = Some(next);
        next
    }

    fn star(&mut self, from: NodeId, origin: u32) -> NodeId {
        if let Some(star) = self.nodes[from as usize].star {
            return star;
        }
        let star = self.node(origin);
        self.nodes[star as usize].looping = true;
        self.nodes[from as usize].star = Some(star);
        self.together(from, star);
        star
    }

    /// The loop of the hub at the beginning: part of every state, so never to blame.
    pub(super) fn root_loop(&self, root: Root) -> Option<NodeId> {
        let start = &self.nodes[root.start as usize];
        let below = start.bytes.iter().find(|edge| edge.0 == root.separator);
        let hub = start.hub.or_else(|| self.nodes[below?.1 as usize].hub)?;
        self.nodes[hub as usize].with.first().copied()
    }

    /// The node at the beginning of every component behind `base`.
    fn hub(&mut self, base: NodeId, separator: u8, origin: u32) -> NodeId {
        if let Some(hub) = self.nodes[base as usize].hub {
            return hub;
        }
        let hub = self.node(origin);
        let skip = self.node(origin);
        self.nodes[base as usize].hub = Some(hub);
        self.hubs.push((hub, skip));
        self.together(base, hub);
        self.together(hub, skip);
        self.nodes[skip as usize].looping = true;
        self.nodes[skip as usize].bytes.push((separator, hub));
        hub
    }

    /// The node that accepts `label` whatever follows.
    fn tail(&mut self, root: Root, label: Label, origin: u32) -> NodeId {
        if let Some(tail) = self.tails.get(&(root.start, label)) {
            return *tail;
        }
        let tail = self.node(origin);
        self.nodes[tail as usize].looping = true;
        self.nodes[tail as usize].bytes.push((root.separator, tail));
        self.accept(tail, label);
        self.tails.insert((root.start, label), tail);
        self.saturated.insert(tail, label);
        tail
    }

    fn enter_by_any(&mut self, from: NodeId, to: NodeId, origin: u32) {
        let next = self.any(from, origin);
        self.together(next, to);
    }

    fn together(&mut self, from: NodeId, to: NodeId) {
        let with = &mut self.nodes[from as usize].with;
        if !with.contains(&to) {
            with.push(to);
        }
    }

    fn accept(&mut self, node: NodeId, label: Label) {
        let labels = &mut self.nodes[node as usize].labels;
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
}
