//! The verdict of the loaded policy on one act.

use monitor_common::action::Action;
use monitor_common::counter::Counter;
use monitor_common::label::Label;
use monitor_common::object::{KERNEL_OBJECTS, KernelObject};
use monitor_common::policy::decide::{Outcome, Past, Sum, chain, decide, secrets};
use monitor_common::policy::{CHUNK, Decision, Query, Verdicts};

use crate::engine::classify::layout;
use crate::engine::map::{CELLS, GROUP_SECRETS, OUTCOMES, SCOPES};
use crate::engine::{count, label};

struct Table {
    groups: u32,
    /// Key of the scope.
    scope: u64,
}

impl Verdicts for Table {
    #[inline(always)]
    fn cell(&self, row: u32, group: u16) -> u16 {
        let index = row.wrapping_mul(self.groups).wrapping_add(u32::from(group));
        CELLS.get(index / CHUNK).map_or(0, |chunk| chunk[(index % CHUNK) as usize])
    }

    #[inline(always)]
    fn outcome(&self, number: u16) -> Option<Outcome> {
        OUTCOMES.get(u32::from(number)).copied()
    }

    #[inline(always)]
    fn count(&mut self, counter: u8) -> u32 {
        let Some(scope) = SCOPES.get_ptr_mut(&self.scope) else {
            return u32::MAX;
        };
        // SAFETY: a map value, valid while the program runs; the index is below the array's length by the mask.
        let value = unsafe { &mut (*scope).counts[usize::from(counter & 7)] };
        *value += 1;
        *value
    }

    #[inline(always)]
    fn chain(&mut self, first: u16, past: Past) -> Sum {
        Sum::unpack(judge_chain(u32::from(first), past.pack(), self.scope))
    }
}

/// The outcomes of one cell, packed. A function of its own that the verifier checks once per program.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_chain(first: u32, past: u64, scope: u64) -> u64 {
    chain(&mut Table { groups: 0, scope }, first as u16, Past::unpack(past)).pack()
}

/// Judges one act: `groups` and `more` hold groups of 16 bits, four and two. Returns the decision packed by [`pack`].
///
/// A function of its own that the verifier checks once per program, not at every call.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_packed(actor_action: u32, groups: u64, more: u64, scope: u64) -> u64 {
    let Some(layout) = layout() else { return 0 };
    let Some(action) = Action::from_raw(actor_action as u8) else {
        return 0;
    };
    // A scope that could not be stored is taken for the worst: every mark set, every count reached.
    let (marks, read) = match SCOPES.get_ptr_mut(&scope) {
        // SAFETY: a map value, valid while the program runs; integers only.
        Some(state) => unsafe { ((*state).marks, (*state).secrets) },
        None => {
            count(Counter::ScopesFull);
            (u32::MAX, u64::MAX)
        }
    };
    // <VERIFIER_ISSUE> one word that is opaque: the compiler would keep its halves beside it, and this function's stack is
    // missing to all that call it.
    let past = core::hint::black_box(Past::new(marks, read).pack());
    let query = Query {
        actor: (actor_action >> 8) as u8,
        action,
        groups: [
            groups as u16,
            (groups >> 16) as u16,
            (groups >> 32) as u16,
            (groups >> 48) as u16,
            more as u16,
            (more >> 16) as u16,
        ],
        past: Past::unpack(past),
    };
    let mut table = Table { groups: layout.groups, scope };
    let decision = decide(&mut table, &query);
    let marks = past as u32;
    if decision.sets & !marks != 0 {
        note_marks(decision.sets, scope);
    }
    // <VERIFIER_ISSUE> not `marked != 0`: of a branch on it the verifier would want to know each of its 64 values.
    if decision.sets != 0 {
        note_secrets(groups, u32::from(decision.marked), scope);
    }
    pack(&decision, marks)
}

