//! Unix sockets: the doors to daemons that would do a script's work outside its tree.
//!
//! | tier | hook | why this one |
//! |---|---|---|
//! | `deny` | `security_unix_stream_connect`, net/unix/af_unix.c, all supported versions | the peer has been found and not been told |
//! | `deny` | `security_unix_may_send`, likewise | datagrams, with and without connect |
//! | `kill` | entry of sendto, sendmsg, sendmmsg with an address (`sent`) | a datagram is gone when the call returns |
//! | `kill` | return of connect | nothing has been sent by then; a failed connect reached nobody |
//!
//! All but the last but one judge the peer the kernel found (include/net/af_unix.h): its own bound path, whatever name the program used.

mod sent;

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use monitor_common::action::Action;
use monitor_common::event::Subject;

use crate::engine::caller::{About, Answer, Caller, killing, refusing};
use crate::engine::classify;
use crate::engine::judge::judge;
use crate::engine::scratch::{self, BASE_END, Slot};
use crate::kernel::arguments::Arguments;
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

/// int security_unix_stream_connect(struct sock *sock, struct sock *other, struct sock *newsk)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_unix_stream_connect")]
extern "C" fn security_unix_stream_connect(arguments: Arguments) -> i32 {
    let peer = arguments.get::<1>();
    refusing(|caller| Some(scratch::with(|slot| reached(caller, slot, peer, -1))))
}

/// int security_unix_may_send(struct socket *sock, struct socket *other)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_unix_may_send")]
extern "C" fn security_unix_may_send(arguments: Arguments) -> i32 {
    let other = arguments.get::<1>();
    refusing(|caller| {
        let peer = read::field::<u64>(other, &offset::SOCKET_SK)?;
        Some(scratch::with(|slot| reached(caller, slot, peer, -1)))
    })
}

#[raw_tracepoint(tracepoint = "sys_exit")]
pub(crate) fn unix_connect_exit(ctx: RawTracePointContext) -> i32 {
    let result = ctx.arg::<u64>(1) as i64;
    if result < 0 && result != -EINPROGRESS {
        return 0;
    }
    let registers = Registers(ctx.arg(0));
    killing(|caller| {
        let peer = connected(registers.argument(0) as u32)?;
        Some(scratch::with(|slot| reached(caller, slot, peer, registers.number())))
    })
}

/// The peer of the unix socket behind a descriptor (`unix_sock.peer`).
#[inline(always)]
fn connected(descriptor: u32) -> Option<u64> {
    let file = Task::current().file(descriptor)?;
    let socket = read::field::<u64>(file, &offset::FILE_PRIVATE)?;
    let sock = read::field::<u64>(socket, &offset::SOCKET_SK)?;
    if sock == 0
        || read::field::<u16>(sock, &offset::SOCK_FAMILY)? != AF_UNIX
        || !offset::present(&offset::UNIX_PEER)
    {
        return None;
    }
    read::field::<u64>(sock, &offset::UNIX_PEER).filter(|peer| *peer != 0)
}

#[inline(always)]
fn reached(caller: &Caller, slot: Slot, peer: u64, syscall: i32) -> Option<Answer> {
    let name = name_of(slot, peer)?;
    let start = classify::layout()?.socket_start;
    let group = classify::accepts(classify::walk_text(slot, start, name.start, name.end)) as u16;
    let judgement = judge(&caller.label, Action::UnixConnect, [group, 0, 0, 0])?;
    let about = About { syscall, ..About::new(Subject::Socket, 0) };
    Some(caller.settle_named(slot, Action::UnixConnect, &judgement, &(name, about)))
}

/// Writes the peer's name into the scratch text: the path it is bound to, or `@` and its abstract name.
#[inline(always)]
fn name_of(slot: Slot, peer: u64) -> Option<PathText> {
    let bound = peer + offset::of(&offset::UNIX_PATH);
    if read::field::<u64>(bound, &offset::PATH_DENTRY)? != 0 {
        return Some(path::of(slot, bound));
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
    let scratch = scratch::get(slot)?;
    let from = address + offset::of(&offset::UNIX_ADDRESS_NAME) + u64::from(NAME);
    // SAFETY: the text has more than 128 bytes behind BASE_END.
    unsafe { read::kernel_bytes(scratch.text.as_mut_ptr().add(BASE_END as usize), length, from) };
    // An abstract name begins with a NUL.
    scratch.text[BASE_END as usize] = b'@';
    Some(PathText { start: BASE_END, end: BASE_END + length, flags: 0 })
}
