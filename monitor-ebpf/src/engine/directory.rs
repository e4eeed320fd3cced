//! Directories that were met before: what the automata say of a path up to its last slash does not change from file to
//! file, so that a file in a directory that is known needs neither a walk to the root nor working memory.
//!
//! An entry holds as long as the directory has the name it had:
//!
//! - a directory has one name only, so the same dentry with the same inode (its number and generation too, as memory is
//!   used again) is the same name, unless it or one above it was moved;
//! - every move of a directory and every change of mounts, of any process of the machine, makes all entries void: the
//!   programs on those functions do it whoever calls. Without all of them nothing is remembered;
//! - on file systems whose server moves directories without asking this kernel (network, FUSE) nothing is remembered.
//!
//! Only the `deny` tier remembers: the `kill` tier has no hook on what others move.

use monitor_common::policy::State;

use crate::engine::classify;
use crate::engine::map::{DIRECTORIES, REMEMBERING};
use crate::engine::scratch::{self, Slot};
use crate::kernel::file::Inode;
use crate::kernel::{offset, read};

/// A directory, in one of its mounts.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Place {
    dentry: u64,
    /// `struct vfsmount`.
    mount: u64,
}

/// What is remembered of it.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Known {
    /// Address of its inode.
    inode: u64,
    /// `inode.i_ino`.
    number: u64,
    /// The state of the automata behind its slash.
    behind: State,
    /// [`LAST_MOVE`] before its name was read.
    moved: u64,
    /// `inode.i_generation`.
    generation: u32,
    reserved: u32,
}

/// When a directory was moved or a mount changed, nanoseconds since boot: a time, so that two processors which write it
/// at once cannot bring an old value back.
#[unsafe(no_mangle)]
static mut LAST_MOVE: u64 = 0;

/// The longest name that is read here, in words of 8 bytes.
const WORDS: u32 = 8;
/// The most mounts above each other that are looked at.
const MOUNTS: u32 = 8;

/// Directories may have other names from now on.
#[inline(always)]
pub(crate) fn moved() {
    // SAFETY: a helper without arguments.
    let now = unsafe { aya_ebpf::helpers::bpf_ktime_get_ns() };
    // SAFETY: a word of the object's own data section.
    unsafe { core::ptr::write_volatile(&raw mut LAST_MOVE, now) };
}

/// A file gets another name, or two change theirs.
#[inline(always)]
pub(crate) fn renamed(dentry: u64, exchange: bool) {
    note_rename(dentry, u32::from(exchange));
}

/// A function of its own for the sake of the stack.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn note_rename(dentry: u64, exchange: u32) -> u32 {
    if exchange != 0 || Inode::of_dentry(dentry).is_directory() {
        moved();
    }
    0
}

/// Call before a name is read that is to be remembered.
#[inline(always)]
pub(crate) fn last_move() -> u64 {
    // SAFETY: a word of the object's own data section.
    unsafe { core::ptr::read_volatile(&raw const LAST_MOVE) }
}

/// The group of a file's name, if its directory is known.
#[inline(always)]
pub(crate) fn recall(mount: u64, dentry: u64) -> Option<u16> {
    let packed = recall_directory(mount, dentry);
    (packed != UNKNOWN).then_some(packed as u16)
}

const UNKNOWN: u32 = u32::MAX;

/// A function of its own that the verifier checks once per program.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn recall_directory(mount: u64, dentry: u64) -> u32 {
    let directory = read::word::<u64>(dentry, &offset::DENTRY_PARENT);
    // SAFETY: its fields are copied; a mixture of two versions fails the comparison or belongs to the same name.
    let Some(known) = (unsafe { DIRECTORIES.get(&Place { dentry: directory, mount }) }) else {
        return UNKNOWN;
    };
    let Known { inode, number, behind, moved, generation, .. } = *known;
    if moved != last_move()
        || inode != read::word::<u64>(directory, &offset::DENTRY_INODE)
        || number != read::word::<u64>(inode, &offset::INODE_NUMBER)
        || generation != read::word::<u32>(inode, &offset::INODE_GENERATION)
    {
        return UNKNOWN;
    }
    let length = read::word::<u32>(dentry, &offset::DENTRY_LENGTH);
    let mut name = read::word::<u64>(dentry, &offset::DENTRY_NAME);
    if length > WORDS * 8 {
        return UNKNOWN;
    }
    let mut state = behind;
    let mut left = length;
    let mut word = 0;
    while word < WORDS {
        if left == 0 || state == 0 {
            break;
        }
        // Names lie in memory of whole words.
        let Some(bytes) = read::kernel::<u64>(name) else { return UNKNOWN };
        state = classify::walk_word(state, bytes, left);
        left = left.saturating_sub(8);
        name = name.wrapping_add(8);
        word += 1;
    }
    classify::accepts(state) & 0xffff
}

/// Remembers the directory of a file whose name was just read.
///
/// A function of its own for the sake of the stack.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn remember_directory(slot: u32, mount: u64, dentry: u64, behind: State) -> u32 {
    let Some(scratch) = scratch::get(Slot(slot)) else { return 0 };
    let moved = scratch.moved;
    if REMEMBERING.get(0).is_none_or(|on| *on == 0) {
        return 0;
    }
    let directory = read::word::<u64>(dentry, &offset::DENTRY_PARENT);
    // The name of a mount's root is its mount point's, not its own.
    if directory == dentry || dentry == read::word::<u64>(mount, &offset::VFSMOUNT_ROOT) || !names_stay(mount)
    {
        return 0;
    }
    let inode = Inode::of_dentry(directory).0;
    let known = Known {
        inode,
        number: read::word(inode, &offset::INODE_NUMBER),
        behind,
        moved,
        generation: read::word(inode, &offset::INODE_GENERATION),
        reserved: 0,
    };
    // What does not fit is walked again.
    let _ = DIRECTORIES.insert(&Place { dentry: directory, mount }, &known, 0);
    0
}

/// As [`remember_directory`].
#[inline(always)]
pub(crate) fn remember(slot: Slot, mount: u64, dentry: u64, behind: State) {
    remember_directory(slot.0, mount, dentry, behind);
}

/// Whether directories of this mount, and all it is mounted on, are moved by nobody but this kernel's rename.
#[inline(always)]
fn names_stay(vfsmount: u64) -> bool {
    let mut mount = vfsmount.wrapping_sub(offset::of(&offset::MOUNT_VFSMOUNT));
    let mut turn = 0;
    while turn < MOUNTS {
        let vfsmount = mount.wrapping_add(offset::of(&offset::MOUNT_VFSMOUNT));
        let sb = read::word::<u64>(vfsmount, &offset::VFSMOUNT_SB);
        if !is_local(read::word::<u64>(sb, &offset::SB_MAGIC)) {
            return false;
        }
        let above = read::word::<u64>(mount, &offset::MOUNT_PARENT);
        if above == mount {
            return true;
        }
        mount = above;
        turn += 1;
    }
    false
}

/// include/uapi/linux/magic.h, fs/xfs/libxfs/xfs_format.h: file systems on disks and in memory.
#[inline(always)]
fn is_local(magic: u64) -> bool {
    const EXT4: u64 = 0xef53;
    const XFS: u64 = 0x5846_5342;
    const BTRFS: u64 = 0x9123_683e;
    const F2FS: u64 = 0xf2f5_2010;
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    const OVERLAYFS: u64 = 0x794c_7630;
    magic == EXT4
        || magic == TMPFS
        || magic == OVERLAYFS
        || magic == XFS
        || magic == BTRFS
        || magic == F2FS
        || magic == RAMFS
}
