//! A program that is in no directory.

use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::Failure;

/// Runs a copy of this program from anonymous memory; the copy writes the marker.
pub(crate) fn run_from_memory(marker: &str) -> Result<(), Failure> {
    // SAFETY: the name is a C string; the call takes nothing else by pointer.
    let fd = unsafe { libc::memfd_create(c"stage".as_ptr(), 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error().into());
    }
    // SAFETY: the descriptor is new and belongs to nobody else.
    let mut file = fs::File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    file.write_all(&fs::read("/proc/self/exe")?)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    Err(Command::new(path).args(["mark", marker]).exec().into())
}
