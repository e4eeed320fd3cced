//! Answers: which addresses a name has.

use aya_ebpf::helpers::generated::bpf_get_socket_cookie;
use aya_ebpf::programs::SkBuffContext;
use monitor_common::counter::Counter;
use monitor_common::dns;
use monitor_common::dns::record::RECORDS;
use monitor_common::event::{Kind, Subject};
use monitor_common::socket::{AddressKey, IN_STEP, Name, QueryKey, Socket, WATCHED};

use super::packet::Packet;
use super::query::is_resolver;
use super::text::{self, NAME, PAYLOAD};
use crate::engine::map::QUERIES;
use crate::engine::scratch::{self, Slot};
use crate::engine::{count, names, record};

/// How long an answer is waited for, in seconds: longer than any resolver of a C library does.
const PATIENCE: u32 = 120;
/// The most answers in a segment.
const MESSAGES: u32 = 8;

/// Reads what comes from a resolver.
#[inline(always)]
pub(super) fn arrives(ctx: &SkBuffContext, socket: &mut Socket) {
    let mut packet = Packet::unread();
    if !Packet::read(ctx, &mut packet) {
        return;
    }
    if packet.source_port != dns::PORT || !is_resolver(&packet.source) {
        return;
    }
    if packet.is_udp() {
        read_part(ctx, socket, &packet, packet.payload, packet.length);
    } else if packet.is_tcp() {
        segment(ctx, socket, &packet);
    }
}

/// Reads answers from a connection. Only at places where one begins: a text record, which a stranger can choose, might
/// look like an answer where the network cuts it. So the connection is followed from its first number on; a segment that
/// comes out of turn is left to be sent again.
#[inline(always)]
fn segment(ctx: &SkBuffContext, socket: &mut Socket, packet: &Packet) {
    if packet.begins {
        socket.next = packet.sequence.wrapping_add(1);
        socket.flags |= IN_STEP;
        return;
    }
    if socket.flags & IN_STEP == 0 {
        return;
    }
    let mut index = 0;
    while index < MESSAGES {
        let offset = socket.next.wrapping_sub(packet.sequence);
        if offset >= packet.length {
            return;
        }
        let left = packet.length - offset;
        let begin = packet.payload.wrapping_add(offset);
        let length = match ctx.load::<u16>(begin as usize) {
            Ok(length) if left >= 2 => u32::from(u16::from_be(length)),
            _ => {
                // Even the length is cut: what follows cannot be told apart any more.
                socket.flags &= !IN_STEP;
                count(Counter::AnswerCut);
                return;
            }
        };
        let here = if length > left - 2 { left - 2 } else { length };
        read_part(ctx, socket, packet, begin.wrapping_add(2), here);
        if here < length {
            count(Counter::AnswerCut);
        }
        socket.next = socket.next.wrapping_add(2).wrapping_add(length);
        index += 1;
    }
}

/// Reads one answer, or what is there of it.
#[inline(always)]
fn read_part(ctx: &SkBuffContext, socket: &Socket, packet: &Packet, from: u32, length: u32) {
    let mut part = length;
    if part > PAYLOAD {
        part = PAYLOAD;
        count(Counter::AnswerCut);
    }
    scratch::with(|slot| {
        let scratch = scratch::get(slot)?;
        if !text::copy(ctx, scratch, from, part) {
            return None;
        }
        let reading = &mut scratch.reading;
        reading.owner = socket.owner;
        // SAFETY: the context of this program.
        reading.cookie = unsafe { bpf_get_socket_cookie(ctx.skb.skb.cast()) };
        reading.network = socket.network;
        reading.resolver = packet.source;
        reading.watched = u32::from(socket.flags & WATCHED != 0);
        reading.tree = super::tree_of(socket);
        read_answer(slot.0, part);
        None
    });
}

/// Reads the answer in `0..end`: the addresses that it gives get the name that was asked for.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn read_answer(slot: u32, end: u32) -> u32 {
    let Some(scratch) = scratch::get(Slot(slot)) else { return 0 };
    if end < dns::HEADER {
        return 0;
    }
    let head = text::head(scratch, 0);
    if !head.is_answer() || text::read_question(slot, 0, end) == 0 {
        return 0;
    }
    let key = QueryKey {
        cookie: scratch.reading.cookie,
        name: scratch.reading.name.name(),
        id: u32::from(head.id),
        reserved: 0,
    };
    // SAFETY: copied at once; integers only.
    let Some(query) = unsafe { QUERIES.get(&key) }.copied() else {
        return 0;
    };
    if names::seconds().wrapping_sub(query.time) > PATIENCE {
        return 0;
    }
    scratch.reading.set = query.set;
    scratch.reading.left = if head.answers > RECORDS { RECORDS } else { head.answers };
    let mut block = 0;
    while block < RECORD_BLOCKS {
        if learn_block(slot) == 0 {
            break;
        }
        block += 1;
    }
    0
}

/// Records that are read by one call, and calls that read all.
const RECORDS_A_BLOCK: u32 = 16;
const RECORD_BLOCKS: u32 = RECORDS / RECORDS_A_BLOCK;

/// Returns 0 when there is nothing more to read.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn learn_block(slot: u32) -> u32 {
    let mut index = 0;
    while index < RECORDS_A_BLOCK {
        if learn_one(slot) == 0 {
            return 0;
        }
        index += 1;
    }
    1
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn learn_one(slot: u32) -> u32 {
    let Some(scratch) = scratch::get(Slot(slot)) else { return 0 };
    if scratch.reading.left == 0 || text::read_record(slot) == 0 {
        return 0;
    }
    scratch.reading.left -= 1;
    let Some(words) = scratch.reading.record.address(&text::Octets(&scratch.text)) else {
        return 1;
    };
    let ttl = scratch.reading.record.ttl;
    // SAFETY: two arrays of plain numbers of the same size.
    let address = unsafe { core::mem::transmute::<[u32; 4], [u8; 16]>(words) };
    let key = AddressKey { network: scratch.reading.network, address };
    let name = Name {
        hash: scratch.reading.name.name(),
        expires: 0,
        set: scratch.reading.set,
        tree: scratch.reading.tree,
    };
    names::learn(&key, name, ttl);
    if scratch.reading.watched != 0 {
        record::begin_for(&mut scratch.header, Kind::Resolved, &scratch.reading.owner);
        scratch.header.subject = Subject::Address as u8;
        scratch.header.address = address;
        scratch.header.detail = u64::from(ttl);
        let end = NAME.wrapping_add(scratch.reading.name.length);
        record::append(scratch, 0, NAME, end);
        record::submit(scratch);
    }
    1
}
