//! IP connections and datagrams.
//!
//! cgroup hooks connect4/6 (since v4.17) and sendmsg4/6 (v4.18), net/ipv4/af_inet.c and net/ipv4/udp.c: the kernel's own
//! copy of the address, so nothing can be exchanged under us; TCP fast open, io_uring and every system call pass here.
//! They can refuse the call in both tiers: connect() fails with EPERM.

use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;
use monitor_common::action::Action;
use monitor_common::event::{Header, Kind, Subject};
use monitor_common::verdict::Achieved;

use crate::engine::caller::{About, Answer, Caller};
use crate::engine::judge::judge;
use crate::engine::{act, classify, label, record};

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
    let Some(label) = label::current() else {
        return PASS;
    };
    // SAFETY: the context is valid while the program runs; the port is in network byte order in the low half.
    let (port, protocol) = unsafe { ((*ctx.sock_addr).user_port, (*ctx.sock_addr).protocol) };
    let port = u16::from_be(port as u16);
    let Some(judgement) = judge(&label, action, [classify::endpoint(&address, port), 0, 0, 0]) else {
        return PASS;
    };
    let achieved = act::by_refusal(&label, judgement.verdict);

    let mut header = Header::default();
    record::begin(&mut header, Kind::Verdict, &label);
    record::judged(&mut header, action, &judgement, achieved);
    header.subject = Subject::Address as u8;
    header.address = address;
    header.port = port;
    header.detail = u64::from(protocol);
    record::submit_header(&mut header);
    if achieved == Achieved::Denied { REFUSE } else { PASS }
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
