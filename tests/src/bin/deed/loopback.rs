//! Loopback, and the addresses on it that a thief would call. There may be no `ip` here, so the kernel is told directly.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use crate::kernel::{bytes_of, checked, owned};

/// Metadata services, and addresses reserved for documentation as "somewhere out there".
pub(crate) const ADDRESSES: [&str; 7] = [
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "203.0.113.7",
    "203.0.113.9",
    "fd00:ec2::254",
    "2001:db8::7",
];

/// Do not look first whether somebody else has the address.
const NO_DETECTION: u8 = 0x02;
const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;

#[repr(C)]
#[derive(Clone, Copy)]
struct Header {
    length: u32,
    kind: u16,
    flags: u16,
    sequence: u32,
    port: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct InterfaceAddress {
    family: u8,
    prefix: u8,
    flags: u8,
    scope: u8,
    index: u32,
}

/// Brings loopback up, with all addresses on it. Those that are there already may stay.
pub(crate) fn bring_up() -> io::Result<()> {
    switch_on()?;
    for address in ADDRESSES {
        let address: IpAddr = address.parse().map_err(|_| io::ErrorKind::InvalidInput)?;
        match add(address) {
            Err(why) if why.raw_os_error() == Some(libc::EEXIST) => {}
            // A kernel told to do without IPv6.
            Err(why) if address.is_ipv6() => eprintln!("deed: no {address} on loopback: {why}"),
            other => other?,
        }
    }
    Ok(())
}

fn switch_on() -> io::Result<()> {
    // SAFETY: the call takes no pointers.
    let socket =
        owned(checked(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?)?;
    // SAFETY: zero is a valid value for every field.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, letter) in request.ifr_name.iter_mut().zip(b"lo") {
        // Signed on some architectures, unsigned on others.
        *place = *letter as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request lives, and has the layout the kernel expects for this command.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) })?;
    Ok(())
}

fn add(address: IpAddr) -> io::Result<()> {
    let (family, prefix, bytes) = match address {
        IpAddr::V4(address) => (libc::AF_INET, 32, address.octets().to_vec()),
        IpAddr::V6(address) => (libc::AF_INET6, 128, address.octets().to_vec()),
    };
    let mut body = Vec::new();
    let flags = if address.is_ipv6() { NO_DETECTION } else { 0 };
    let interface = InterfaceAddress { family: family as u8, prefix, flags, scope: 0, index: 1 };
    body.extend_from_slice(bytes_of(&interface));
    for kind in [LOCAL, ADDRESS] {
        let length = 4 + bytes.len() as u16;
        body.extend_from_slice(&length.to_ne_bytes());
        body.extend_from_slice(&kind.to_ne_bytes());
        body.extend_from_slice(&bytes);
    }
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    let header = Header {
        length: (size_of::<Header>() + body.len()) as u32,
        kind: libc::RTM_NEWADDR,
        flags: flags as u16,
        sequence: 1,
        port: 0,
    };
    let message = [bytes_of(&header), &body].concat();
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: the call takes no pointers.
    let socket = owned(checked(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) })?)?;
    // SAFETY: the message lives and has the length given.
    checked(unsafe { libc::send(socket.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) } as i64)?;
    let mut answer = [0_u8; 256];
    // SAFETY: the buffer lives and is ours to write, with the length given.
    checked(unsafe { libc::recv(socket.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0) } as i64)?;
    // Behind the header of the answer: 0, or a negated error.
    let code = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-code)) }
}
