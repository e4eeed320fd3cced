//! Messages in the working memory: copied there in one piece, and read by the walks of `monitor_common::dns`.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_skb_load_bytes;
use aya_ebpf::programs::SkBuffContext;
use monitor_common::dns::name::{DONE, GOING, NameWalk};
use monitor_common::dns::record::RecordWalk;
use monitor_common::dns::{Head, Message};
use monitor_common::hello::HelloWalk;
use monitor_common::socket::Owner;

use crate::engine::map::SEED;
use crate::engine::scratch::{self, Scratch, Slot, TEXT};

/// The most bytes of a payload that are read.
pub(super) const PAYLOAD: u32 = 4096;
/// Where the length of a name lies, as a word; its text follows. Behind everything that is copied.
pub(crate) const NAME_LENGTH: u32 = 4608;
/// Where the text lies.
pub(crate) const NAME: u32 = NAME_LENGTH + 8;

/// State of reading a message.
#[repr(C)]
pub(crate) struct Reading {
    /// Whose socket it is.
    pub(crate) owner: Owner,
    /// Of the question.
    pub(crate) name: NameWalk,
    /// Of the records behind it.
    pub(crate) record: RecordWalk,
    /// Of the socket.
    pub(crate) cookie: u64,
    /// Of the socket.
    pub(crate) network: u64,
    /// Whom it is sent to, or who sent it.
    pub(crate) resolver: [u8; 16],
    /// Type of the records that are asked for.
    pub(crate) kind: u32,
    /// Class.
    pub(crate) class: u32,
    /// Of the header.
    pub(crate) id: u32,
    /// Answers that are still to be read.
    pub(crate) left: u32,
    /// 6 is TCP, 17 is UDP.
    pub(crate) protocol: u32,
    /// Port that it is sent to.
    pub(crate) port: u32,
    /// 1 if the owner is watched.
    pub(crate) watched: u32,
    /// 1 if `resolver` is one of the machine's.
    pub(crate) is_known: u32,
    /// The tree, as names remember it.
    pub(crate) tree: u16,
    /// Domain set of the name.
    pub(crate) set: u16,
    pub(crate) reserved: u32,
    /// Of what a connection says first.
    pub(crate) hello: HelloWalk,
}

/// The text of the working memory as a message. Walks stay beside it in the working memory and are changed in place: on
/// the stack the verifier would tell their states apart.
pub(super) struct Octets<'a>(pub(super) &'a [u8; TEXT]);

impl Message for Octets<'_> {
    #[inline(always)]
    fn byte(&self, at: u32) -> u8 {
        // <VERIFIER_ISSUE> opaque, as in `Scratch::byte`.
        self.0[core::hint::black_box(at) as usize & (TEXT - 1)]
    }
}

/// Copies `length` bytes (at least 1, at most [`PAYLOAD`]) of a packet to the begin of the working memory.
#[inline(always)]
pub(super) fn copy(ctx: &SkBuffContext, scratch: &mut Scratch, from: u32, length: u32) -> bool {
    if length == 0 || length > PAYLOAD {
        return false;
    }
    // <VERIFIER_ISSUE> a length that may be 0 is refused, and before v5.13 a comparison with 0 teaches nothing: masked
    // after taking one away it is in 1..=4096 by arithmetic. Opaque, or the compiler knows better and drops the mask.
    let length = (core::hint::black_box(length).wrapping_sub(1) & (PAYLOAD - 1)) + 1;
    // SAFETY: the text is longer than PAYLOAD; the helper checks the packet's end.
    let status = unsafe {
        bpf_skb_load_bytes(ctx.skb.skb.cast(), from, scratch.text.as_mut_ptr().cast::<c_void>(), length)
    };
    status == 0
}

/// Reads header and question of the message in `begin..end`. Returns 1 if they are whole.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn read_question(slot: u32, begin: u32, end: u32) -> u32 {
    let Some(scratch) = scratch::get(Slot(slot)) else { return 0 };
    let seed = SEED.get(0).copied().unwrap_or(0);
    scratch.reading.name = NameWalk::new(begin.wrapping_add(monitor_common::dns::HEADER), seed);
    let mut block = 0;
    while block < NAME_BLOCKS {
        if read_name_block(slot, end) != GOING {
            break;
        }
        block += 1;
    }
    let at = scratch.reading.name.at;
    if scratch.reading.name.state != DONE || at.wrapping_add(4) > end {
        return 0;
    }
    scratch.reading.kind = Octets(&scratch.text).number(at);
    scratch.reading.class = Octets(&scratch.text).number(at.wrapping_add(2));
    scratch.reading.record = RecordWalk::new(begin, at.wrapping_add(4), end);
    write_length(scratch);
    1
}

/// Octets that are read by one call, and calls that read the longest name.
const NAME_BYTES: u32 = 16;
const NAME_BLOCKS: u32 = 17;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn read_name_block(slot: u32, end: u32) -> u32 {
    let Some(scratch) = scratch::get(Slot(slot)) else { return DONE };
    let mut index = 0;
    while index < NAME_BYTES {
        let at = scratch.reading.name.at;
        if at >= end || scratch.reading.name.state != GOING {
            break;
        }
        let octet = scratch.byte(at);
        if let Some(byte) = scratch.reading.name.push(octet) {
            let place = core::hint::black_box(scratch.reading.name.length.wrapping_sub(1)) & 0xff;
            scratch.text[(NAME + place) as usize] = byte;
        }
        index += 1;
    }
    // An end inside the name is no state of the walk: nothing more will come.
    if scratch.reading.name.at >= end { DONE } else { scratch.reading.name.state }
}

#[inline(always)]
fn write_length(scratch: &mut Scratch) {
    let length = u64::from(scratch.reading.name.length);
    // SAFETY: inside the text, which is longer; the memory begins with it, so a multiple of 8 is aligned.
    unsafe { scratch.text.as_mut_ptr().add(NAME_LENGTH as usize).cast::<u64>().write(length) };
}

/// The header of the message at `begin`.
#[inline(always)]
pub(super) fn head(scratch: &Scratch, begin: u32) -> Head {
    Head::read(&Octets(&scratch.text), begin)
}

/// One record further. Returns 1 if there was one.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn read_record(slot: u32) -> u32 {
    let Some(scratch) = scratch::get(Slot(slot)) else { return 0 };
    let mut block = 0;
    while block < PIECE_BLOCKS {
        if skip_block(slot) != GOING {
            break;
        }
        block += 1;
    }
    let (text, walk) = (&scratch.text, &mut scratch.reading.record);
    u32::from(walk.read(&Octets(text)))
}

/// Pieces of an owner name that are skipped by one call, and calls that skip the longest.
const PIECES: u32 = 16;
const PIECE_BLOCKS: u32 = monitor_common::dns::record::PIECES / PIECES;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn skip_block(slot: u32) -> u32 {
    let Some(scratch) = scratch::get(Slot(slot)) else { return DONE };
    let mut index = 0;
    while index < PIECES {
        let (text, walk) = (&scratch.text, &mut scratch.reading.record);
        if walk.state != GOING {
            break;
        }
        walk.skip(&Octets(text));
        index += 1;
    }
    scratch.reading.record.state
}
