//! Carrying out a verdict.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_probe_write_user, bpf_send_signal};
use monitor_common::counter::Counter;
use monitor_common::label::Label;
use monitor_common::verdict::{Achieved, Mode, Verdict};

use crate::engine::{count, label};
use crate::kernel::task::Task;

const SIGKILL: u32 = 9;

/// Kills the caller before its system call returns to it.
#[inline(always)]
pub(crate) fn kill_caller() -> bool {
    // SAFETY: the signal goes to the current task; no pointers.
    let sent = unsafe { bpf_send_signal(SIGKILL) } == 0;
    // One that is dying already needs no signal and can get none.
    if !sent && !Task::current().is_exiting() {
        count(Counter::Act);
    }
    sent
}

/// Whether [`spoil`] may be used: not on a kernel locked down for integrity. Set by the loader, so that the verifier
/// drops the call to the helper where it is refused.
#[unsafe(no_mangle)]
static SPOIL: u32 = 0;

/// Makes a call that has been entered fail, by emptying the path it is about to read from the caller's own memory
/// (`bpf_probe_write_user`, since v4.8). A pending SIGKILL alone does not keep an unlink or a truncation from being
/// carried out. Only for a caller that has been killed: it will not run again to see its memory changed.
#[inline(always)]
pub(crate) fn spoil(path: u64) -> bool {
    // SAFETY: a read-only global of this object.
    if unsafe { core::ptr::read_volatile(&raw const SPOIL) } == 0 {
        return false;
    }
    let nothing = 0_u8;
    // SAFETY: one byte from our stack; the helper checks the destination, which belongs to the caller.
    unsafe { bpf_probe_write_user(path as *mut c_void, (&raw const nothing).cast::<c_void>(), 1) == 0 }
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
                // The tree dies at its next acts; a cgroup hook cannot send signals, so nobody dies here.
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
pub(crate) fn permitted(of: &Label, verdict: u8) -> Option<Verdict> {
    let asked = Verdict::from_raw(verdict)?;
    if asked < Verdict::Deny {
        return None;
    }
    // A tree without a state cannot be in audit mode: block.
    let mode = label::tree(of.tree).map_or(Mode::Block as u8, |tree| tree.mode);
    (mode == Mode::Block as u8).then_some(asked)
}
