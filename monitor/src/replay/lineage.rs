//! Who a recorded process is, by these rules.

use std::collections::HashMap;

use monitor_common::label::ActorId;
use monitor_common::policy::identity::ActorKind;

use super::object::{class_of, command_line};
use crate::event::Event;
use crate::event::model::{Object, Thing};
use crate::event::text::Text;
use crate::policy::{Policy, Program};

/// The label of one process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Label {
    /// What it is by these rules; none if they have no such actor.
    pub(super) now: Option<ActorId>,
    /// What a program becomes that it starts and that nothing recognises.
    child: ActorId,
    /// Key of its scope.
    pub(super) scope: Option<u64>,
    /// Whether these rules have called it or what it comes from something else than the record does.
    parted: bool,
}

/// A program was started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// What the process is now.
    pub(super) after: Option<ActorId>,
    /// Whether the record says something else.
    pub(super) other: bool,
}

/// Labels by process id.
#[derive(Debug)]
pub(super) struct Lineage<'a> {
    policy: &'a Policy,
    known: Option<&'a Policy>,
    labels: HashMap<u32, Label>,
}

impl<'a> Lineage<'a> {
    pub(super) fn new(policy: &'a Policy, known: Option<&'a Policy>) -> Self {
        Self { policy, known, labels: HashMap::new() }
    }

    /// The label of the process of an event; where its beginning is not recorded, what the event says.
    pub(super) fn label(&self, event: &Event) -> Label {
        if let Some(label) = self.labels.get(&event.process.pid) {
            return *label;
        }
        if event.process.pid == event.tree && matches!(event.what, crate::event::model::What::Exec { .. }) {
            // The root is a script of nobody until it runs something.
            let root = self.policy.names.command;
            return Label { now: Some(root), child: root, scope: None, parted: false };
        }
        self.recorded(event)
    }

    fn recorded(&self, event: &Event) -> Label {
        let now = self.policy.names.actor(&event.actor);
        let child = now.map_or(0, |actor| self.child(actor, actor));
        Label { now, child, scope: event.scope.map(|scope| scope.0), parted: false }
    }

    fn child(&self, actor: ActorId, otherwise: ActorId) -> ActorId {
        let child = self.policy.actors.get(usize::from(actor)).map_or(0, |actor| actor.child);
        if child == 0 { otherwise } else { child }
    }

    fn is_manager(&self, actor: ActorId) -> bool {
        self.policy.actors.get(usize::from(actor)).is_some_and(|actor| actor.kind == ActorKind::Manager as u8)
    }

    pub(super) fn fork(&mut self, event: &Event, child: u32) {
        let label = self.label(event);
        self.labels.insert(event.process.pid, label);
        self.labels.insert(child, label);
    }

    pub(super) fn exit(&mut self, event: &Event) {
        self.labels.remove(&event.process.pid);
    }

    /// Takes the start of a program. The record is believed, unless the rules without what was added to them say what it
    /// says and these do not: then the difference is theirs.
    pub(super) fn exec(&mut self, event: &Event, path: &Text, argv: &[Text], script: Option<&Text>) -> Step {
        let before = self.label(event);
        let recorded = self.policy.names.actor(&event.actor);
        let identify = |policy: &Policy, label: Label| -> Option<String> {
            let translate = |actor: ActorId| {
                policy
                    .names
                    .actor(self.policy.names.actors.get(usize::from(actor)).map_or("", String::as_str))
            };
            let class = class_of(script);
            let command = command_line(policy, path, argv, script);
            let program =
                Program { path: Some(path.as_bytes()), script: class.as_deref(), command: &command };
            let found =
                policy.identify(translate(label.now?)?, translate(label.child).unwrap_or(0), &program);
            policy.names.actors.get(usize::from(found)).cloned()
        };
        let ours = identify(self.policy, before);
        let explained =
            self.known.is_some_and(|known| identify(known, before).as_deref() == Some(event.actor.as_str()));
        let ours = ours.as_deref().and_then(|name| self.policy.names.actor(name));
        let differs = ours.is_some() && ours != recorded && (explained || before.parted);
        let after = if differs { ours } else { recorded };
        let child = match after {
            Some(actor) if self.is_manager(actor) => self.child(actor, before.child),
            _ => before.child,
        };
        let label = Label { now: after, child, scope: event.scope.map(|scope| scope.0), parted: differs };
        self.labels.insert(event.process.pid, label);
        Step { after, other: differs }
    }

    /// Who starts a program that was refused before it was in place: a manager runs its helpers itself, anything else
    /// below it is the first program of a script.
    pub(super) fn starter(&self, label: &Label, object: &Object) -> Option<ActorId> {
        let actor = label.now?;
        let Thing::Program { path, .. } = &object.what else { return Some(actor) };
        if !self.is_manager(actor) {
            return Some(actor);
        }
        let program = Program { path: Some(path.as_bytes()), script: None, command: &[] };
        let becomes = self.policy.identify(actor, label.child, &program);
        Some(if becomes == label.child { label.child } else { actor })
    }
}
