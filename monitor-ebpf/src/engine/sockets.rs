//! What is remembered of a socket, in storage that lives as long as the socket does: nobody can push an entry out of it,
//! and what a program wrote before it closed the socket is still known to be its.
//!
//! Socket storage since v5.2; in cgroup/connect, sendmsg and skb programs since v5.3, in sock_create since v5.9
//! (net/core/filter.c). A socket that a listener accepts inherits the listener's (BPF_F_CLONE, v5.4).

use core::ffi::c_void;
use core::ptr;

use aya_ebpf::bindings::{
    BPF_F_CLONE, BPF_F_NO_PREALLOC, BPF_SK_STORAGE_GET_F_CREATE, bpf_map_type::BPF_MAP_TYPE_SK_STORAGE,
    bpf_sock,
};
use aya_ebpf::helpers::generated::{bpf_get_netns_cookie, bpf_sk_fullsock, bpf_sk_storage_get};
use aya_ebpf::programs::{SkBuffContext, SockAddrContext, SockContext};
use monitor_common::counter::Counter;
use monitor_common::label::Label;
use monitor_common::socket::{ASKS, Owner, SPEAKS_FIRST, Socket, WATCHED};

use crate::engine::count;
use crate::kernel::task::{Task, current_ids};

/// The definition of a map in the form that describes its types, without which the kernel makes no socket storage.
#[repr(C)]
pub(crate) struct Storage {
    r#type: *const [i32; BPF_MAP_TYPE_SK_STORAGE as usize],
    key: *const i32,
    value: *const Socket,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; (BPF_F_NO_PREALLOC | BPF_F_CLONE) as usize],
}

// SAFETY: the pointers are never followed; their types are what the loader reads.
unsafe impl Sync for Storage {}

#[unsafe(no_mangle)]
#[unsafe(link_section = ".maps")]
pub(crate) static SOCKETS: Storage = Storage {
    r#type: ptr::null(),
    key: ptr::null(),
    value: ptr::null(),
    max_entries: ptr::null(),
    map_flags: ptr::null(),
};

/// What is remembered of the socket that a packet leaves or reaches.
#[inline(always)]
pub(crate) fn of_packet(ctx: &SkBuffContext) -> Option<&'static mut Socket> {
    // SAFETY: the context is valid while the program runs; one read, as the verifier wants it.
    let sk = unsafe { ptr::read_volatile(&raw const (*ctx.skb.skb).__bindgen_anon_2.sk) };
    if sk.is_null() {
        return None;
    }
    // SAFETY: a socket from the context, not null.
    let sk = unsafe { bpf_sk_fullsock(sk) };
    if sk.is_null() {
        return None;
    }
    get(sk, ptr::null_mut(), 0)
}

#[inline(always)]
fn get(sk: *mut bpf_sock, value: *mut Socket, flags: u64) -> Option<&'static mut Socket> {
    let map = (&raw const SOCKETS).cast_mut().cast::<c_void>();
    // SAFETY: map, socket and value are what the helper expects; the value may be null.
    let found = unsafe { bpf_sk_storage_get(map, sk.cast(), value.cast(), flags) }.cast::<Socket>();
    // SAFETY: null, or storage of this socket that stays while the program runs; integers only. Other processors may
    // write to it meanwhile, each field whole.
    unsafe { found.as_mut() }
}

/// A socket is made by a watched process. Without storage its maker is refused: what it sends could not be judged.
#[inline(always)]
pub(crate) fn made(ctx: &SockContext, label: &Label) -> bool {
    let mut fresh = Socket { owner: owner(label), flags: WATCHED, ..Socket::default() };
    let made = get(ctx.sock, &raw mut fresh, u64::from(BPF_SK_STORAGE_GET_F_CREATE)).is_some();
    if !made {
        count(Counter::Sockets);
    }
    made
}

/// Where a socket is about to send to.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) address: &'a [u8; 16],
    /// Whether a resolver listens there.
    pub(crate) is_resolver: bool,
    /// Whether a connection begins.
    pub(crate) connects: bool,
    /// The name that the address is known by; 0 if none.
    pub(crate) name: u64,
}

/// Notes who is about to send, and where to. False if that could not be stored.
#[inline(always)]
pub(crate) fn note(ctx: &SockAddrContext, label: Option<&Label>, network: u64, target: &Target<'_>) -> bool {
    // SAFETY: the context is valid while the program runs; one read, as the verifier wants it.
    let sk = unsafe { ptr::read_volatile(&raw const (*ctx.sock_addr).__bindgen_anon_1.sk) };
    if sk.is_null() {
        return false;
    }
    let Some(socket) = get(sk, ptr::null_mut(), u64::from(BPF_SK_STORAGE_GET_F_CREATE)) else {
        count(Counter::Sockets);
        return false;
    };
    socket.network = network;
    if let Some(label) = label {
        // Mostly whoever made it.
        if socket.owner.label != *label || socket.owner.tgid != current_ids().0 {
            socket.owner = owner(label);
        }
        socket.flags |= WATCHED;
        socket.peer = target.name;
    }
    if target.is_resolver {
        socket.resolver = *target.address;
        socket.flags |= ASKS;
    } else {
        socket.flags &= !ASKS;
    }
    if target.connects {
        socket.flags |= SPEAKS_FIRST;
    }
    true
}

#[inline(always)]
fn owner(label: &Label) -> Owner {
    let task = Task::current();
    let (tgid, tid) = current_ids();
    Owner { label: *label, start: task.start(), tgid, tid, ppid: task.parent(), uid: task.euid() }
}

/// The network namespace that a call is made in: a number that the kernel never gives twice. Since v5.7.
#[inline(always)]
pub(crate) fn network(ctx: &SockAddrContext) -> u64 {
    // SAFETY: the context of this program.
    unsafe { bpf_get_netns_cookie(ctx.sock_addr.cast()) }
}
