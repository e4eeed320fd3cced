//! Which rules hold for an act, those that another one outranks included.

use monitor_common::action::Action;
use monitor_common::label::SCRIPT_SCOPE;
use monitor_common::policy::decide::row;
use monitor_common::policy::{MAX_CHAIN, MAX_GROUPS};

use crate::policy::Policy;
use crate::rule::syntax::{Given, Within};

impl Policy {
    /// The numbers of the rules that hold for an act on these groups, each with the group that it holds for.
    #[must_use]
    pub fn holding(&self, given: &Given, groups: [u16; MAX_GROUPS]) -> Vec<(u16, u16)> {
        let (Some(actor), Some(action)) = (self.names.actor(&given.actor), Action::from_word(&given.does))
        else {
            return Vec::new();
        };
        let bit =
            |mark: &String| self.names.marks.iter().position(|known| known == mark).map_or(0, |bit| 1 << bit);
        let scope = if given.scope == Some(Within::Script) { SCRIPT_SCOPE } else { 0 };
        let marks = given.marks.iter().map(bit).fold(scope, |all, bit| all | bit);
        let mut holding = Vec::new();
        for group in groups.into_iter().filter(|group| *group != 0) {
            let index = row(actor, action) as usize * self.layout.groups as usize + usize::from(group);
            let mut next = self.cells.get(index).copied().unwrap_or(0);
            for _ in 0..MAX_CHAIN {
                let Some(outcome) = self.outcomes.get(usize::from(next)).filter(|_| next != 0) else { break };
                if marks & outcome.needs == outcome.needs
                    && given.secrets >= outcome.secrets
                    && given.before >= outcome.after
                {
                    holding.push((outcome.rule, group));
                }
                next = outcome.next;
            }
        }
        holding
    }
}
