//! System calls that the C library has no function for, or hides too well.

use std::ffi::CString;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The result of a call: what it returned, or why it failed.
pub(crate) fn checked(result: impl Into<i64>) -> io::Result<i64> {
    match result.into() {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

/// Makes a system call by number: `syscall!(libc::SYS_x, ...)`. As unsafe as the call is.
macro_rules! syscall {
    ($number:expr $(, $argument:expr)* $(,)?) => {
        $crate::kernel::checked(libc::syscall($number $(, $argument)*))
    };
}
pub(crate) use syscall;

/// A descriptor that a call has just given us.
pub(crate) fn owned(fd: i64) -> io::Result<OwnedFd> {
    let fd = RawFd::try_from(fd).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    // SAFETY: every caller passes the result of a call that makes a descriptor, and passes it once.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A path as the kernel wants it.
pub(crate) fn c_path(path: impl AsRef<Path>) -> io::Result<CString> {
    Ok(CString::new(path.as_ref().as_os_str().as_bytes())?)
}

/// The bytes of a plain structure, to be sent or written.
pub(crate) fn bytes_of<T: Copy>(value: &T) -> &[u8] {
    // SAFETY: the structures here are C layouts without padding whose bytes are all set; the slice borrows them.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}
