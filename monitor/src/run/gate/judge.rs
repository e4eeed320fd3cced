//! What the compiled rules say of a name, as the kernel side would say it.

use monitor_common::action::{ACTIONS, Action};
use monitor_common::label::{ActorId, Scope};
use monitor_common::object::KernelObject;
use monitor_common::policy::decide::{Outcome, decide, row};
use monitor_common::policy::{MAX_CHAIN, MAX_GROUPS, Past, Query, Verdicts};
use monitor_common::verdict::Verdict;

use crate::policy::Policy;

/// An act that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// `Deny` or `Kill`.
    pub(super) asked: Verdict,
    /// Rule.
    pub(super) rule: u16,
    /// Group of the object.
    pub(super) group: u16,
    /// Marks of the scope.
    pub(super) marks: u32,
}

/// The rules, and which actors they can stop at all.
pub(super) struct Judge {
    policy: Policy,
    /// By row of the verdict table: whether any object is refused.
    strict: Vec<bool>,
}

impl Judge {
    pub(super) fn new(mut policy: Policy) -> Self {
        // Only the automata over files and sockets and the verdict table are asked; the rest would lie in memory for nothing.
        policy.exec_classes = Vec::new();
        policy.networks = Vec::new();
        policy.ports = Vec::new();
        policy.net_groups = Vec::new();
        policy.domain_groups = Vec::new();
        policy.group_secrets = Vec::new();
        let groups = policy.layout.groups as usize;
        let rows = policy.actors.len() * ACTIONS as usize;
        let table = Table(&policy);
        let refuses = |first: &u16| table.chain(*first).any(refuses);
        let strict = (0..rows)
            .map(|row| {
                policy
                    .cells
                    .get(row * groups..(row + 1) * groups)
                    .is_some_and(|cells| cells.iter().any(refuses))
            })
            .collect();
        Self { policy, strict }
    }

    /// Whether some object is refused to `actor`.
    pub(super) fn is_strict(&self, actor: ActorId, action: Action) -> bool {
        self.strict.get(row(actor, action) as usize).copied().unwrap_or(false)
    }

    /// Judges one name, and the group that the file behind it is known by. `scope` is asked only if a rule is about it.
    pub(super) fn judge(
        &self,
        actor: ActorId,
        action: Action,
        (path, known): (&[u8], u16),
        scope: impl FnOnce() -> Scope,
    ) -> Option<Refusal> {
        let mut groups = [0; MAX_GROUPS];
        groups[0] = self.policy.file_group(path);
        groups[1] = known;
        self.judge_groups(actor, action, groups, scope)
    }

    /// Judges the name of a unix socket: a path, or `@` and an abstract name.
    pub(super) fn judge_socket(
        &self,
        actor: ActorId,
        name: &[u8],
        scope: impl FnOnce() -> Scope,
    ) -> Option<Refusal> {
        let mut groups = [0; MAX_GROUPS];
        groups[0] = self.policy.socket_group(name);
        self.judge_groups(actor, Action::UnixConnect, groups, scope)
    }

    /// Judges what has no name.
    pub(super) fn judge_object(
        &self,
        actor: ActorId,
        action: Action,
        object: KernelObject,
        scope: impl FnOnce() -> Scope,
    ) -> Option<Refusal> {
        let mut groups = [0; MAX_GROUPS];
        groups[0] = self.policy.layout.kernel_objects[object as usize];
        self.judge_groups(actor, action, groups, scope)
    }

    fn judge_groups(
        &self,
        actor: ActorId,
        action: Action,
        groups: [u16; MAX_GROUPS],
        scope: impl FnOnce() -> Scope,
    ) -> Option<Refusal> {
        let mut table = Table(&self.policy);
        if groups.iter().all(|group| *group == 0 || table.cell(row(actor, action), *group) == 0) {
            return None;
        }
        let Scope { marks, secrets, .. } = scope();
        let decision = decide(&mut table, &Query { actor, action, groups, past: Past::new(marks, secrets) });
        let asked = Verdict::from_raw(decision.verdict).filter(|asked| *asked >= Verdict::Deny)?;
        let group = groups.get(usize::from(decision.slot)).copied().unwrap_or(0);
        Some(Refusal { asked, rule: decision.rule, group, marks })
    }
}

/// A rule that counts is left to the kernel side, which has the counters.
fn refuses(outcome: Outcome) -> bool {
    outcome.after == 0 && outcome.verdict >= Verdict::Deny as u8
}

/// The verdict table.
struct Table<'a>(&'a Policy);

impl Table<'_> {
    fn chain(&self, first: u16) -> impl Iterator<Item = Outcome> {
        let number = (first != 0).then_some(first);
        let outcome = |number| Verdicts::outcome(self, number);
        std::iter::successors(number.and_then(outcome), move |last| {
            (last.next != 0).then_some(last.next).and_then(outcome)
        })
        .take(MAX_CHAIN)
    }
}

impl Verdicts for Table<'_> {
    fn cell(&self, row: u32, group: u16) -> u16 {
        let groups = self.0.layout.groups;
        if u32::from(group) >= groups {
            return 0;
        }
        let index = row as usize * groups as usize + usize::from(group);
        self.0.cells.get(index).copied().unwrap_or(0)
    }

    fn outcome(&self, number: u16) -> Option<Outcome> {
        self.0.outcomes.get(usize::from(number)).copied()
    }

    fn count(&mut self, _: u8) -> u32 {
        0
    }
}
