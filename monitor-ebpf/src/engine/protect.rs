//! Secrets by what they are, not by what they are called: hard links, bind mounts, another root and open-by-handle give
//! a file another name, never another inode.
//!
//! A file gets into the table when somebody meets it under a name that a rule calls a secret: a watched process, or the
//! agent, which opens every secret there is when it starts and when one appears (`bpf/protect.rs` in userspace). Device
//! numbers differ between stat(2) and the kernel on some file systems, so only the kernel side writes them.

use monitor_common::counter::Counter;
use monitor_common::policy::{CHUNK, SECRET};

use crate::engine::count;
use crate::engine::map::{GROUP_FLAGS, PROTECTED, PROTECTED_HINT};
use crate::kernel::file::Inode;

/// Bytes in an element of the hint.
pub(crate) const HINT_CHUNK: u32 = 4096;
/// Numbers that the hint tells apart: its 16 elements.
const HINTS: u32 = 16 * HINT_CHUNK;

/// Remembers a file that is met by a secret's name, and returns the group of the name that it, a secret, was met by; 0 if
/// it is none.
#[inline(always)]
pub(crate) fn meet(inode: Inode, named: u16) -> u16 {
    note(inode, named);
    group(inode)
}

#[inline(always)]
fn group(inode: Inode) -> u16 {
    let Some(number) = inode.number() else { return 0 };
    let hint = number as u32 & (HINTS - 1);
    let may =
        PROTECTED_HINT.get(hint / HINT_CHUNK).is_some_and(|chunk| chunk[(hint % HINT_CHUNK) as usize] != 0);
    if !may {
        return 0;
    }
    let Some(id) = inode.id() else { return 0 };
    // SAFETY: two bytes, copied at once.
    unsafe { PROTECTED.get(&id) }.copied().unwrap_or(0)
}

/// Remembers a file if its name's group is that of a secret.
#[inline(always)]
pub(crate) fn note(inode: Inode, group: u16) {
    if group == 0 || !is_secret(group) || !inode.is_regular() {
        return;
    }
    let Some(id) = inode.id() else { return };
    if PROTECTED.insert(&id, &group, 0).is_err() {
        count(Counter::ProtectedFull);
        return;
    }
    let hint = id.number as u32 & (HINTS - 1);
    if let Some(chunk) = PROTECTED_HINT.get_ptr_mut(hint / HINT_CHUNK) {
        // SAFETY: a map value, the index is below its length; only ever set.
        unsafe { (*chunk)[(hint % HINT_CHUNK) as usize] = 1 };
    }
}

#[inline(always)]
fn is_secret(group: u16) -> bool {
    let group = u32::from(group);
    GROUP_FLAGS.get(group / CHUNK).is_some_and(|chunk| chunk[(group % CHUNK) as usize] & SECRET != 0)
}
