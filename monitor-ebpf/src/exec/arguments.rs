//! Arguments of a new program: the kernel has just written them into its stack, so they are resident and nobody has
//! changed them yet.

use crate::engine::scratch::{self, ARGUMENTS, ARGUMENTS_MAX, BASE_END, Slot};
use crate::kernel::path::PathText;
use crate::kernel::read;
use crate::kernel::task::Task;

/// The script or module among an interpreter's arguments; `start` 0 is none.
#[derive(Clone, Copy)]
pub(crate) struct Script {
    /// First byte in the scratch text.
    pub(crate) start: u32,
    /// One past the last byte.
    pub(crate) end: u32,
    /// `-m NAME`.
    pub(crate) is_module: bool,
}

impl Script {
    /// No script: an interactive interpreter, or code on the command line.
    pub(crate) const NONE: Self = Self { start: 0, end: 0, is_module: false };
}

/// Copies the arguments into the scratch text. Returns where they end and whether some were left out.
#[inline(always)]
pub(crate) fn copy(slot: Slot) -> (u32, bool) {
    let Some((start, end)) = Task::current().arguments() else {
        return (ARGUMENTS, false);
    };
    let Some(scratch) = scratch::get(slot) else {
        return (ARGUMENTS, false);
    };
    let mut length = end.wrapping_sub(start);
    let cut = length > u64::from(ARGUMENTS_MAX);
    if cut {
        length = u64::from(ARGUMENTS_MAX);
    }
    let length = length as u32;
    if length == 0 || length > ARGUMENTS_MAX {
        return (ARGUMENTS, cut);
    }
    // SAFETY: the text has ARGUMENTS_MAX bytes behind ARGUMENTS, and `length` is at most that.
    if !unsafe { read::user_bytes(scratch.text.as_mut_ptr().add(ARGUMENTS as usize), length, start) } {
        return (ARGUMENTS, true);
    }
    // The last NUL is not part of the words.
    (ARGUMENTS + length - u32::from(!cut), cut)
}

/// The word the program was called by.
#[inline(always)]
pub(crate) fn first_word(slot: Slot, end: u32) -> PathText {
    PathText { start: ARGUMENTS, end: scan(slot.0, ARGUMENTS, end, FIRST_WORD) as u32, flags: 0 }
}

/// The last component of a path in the scratch text, as start and end.
#[inline(always)]
pub(crate) fn base_name(slot: Slot, path: PathText) -> (u32, u32) {
    (scan(slot.0, path.start, path.end, BASE_NAME) as u32, path.end)
}

/// Finds what an interpreter runs: the first word that is not an option, or the module behind `-m`. Code on the
/// command line (`-c`, `-e`, `-p`, `--eval`) and a lone `-` mean that there is no file.
#[inline(always)]
pub(crate) fn find_script(slot: Slot, end: u32) -> Script {
    let packed = scan(slot.0, ARGUMENTS, end, SCRIPT);
    Script {
        start: packed as u32 & 0xffff,
        end: (packed >> 16) as u32 & 0xffff,
        is_module: packed >> 32 & 1 != 0,
    }
}

const FIRST_WORD: u32 = 0;
const BASE_NAME: u32 = 1;
const SCRIPT: u32 = 2;

/// One pass over `from..to` of the scratch text for one of the three questions above.
///
/// A function of its own that the verifier checks once per program, not at every call.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn scan(slot: u32, from: u32, to: u32, question: u32) -> u64 {
    match question {
        FIRST_WORD => u64::from(end_of_word(slot, from, to)),
        BASE_NAME => u64::from(after_last_slash(slot, from, to)),
        _ => script(Slot(slot), to),
    }
}

#[inline(always)]
fn byte(slot: Slot, at: u32) -> u8 {
    scratch::get(slot).map_or(0, |scratch| scratch.byte(at))
}

/// Bytes of a word that are followed by one call, see `classify::BLOCK`.
const BLOCK: u32 = 32;

