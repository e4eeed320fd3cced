//! Every system call of a watched process passes here; the few that matter go on to their handler.
//!
//! `trace_sys_enter` and `trace_sys_exit`, kernel/entry/common.c (kernel/entry/syscall-common.c since v6.15), in all
//! supported versions. Raw tracepoints, because these two see every call with one program each, of every ABI, and need
//! no tracefs. Arguments: registers and number at entry, registers and result at exit.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use monitor_common::action::Action;
use monitor_common::call::{CALLS as CALL_ENTRIES, Call, Handler};
use monitor_common::label::Label;
use monitor_common::object::KernelObject;

use crate::engine::map::{CALLS, ENTER_HANDLERS, EXIT_HANDLERS, LATE};
use crate::engine::{act, label};
use crate::facility;
use crate::kernel::registers::Registers;
use crate::kernel::task::{Task, current_ids};

/// Set for the calls of the x32 ABI (arch/x86/include/uapi/asm/unistd.h).
const X32_BIT: u32 = 0x4000_0000;

/// `prctl` with this option and the two words below makes the caller the root of a tree. The loader sets all three.
#[unsafe(no_mangle)]
static JOIN_CALL: u32 = 0;
#[unsafe(no_mangle)]
static JOIN_WORDS: [u64; 2] = [0; 2];

/// Label of the root of a tree: what it becomes before its first exec. The loader sets both.
#[unsafe(no_mangle)]
static ROOT_ACTOR: u32 = 0;
#[unsafe(no_mangle)]
static ROOT_MODE: u32 = 0;

#[raw_tracepoint(tracepoint = "sys_enter")]
pub(crate) fn sys_enter(ctx: RawTracePointContext) -> i32 {
    let _ = try_enter(&ctx);
    0
}

#[inline(always)]
fn try_enter(ctx: &RawTracePointContext) -> Option<()> {
    let number = ctx.arg::<u64>(1) as u32;
    let Some(label) = label::current() else {
        return try_join(ctx, number);
    };
    if label::is_doomed(&label) {
        act::kill_caller();
        return None;
    }
    if number & X32_BIT != 0 || Task::current().in_compat_call() {
        // The number belongs to another table: the call cannot be read, only named.
        facility::report(&label, Action::Load, KernelObject::CompatCall, number as i32, u64::from(number));
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
    let label = label::current()?;
    if label::is_doomed(&label) {
        act::kill_caller();
        return None;
    }
    let number = Registers(ctx.arg(0)).number();
    let call = call(number as u32)?;
    let (_, tid) = current_ids();
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

/// Makes the caller the root of a tree if it says the words that only the agent knows. Labelled here and not by
/// userspace, because a process does not know its id in the initial namespace.
#[inline(always)]
fn try_join(ctx: &RawTracePointContext, number: u32) -> Option<()> {
    // SAFETY: read-only globals that the loader sets before the object is loaded.
    let (join_call, words, actor, mode) = unsafe {
        (
            core::ptr::read_volatile(&raw const JOIN_CALL),
            [
                core::ptr::read_volatile((&raw const JOIN_WORDS).cast::<u64>()),
                core::ptr::read_volatile((&raw const JOIN_WORDS).cast::<u64>().add(1)),
            ],
            core::ptr::read_volatile(&raw const ROOT_ACTOR),
            core::ptr::read_volatile(&raw const ROOT_MODE),
        )
    };
    if number != join_call || words[0] == 0 {
        return None;
    }
    let registers = Registers(ctx.arg(0));
    if registers.argument(1) != words[0] || registers.argument(2) != words[1] {
        return None;
    }
    let (tgid, _) = current_ids();
    let label = Label { tree: tgid, actor: actor as u8, child: actor as u8, reserved: [0; 2], scope: 0 };
    label::begin_tree(tgid, mode as u8);
    label::store(tgid, &label);
    Some(())
}
