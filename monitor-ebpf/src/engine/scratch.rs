//! Working memory: the BPF stack has 512 bytes, a path has 4,096.

use monitor_common::counter::Counter;
use monitor_common::event::{Header, STRINGS};
use monitor_common::policy::State;
use monitor_common::policy::automaton::{LEXICAL_DEPTH, LexicalWalk};

use crate::engine::caller::Answer;
use crate::engine::count;
use crate::engine::map::{FREE_SLOTS, SCRATCH};
use crate::kernel::path::Climb;
use crate::resolve::Reading;

/// Where the part of a path that is read from dentries ends; it grows towards 0.
pub(crate) const BASE_END: u32 = 4096;
/// Longest path or string read from user memory, its NUL included.
pub(crate) const USER_MAX: u32 = 4096;
/// Where the arguments of a new program start.
pub(crate) const ARGUMENTS: u32 = 8704;
/// How many bytes of arguments are examined.
pub(crate) const ARGUMENTS_MAX: u32 = 2048;
/// Bytes of text: a power of two above all regions, so that a masked index is always inside.
pub(crate) const TEXT: usize = 16_384;

/// The working memory of one act.
#[repr(C)]
pub(crate) struct Scratch {
    /// Paths and arguments: dentries' part below [`BASE_END`], what the user wrote behind it, arguments at [`ARGUMENTS`].
    pub(crate) text: [u8; TEXT],
    /// The record under construction.
    pub(crate) header: Header,
    /// Its strings, with room so that a copy of the longest string at the last offset stays inside.
    pub(crate) strings: [u8; STRINGS + 4096],
    /// State of a walk from dentry to dentry.
    pub(crate) climb: Climb,
    /// When a directory was last moved before that walk.
    pub(crate) moved: u64,
    /// State of a walk from byte to byte, here for the same reason as `climb`.
    pub(crate) state: State,
    /// State of a lexical walk, here because the verifier must not track it byte by byte.
    pub(crate) walk: LexicalWalk,
    /// Its stack.
    pub(crate) stack: [State; LEXICAL_DEPTH],
    /// State of reading a message of the domain name system.
    pub(crate) reading: Reading,
}

/// Exclusive use of one piece of working memory, from [`with`].
#[derive(Clone, Copy)]
pub(crate) struct Slot(pub(crate) u32);

/// Runs `act` with working memory of its own.
///
/// Not memory of the processor: programs on `security_*` functions (and raw tracepoints since v7.0) can be preempted, and
/// what runs meanwhile on the same processor may be one of ours. The stack of free slots is the kernel's own and locked.
/// Without a free slot the answer is a refusal: nothing passes unjudged.
#[inline(always)]
pub(crate) fn with(act: impl FnOnce(Slot) -> Option<Answer>) -> Answer {
    let Ok(Some(slot)) = FREE_SLOTS.pop() else {
        count(Counter::Scratch);
        return Answer::Refuse;
    };
    let answer = act(Slot(slot)).unwrap_or(Answer::Pass);
    if FREE_SLOTS.push(slot, 0).is_err() {
        count(Counter::Scratch);
    }
    answer
}

/// The working memory of a slot.
#[inline(always)]
pub(crate) fn get(slot: Slot) -> Option<&'static mut Scratch> {
    let pointer = SCRATCH.get_ptr_mut(slot.0)?;
    // SAFETY: the slot was taken from the stack of free ones, so nobody else uses it until it is put back.
    Some(unsafe { &mut *pointer })
}

impl Scratch {
    /// The byte at `at`; the index wraps at [`TEXT`].
    ///
    /// <VERIFIER_ISSUE> the index is made opaque, or the compiler adds the unbounded part of it to the pointer first and
    /// masks nothing ("unbounded memory access").
    #[inline(always)]
    pub(crate) fn byte(&self, at: u32) -> u8 {
        self.text[core::hint::black_box(at) as usize & (TEXT - 1)]
    }
}
