//! Carrying out a verdict.

use aya_ebpf::helpers::generated::bpf_send_signal;
use monitor_common::counter::Counter;
use monitor_common::label::Label;
use monitor_common::verdict::{Achieved, Mode, Verdict};

use crate::engine::{count, label};

const SIGKILL: u32 = 9;

/// Kills the caller before its system call returns to it.
#[inline(always)]
pub(crate) fn kill_caller() -> bool {
    // SAFETY: the signal goes to the current task; no pointers.
    let sent = unsafe { bpf_send_signal(SIGKILL) } == 0;
    if !sent {
        count(Counter::Act);
    }
    sent
}

/// Carries out a verdict where a call cannot be made to fail: the process dies before the call returns.
#[inline(always)]
pub(crate) fn by_signal(of: &Label, verdict: u8) -> Achieved {
    match permitted(of, verdict) {
        Some(asked) => {
            if asked == Verdict::Kill {
                label::doom(of.tree);
            }
            if kill_caller() { Achieved::Killed } else { Achieved::Missed }
        }
        None if verdict == Verdict::Alert as u8 => Achieved::Alerted,
        None => Achieved::Observed,
    }
}

/// Carries out a verdict where the hook can refuse the call: the caller returns the refusal if this says `Denied`.
#[inline(always)]
pub(crate) fn by_refusal(of: &Label, verdict: u8) -> Achieved {
    match permitted(of, verdict) {
        Some(asked) => {
            if asked == Verdict::Kill {
                // No signal from this program type: the tree dies when this very call returns.
                label::doom(of.tree);
            }
            Achieved::Denied
        }
        None if verdict == Verdict::Alert as u8 => Achieved::Alerted,
        None => Achieved::Observed,
    }
}

/// The verdict, if it interferes and the tree's mode lets it.
#[inline(always)]
fn permitted(of: &Label, verdict: u8) -> Option<Verdict> {
    let asked = Verdict::from_raw(verdict)?;
    if asked < Verdict::Deny {
        return None;
    }
    // A tree without a state cannot be in audit mode: block.
    let mode = label::tree(of.tree).map_or(Mode::Block as u8, |tree| tree.mode);
    (mode == Mode::Block as u8).then_some(asked)
}
