//! Names: who is asked for which, and which addresses are answered.
//!
//! | hook | what for | why this one |
//! |---|---|---|
//! | cgroup skb egress, since v4.10; `ip_finish_output`, `ip6_finish_output` | queries, and what else leaves | whole packets in the form in which they leave, before they are cut into fragments; whatever call, ring or number of messages they came by |
//! | cgroup skb ingress, since v4.10; `sk_filter_trim_cap` | answers | before the socket's owner can read them: there is no moment in which an address has been answered and has no name |
//! | cgroup sock_create, since v4.10; `inet_create` | whose a socket is | what a listener accepts inherits it |
//! | cgroup post_bind4/6, since v4.17; `__inet_bind` | ports that a tree has bound | the port that the kernel chose is known then |
//!
//! They need no trampolines, so both tiers have them. They see every packet of the machine; what is not a watched
//! process's, and does not go to a resolver, is let go after one look at the socket.
//!
//! A refused datagram is EPERM for its sender. A refused segment of TCP is dropped, and so is everything that the
//! connection sends from then on: it hangs until its owner gives up.
//!
//! An answer is believed if one of the machine's resolvers sent it to a socket that asked for just this name. Answers of
//! all processes count, because daemons ask for others (systemd-resolved, nscd). An answer that a watched process sends
//! is refused where it leaves, so a tree cannot answer itself; what another network namespace learns is kept apart.

mod answer;
mod greeting;
mod packet;
mod query;
mod text;

use aya_ebpf::macros::{cgroup_skb, cgroup_sock};
use aya_ebpf::programs::{SkBuffContext, SockContext};
use monitor_common::counter::Counter;
use monitor_common::dns;
use monitor_common::label;
use monitor_common::socket::{ASKS, BoundKey, Flow, FlowKey, REFUSED, SPEAKS_FIRST, Socket, WATCHED};

use self::packet::Packet;
pub(crate) use self::query::is_resolver;
pub(crate) use self::text::Reading;
use crate::engine::map::{BOUND, TRAFFIC};
use crate::engine::{self, count, sockets};

/// The packet, or the call, goes on.
const PASS: i32 = 1;
/// The packet is dropped; the call fails with EPERM.
const REFUSE: i32 = 0;

#[cgroup_skb(egress)]
pub(crate) fn egress(ctx: SkBuffContext) -> i32 {
    let Some(socket) = sockets::of_packet(&ctx) else {
        return PASS;
    };
    if leaves(&ctx, socket) {
        return PASS;
    }
    REFUSE
}

#[cgroup_skb(ingress)]
pub(crate) fn ingress(ctx: SkBuffContext) -> i32 {
    if let Some(socket) = sockets::of_packet(&ctx)
        && socket.flags & ASKS != 0
    {
        answer::arrives(&ctx, socket);
    }
    PASS
}

#[cgroup_sock(sock_create)]
pub(crate) fn sock_create(ctx: SockContext) -> i32 {
    match engine::label::current() {
        Some(label) if !sockets::made(&ctx, &label) => REFUSE,
        _ => PASS,
    }
}

#[cgroup_sock(post_bind4)]
pub(crate) fn post_bind4(ctx: SockContext) -> i32 {
    bound(&ctx)
}

#[cgroup_sock(post_bind6)]
pub(crate) fn post_bind6(ctx: SockContext) -> i32 {
    bound(&ctx)
}

#[inline(always)]
fn bound(ctx: &SockContext) -> i32 {
    if let Some(label) = engine::label::current() {
        // SAFETY: the context is valid while the program runs; the port is in host byte order.
        let port = unsafe { core::ptr::read_volatile(&raw const (*ctx.sock).src_port) };
        // The oldest entry makes room.
        let _ = BOUND.insert(&BoundKey { tree: label.tree, port }, &1, 0);
    }
    PASS
}

/// Whether a packet of a known socket may leave.
#[inline(always)]
fn leaves(ctx: &SkBuffContext, socket: &mut Socket) -> bool {
    let watched = socket.flags & WATCHED != 0;
    let mut packet = Packet::unread();
    if !Packet::read(ctx, &mut packet) {
        // Wrapped up so often that its own machine's kernel could hardly read it: nobody honest does that.
        if watched {
            count(Counter::Packets);
        }
        return !watched;
    }
    if packet.length == 0 {
        return true;
    }
    let asks = packet.target_port == dns::PORT
        || (socket.flags & ASKS != 0 && same(&packet.target, &socket.resolver));
    if !watched {
        if asks {
            query::leaves(ctx, socket, &packet);
        }
        return true;
    }
    let mut pass = socket.flags & REFUSED == 0;
    if pass && (asks || packet.source_port == dns::PORT) {
        pass = query::leaves(ctx, socket, &packet);
    } else if pass && socket.flags & SPEAKS_FIRST != 0 && packet.is_tcp() {
        socket.flags &= !SPEAKS_FIRST;
        pass = greeting::leaves(ctx, socket, &packet);
    }
    if !pass && packet.is_tcp() {
        socket.flags |= REFUSED;
    }
    tally(socket, &packet, pass);
    pass
}

/// Counts what was sent.
#[inline(never)]
fn tally(socket: &Socket, packet: &Packet, pass: bool) {
    let owner = &socket.owner.label;
    let key = FlowKey {
        scope: engine::label::scope_key(owner),
        address: packet.target,
        port: packet.target_port,
        protocol: packet.protocol as u8,
        actor: owner.actor,
        tree: owner.tree,
    };
    let bytes = u64::from(packet.length);
    let (sent, refused) = if pass { (bytes, 0) } else { (0, 1) };
    if let Some(flow) = TRAFFIC.get_ptr_mut(&key) {
        // SAFETY: a map value, valid while the program runs. Two processors at once may lose one packet's count.
        let flow = unsafe { &mut *flow };
        flow.sent = flow.sent.wrapping_add(sent);
        flow.refused = flow.refused.wrapping_add(refused);
        if socket.peer != 0 {
            flow.name = socket.peer;
        }
        return;
    }
    if TRAFFIC.insert(&key, &Flow { sent, refused, name: socket.peer }, 0).is_err() {
        count(Counter::TrafficFull);
    }
}

#[inline(always)]
fn same(one: &[u8; 16], other: &[u8; 16]) -> bool {
    u128::from_ne_bytes(*one) == u128::from_ne_bytes(*other)
}

/// The tree that asks, as names remember it.
#[inline(always)]
fn tree_of(socket: &Socket) -> u16 {
    if socket.flags & WATCHED == 0 { 0 } else { label_tree(&socket.owner.label) }
}

#[inline(always)]
fn label_tree(label: &label::Label) -> u16 {
    monitor_common::socket::short(label.tree)
}
