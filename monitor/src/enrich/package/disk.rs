//! Reading files that a stranger may have written: regular files only, never through a link, never more than a bound.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The most bytes of a manifest.
pub(super) const MANIFEST: u64 = 1 << 20;

/// Why a file was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is not there, or not a regular file, or cannot be read.
    Missing,
    /// It has more bytes than the bound.
    TooLarge,
}

/// Opens a regular file of at most `bound` bytes. A pipe would block the reader for ever, and a link could lead to a
/// file that the package itself cannot read.
pub(super) fn open(path: &Path, bound: u64) -> Result<(File, std::fs::Metadata), Unread> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|_| Unread::Missing)?;
    let metadata = file.metadata().map_err(|_| Unread::Missing)?;
    match () {
        () if !metadata.is_file() => Err(Unread::Missing),
        () if metadata.len() > bound => Err(Unread::TooLarge),
        () => Ok((file, metadata)),
    }
}

/// The bytes of a regular file of at most `bound` bytes.
pub(crate) fn read(path: &Path, bound: u64) -> Result<Vec<u8>, Unread> {
    let (file, _) = open(path, bound)?;
    let mut bytes = Vec::new();
    // It may grow while it is read.
    file.take(bound).read_to_end(&mut bytes).map_err(|_| Unread::Missing)?;
    Ok(bytes)
}
