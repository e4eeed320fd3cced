//! From (actor, action, groups, marks) to a decision.

use super::{MAX_CHAIN, MAX_GROUPS};
use crate::action::{ACTIONS, Action};
use crate::label::{ActorId, SCOPE_COUNTERS};
use crate::verdict::Verdict;

/// One rule's consequence for one cell of the verdict table.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Outcome {
    /// Of all outcomes that hold, the highest rank decides. Built from the verdict (`allow` above all but what is asked
    /// of a scope with a past), the severity and the order of the rules, so no two rules share one.
    pub rank: u32,
    /// Marks the scope must have for this outcome to hold.
    pub needs: u32,
    /// Marks the scope gets when it holds, unless another outcome allows the act.
    pub sets: u32,
    /// Index of the rule.
    pub rule: u16,
    /// Next outcome of the same cell; 0 ends the chain.
    pub next: u16,
    /// Holds from the match after this many in one scope; 0 is at once.
    pub after: u16,
    /// Which of the scope's counters `after` uses.
    pub counter: u8,
    /// [`Verdict`].
    pub verdict: u8,
    /// Holds once the scope has read secrets of this many classes; 0 is always.
    pub secrets: u8,
    /// Zero.
    pub reserved: [u8; 3],
}

const _: () = assert!(size_of::<Outcome>() == 24);

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Who acts.
    pub actor: ActorId,
    /// What it does.
    pub action: Action,
    /// The groups of the object; 0 where there is none.
    pub groups: [u16; MAX_GROUPS],
    /// What the scope has done before.
    pub past: Past,
}

/// What a scope has done before, as far as outcomes ask for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Its marks.
    pub marks: u32,
    /// Of how many classes it has read secrets.
    pub classes: u32,
}

impl Past {
    /// From the marks of a scope, and the classes of secrets it has read.
    #[inline(always)]
    #[must_use]
    pub const fn new(marks: u32, secrets: u64) -> Self {
        Self { marks, classes: secrets.count_ones() }
    }

    /// As one word: what a BPF function can take.
    #[inline(always)]
    #[must_use]
    pub const fn pack(self) -> u64 {
        self.marks as u64 | (self.classes as u64) << 32
    }

    /// The way back.
    #[inline(always)]
    #[must_use]
    pub const fn unpack(word: u64) -> Self {
        Self { marks: word as u32, classes: (word >> 32) as u32 }
    }
}

/// What the rules say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// 0 when no rule matched, else the rank of the outcome that decided.
    pub rank: u32,
    /// [`Verdict`]; [`Verdict::Allow`] when no rule matched.
    pub verdict: u8,
    /// Which of [`Query::groups`] it was about.
    pub slot: u8,
    /// Index of the rule that decided; meaningless without a rank.
    pub rule: u16,
    /// Marks to set.
    pub sets: u32,
    /// The groups, by slot, whose secrets are to be noted with the marks; see [`secrets`].
    pub marked: u8,
}

impl Decision {
    /// Whether anything is to be reported or done.
    #[inline(always)]
    #[must_use]
    pub fn is_finding(&self) -> bool {
        self.verdict != Verdict::Allow as u8
    }
}

/// Read access to the verdict table, and the scope's counters.
pub trait Verdicts {
    /// First outcome of the cell; 0 if no rule is about it.
    fn cell(&self, row: u32, group: u16) -> u16;
    /// An outcome by number.
    fn outcome(&self, number: u16) -> Option<Outcome>;
    /// Counts one match and returns the count, this one included.
    fn count(&mut self, counter: u8) -> u32;

    /// Asks a chain of outcomes. The kernel side does it in a function that the verifier checks once.
    #[inline(always)]
    fn chain(&mut self, first: u16, past: Past) -> Sum
    where
        Self: Sized,
    {
        chain(self, first, past)
    }
}

/// What the outcomes of one cell say together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// The outcome of the highest rank that holds; 0 if none does.
    pub best: u16,
    /// Marks to set.
    pub sets: u32,
}

impl Sum {
    /// As one word: what a BPF function can return.
    #[inline(always)]
    #[must_use]
    pub const fn pack(self) -> u64 {
        self.best as u64 | (self.sets as u64) << 32
    }

    /// The way back.
    #[inline(always)]
    #[must_use]
    pub const fn unpack(word: u64) -> Self {
        Self { best: word as u16, sets: (word >> 32) as u32 }
    }
}

/// Asks every outcome of a cell, beginning with number `first`.
#[inline(always)]
pub fn chain<V: Verdicts>(verdicts: &mut V, first: u16, past: Past) -> Sum {
    let mut sum = Sum::default();
    let mut rank = 0;
    let mut next = first;
    let mut step = 0;
    while next != 0 && step < MAX_CHAIN {
        let Some(outcome) = verdicts.outcome(next) else {
            break;
        };
        if holds(verdicts, &outcome, past) {
            sum.sets |= outcome.sets;
            if outcome.rank > rank {
                rank = outcome.rank;
                sum.best = next;
            }
        }
        next = outcome.next;
        step += 1;
    }
    sum
}

/// Row of the verdict table for an actor and an action.
#[inline(always)]
#[must_use]
pub fn row(actor: ActorId, action: Action) -> u32 {
    actor as u32 * ACTIONS + action as u32
}

