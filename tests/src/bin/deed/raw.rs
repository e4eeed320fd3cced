//! A datagram that no datagram socket sends.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::Failure;

/// Port of the sink.
const PORT: u16 = 8053;

/// Sends a handmade UDP datagram through a raw socket.
pub(crate) fn send() -> Result<(), Failure> {
    // SAFETY: the call takes no pointers.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::IPPROTO_UDP) };
    if fd < 0 {
        return Err(io::Error::last_os_error().into());
    }
    // SAFETY: the descriptor is new and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let body = b"by raw socket";
    let length = u16::try_from(8 + body.len())?;
    // Ports, length, and no checksum, which IPv4 allows.
    let head = [PORT.to_be_bytes(), PORT.to_be_bytes(), length.to_be_bytes(), [0, 0]].concat();
    let datagram = [head.as_slice(), body].concat();
    // SAFETY: zero is a valid value for every field.
    let mut to: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    to.sin_family = u16::try_from(libc::AF_INET)?;
    to.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
    let size = u32::try_from(size_of_val(&to))?;
    // SAFETY: both pointers are to live values of the sizes given.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            datagram.as_ptr().cast(),
            datagram.len(),
            0,
            (&raw const to).cast(),
            size,
        )
    };
    if sent < 0 { Err(io::Error::last_os_error().into()) } else { Ok(()) }
}
