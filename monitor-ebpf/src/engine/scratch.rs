//! Working memory of one program run.

use monitor_common::event::{Header, STRINGS};
use monitor_common::policy::State;
use monitor_common::policy::automaton::{LEXICAL_DEPTH, LexicalWalk};

use crate::engine::map::SCRATCH;
use crate::kernel::path::Climb;

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

/// The working memory. Hooks of one processor do not interrupt each other: tracepoint programs run with preemption off.
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
    /// State of a lexical walk, here because the verifier must not track it byte by byte.
    pub(crate) walk: LexicalWalk,
    /// Its stack.
    pub(crate) stack: [State; LEXICAL_DEPTH],
}

/// This processor's working memory.
#[inline(always)]
pub(crate) fn get() -> Option<&'static mut Scratch> {
    let pointer = SCRATCH.get_ptr_mut(0)?;
    // SAFETY: per-processor memory, used by one program at a time (see `Scratch`), valid while the program runs.
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
