//! The form of the `kill` tier for datagrams that name their receiver.
//!
//! Judged on the address in user memory when the call is entered, with the limits of `change::entry`: symbolic links are
//! not followed, and another thread may exchange the address. The gate in userspace, where there is one, has answered
//! sendto before.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use monitor_common::action::Action;
use monitor_common::call::NO_ARGUMENT;
use monitor_common::event::Subject;

use super::{AF_UNIX, NAME, NAME_MAX};
use crate::change::entry::{AT_FDCWD, Written, read_path, settle_written};
use crate::engine::caller::{Answer, Caller, killing};
use crate::engine::classify;
use crate::engine::judge::judge;
use crate::engine::scratch::{self, BASE_END, Slot};
use crate::kernel::path::PathText;
use crate::kernel::read;
use crate::kernel::registers::Registers;
use crate::syscall;

// `struct user_msghdr` and `struct mmsghdr` of 64-bit programs.
const NEXT_MESSAGE: u64 = 64;
/// The kernel takes no more messages at once (UIO_MAXIOV).
const MESSAGES: u64 = 1024;
/// Messages looked at by one call of `sent_block`: each loop is short, so that the verifier can follow.
const BLOCK: u64 = 32;

#[raw_tracepoint(tracepoint = "sys_enter")]
pub(crate) fn unix_send(ctx: RawTracePointContext) -> i32 {
    let registers = Registers(ctx.arg(0));
    let number = ctx.arg::<u64>(1) as u32;
    let Some(call) = syscall::call(number) else { return 0 };
    let what = registers.argument(call.path);
    if call.flags_behind == 0 {
        sent_to(what, registers.argument(call.flags) as u32, number);
        return 0;
    }
    let count = if call.flags == NO_ARGUMENT { 1 } else { registers.argument(call.flags) & 0xffff_ffff };
    let mut from = 0;
    while from < MESSAGES {
        if from >= count {
            break;
        }
        sent_block(what.wrapping_add(from * NEXT_MESSAGE), count - from, number);
        from += BLOCK;
    }
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sent_block(header: u64, count: u64, number: u32) -> u32 {
    let mut index = 0;
    while index < BLOCK {
        if index >= count {
            break;
        }
        let header = header.wrapping_add(index * NEXT_MESSAGE);
        if let Some([address, length]) = read::user::<[u64; 2]>(header) {
            sent_to(address, length as u32, number);
        }
        index += 1;
    }
    0
}

/// One datagram.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sent_to(address: u64, length: u32, number: u32) -> u32 {
    if address == 0 || length <= NAME {
        return 0;
    }
    if read::user::<u16>(address) != Some(AF_UNIX) {
        return 0;
    }
    killing(|caller| Some(scratch::with(|slot| named(caller, slot, address, length, number as i32))));
    0
}

#[inline(always)]
fn named(caller: &Caller, slot: Slot, address: u64, length: u32, number: i32) -> Option<Answer> {
    let longest = if length > NAME + NAME_MAX { NAME_MAX } else { length - NAME };
    let layout = classify::layout()?;
    let path = written(slot, address + u64::from(NAME), longest)?;
    let accepted = classify::walk_lexically(slot, layout.socket_start, path.start, path.end);
    let group = if accepted == u32::MAX { 0 } else { accepted as u16 };
    let judgement = judge(&caller.label, Action::UnixConnect, [group, 0, 0, 0])?;
    // Without its family an address is none.
    let written = Written { path, number, late: 0, user: address, subject: Subject::Socket };
    settle_written(caller, slot, Action::UnixConnect, &judgement, &written);
    None
}

/// Writes the name at `user` into the scratch text, as `name_of` would.
#[inline(always)]
fn written(slot: Slot, user: u64, longest: u32) -> Option<PathText> {
    if read::user::<u8>(user)? != 0 {
        let mut path = read_path(slot, AT_FDCWD, user)?;
        // A path that fills the address has no NUL.
        let end = BASE_END + 1 + longest;
        if path.end > end {
            path.end = end;
        }
        return Some(path);
    }
    let scratch = scratch::get(slot)?;
    // <VERIFIER_ISSUE> once more and opaque, or the bound is lost.
    let longest = core::hint::black_box(longest) & 127;
    // SAFETY: the text has more than 128 bytes behind BASE_END.
    unsafe { read::user_bytes(scratch.text.as_mut_ptr().add(BASE_END as usize), longest, user) };
    scratch.text[BASE_END as usize] = b'@';
    Some(PathText { start: BASE_END, end: BASE_END + longest, flags: 0 })
}
