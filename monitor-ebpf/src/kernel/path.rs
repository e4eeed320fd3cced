//! Names of files, walked from dentry to dentry up to the root of the mount tree.
//!
//! `bpf_d_path` is refused in raw tracepoints, and renders a path relative to the caller's root; this walk works in
//! every program type and ignores chroot. fs/d_path.c `prepend_path` is the model.

use monitor_common::counter::Counter;
use monitor_common::event::{PATH_TOO_DEEP, PATH_TOO_LONG};

use crate::engine::count;
use crate::engine::scratch::{self, BASE_END};
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
pub(crate) fn of(address: u64) -> PathText {
    let mount = read::field::<u64>(address, &offset::PATH_MNT).unwrap_or(0);
    let dentry = read::field::<u64>(address, &offset::PATH_DENTRY).unwrap_or(0);
    let packed = write_path(mount, dentry);
    PathText {
        start: packed as u32,
        end: BASE_END,
        flags: (packed >> 32) as u16,
    }
}

/// Returns the start in the low half and the flags above it.
///
/// A function of its own that the verifier checks once per program, not at every call.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn write_path(vfsmount: u64, dentry: u64) -> u64 {
    let Some(scratch) = scratch::get() else {
        return u64::from(BASE_END);
    };
    let mut mount = vfsmount.wrapping_sub(offset::of(&offset::MOUNT_VFSMOUNT));
    let mut root = read::field::<u64>(vfsmount, &offset::VFSMOUNT_ROOT).unwrap_or(0);
    let mut dentry = dentry;
    let mut at = BASE_END;
    let mut flags = PATH_TOO_DEEP;
    let mut depth = 0;
    while depth < MAX_DEPTH {
        depth += 1;
        let Some(parent) = read::field::<u64>(dentry, &offset::DENTRY_PARENT) else {
            break;
        };
        if dentry == root || dentry == parent {
            let Some(above) = read::field::<u64>(mount, &offset::MOUNT_PARENT) else {
                break;
            };
            if above == mount || above == 0 {
                flags = 0;
                break;
            }
            dentry = read::field(mount, &offset::MOUNT_MOUNTPOINT).unwrap_or(0);
            mount = above;
            root = read::field(
                mount + offset::of(&offset::MOUNT_VFSMOUNT),
                &offset::VFSMOUNT_ROOT,
            )
            .unwrap_or(0);
            continue;
        }
        let length = read::field::<u32>(dentry, &offset::DENTRY_LENGTH).unwrap_or(0) & 0xff;
        let name = read::field::<u64>(dentry, &offset::DENTRY_NAME).unwrap_or(0);
        if at < length + 1 || at > BASE_END {
            flags = PATH_TOO_LONG;
            break;
        }
        at -= length + 1;
        let slash = (at & (BASE_END - 1)) as usize;
        scratch.text[slash] = b'/';
        // SAFETY: `slash` is below 4096 and `length` below 256: the copy ends inside the text.
        unsafe { read::kernel_bytes(scratch.text.as_mut_ptr().add(slash + 1), length, name) };
        dentry = parent;
    }
    if flags != 0 {
        count(Counter::PathTruncated);
    }
    if at == BASE_END {
        // The root directory itself.
        at -= 1;
        scratch.text[at as usize] = b'/';
    }
    u64::from(at) | u64::from(flags) << 32
}
