//! IP connections and datagrams.
//!
//! cgroup hooks connect4/6 (since v4.17) and sendmsg4/6 (v4.18), net/ipv4/af_inet.c and net/ipv4/udp.c: the kernel's own
//! copy of the address, so nothing can be exchanged under us; TCP fast open, io_uring and every system call pass here.
//! They can refuse the call in both tiers: connect() fails with EPERM.

use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;
use monitor_common::action::Action;
use monitor_common::dns;
use monitor_common::event::{Kind, Subject};
use monitor_common::label::Label;
use monitor_common::object::KernelObject;
use monitor_common::socket::{AddressKey, BoundKey, is_loopback, is_public};
use monitor_common::verdict::Achieved;

use crate::engine::caller::{About, Answer, Caller};
use crate::engine::judge::{Judgement, judge_six, kernel_object};
use crate::engine::map::BOUND;
use crate::engine::names::{self, Known};
use crate::engine::sockets::{self, Target};
use crate::engine::{act, classify, label, record, scratch};
use crate::resolve;

/// include/uapi/linux/in.h.
const IPPROTO_TCP: u32 = 6;

/// The call goes on.
const PASS: i32 = 1;
/// The call fails with EPERM.
const REFUSE: i32 = 0;

#[cgroup_sock_addr(connect4)]
pub(crate) fn connect4(ctx: SockAddrContext) -> i32 {
    over(&ctx, Action::Connect, address4(&ctx))
}

#[cgroup_sock_addr(connect6)]
pub(crate) fn connect6(ctx: SockAddrContext) -> i32 {
    over(&ctx, Action::Connect, address6(&ctx))
}

#[cgroup_sock_addr(sendmsg4)]
pub(crate) fn sendmsg4(ctx: SockAddrContext) -> i32 {
    over(&ctx, Action::Send, address4(&ctx))
}

#[cgroup_sock_addr(sendmsg6)]
pub(crate) fn sendmsg6(ctx: SockAddrContext) -> i32 {
    over(&ctx, Action::Send, address6(&ctx))
}

/// IPv4 as the IPv6 address it is mapped to: one table serves both, and `::ffff:a.b.c.d` cannot be a way round.
#[inline(always)]
fn address4(ctx: &SockAddrContext) -> [u8; 16] {
    // SAFETY: the context is valid while the program runs; the field is in network byte order.
    let address = unsafe { (*ctx.sock_addr).user_ip4 };
    mapped(address)
}

/// IPv4 in network byte order, as the IPv6 address it is mapped to.
#[inline(always)]
pub(crate) fn mapped(address: u32) -> [u8; 16] {
    let [a, b, c, d] = address.to_ne_bytes();
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

#[inline(always)]
fn address6(ctx: &SockAddrContext) -> [u8; 16] {
    // SAFETY: as above; four words, each read whole.
    let words = unsafe {
        let pointer = (&raw const (*ctx.sock_addr).user_ip6).cast::<u32>();
        [
            core::ptr::read_volatile(pointer),
            core::ptr::read_volatile(pointer.add(1)),
            core::ptr::read_volatile(pointer.add(2)),
            core::ptr::read_volatile(pointer.add(3)),
        ]
    };
    // SAFETY: two arrays of plain numbers of the same size. Not byte by byte: that would fill the stack.
    unsafe { core::mem::transmute::<[u32; 4], [u8; 16]>(words) }
}

#[inline(always)]
fn over(ctx: &SockAddrContext, action: Action, address: [u8; 16]) -> i32 {
    // SAFETY: the context is valid while the program runs; the port is in network byte order in the low half.
    let (port, protocol) = unsafe { ((*ctx.sock_addr).user_port, (*ctx.sock_addr).protocol) };
    let port = u16::from_be(port as u16);
    let is_resolver = port == dns::PORT;
    let Some(label) = label::current() else {
        // Others ask for the tree: their answers count too.
        if is_resolver {
            let target = Target { address: &address, is_resolver, connects: false, name: 0 };
            sockets::note(ctx, None, sockets::network(ctx), &target);
        }
        return PASS;
    };
    let network = sockets::network(ctx);
    let known = names::of(&AddressKey { network, address }, label.tree, port);
    let peer = Peer { action, address: &address, port, protocol };
    let object = recognised(&label, &peer, known.first != 0);
    let [first, second, third, fourth] = known.groups;
    let groups = [classify::endpoint(&address, port), first, second, object];
    if let Some(judgement) = judge_six(&label, action, groups, [third, fourth]) {
        let achieved = act::by_refusal(&label, judgement.verdict);
        report(&label, &peer, &judgement, achieved, name_of(&known, judgement.slot));
        if achieved == Achieved::Denied {
            return REFUSE;
        }
    }
    let connects = action == Action::Connect && protocol == IPPROTO_TCP;
    let target = Target { address: &address, is_resolver, connects, name: known.first };
    // What is sent from a socket that cannot be remembered would not be judged.
    if sockets::note(ctx, Some(&label), network, &target) { PASS } else { REFUSE }
}

/// Whom a process wants to reach.
struct Peer<'a> {
    action: Action,
    address: &'a [u8; 16],
    /// Host byte order.
    port: u16,
    protocol: u32,
}

