//! What the scopes of a replayed run have done so far.

use std::collections::HashMap;

use monitor_common::action::Action;
use monitor_common::label::{ActorId, SCOPE_COUNTERS, SCRIPT_SCOPE};
use monitor_common::policy::{Decision, MAX_GROUPS, Past, Query};

use crate::policy::Policy;
use crate::policy::evaluate::Judge;

/// One scope, as the kernel side keeps it.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) marks: u32,
    pub(super) secrets: u64,
    counts: [u32; SCOPE_COUNTERS],
}

/// All scopes, by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Scopes(HashMap<u64, State>);

impl Scopes {
    /// A script begins: marks and classes of secrets pass on, counts do not.
    pub(super) fn open(&mut self, key: u64, parent: u64) {
        let parent = self.0.get(&parent).cloned().unwrap_or_default();
        let state = State { marks: parent.marks | SCRIPT_SCOPE, secrets: parent.secrets, ..State::default() };
        self.0.insert(key, state);
    }

    /// The state of a scope; one whose beginning is not recorded begins now, below the manager's own.
    pub(super) fn of(&mut self, key: u64, tree: u64, script: bool) -> &mut State {
        if script && !self.0.contains_key(&key) {
            self.open(key, tree);
        }
        self.0.entry(key).or_default()
    }
}

impl State {
    /// Judges an act and notes what it leaves behind.
    pub(super) fn judge(
        &mut self,
        policy: &Policy,
        actor: ActorId,
        action: Action,
        groups: [u16; MAX_GROUPS],
    ) -> Decision {
        let mut judge = Judge::new(policy);
        judge.counts = self.counts;
        let past = Past::new(self.marks, self.secrets);
        let decision = judge.judge(&Query { actor, action, groups, past });
        self.counts = judge.counts;
        self.marks |= decision.sets;
        self.secrets |= policy.secrets(groups, &decision);
        decision
    }

    /// A rule that fires after a number of matches fired then, so that many matches came before, though only those above
    /// the number are recorded. Says whether the count was changed.
    pub(super) fn assume_count(&mut self, policy: &Policy, rule: &str) -> bool {
        let counting = |outcome: &&monitor_common::policy::decide::Outcome| {
            outcome.after > 0 && policy.names.rule(outcome.rule).is_some_and(|known| known.id == rule)
        };
        let Some(outcome) = policy.outcomes.iter().skip(1).find(counting) else { return false };
        let count = &mut self.counts[usize::from(outcome.counter) % SCOPE_COUNTERS];
        let changed = *count < u32::from(outcome.after);
        *count = (*count).max(u32::from(outcome.after));
        changed
    }
}
