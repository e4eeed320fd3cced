//! Names of files, walked from dentry to dentry up to the root of the mount tree.
//!
//! `bpf_d_path` is refused in raw tracepoints, and renders a path relative to the caller's root; this walk works in
//! every program type and ignores chroot. fs/d_path.c `prepend_path` is the model.

use monitor_common::counter::Counter;
use monitor_common::event::{PATH_TOO_DEEP, PATH_TOO_LONG};

use crate::engine::scratch::{self, BASE_END, Scratch, Slot};
use crate::engine::{count, directory};
use crate::kernel::{offset, read};

/// The most components (and mount points) that are walked.
pub(crate) const MAX_DEPTH: u32 = 128;

/// Where a path lies in the scratch text.
#[derive(Clone, Copy)]
pub(crate) struct PathText {
    /// First byte.
    pub(crate) start: u32,
    /// One past the last byte.
    pub(crate) end: u32,
    /// [`PATH_TOO_DEEP`], [`PATH_TOO_LONG`].
    pub(crate) flags: u16,
}

/// Writes the path of a `struct path` at `address` into the scratch text, ending at [`BASE_END`].
#[inline(always)]
pub(crate) fn of(slot: Slot, address: u64) -> PathText {
    let (mount, dentry) = parts(address).unwrap_or((0, 0));
    of_dentry(slot, mount, dentry)
}

/// Mount (`struct vfsmount`) and dentry of a `struct path` at `address`.
#[inline(always)]
pub(crate) fn parts(address: u64) -> Option<(u64, u64)> {
    Some((read::field(address, &offset::PATH_MNT)?, read::field(address, &offset::PATH_DENTRY)?))
}

/// As [`of`], for a name that may have no file behind it yet: a dentry, and the `struct vfsmount` it is in.
#[inline(always)]
pub(crate) fn of_dentry(slot: Slot, mount: u64, dentry: u64) -> PathText {
    let packed = write_path(slot.0, mount, dentry);
    PathText { start: packed as u32, end: BASE_END, flags: (packed >> 32) as u16 }
}

/// A mount (`struct vfsmount`) of the file system that a dentry is in: the first, where the caller's is not known.
#[inline(always)]
pub(crate) fn some_mount(dentry: u64) -> u64 {
    let first = || -> Option<u64> {
        let sb = read::field::<u64>(dentry, &offset::DENTRY_SB)?;
        let mut mount = read::field::<u64>(sb, &offset::SB_MOUNTS)?;
        if offset::present(&offset::MOUNT_INSTANCE) {
            mount = mount.wrapping_sub(offset::of(&offset::MOUNT_INSTANCE));
        }
        Some(mount.wrapping_add(offset::of(&offset::MOUNT_VFSMOUNT)))
    };
    first().unwrap_or(0)
}

/// Returns the start in the low half and the flags above it.
///
/// A function of its own that the verifier checks once per program, not at every call.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn write_path(slot: u32, vfsmount: u64, dentry: u64) -> u64 {
    let Some(scratch) = scratch::get(Slot(slot)) else {
        return u64::from(BASE_END);
    };
    scratch.moved = directory::last_move();
    scratch.climb = Climb {
        mount: vfsmount.wrapping_sub(offset::of(&offset::MOUNT_VFSMOUNT)),
        root: read::word(vfsmount, &offset::VFSMOUNT_ROOT),
        dentry,
        at: u64::from(BASE_END),
    };
    let mut outcome = STEP;
    let mut block = 0;
    while block < MAX_DEPTH / BLOCK {
        outcome = climb_block(slot) as u16;
        if outcome != STEP {
            break;
        }
        block += 1;
    }
    let flags = match outcome {
        ROOT => 0,
        STEP => PATH_TOO_DEEP,
        flags => flags,
    };
    let mut at = scratch.climb.at as u32;
    if flags != 0 {
        count(Counter::PathTruncated);
    }
    if at >= BASE_END {
        // The root directory itself.
        at = BASE_END - 1;
        scratch.text[at as usize] = b'/';
    }
    u64::from(at) | u64::from(flags) << 32
}

/// Steps taken by one call of `climb_block`, which the verifier checks once and not at every turn.
const BLOCK: u32 = 8;

/// Up to [`BLOCK`] components. Returns [`STEP`] if there may be more, else what ended the walk.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn climb_block(slot: u32) -> u32 {
    let Some(scratch) = scratch::get(Slot(slot)) else {
        return u32::from(PATH_TOO_DEEP);
    };
    let mut step = 0;
    while step < BLOCK {
        let outcome = climb(scratch);
        if outcome != STEP {
            return u32::from(outcome);
        }
        step += 1;
    }
    u32::from(STEP)
}

/// Where the walk is. It lives in memory, not in registers: the verifier then forgets what it knew of the values at
/// each step, and sees that all steps are alike. <VERIFIER_ISSUE> with registers 6.18 gives up at 1,000,000 instructions.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Climb {
    mount: u64,
    root: u64,
    dentry: u64,
    /// First byte of the text so far.
    at: u64,
}

/// Go on.
const STEP: u16 = 0;
/// The root of everything was reached.
const ROOT: u16 = u16::MAX;

/// One component, or one mount point. Anything but [`STEP`] ends the walk: [`ROOT`], or the flag to report.
#[inline(always)]
fn climb(scratch: &mut Scratch) -> u16 {
    let state = &raw mut scratch.climb;
    // SAFETY: a valid reference; volatile, so that the values come from memory (see `Climb`).
    let Climb { mount, root, dentry, at } = unsafe { core::ptr::read_volatile(state) };
    let parent = read::word::<u64>(dentry, &offset::DENTRY_PARENT);
    if parent == 0 {
        count(Counter::KernelRead);
        return PATH_TOO_DEEP;
    }
    let next = if dentry == root || dentry == parent {
        let above = read::word::<u64>(mount, &offset::MOUNT_PARENT);
        if above == mount || above == 0 {
            return ROOT;
        }
        let root = above.wrapping_add(offset::of(&offset::MOUNT_VFSMOUNT));
        Climb {
            mount: above,
            root: read::word(root, &offset::VFSMOUNT_ROOT),
            dentry: read::word(mount, &offset::MOUNT_MOUNTPOINT),
            at,
        }
    } else {
        let length = read::word::<u32>(dentry, &offset::DENTRY_LENGTH) & 0xff;
        let name = read::word::<u64>(dentry, &offset::DENTRY_NAME);
        let needed = u64::from(length) + 1;
        if at < needed {
            return PATH_TOO_LONG;
        }
        let at = at - needed;
        let slash = at as usize & (BASE_END as usize - 1);
        scratch.text[slash] = b'/';
        // <VERIFIER_ISSUE> once more and opaque: 6.12 loses the bound when it compares `needed`.
        let length = core::hint::black_box(length) & 0xff;
        // SAFETY: `slash` is below 4096 and `length` below 256: the copy ends inside the text.
        unsafe { read::kernel_bytes(scratch.text.as_mut_ptr().add(slash + 1), length, name) };
        Climb { mount, root, dentry: parent, at }
    };
    // SAFETY: as above.
    unsafe { core::ptr::write_volatile(state, next) };
    STEP
}
