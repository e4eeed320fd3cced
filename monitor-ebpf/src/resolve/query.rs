//! Queries: judged by the name, by whom they go to, and by their shape; remembered until they are answered.

use aya_ebpf::helpers::generated::bpf_get_socket_cookie;
use aya_ebpf::programs::SkBuffContext;
use monitor_common::action::Action;
use monitor_common::dns::record::{A, AAAA};
use monitor_common::dns::{self, CLASS_INTERNET, shape};
use monitor_common::event::{Kind, Subject};
use monitor_common::object::KernelObject;
use monitor_common::socket::{ASKS, NameText, Pending, QueryKey, Socket, WATCHED};
use monitor_common::verdict::Achieved;

use super::packet::Packet;
use super::text::{self, NAME, NAME_LENGTH, PAYLOAD};
use crate::engine::caller::Answer;
use crate::engine::judge::{judge, kernel_object};
use crate::engine::map::{ASKED, NAME_TEXTS, QUERIES, RESOLVERS, SEARCHED};
use crate::engine::scratch::{self, Slot};
use crate::engine::{act, classify, label, names, record};

/// The longest query in a datagram; with everything that is usual it has not a quarter of that.
const DATAGRAM: u32 = 1024;
/// The most queries in a segment.
const MESSAGES: u32 = 8;
/// The type that asks for every type.
const ANY: u32 = 255;

/// Judges a payload that goes to a resolver, or comes from one that a watched process runs. Whether it may leave.
///
/// Not inlined: what lies on the stack of a caller is missing to all that it calls.
#[inline(never)]
pub(super) fn leaves(ctx: &SkBuffContext, socket: &Socket, packet: &Packet) -> bool {
    let answer = scratch::with(|slot| {
        if !prepare(ctx, slot.0, socket, packet) {
            return None;
        }
        if refused(ctx, slot, packet)? { Some(Answer::Refuse) } else { Some(Answer::Pass) }
    });
    let watched = socket.flags & WATCHED != 0;
    if answer == Answer::Pass && watched && packet.source_port == dns::PORT {
        // In audit mode, or by a rule, a tree may answer. From now on nothing from that address is the machine's word.
        let _ = RESOLVERS.remove(&packet.source);
    }
    // Nobody else's packets are refused, whatever went wrong.
    answer == Answer::Pass || !watched
}

/// Not inlined, for the stack.
#[inline(never)]
fn prepare(ctx: &SkBuffContext, slot: u32, socket: &Socket, packet: &Packet) -> bool {
    let Some(scratch) = scratch::get(Slot(slot)) else { return false };
    let reading = &mut scratch.reading;
    // Whom the socket was told to ask: on the way there the address may have been translated.
    let resolver = if socket.flags & ASKS != 0 { socket.resolver } else { packet.target };
    reading.owner = socket.owner;
    // SAFETY: the context of this program.
    reading.cookie = unsafe { bpf_get_socket_cookie(ctx.skb.skb.cast()) };
    reading.network = socket.network;
    reading.resolver = resolver;
    reading.protocol = packet.protocol;
    reading.port = u32::from(packet.target_port);
    reading.watched = u32::from(socket.flags & WATCHED != 0);
    // What a watched process answers is not the machine's word, whatever address it has.
    let known = packet.source_port != dns::PORT && is_resolver(&resolver);
    reading.is_known = u32::from(known);
    true
}

/// Whether an address is one of the machine's resolvers.
#[inline(always)]
pub(crate) fn is_resolver(address: &[u8; 16]) -> bool {
    // SAFETY: only its presence is asked.
    unsafe { RESOLVERS.get(address) }.is_some()
}

/// Whether the payload is refused.
#[inline(always)]
fn refused(ctx: &SkBuffContext, slot: Slot, packet: &Packet) -> Option<bool> {
    let longest = if packet.is_udp() { DATAGRAM } else { PAYLOAD };
    let scratch = scratch::get(slot)?;
    if packet.length > longest || !text::copy(ctx, scratch, packet.payload, packet.length) {
        return Some(judge_query(slot.0, 0, 0) != 0);
    }
    if packet.is_udp() {
        return Some(judge_query(slot.0, 0, packet.length) != 0);
    }
    if packet.is_tcp() {
        return Some(judge_segment(slot.0, packet.length) != 0);
    }
    Some(judge_query(slot.0, 0, 0) != 0)
}

/// Judges a segment: messages, each behind its length (RFC 1035, 4.2.2). It must consist of whole ones, and by induction
/// every segment of the connection then begins with one. Anything else is an opaque query.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_segment(slot: u32, end: u32) -> u32 {
    let Some(scratch) = scratch::get(Slot(slot)) else { return 1 };
    let mut at = 0_u32;
    let mut index = 0;
    while index < MESSAGES {
        let begin = at.wrapping_add(2);
        let behind = begin.wrapping_add(dns::Message::number(&text::Octets(&scratch.text), at));
        if begin > end || behind > end {
            break;
        }
        if judge_query(slot, begin, behind) != 0 {
            return 1;
        }
        if behind == end {
            return 0;
        }
        at = behind;
        index += 1;
    }
    judge_query(slot, 0, 0)
}

/// Judges one message, in `begin..end`. Returns 1 if it is refused.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_query(slot: u32, begin: u32, end: u32) -> u32 {
    let Some(scratch) = scratch::get(Slot(slot)) else { return 1 };
    let readable = read_query(slot, begin, end);
    if scratch.reading.watched != 0 && judge_asked(slot, readable) != 0 {
        return 1;
    }
    if readable != 0 && scratch.reading.is_known != 0 {
        remember(slot);
    }
    0
}

