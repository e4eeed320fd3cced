//! Every system call of a watched process passes here; the few that matter go on to their handler.
//!
//! `trace_sys_enter` and `trace_sys_exit`, kernel/entry/common.c (kernel/entry/syscall-common.c since v6.15), in all
//! supported versions. Raw tracepoints, because these two see every call with one program each, of every ABI, and need
//! no tracefs. Arguments: registers and number at entry, registers and result at exit.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use monitor_common::call::{CALLS as CALL_ENTRIES, Call, Handler};
use monitor_common::object::KernelObject;

use crate::engine::caller::killing;
use crate::engine::map::{CALLS, ENTER_HANDLERS, EXIT_HANDLERS, LATE};
use crate::engine::{act, label};
use crate::kernel::registers::Registers;
use crate::kernel::task::{Task, current_ids};
use crate::{join, load};

/// Set for the calls of the x32 ABI (arch/x86/include/uapi/asm/unistd.h).
const X32_BIT: u32 = 0x4000_0000;

/// `prctl`: see `join`. The loader sets it.
#[unsafe(no_mangle)]
static JOIN_CALL: u32 = 0;

#[raw_tracepoint(tracepoint = "sys_enter")]
pub(crate) fn sys_enter(ctx: RawTracePointContext) -> i32 {
    let _ = try_enter(&ctx);
    0
}

#[inline(always)]
fn try_enter(ctx: &RawTracePointContext) -> Option<()> {
    let number = ctx.arg::<u64>(1) as u32;
    let Some(label) = label::current() else {
        // SAFETY: a read-only global that the loader sets before the object is loaded.
        if number == unsafe { core::ptr::read_volatile(&raw const JOIN_CALL) } {
            let registers = Registers(ctx.arg(0));
            join::said(registers.argument(0), registers.argument(1), registers.argument(2));
        }
        return None;
    };
    if label::is_doomed(&label) {
        act::kill_caller();
        return None;
    }
    if number & X32_BIT != 0 || Task::current().in_compat_call() {
        // The number belongs to another table: the call cannot be read, only named.
        killing(|caller| load::asked_for(caller, KernelObject::CompatCall, u64::from(number), number as i32));
        return None;
    }
    let call = call(number)?;
    if call.enter == Handler::None as u8 {
        return None;
    }
    // SAFETY: the context is this program's own; on failure the call returns and the act is not judged at entry.
    unsafe { ENTER_HANDLERS.tail_call(ctx, u32::from(call.enter)) };
    None
}

#[raw_tracepoint(tracepoint = "sys_exit")]
pub(crate) fn sys_exit(ctx: RawTracePointContext) -> i32 {
    let _ = try_exit(&ctx);
    0
}

#[inline(always)]
fn try_exit(ctx: &RawTracePointContext) -> Option<()> {
    let (tgid, tid) = current_ids();
    match label::of(tgid) {
        Some(label) if label::is_doomed(&label) => {
            act::kill_caller();
            return None;
        }
        Some(_) => {}
        // What the agent opens is learned, see `open`.
        None if label::is_loader(tgid) => {}
        None => return None,
    }
    let number = Registers(ctx.arg(0)).number();
    let call = call(number as u32)?;
    if call.enter == Handler::Path as u8 || call.enter == Handler::Truncate as u8 {
        // SAFETY: only its presence is asked.
        if unsafe { LATE.get(&tid) }.is_some() {
            // SAFETY: as above.
            unsafe { EXIT_HANDLERS.tail_call(ctx, Handler::Path as u32) };
        }
    }
    if call.exit != Handler::None as u8 {
        // SAFETY: as above.
        unsafe { EXIT_HANDLERS.tail_call(ctx, u32::from(call.exit)) };
    }
    None
}

/// How a call is read.
#[inline(always)]
pub(crate) fn call(number: u32) -> Option<&'static Call> {
    if number >= CALL_ENTRIES {
        return None;
    }
    CALLS.get(number)
}