/// The group of what only the kernel knows of an address; 0 if there is nothing. Port 0 is no connection.
#[inline(always)]
fn recognised(label: &Label, peer: &Peer<'_>, has_name: bool) -> u16 {
    if peer.port == 0 {
        return 0;
    }
    if peer.port == dns::PORT {
        // Here a connection still fails at once; what is asked is judged when it leaves.
        let known = resolve::is_resolver(peer.address);
        return if known { 0 } else { kernel_object(KernelObject::ForeignResolver) };
    }
    if !has_name && is_public(peer.address) {
        return kernel_object(KernelObject::UnnamedAddress);
    }
    if peer.action == Action::Connect && peer.protocol == IPPROTO_TCP && is_loopback(peer.address) {
        let key = BoundKey { tree: label.tree, port: u32::from(peer.port) };
        // SAFETY: only its presence is asked.
        if unsafe { BOUND.get(&key) }.is_none() {
            return kernel_object(KernelObject::ForeignService);
        }
    }
    0
}

/// The name that a judgement is about: that of the group that decided, or the first.
#[inline(always)]
fn name_of(known: &Known, slot: u8) -> u64 {
    match slot {
        2 => known.hashes[1],
        4 => known.hashes[2],
        5 => known.hashes[3],
        1 => known.hashes[0],
        _ => known.first,
    }
}

/// In working memory, for the name; not inlined, as the programs are four.
#[inline(never)]
fn report(label: &Label, peer: &Peer<'_>, judgement: &Judgement, achieved: Achieved, name: u64) {
    scratch::with(|slot| {
        let scratch = scratch::get(slot)?;
        record::begin(&mut scratch.header, Kind::Verdict, label);
        record::judged(&mut scratch.header, peer.action, judgement, achieved);
        scratch.header.subject = Subject::Address as u8;
        scratch.header.address = *peer.address;
        scratch.header.port = peer.port;
        scratch.header.detail = u64::from(peer.protocol);
        if name != 0 {
            record::append_name(scratch, 0, name);
        }
        record::submit(scratch);
        None
    });
}

/// Judges an address and a port (host byte order) in a program that is no cgroup hook, and settles it.
#[inline(always)]
pub(crate) fn judge_endpoint(
    caller: &Caller,
    action: Action,
    address: [u8; 16],
    port: u16,
    protocol: u32,
) -> Option<Answer> {
    let about = About { address, port, ..About::new(Subject::Address, u64::from(protocol)) };
    caller.judge_group(action, classify::endpoint(&address, port), &about)
}
