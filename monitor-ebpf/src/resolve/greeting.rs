//! What a connection says first: the name of the host that it wants. One address can serve many, so a name that may not
//! be reached is refused here too, and a name that the address was not answered for is told.

use aya_ebpf::programs::SkBuffContext;
use monitor_common::action::Action;
use monitor_common::event::{Kind, Subject};
use monitor_common::hello::{CUT, DONE, HelloWalk, STEPS};
use monitor_common::object::KernelObject;
use monitor_common::socket::{AddressKey, NAMES, Socket};
use monitor_common::verdict::Achieved;

use super::packet::Packet;
use super::text::{self, NAME, Octets, PAYLOAD};
use crate::engine::caller::Answer;
use crate::engine::judge::{Judgement, judge, kernel_object};
use crate::engine::map::SEED;
use crate::engine::scratch::{self, Slot};
use crate::engine::{act, classify, names, record};

/// Judges the first bytes of a connection. Whether they may leave.
///
/// Not inlined: what lies on the stack of a caller is missing to all that it calls.
#[inline(never)]
pub(super) fn leaves(ctx: &SkBuffContext, socket: &Socket, packet: &Packet) -> bool {
    let answer = scratch::with(|slot| {
        let length = if packet.length > PAYLOAD { PAYLOAD } else { packet.length };
        if !prepare(ctx, slot.0, socket, packet, length) {
            return None;
        }
        if judge_greeting(slot.0, length) != 0 { Some(Answer::Refuse) } else { None }
    });
    answer == Answer::Pass
}

/// Not inlined, for the stack.
#[inline(never)]
fn prepare(ctx: &SkBuffContext, slot: u32, socket: &Socket, packet: &Packet, length: u32) -> bool {
    let Some(scratch) = scratch::get(Slot(slot)) else { return false };
    scratch.reading.owner = socket.owner;
    scratch.reading.network = socket.network;
    scratch.reading.resolver = packet.target;
    scratch.reading.port = u32::from(packet.target_port);
    text::copy(ctx, scratch, packet.payload, length)
}

/// Reads and judges a greeting; 1 if it is refused.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_greeting(slot: u32, end: u32) -> u32 {
    let Some(scratch) = scratch::get(Slot(slot)) else { return 1 };
    let seed = SEED.get(0).copied().unwrap_or(0);
    scratch.reading.hello = HelloWalk::new(&Octets(&scratch.text), end, seed);
    let mut block = 0;
    while block < BLOCKS {
        if read_blocks(slot) == 0 {
            break;
        }
        block += 1;
    }
    let state = scratch.reading.hello.state;
    if state == CUT {
        return judge_mismatch(slot, 0);
    }
    if state != DONE {
        return 0;
    }
    // First as a connection to the name, then for not being the address's: two questions, so that a name which may be
    // reached does not excuse that it was put on.
    if judge_name(slot) != 0 {
        return 1;
    }
    let name = scratch.reading.hello.hash();
    judge_mismatch(slot, name)
}

/// Steps of one call, and calls of a call.
const STEPS_A_BLOCK: u32 = 4;
const BLOCKS: u32 = 32;

const _: () = assert!(STEPS == STEPS_A_BLOCK * BLOCKS * BLOCKS);

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn read_blocks(slot: u32) -> u32 {
    let mut block = 0;
    while block < BLOCKS {
        if read_block(slot) == 0 {
            return 0;
        }
        block += 1;
    }
    1
}

/// Returns 0 when there is nothing more to read.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn read_block(slot: u32) -> u32 {
    let Some(scratch) = scratch::get(Slot(slot)) else { return 0 };
    let mut index = 0;
    while index < STEPS_A_BLOCK {
        let (text, walk) = (&scratch.text, &mut scratch.reading.hello);
        if !walk.is_going() {
            return 0;
        }
        if let Some(byte) = walk.step(&Octets(text)) {
            let place = core::hint::black_box(walk.length.wrapping_sub(1)) & 0xff;
            scratch.text[(NAME + place) as usize] = byte;
        }
        index += 1;
    }
    1
}

/// Judges the name that was read, as a connection to it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_name(slot: u32) -> u32 {
    let Some(scratch) = scratch::get(Slot(slot)) else { return 1 };
    let end = NAME.wrapping_add(scratch.reading.hello.length);
    let group = classify::domain(Slot(slot), NAME, end, scratch.reading.port as u16);
    match judge(&scratch.reading.owner.label, Action::Connect, [0, group, 0, 0]) {
        Some(judgement) => report(slot, &judgement, 0),
        None => 0,
    }
}

/// Judges whether a name (0 for one that was hidden) is one of the address's. An address without any has been told
/// already, when it was connected.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_mismatch(slot: u32, name: u64) -> u32 {
    let Some(scratch) = scratch::get(Slot(slot)) else { return 1 };
    let key = AddressKey { network: scratch.reading.network, address: scratch.reading.resolver };
    let tree = scratch.reading.owner.label.tree;
    let known = names::of(&key, tree, scratch.reading.port as u16);
    let mut index = 0;
    let mut matches = known.first == 0;
    while index < NAMES {
        matches |= known.hashes[index] == name && name != 0;
        index += 1;
    }
    if matches {
        return 0;
    }
    let mismatch = kernel_object(KernelObject::NameMismatch);
    match judge(&scratch.reading.owner.label, Action::Connect, [0, 0, 0, mismatch]) {
        Some(judgement) => report(slot, &judgement, known.first),
        None => 0,
    }
}

/// Carries a judgement out and reports it, with the name that the address was answered for; 1 if it is refused.
#[inline(always)]
fn report(slot: u32, judgement: &Judgement, known: u64) -> u32 {
    let Some(scratch) = scratch::get(Slot(slot)) else { return 1 };
    let achieved = act::by_refusal(&scratch.reading.owner.label, judgement.verdict);
    record::begin_for(&mut scratch.header, Kind::Verdict, &scratch.reading.owner);
    record::judged(&mut scratch.header, Action::Connect, judgement, achieved);
    scratch.header.subject = Subject::Address as u8;
    scratch.header.address = scratch.reading.resolver;
    scratch.header.port = scratch.reading.port as u16;
    scratch.header.detail = 6;
    if known != 0 {
        record::append_name(scratch, 0, known);
    }
    if scratch.reading.hello.state == DONE {
        record::append(scratch, 1, NAME, NAME.wrapping_add(scratch.reading.hello.length));
    }
    record::submit(scratch);
    u32::from(achieved == Achieved::Denied)
}
