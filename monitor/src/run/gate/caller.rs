//! What is known of a caller while it waits: its memory, its directories, its place in the process table.

use std::fs;
use std::io::IoSliceMut;
use std::os::unix::fs::MetadataExt;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use super::path;

/// PATH_MAX, the NUL included: the kernel takes no longer path.
const PATH_MAX: usize = 4096;
/// The smallest page: what lies on one can be read as a whole or not at all.
const PAGE: usize = 4096;

/// What could be read of a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The path, without its NUL.
    Path(Vec<u8>),
    /// Longer than any path: the kernel refuses the call.
    TooLong,
    /// Not readable.
    Unread,
}

/// Reads the string at `address` of the thread `tid`.
pub(super) fn read_path(tid: u32, address: u64) -> Written {
    let (Ok(pid), Ok(base)) = (i32::try_from(tid), usize::try_from(address)) else {
        return Written::Unread;
    };
    let first = PAGE - base % PAGE;
    // Piece by piece: a read ends in front of the first piece that is not there.
    let mut pieces = vec![RemoteIoVec { base, len: first.min(PATH_MAX) }];
    if first < PATH_MAX
        && let Some(base) = base.checked_add(first)
    {
        pieces.push(RemoteIoVec { base, len: PATH_MAX - first });
    }
    let mut bytes = vec![0; PATH_MAX];
    let Ok(length) = process_vm_readv(Pid::from_raw(pid), &mut [IoSliceMut::new(&mut bytes)], &pieces) else {
        return Written::Unread;
    };
    bytes.truncate(length);
    match bytes.iter().position(|byte| *byte == 0) {
        Some(end) => {
            bytes.truncate(end);
            Written::Path(bytes)
        }
        None if length == PATH_MAX => Written::TooLong,
        None => Written::Unread,
    }
}

/// Reads `length` bytes at `address` of the thread `tid`.
pub(super) fn read(tid: u32, address: u64, length: usize) -> Option<Vec<u8>> {
    let (pid, base) = (i32::try_from(tid).ok()?, usize::try_from(address).ok()?);
    let mut bytes = vec![0; length];
    let pieces = [RemoteIoVec { base, len: length }];
    let read = process_vm_readv(Pid::from_raw(pid), &mut [IoSliceMut::new(&mut bytes)], &pieces).ok()?;
    (read == length).then_some(bytes)
}

/// The directory that a path of thread `tid` is relative to: its working directory, or what a descriptor is.
pub(super) fn directory(tid: u32, descriptor: i32) -> Option<Vec<u8>> {
    let link = match descriptor {
        libc::AT_FDCWD => format!("/proc/{tid}/cwd"),
        descriptor => format!("/proc/{tid}/fd/{descriptor}"),
    };
    // A pipe or socket has a name without a slash.
    path::link(link.as_bytes()).ok().filter(|path| path.starts_with(b"/"))
}

/// Identity of a root directory and of the mounts under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct View([u64; 3]);

impl View {
    /// Of a thread; of this process with `self`.
    pub(super) fn of(thread: &str) -> Option<Self> {
        let root = fs::metadata(format!("/proc/{thread}/root/")).ok()?;
        let mounts = fs::metadata(format!("/proc/{thread}/ns/mnt")).ok()?;
        Some(Self([root.dev(), root.ino(), mounts.ino()]))
    }
}

/// A line of the process table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// Process of a thread.
    pub(super) tgid: u32,
    /// Its real parent.
    pub(super) ppid: u32,
    /// Effective user.
    pub(super) uid: u32,
}

/// Looks a thread up.
pub(super) fn status(tid: u32) -> Option<Status> {
    parse_status(&fs::read(format!("/proc/{tid}/status")).ok()?)
}

fn parse_status(text: &[u8]) -> Option<Status> {
    // The name of the program may be anything, but has no line break: it is escaped there.
    let field = |key: &[u8], column: usize| {
        let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(key))?;
        std::str::from_utf8(line).ok()?.split_ascii_whitespace().nth(column)?.parse().ok()
    };
    Some(Status { tgid: field(b"Tgid:", 0)?, ppid: field(b"PPid:", 0)?, uid: field(b"Uid:", 1)? })
}

/// When a process was started, nanoseconds since boot, rounded down to a tick of [`TICK`].
pub(super) fn start(tgid: u32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{tgid}/stat")).ok()?;
    // The name of the program is in brackets and may have brackets; field 22 is the 20th behind it (proc(5)).
    let behind = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let ticks: u64 =
        std::str::from_utf8(&stat[behind..]).ok()?.split_ascii_whitespace().nth(19)?.parse().ok()?;
    ticks.checked_mul(TICK)
}

/// A tick of `/proc`, nanoseconds: USER_HZ is 100 on every supported architecture.
pub(super) const TICK: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn own(text: &[u8]) -> Written {
        read_path(std::process::id(), text.as_ptr() as u64)
    }

    #[test]
    fn a_path_is_read_to_its_end_and_no_further() {
        assert_eq!(own(b"/tmp/\xff\0more"), Written::Path(b"/tmp/\xff".to_vec()));
        assert_eq!(own(b"\0"), Written::Path(Vec::new()));
        assert_eq!(own(&[b'a'; 2 * PATH_MAX]), Written::TooLong);
        assert_eq!(read_path(std::process::id(), 0), Written::Unread);
        assert_eq!(read_path(std::process::id(), u64::MAX), Written::Unread);
    }

    #[test]
    fn a_status_is_found_by_its_fields() {
        let text = b"Name:\tPPid: 7\\nx\nTgid:\t41\nNgid:\t0\nPid:\t42\nPPid:\t40\nTracerPid:\t0\nUid:\t1000\t1001\t0\t0\n";
        assert_eq!(parse_status(text), Some(Status { tgid: 41, ppid: 40, uid: 1001 }));
        assert_eq!(parse_status(b"Name:\tx\n"), None);
        assert_eq!(status(std::process::id()).map(|status| status.tgid), Some(std::process::id()));
        assert!(start(std::process::id()).is_some_and(|start| start > 0));
    }
}