/// One past the last byte of the word at `from`.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn end_of_word(slot: u32, from: u32, to: u32) -> u32 {
    let mut at = from;
    let mut block = 0;
    while block < ARGUMENTS_MAX / BLOCK {
        let end = end_in_block(slot, at, to);
        at = at.wrapping_add(BLOCK);
        if end != at {
            return end;
        }
        block += 1;
    }
    to
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn end_in_block(slot: u32, from: u32, to: u32) -> u32 {
    let Some(scratch) = scratch::get(Slot(slot)) else { return to };
    let mut index = 0;
    while index < BLOCK {
        let at = from.wrapping_add(index);
        if at >= to || scratch.byte(at) == 0 {
            return at;
        }
        index += 1;
    }
    from.wrapping_add(BLOCK)
}

/// Where the component begins that ends at `to`.
#[inline(always)]
fn after_last_slash(slot: u32, from: u32, to: u32) -> u32 {
    let mut end = to;
    let mut block = 0;
    // A component has at most 255 bytes.
    while block < 256 / BACK {
        let found = slash_in_block(slot, from, end);
        end = end.wrapping_sub(BACK);
        if found != end {
            return found;
        }
        block += 1;
    }
    from
}

/// Bytes looked at by one call of `slash_in_block`.
const BACK: u32 = 16;

/// One past the last slash in the [`BACK`] bytes before `to`, or `to` less that many bytes if there is none.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn slash_in_block(slot: u32, from: u32, to: u32) -> u32 {
    let Some(scratch) = scratch::get(Slot(slot)) else { return from };
    let mut index = 0;
    while index < BACK {
        let at = to.wrapping_sub(index);
        if at <= from || scratch.byte(at.wrapping_sub(1)) == b'/' {
            return at;
        }
        index += 1;
    }
    to.wrapping_sub(BACK)
}

/// The words are looked at one after the other; 16 are enough for the options of any interpreter met.
#[inline(always)]
fn script(slot: Slot, to: u32) -> u64 {
    let mut at = end_of_word(slot.0, ARGUMENTS, to).wrapping_add(1);
    let mut module = 0;
    let mut word = 0;
    while word < 16 {
        word += 1;
        if at >= to {
            return 0;
        }
        let (first, second, third) = (byte(slot, at), byte(slot, at + 1), byte(slot, at + 2));
        if module == 1 || first != b'-' {
            return u64::from(at) | u64::from(end_of_word(slot.0, at, to)) << 16 | module << 32;
        }
        if second == 0 {
            return 0;
        }
        if third == 0 {
            match second {
                b'm' => module = 1,
                b'c' | b'e' | b'p' => return 0,
                _ => {}
            }
        } else if second == b'-' && third == b'e' && byte(slot, at + 3) == b'v' {
            return 0;
        }
        at = end_of_word(slot.0, at, to).wrapping_add(1);
    }
    0
}

/// The script's path, made absolute by the working directory, in the scratch text behind the dentries' part.
#[inline(always)]
pub(crate) fn absolute(slot: Slot, script: &Script, cwd: PathText) -> Option<PathText> {
    let scratch = scratch::get(slot)?;
    let length = script.end.wrapping_sub(script.start);
    if length == 0
        || length > ARGUMENTS_MAX
        || script.start < ARGUMENTS
        || script.start >= ARGUMENTS + ARGUMENTS_MAX
    {
        return None;
    }
    let to = (BASE_END + 1) as usize;
    // SAFETY: the text has more than ARGUMENTS_MAX bytes behind BASE_END and behind every start of a word; the source
    // is map memory and the helper copies with fault handling.
    unsafe {
        read::kernel_bytes(
            scratch.text.as_mut_ptr().add(to),
            length & (2 * ARGUMENTS_MAX - 1),
            scratch.text.as_ptr() as u64 + u64::from(script.start),
        );
    }
    let end = BASE_END + 1 + length;
    if scratch.text[to] == b'/' {
        return Some(PathText { start: BASE_END + 1, end, flags: 0 });
    }
    scratch.text[BASE_END as usize] = b'/';
    Some(PathText { start: cwd.start, end, flags: cwd.flags })
}
