//! Unix sockets: the doors to daemons that would do a script's work outside its tree.
//!
//! Judged when connect returns, on the peer the kernel connected to (`unix_sock.peer`, include/net/af_unix.h): its own
//! bound path, whatever name the program used. Nothing has been sent by then. A failed connect reached nobody.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use monitor_common::action::Action;
use monitor_common::counter::Counter;
use monitor_common::event::{Kind, Subject};

use crate::engine::judge::judge;
use crate::engine::scratch::BASE_END;
use crate::engine::{act, classify, count, label, record, scratch};
use crate::kernel::path::{self, PathText};
use crate::kernel::registers::Registers;
use crate::kernel::task::Task;
use crate::kernel::{offset, read};

const AF_UNIX: u16 = 1;
const EINPROGRESS: i64 = 115;
/// Offset of the name in `struct sockaddr_un`.
const NAME: u32 = 2;
/// Longest abstract name (`sun_path`).
const NAME_MAX: u32 = 108;

#[raw_tracepoint(tracepoint = "sys_exit")]
pub(crate) fn unix_connect_exit(ctx: RawTracePointContext) -> i32 {
    let _ = try_connect(&ctx);
    0
}

#[inline(always)]
fn try_connect(ctx: &RawTracePointContext) -> Option<()> {
    let result = ctx.arg::<u64>(1) as i64;
    if result < 0 && result != -EINPROGRESS {
        return None;
    }
    let label = label::current()?;
    let registers = Registers(ctx.arg(0));
    let file = Task::current().file(registers.argument(0) as u32)?;
    let socket = read::field::<u64>(file, &offset::FILE_PRIVATE)?;
    let sock = read::field::<u64>(socket, &offset::SOCKET_SK)?;
    if sock == 0
        || read::field::<u16>(sock, &offset::SOCK_FAMILY)? != AF_UNIX
        || !offset::present(&offset::UNIX_PEER)
    {
        return None;
    }
    let peer = read::field::<u64>(sock, &offset::UNIX_PEER)?;
    if peer == 0 {
        return None;
    }
    let name = name_of(peer)?;
    let start = classify::layout()?.socket_start;
    let group = classify::accepts(classify::walk_text(start, name.start, name.end)) as u16;
    let judgement = judge(&label, Action::UnixConnect, [group, 0, 0, 0])?;
    let achieved = act::by_signal(&label, judgement.verdict);
    let Some(scratch) = scratch::get() else {
        count(Counter::Scratch);
        return None;
    };
    record::begin(&mut scratch.header, Kind::Verdict, &label);
    record::judged(&mut scratch.header, Action::UnixConnect, &judgement, achieved);
    scratch.header.subject = Subject::Socket as u8;
    scratch.header.flags = name.flags;
    scratch.header.syscall = registers.number();
    record::append(scratch, 0, name.start, name.end);
    record::submit(scratch);
    Some(())
}

/// Writes the peer's name into the scratch text: the path it is bound to, or `@` and its abstract name.
#[inline(always)]
fn name_of(peer: u64) -> Option<PathText> {
    let bound = peer + offset::of(&offset::UNIX_PATH);
    if read::field::<u64>(bound, &offset::PATH_DENTRY)? != 0 {
        return Some(path::of(bound));
    }
    let address = read::field::<u64>(peer, &offset::UNIX_ADDRESS)?;
    if address == 0 {
        return None;
    }
    let length = read::field::<u32>(address, &offset::UNIX_ADDRESS_LENGTH)?;
    if length <= NAME || length > NAME + NAME_MAX {
        return None;
    }
    let length = (length - NAME) & 127;
    let scratch = scratch::get()?;
    let from = address + offset::of(&offset::UNIX_ADDRESS_NAME) + u64::from(NAME);
    // SAFETY: the text has more than 128 bytes behind BASE_END.
    unsafe { read::kernel_bytes(scratch.text.as_mut_ptr().add(BASE_END as usize), length, from) };
    // An abstract name begins with a NUL.
    scratch.text[BASE_END as usize] = b'@';
    Some(PathText { start: BASE_END, end: BASE_END + length, flags: 0 })
}