/// Sets marks of a scope. A function of its own for the sake of the stack.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn note_marks(sets: u32, scope: u64) -> u32 {
    if let Some(state) = SCOPES.get_ptr_mut(&scope) {
        // SAFETY: a map value, valid while the program runs. Two processors that set marks at once may lose one; both acts
        // are judged all the same.
        unsafe { (*state).marks |= sets };
    }
    0
}

/// Notes the classes of secrets in those of the first four groups that are marked: names of addresses are none. A function
/// of its own for the sake of the stack.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn note_secrets(groups: u64, marked: u32, scope: u64) -> u32 {
    let groups = [groups as u16, (groups >> 16) as u16, (groups >> 32) as u16, (groups >> 48) as u16, 0, 0];
    let classes = secrets(groups, marked as u8, |group| {
        let group = u32::from(group);
        GROUP_SECRETS.get(group / CHUNK).map_or(0, |chunk| chunk[(group % CHUNK) as usize])
    });
    if let Some(state) = SCOPES.get_ptr_mut(&scope) {
        // SAFETY: a map value, valid while the program runs; as with marks, one of two at once may be lost.
        unsafe { (*state).secrets |= classes };
    }
    0
}

#[inline(always)]
fn pack(decision: &Decision, marks: u32) -> u64 {
    u64::from(decision.verdict)
        | u64::from(decision.slot) << 8
        | u64::from(decision.rule) << 16
        | u64::from(marks) << 32
}

/// What the policy says of an act.
#[derive(Clone, Copy)]
pub(crate) struct Judgement {
    /// [`monitor_common::verdict::Verdict`].
    pub(crate) verdict: u8,
    /// Index of the rule.
    pub(crate) rule: u16,
    /// The group it was about.
    pub(crate) group: u16,
    /// Which of the groups that was.
    pub(crate) slot: u8,
    /// Marks of the scope before.
    pub(crate) marks: u32,
}

/// Judges an act of a process on up to four groups; `None` if nothing is to be said.
#[inline(always)]
pub(crate) fn judge(label: &Label, action: Action, groups: [u16; 4]) -> Option<Judgement> {
    judge_as(label, label.actor, action, groups)
}

/// As [`judge`], for an actor that is not the label's.
#[inline(always)]
pub(crate) fn judge_as(label: &Label, actor: u8, action: Action, groups: [u16; 4]) -> Option<Judgement> {
    judge_all(label, actor, action, groups, [0; 2])
}

/// As [`judge`], on up to six groups.
#[inline(always)]
pub(crate) fn judge_six(
    label: &Label,
    action: Action,
    groups: [u16; 4],
    more: [u16; 2],
) -> Option<Judgement> {
    judge_all(label, label.actor, action, groups, more)
}

#[inline(always)]
fn judge_all(
    label: &Label,
    actor: u8,
    action: Action,
    groups: [u16; 4],
    more: [u16; 2],
) -> Option<Judgement> {
    let all = u64::from(groups[0])
        | u64::from(groups[1]) << 16
        | u64::from(groups[2]) << 32
        | u64::from(groups[3]) << 48;
    let more = u64::from(more[0]) | u64::from(more[1]) << 16;
    if all | more == 0 {
        return None;
    }
    let packed = judge_packed(u32::from(actor) << 8 | action as u32, all, more, label::scope_key(label));
    if packed as u8 == 0 {
        return None;
    }
    let slot = (packed >> 8) as u8 & 7;
    let place = u32::from(slot & 3) * 16;
    let group = if slot < 4 { all >> place } else { more >> place };
    Some(Judgement {
        verdict: packed as u8,
        rule: (packed >> 16) as u16,
        group: group as u16,
        slot,
        marks: (packed >> 32) as u32,
    })
}

/// The group of an object that only the kernel recognises.
#[inline(always)]
pub(crate) fn kernel_object(object: KernelObject) -> u16 {
    // <VERIFIER_ISSUE> opaque, or the compiler drops the mask it can prove and the verifier cannot.
    let index = core::hint::black_box(object as usize) & (KERNEL_OBJECTS - 1);
    layout().map_or(0, |layout| layout.kernel_objects[index])
}