/// Reads a query; 1 if it is one, whole, and nothing else is in it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn read_query(slot: u32, begin: u32, end: u32) -> u32 {
    let Some(scratch) = scratch::get(Slot(slot)) else { return 0 };
    if begin.wrapping_add(dns::HEADER) > end {
        return 0;
    }
    let head = text::head(scratch, begin);
    scratch.reading.id = u32::from(head.id);
    if !head.is_query() || text::read_question(slot, begin, end) == 0 {
        return 0;
    }
    // At most two.
    if head.additionals > 0 && text::read_record(slot) == 0 {
        return 0;
    }
    if head.additionals > 1 && text::read_record(slot) == 0 {
        return 0;
    }
    u32::from(scratch.reading.record.at == end)
}

/// What the rules say of it; 1 if it is refused. The name, whom it goes to and its shape are judged one by one: that a
/// name may be asked for excuses neither a foreign resolver nor what else a query carries.
#[inline(always)]
fn judge_asked(slot: u32, readable: u32) -> u32 {
    let Some(scratch) = scratch::get(Slot(slot)) else { return 1 };
    if scratch.reading.is_known == 0
        && settle(slot, u32::from(kernel_object(KernelObject::ForeignResolver)), readable) != 0
    {
        return 1;
    }
    if readable == 0 {
        return settle(slot, u32::from(kernel_object(KernelObject::OpaqueQuery)), readable);
    }
    let end = NAME.wrapping_add(scratch.reading.name.length);
    if settle(slot, u32::from(classify::resolved(Slot(slot), NAME, end)), readable) != 0 {
        return 1;
    }
    if is_odd(slot) == 0 {
        return 0;
    }
    settle(slot, u32::from(kernel_object(KernelObject::OddQuery)), readable)
}

/// Judges one group, carries the verdict out and reports it; 1 if the query is refused.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn settle(slot: u32, group: u32, readable: u32) -> u32 {
    let Some(scratch) = scratch::get(Slot(slot)) else { return 1 };
    let Some(judgement) = judge(&scratch.reading.owner.label, Action::Resolve, [group as u16, 0, 0, 0])
    else {
        return 0;
    };
    let achieved = act::by_refusal(&scratch.reading.owner.label, judgement.verdict);
    record::begin_for(&mut scratch.header, Kind::Verdict, &scratch.reading.owner);
    record::judged(&mut scratch.header, Action::Resolve, &judgement, achieved);
    scratch.header.subject = Subject::Name as u8;
    scratch.header.address = scratch.reading.resolver;
    scratch.header.port = scratch.reading.port as u16;
    scratch.header.detail = u64::from(scratch.reading.protocol) << 32;
    if readable != 0 {
        scratch.header.detail |= u64::from(scratch.reading.kind);
        let end = NAME.wrapping_add(scratch.reading.name.length);
        record::append(scratch, 0, NAME, end);
    }
    record::submit(scratch);
    u32::from(achieved == Achieved::Denied)
}

/// Whether a query has the shape of one that carries something out; 1 if so.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn is_odd(slot: u32) -> u32 {
    let Some(scratch) = scratch::get(Slot(slot)) else { return 0 };
    let walk = &scratch.reading.name;
    if shape::is_odd(walk, scratch.reading.kind) {
        return 1;
    }
    let (name, domain) = (walk.name(), walk.registered());
    // Every name is tried below these domains, and nobody can choose the names of addresses.
    // SAFETY: only its presence is asked.
    if walk.is_reverse() || unsafe { SEARCHED.get(&domain) }.is_some() {
        return 0;
    }
    let key = [label::scope_key(&scratch.reading.owner.label), domain];
    if let Some(asked) = ASKED.get_ptr_mut(&key) {
        // SAFETY: a map value, valid while the program runs. Two processors at once may lose one name.
        return u32::from(unsafe { (*asked).note(name) });
    }
    let mut asked = shape::Asked::default();
    asked.note(name);
    // The oldest entry makes room.
    let _ = ASKED.insert(&key, &asked, 0);
    0
}

/// Remembers a query for addresses until it is answered, and the text of its name.
#[inline(always)]
fn remember(slot: u32) {
    let Some(scratch) = scratch::get(Slot(slot)) else { return };
    let (kind, class) = (scratch.reading.kind, scratch.reading.class);
    if (kind != A && kind != AAAA && kind != ANY) || (class != CLASS_INTERNET && class != ANY) {
        return;
    }
    let name = scratch.reading.name.name();
    let set = classify::domain_set(Slot(slot), NAME, NAME.wrapping_add(scratch.reading.name.length));
    let key = QueryKey { cookie: scratch.reading.cookie, name, id: scratch.reading.id, reserved: 0 };
    let pending = Pending { time: names::seconds(), set, reserved: 0 };
    // The oldest entry makes room; without this one the answer gives no names.
    let _ = QUERIES.insert(&key, &pending, 0);
    // SAFETY: inside the text, behind everything that is copied; aligned, since the memory begins with the text.
    let text = unsafe { &*scratch.text.as_ptr().add(NAME_LENGTH as usize).cast::<NameText>() };
    // Likewise: without the text people see only the address.
    let _ = NAME_TEXTS.insert(&name, text, 0);
}
