//! Building a record in the scratch space and putting it into the ring: the only writer of the ring.

use aya_ebpf::helpers::generated::{bpf_ktime_get_boot_ns, bpf_ringbuf_output};
use core::ffi::c_void;
use monitor_common::action::Action;
use monitor_common::counter::Counter;
use monitor_common::event::{ABI, HEADER, Header, Kind, STRINGS, Span, Subject};
use monitor_common::label::Label;
use monitor_common::socket::{NameText, Owner};
use monitor_common::verdict::Achieved;

use crate::engine::count;
use crate::engine::judge::Judgement;
use crate::engine::map::{EVENTS, NAME_TEXTS};
use crate::engine::scratch::{Scratch, TEXT, USER_MAX};
use crate::kernel::read;
use crate::kernel::task::{Task, current_ids};

/// Nanoseconds since boot.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: no arguments. Since v5.8.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// Fills the header with what is true of every record of the caller.
#[inline(always)]
pub(crate) fn begin(header: &mut Header, kind: Kind, label: &Label) {
    let task = Task::current();
    let (tgid, tid) = current_ids();
    let (start, ppid, uid) = (task.start(), task.parent(), task.euid());
    begin_for(header, kind, &Owner { label: *label, start, tgid, tid, ppid, uid });
}

/// As [`begin`], for somebody else: the owner of a socket.
#[inline(always)]
pub(crate) fn begin_for(header: &mut Header, kind: Kind, owner: &Owner) {
    let label = &owner.label;
    *header = Header {
        abi: ABI,
        kind: kind as u8,
        subject: Subject::None as u8,
        length: HEADER as u32,
        time: now(),
        start: owner.start,
        tgid: owner.tgid,
        tid: owner.tid,
        ppid: owner.ppid,
        uid: owner.uid,
        scope: label.scope,
        tree: label.tree,
        marks: 0,
        actor: label.actor,
        action: 0,
        asked: 0,
        achieved: Achieved::Allowed as u8,
        rule: 0,
        flags: 0,
        group: 0,
        port: 0,
        syscall: -1,
        detail: 0,
        address: [0; 16],
        spans: [Span { offset: 0, length: 0 }; 4],
    };
}

/// Adds what was judged.
#[inline(always)]
pub(crate) fn judged(header: &mut Header, action: Action, judgement: &Judgement, achieved: Achieved) {
    header.action = action as u8;
    header.asked = judgement.verdict;
    header.achieved = achieved as u8;
    header.rule = judgement.rule;
    header.group = judgement.group;
    header.marks = judgement.marks;
}

/// Appends `from..to` of the scratch text as string `index`. What does not fit is cut at the end; the caller flags it.
#[inline(always)]
pub(crate) fn append(scratch: &mut Scratch, index: usize, from: u32, to: u32) {
    let used = scratch.header.length.wrapping_sub(HEADER as u32);
    let mut length = to.wrapping_sub(from);
    if to <= from || used as usize >= STRINGS {
        return;
    }
    if length >= USER_MAX {
        length = USER_MAX - 1;
    }
    // <VERIFIER_ISSUE> opaque, or the compiler drops the masks it can prove and the verifier cannot.
    let (used, length, from) = core::hint::black_box((used, length, from));
    let used = used & (STRINGS as u32 - 1);
    let length = length & (USER_MAX - 1);
    let from = from & (TEXT as u32 - 1);
    // SAFETY: `used` is below STRINGS and `length` below 4096, and the buffer has STRINGS + 4096 bytes; the source is
    // inside this very map value, and the helper copies with fault handling.
    unsafe {
        read::kernel_bytes(
            scratch.strings.as_mut_ptr().add(used as usize),
            length,
            scratch.text.as_ptr().add(from as usize) as u64,
        );
    }
    scratch.header.spans[index] = Span { offset: used as u16, length: length as u16 };
    scratch.header.length = HEADER as u32 + used + length;
}

/// Appends the text of a name as string `index`; nothing if nobody knows it any more.
#[inline(always)]
pub(crate) fn append_name(scratch: &mut Scratch, index: usize, name: u64) {
    // SAFETY: read by a helper that may fault; the value may be written meanwhile, then the text is another name's.
    let Some(text) = (unsafe { NAME_TEXTS.get(&name) }) else { return };
    let text: *const NameText = text;
    // SAFETY: the value's first word.
    let length = unsafe { (*text).length } as u32;
    let used = scratch.header.length.wrapping_sub(HEADER as u32);
    if length == 0 || used as usize >= STRINGS {
        return;
    }
    // <VERIFIER_ISSUE> as above.
    let (used, length) = core::hint::black_box((used, length));
    let (used, length) = (used & (STRINGS as u32 - 1), length & 0xff);
    // SAFETY: `used` is below STRINGS and `length` below 256, and the buffer has STRINGS + 4096 bytes.
    unsafe {
        let from = (&raw const (*text).text) as u64;
        read::kernel_bytes(scratch.strings.as_mut_ptr().add(used as usize), length, from);
    }
    scratch.header.spans[index] = Span { offset: used as u16, length: length as u16 };
    scratch.header.length = HEADER as u32 + used + length;
}

/// Puts the record of the scratch space into the ring.
#[inline(always)]
pub(crate) fn submit(scratch: &mut Scratch) {
    let mut length = u64::from(scratch.header.length);
    if length > (HEADER + STRINGS) as u64 {
        length = (HEADER + STRINGS) as u64;
        scratch.header.length = length as u32;
    }
    // SAFETY: header and strings are adjacent (`repr(C)`, both multiples of 8), and `length` is within both.
    let status = unsafe {
        bpf_ringbuf_output(
            (&raw const EVENTS).cast_mut().cast(),
            (&raw mut scratch.header).cast::<c_void>(),
            length,
            0,
        )
    };
    if status != 0 {
        count(Counter::RingFull);
    }
}

/// Puts a record without strings into the ring.
#[inline(always)]
pub(crate) fn submit_header(header: &mut Header) {
    // SAFETY: the header is valid for its own size.
    let status = unsafe {
        bpf_ringbuf_output(
            (&raw const EVENTS).cast_mut().cast(),
            core::ptr::from_mut(header).cast::<c_void>(),
            HEADER as u64,
            0,
        )
    };
    if status != 0 {
        count(Counter::RingFull);
    }
}
