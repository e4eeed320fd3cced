//! The form of the `kill` tier for descriptors that arrive by SCM_RIGHTS: somebody else opened the file.
//!
//! Judged when recvmsg or recvmmsg returns, before the program can use what came. Which descriptors came stands only in
//! the control messages that the kernel has just written into the caller's memory (include/linux/socket.h); another
//! thread may write over them meanwhile. The files behind the descriptors are the kernel's own.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use monitor_common::call::NO_ARGUMENT;

use super::{How, opened};
use crate::engine::caller::killing;
use crate::engine::scratch;
use crate::kernel::read;
use crate::kernel::registers::Registers;
use crate::kernel::task::Task;
use crate::syscall;

// `struct user_msghdr` and `struct mmsghdr` of 64-bit programs.
const CONTROL: u64 = 32;
const CONTROL_LENGTH: u64 = 40;
const NEXT_MESSAGE: u64 = 64;
/// The kernel takes no more messages at once (UIO_MAXIOV).
const MESSAGES: u64 = 1024;

/// Control messages looked at: credentials, a pidfd, time stamps and descriptors may come together.
const CONTROLS: u32 = 8;
/// `struct cmsghdr`.
const CONTROL_HEADER: u64 = 16;
const SOL_SOCKET: u32 = 1;
const SCM_RIGHTS: u32 = 1;
/// Descriptors in a message, at most (SCM_MAX_FD, rounded up).
const DESCRIPTORS: u64 = 256;

#[raw_tracepoint(tracepoint = "sys_exit")]
pub(crate) fn received_exit(ctx: RawTracePointContext) -> i32 {
    let result = ctx.arg::<u64>(1) as i64;
    if result < 0 {
        return 0;
    }
    let registers = Registers(ctx.arg(0));
    let Some(call) = syscall::call(registers.number() as u32) else { return 0 };
    let header = registers.argument(call.path);
    if call.flags == NO_ARGUMENT {
        received_message(header);
        return 0;
    }
    // The result is the number of messages.
    let count = result as u64;
    let mut index = 0;
    while index < MESSAGES {
        if index >= count {
            break;
        }
        received_message(header.wrapping_add(index * NEXT_MESSAGE));
        index += 1;
    }
    0
}

/// The control messages of one message. With these three functions the calls are as deep as the kernel lets them be
/// (8 frames).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn received_message(header: u64) -> u32 {
    let Some(mut at) = read::user::<u64>(header.wrapping_add(CONTROL)) else { return 0 };
    let Some(length) = read::user::<u64>(header.wrapping_add(CONTROL_LENGTH)) else { return 0 };
    if length < CONTROL_HEADER {
        return 0;
    }
    let end = at.wrapping_add(length);
    let mut index = 0;
    while index < CONTROLS {
        if at.wrapping_add(CONTROL_HEADER) > end {
            break;
        }
        // Length, then level and kind.
        let Some([length, what]) = read::user::<[u64; 2]>(at) else { break };
        if length < CONTROL_HEADER {
            break;
        }
        if what as u32 == SOL_SOCKET && (what >> 32) as u32 == SCM_RIGHTS {
            received_rights(at.wrapping_add(CONTROL_HEADER), (length - CONTROL_HEADER) / 4);
        }
        at = at.wrapping_add(length.wrapping_add(7) & !7);
        index += 1;
    }
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn received_rights(at: u64, count: u64) -> u32 {
    let mut index = 0;
    while index < DESCRIPTORS {
        if index >= count {
            break;
        }
        received_one(at.wrapping_add(index * 4));
        index += 1;
    }
    0
}

/// Judges the file behind the descriptor whose number lies at `address`.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn received_one(address: u64) -> u32 {
    let Some(descriptor) = read::user::<u32>(address) else { return 0 };
    let Some(file) = Task::current().file(descriptor) else { return 0 };
    killing(|caller| Some(scratch::with(|slot| opened(caller, slot, file, How::Received))));
    0
}
