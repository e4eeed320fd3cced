//! What every hook shares: label, classify, look up, act, report.

pub(crate) mod act;
pub(crate) mod caller;
pub(crate) mod classify;
pub(crate) mod directory;
pub(crate) mod judge;
pub(crate) mod label;
pub(crate) mod map;
pub(crate) mod names;
pub(crate) mod protect;
pub(crate) mod record;
pub(crate) mod scratch;
pub(crate) mod sockets;

use monitor_common::counter::Counter;

/// Counts a failure. Each processor has its own counter.
#[inline(always)]
pub(crate) fn count(counter: Counter) {
    if let Some(value) = map::COUNTERS.get_ptr_mut(counter as u32) {
        // SAFETY: the pointer is into this processor's own value; a lost increment under preemption is acceptable.
        unsafe { *value += 1 };
    }
}