/// Judges one act: every outcome of every group is asked, and the highest rank that holds decides.
///
/// Who is allowed to do it leaves no trace: npm that reads its own configuration has not stolen a token. An allowed act
/// sets only the marks of the outcome that allows it.
///
/// <VERIFIER_ISSUE> only what must be is kept from one group to the next: 5.10 allows 512 bytes of stack for all
/// functions that are in each other.
#[inline(always)]
pub fn decide<V: Verdicts>(verdicts: &mut V, query: &Query) -> Decision {
    let mut decision = Decision::default();
    let row = row(query.actor, query.action);
    let mut best = 0;
    let mut slot = 0;
    while slot < MAX_GROUPS {
        let group = query.groups[slot];
        if group != 0 {
            let sum = verdicts.chain(verdicts.cell(row, group), query.past);
            if sum.sets != 0 {
                decision.sets |= sum.sets;
                decision.marked |= 1 << slot;
            }
            if sum.best != 0
                && let Some(outcome) = verdicts.outcome(sum.best)
                && outcome.rank > decision.rank
            {
                decision.rank = outcome.rank;
                decision.slot = slot as u8;
                best = sum.best;
            }
        }
        slot += 1;
    }
    if best != 0
        && let Some(outcome) = verdicts.outcome(best)
    {
        decision.verdict = outcome.verdict;
        decision.rule = outcome.rule;
        if outcome.verdict == Verdict::Allow as u8 {
            decision.sets = outcome.sets;
        }
    }
    if decision.sets == 0 {
        decision.marked = 0;
    }
    decision
}

/// Classes of the secrets to note after a decision, where `of` knows those of a group.
#[inline(always)]
pub fn secrets(groups: [u16; MAX_GROUPS], marked: u8, of: impl Fn(u16) -> u64) -> u64 {
    let mut secrets = 0;
    let mut slot = 0;
    while slot < MAX_GROUPS {
        if marked >> slot & 1 != 0 {
            secrets |= of(groups[slot]);
        }
        slot += 1;
    }
    secrets
}

#[inline(always)]
fn holds<V: Verdicts>(verdicts: &mut V, outcome: &Outcome, past: Past) -> bool {
    if past.marks & outcome.needs != outcome.needs || past.classes < u32::from(outcome.secrets) {
        return false;
    }
    outcome.after == 0 || verdicts.count(outcome.counter % SCOPE_COUNTERS as u8) > u32::from(outcome.after)
}

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, integers only, no padding (size asserted above), so every bit pattern is valid.
unsafe impl aya::Pod for Outcome {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Outcomes by number; the cell of a group is the outcome of the same number.
    struct Table<'a>(&'a [Outcome]);

    impl Verdicts for Table<'_> {
        fn cell(&self, _: u32, group: u16) -> u16 {
            group
        }

        fn outcome(&self, number: u16) -> Option<Outcome> {
            self.0.get(usize::from(number)).copied()
        }

        fn count(&mut self, _: u8) -> u32 {
            0
        }
    }

    const NOTHING: Outcome = Outcome {
        rank: 0,
        needs: 0,
        sets: 0,
        rule: 0,
        next: 0,
        after: 0,
        counter: 0,
        verdict: 0,
        secrets: 0,
        reserved: [0; 3],
    };
    const DENY: Outcome = Outcome { rank: 5, verdict: Verdict::Deny as u8, sets: 1, ..NOTHING };
    const ALLOW: Outcome = Outcome { rank: 9, verdict: Verdict::Allow as u8, ..NOTHING };

    fn ask(outcomes: &[Outcome], first: [u16; 4], secrets: u64) -> Decision {
        let past = Past::unpack(Past::new(0, secrets).pack());
        let groups = padded(first);
        decide(&mut Table(outcomes), &Query { actor: 1, action: Action::Read, groups, past })
    }

    fn padded(first: [u16; 4]) -> [u16; MAX_GROUPS] {
        let mut groups = [0; MAX_GROUPS];
        groups[..4].copy_from_slice(&first);
        groups
    }

    /// Of a decision: verdict, marks, classes of secrets.
    fn told(outcomes: &[Outcome], groups: [u16; 4]) -> (u8, u32, u64) {
        let decision = ask(outcomes, groups, 0);
        (decision.verdict, decision.sets, secrets(padded(groups), decision.marked, |group| 1 << group))
    }

    #[test]
    fn a_secret_that_was_read_is_noted_with_its_class() {
        let deny = Verdict::Deny as u8;
        assert_eq!(told(&[NOTHING, DENY, DENY], [1, 2, 0, 0]), (deny, 1, 0b110));
        let silent = Outcome { sets: 0, ..DENY };
        assert_eq!(told(&[NOTHING, silent], [1, 0, 0, 0]), (deny, 0, 0));
    }

    #[test]
    fn an_allowed_act_leaves_no_trace() {
        // In one cell, and in two.
        let outcomes = [NOTHING, DENY, ALLOW, Outcome { next: 1, ..ALLOW }];
        for groups in [[3, 0, 0, 0], [1, 2, 0, 0], [2, 1, 0, 0]] {
            assert_eq!(told(&outcomes, groups), (0, 0, 0), "{groups:?}");
        }
    }

    #[test]
    fn who_allows_can_still_mark() {
        let marking = Outcome { sets: 2, next: 1, ..ALLOW };
        assert_eq!(told(&[NOTHING, DENY, NOTHING, marking], [3, 0, 0, 0]), (0, 2, 0b1000));
    }

    #[test]
    fn classes_are_counted_and_not_files() {
        let two = Outcome { secrets: 2, ..DENY };
        assert!(!ask(&[NOTHING, two], [1, 0, 0, 0], 0b100).is_finding());
        assert!(ask(&[NOTHING, two], [1, 0, 0, 0], 0b101).is_finding());
    }
}
