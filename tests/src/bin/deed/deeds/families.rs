//! Sockets of kinds that rules about addresses know nothing of.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use super::sockets::{Address, connect, send, send_to, socket};
use super::{Deed, Harm, Impossible, if_there};
use crate::Failure;
use crate::kernel::checked;
use crate::stage::{SINK_ETHERTYPE, SINK_VSOCK, Stage};

const ABSENT: &str = "a kernel without this kind of socket";
const AF_SMC: i32 = 43;
/// The machine itself, on kernels that can talk to themselves.
const VSOCK_LOCAL: u32 = 1;

pub(super) const DEEDS: &[Deed] = &[
    Deed::new(
        "raw-udp",
        &["6.6", "2.11 raw socket"],
        "datagram made by hand, raw socket",
        Harm::Contact("abroad-udp"),
        raw_udp,
    ),
    Deed::new(
        "raw-ip",
        &["6.6", "2.11 raw socket"],
        "whole packet made by hand (IPPROTO_RAW)",
        Harm::Contact("abroad-udp"),
        raw_ip,
    ),
    Deed::new(
        "raw-udp6",
        &["6.6", "2.11 raw socket"],
        "datagram made by hand, raw IPv6 socket",
        Harm::Contact("abroad6-udp"),
        raw_udp6,
    ),
    Deed::new(
        "icmp",
        &["6.6", "2.11 ICMP"],
        "data in an echo request, raw socket",
        Harm::Contact("icmp"),
        icmp,
    ),
    Deed::new(
        "ping-socket",
        &["6.6", "2.11 ICMP"],
        "data in an echo request, ping socket",
        Harm::Contact("icmp"),
        ping,
    )
    .unless("a machine that lets nobody ping"),
    Deed::new("packet", &["6.6"], "frame by AF_PACKET", Harm::Contact("ether"), packet),
    Deed::new(
        "packet-datagram",
        &["6.6"],
        "frame by AF_PACKET, SOCK_DGRAM",
        Harm::Contact("ether"),
        packet_datagram,
    ),
    Deed::new(
        "packet-capture",
        &["6.6"],
        "read everybody's traffic by AF_PACKET",
        Harm::Done,
        packet_capture,
    ),
    Deed::new("sctp", &["6.6"], "SCTP to a public address", Harm::Contact("sctp"), sctp).unless(ABSENT),
    Deed::new(
        "sctp-connectx",
        &["6.6"],
        "SCTP, connected by a socket option",
        Harm::Contact("sctp"),
        sctp_connectx,
    )
    .unless(ABSENT),
    Deed::new("dccp", &["6.6"], "DCCP socket", Harm::Done, |stage| {
        just(stage, libc::AF_INET, libc::SOCK_DCCP, libc::IPPROTO_DCCP)
    })
    .unless(ABSENT),
    Deed::new("vsock", &["6.6"], "AF_VSOCK to the machine itself", Harm::Contact("vsock"), vsock)
        .unless(ABSENT),
    Deed::new("tipc", &["6.6"], "AF_TIPC socket", Harm::Done, |stage| {
        just(stage, libc::AF_TIPC, libc::SOCK_RDM, 0)
    })
    .unless(ABSENT),
    Deed::new("smc", &["6.6"], "AF_SMC socket", Harm::Done, |stage| {
        just(stage, AF_SMC, libc::SOCK_STREAM, 0)
    })
    .unless(ABSENT),
    Deed::new("xdp", &["6.6"], "AF_XDP socket", Harm::Done, |stage| {
        just(stage, libc::AF_XDP, libc::SOCK_RAW, 0)
    })
    .unless(ABSENT),
    Deed::new("l2tp", &["6.6"], "L2TP socket", Harm::Done, |stage| {
        just(stage, libc::AF_INET, libc::SOCK_DGRAM, 115)
    })
    .unless(ABSENT),
    Deed::new("alg", &["6.6"], "the kernel's ciphers: AF_ALG", Harm::Done, alg).unless(ABSENT),
    Deed::new("key", &["6.6"], "AF_KEY socket", Harm::Done, |stage| {
        just(stage, libc::AF_KEY, libc::SOCK_RAW, 2)
    })
    .unless(ABSENT),
    Deed::new("bluetooth", &["6.6"], "AF_BLUETOOTH socket", Harm::Done, |stage| {
        just(stage, libc::AF_BLUETOOTH, libc::SOCK_RAW, 1)
    })
    .unless(ABSENT),
    Deed::new("can", &["6.6"], "AF_CAN socket", Harm::Done, |stage| {
        just(stage, libc::AF_CAN, libc::SOCK_RAW, 1)
    })
    .unless(ABSENT),
    Deed::new("netlink-netfilter", &["6.6"], "the packet filter's netlink socket", Harm::Done, |stage| {
        netlink(stage, libc::NETLINK_NETFILTER)
    })
    .unless(ABSENT),
    Deed::new("netlink-audit", &["6.6", "6.38"], "the audit log's netlink socket", Harm::Done, |stage| {
        netlink(stage, libc::NETLINK_AUDIT)
    })
    .unless(ABSENT),
    Deed::new("netlink-xfrm", &["6.6"], "IPsec's netlink socket", Harm::Done, |stage| {
        netlink(stage, libc::NETLINK_XFRM)
    })
    .unless(ABSENT),
    Deed::new(
        "netlink-connector",
        &["6.6"],
        "news of all processes: netlink connector",
        Harm::Done,
        |stage| netlink(stage, libc::NETLINK_CONNECTOR),
    )
    .unless(ABSENT),
    Deed::new("tun", &["6.6"], "packets written into a network interface of one's own", Harm::Done, tun)
        .unless("a kernel without /dev/net/tun"),
];

/// Harm enough: no rule about addresses will hold what goes through it.
fn just(stage: &Stage, family: i32, kind: i32, protocol: i32) -> Result<(), Failure> {
    drop(made(family, kind, protocol)?);
    Ok(stage.done()?)
}

fn made(family: i32, kind: i32, protocol: i32) -> Result<OwnedFd, Failure> {
    match socket(family, kind, protocol) {
        // Some families say so in odd ways.
        Err(why) if matches!(why.raw_os_error(), Some(libc::EINVAL | libc::ENOENT)) => {
            Err(Impossible(format!("there is no such socket: {why}")).into())
        }
        other => if_there("make a socket", other),
    }
}

fn netlink(stage: &Stage, protocol: i32) -> Result<(), Failure> {
    just(stage, libc::AF_NETLINK, libc::SOCK_RAW, protocol)
}

/// Ports, length, and no checksum, which IPv4 allows.
fn udp(body: &[u8]) -> Result<Vec<u8>, Failure> {
    let length = u16::try_from(8 + body.len())?;
    Ok([&8000_u16.to_be_bytes(), &8000_u16.to_be_bytes(), &length.to_be_bytes(), &[0; 2], body].concat())
}

fn raw_udp(stage: &Stage) -> Result<(), Failure> {
    let socket = made(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_UDP)?;
    Ok(send_to(&socket, &udp(stage.token.as_bytes())?, 0, &Address::of("203.0.113.7:0")?)?)
}

/// The sum of a datagram over IPv6, which does not allow to leave it out.
fn raw_udp6(stage: &Stage) -> Result<(), Failure> {
    let socket = made(libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_UDP)?;
    // The kernel is asked to put the sum in, at its place.
    let place = 6_i32;
    let (level, option) = (libc::IPPROTO_IPV6, libc::IPV6_CHECKSUM);
    // SAFETY: the option's value lives and has the length given.
    checked(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const place).cast(), 4) })?;
    Ok(send_to(&socket, &udp(stage.token.as_bytes())?, 0, &Address::of("[2001:db8::7]:0")?)?)
}

fn raw_ip(stage: &Stage) -> Result<(), Failure> {
    let socket = made(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW)?;
    let to = Address::of("203.0.113.7:0")?;
    Ok(send_to(&socket, &ip_packet(&udp(stage.token.as_bytes())?, [203, 0, 113, 7])?, 0, &to)?)
}

/// A packet with its head; the kernel fills the sums in.
fn ip_packet(body: &[u8], to: [u8; 4]) -> Result<Vec<u8>, Failure> {
    let length = u16::try_from(20 + body.len())?.to_be_bytes();
    let head = [0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1];
    Ok([&head, &to[..], body].concat())
}

/// An echo request. Its sum is the only thing in it that has to be right.
fn echo(body: &[u8]) -> Vec<u8> {
    let mut packet = [&[8, 0, 0, 0, 0, 1, 0, 1], body].concat();
    let words =
        packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let sum = !((folded & 0xffff) + (folded >> 16)) as u16;
    packet[2..4].copy_from_slice(&sum.to_be_bytes());
    packet
}

fn icmp(stage: &Stage) -> Result<(), Failure> {
    let socket = made(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)?;
    Ok(send_to(&socket, &echo(stage.token.as_bytes()), 0, &Address::of("203.0.113.7:0")?)?)
}

fn ping(stage: &Stage) -> Result<(), Failure> {
    let socket = match socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP) {
        Err(why) if why.raw_os_error() == Some(libc::EACCES) => {
            return Err(Impossible("nobody may ping (net.ipv4.ping_group_range)".into()).into());
        }
        other => other?,
    };
    Ok(send_to(&socket, &echo(stage.token.as_bytes()), 0, &Address::of("203.0.113.7:0")?)?)
}

fn link_address(kind: i32) -> Result<(OwnedFd, libc::sockaddr_ll), Failure> {
    let protocol = SINK_ETHERTYPE.to_be();
    let socket = made(libc::AF_PACKET, kind, i32::from(protocol))?;
    // SAFETY: zero is a valid value for every field.
    let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    to.sll_family = libc::AF_PACKET as u16;
    to.sll_protocol = protocol;
    to.sll_ifindex = 1;
    to.sll_halen = 6;
    Ok((socket, to))
}

fn send_frame(socket: &OwnedFd, frame: &[u8], to: &libc::sockaddr_ll) -> io::Result<()> {
    let (pointer, length, to) = (frame.as_ptr().cast(), frame.len(), (&raw const *to).cast());
    let size = size_of::<libc::sockaddr_ll>() as u32;
    // SAFETY: the frame and the address live and have the lengths given.
    checked(unsafe { libc::sendto(socket.as_raw_fd(), pointer, length, 0, to, size) } as i64).map(drop)
}

fn packet(stage: &Stage) -> Result<(), Failure> {
    let (socket, to) = link_address(libc::SOCK_RAW)?;
    let frame = [&[0; 12][..], &SINK_ETHERTYPE.to_be_bytes(), stage.token.as_bytes()].concat();
    Ok(send_frame(&socket, &frame, &to)?)
}

fn packet_datagram(stage: &Stage) -> Result<(), Failure> {
    let (socket, to) = link_address(libc::SOCK_DGRAM)?;
    Ok(send_frame(&socket, stage.token.as_bytes(), &to)?)
}

fn packet_capture(stage: &Stage) -> Result<(), Failure> {
    let everything = i32::from((libc::ETH_P_ALL as u16).to_be());
    let ear = made(libc::AF_PACKET, libc::SOCK_RAW, everything)?;
    send_to(&socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?, b"overheard", 0, &Address::of("127.0.0.1:9")?)?;
    let mut frame = [0_u8; 512];
    // SAFETY: the buffer lives, is ours to write, and has the length given.
    let got =
        unsafe { libc::recv(ear.as_raw_fd(), frame.as_mut_ptr().cast(), frame.len(), libc::MSG_DONTWAIT) };
    checked(got as i64)?;
    Ok(stage.done()?)
}

fn sctp(stage: &Stage) -> Result<(), Failure> {
    let socket = made(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP)?;
    connect(&socket, &Address::of("203.0.113.7:8000")?)?;
    Ok(send(&socket, stage.token.as_bytes())?)
}

fn sctp_connectx(stage: &Stage) -> Result<(), Failure> {
    const SCTP_SOCKOPT_CONNECTX: i32 = 110;
    let socket = made(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP)?;
    let to = Address::of("203.0.113.7:8000")?;
    let (level, pointer) = (libc::IPPROTO_SCTP, to.pointer().cast());
    // SAFETY: the address lives and has the length given.
    checked(unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, SCTP_SOCKOPT_CONNECTX, pointer, to.length())
    })?;
    Ok(send(&socket, stage.token.as_bytes())?)
}

fn vsock(stage: &Stage) -> Result<(), Failure> {
    let socket = made(libc::AF_VSOCK, libc::SOCK_STREAM, 0)?;
    // SAFETY: zero is a valid value for every field.
    let mut to: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
    to.svm_family = libc::AF_VSOCK as u16;
    to.svm_cid = VSOCK_LOCAL;
    to.svm_port = SINK_VSOCK;
    // SAFETY: the address lives and has the length given.
    let made = unsafe { libc::connect(socket.as_raw_fd(), (&raw const to).cast(), size_of_val(&to) as u32) };
    match checked(made) {
        // Nobody is there who would carry it.
        Err(why)
            if matches!(why.raw_os_error(), Some(libc::ETIMEDOUT | libc::ECONNRESET | libc::ENETUNREACH)) =>
        {
            return Err(Impossible(format!("connect to the machine itself: {why}")).into());
        }
        other => if_there("connect to the machine itself", other)?,
    };
    Ok(send(&socket, stage.token.as_bytes())?)
}

fn alg(stage: &Stage) -> Result<(), Failure> {
    let socket = made(libc::AF_ALG, libc::SOCK_SEQPACKET, 0)?;
    // SAFETY: zero is a valid value for every field.
    let mut kind: libc::sockaddr_alg = unsafe { std::mem::zeroed() };
    kind.salg_family = libc::AF_ALG as u16;
    kind.salg_type[..4].copy_from_slice(b"hash");
    kind.salg_name[..6].copy_from_slice(b"sha256");
    // SAFETY: the address lives and has the length given.
    let bound =
        unsafe { libc::bind(socket.as_raw_fd(), (&raw const kind).cast(), size_of_val(&kind) as u32) };
    match checked(bound) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            return Err(Impossible("the kernel has no such hash for programs".into()).into());
        }
        other => other?,
    };
    Ok(stage.done()?)
}

fn tun(stage: &Stage) -> Result<(), Failure> {
    const TUNSETIFF: u64 = 0x4004_54ca;
    const TUN_WITHOUT_HEAD: i16 = 0x1001;
    let device = match std::fs::File::options().read(true).write(true).open("/dev/net/tun") {
        Err(why) if why.raw_os_error() != Some(libc::EPERM) => {
            return Err(Impossible(format!("/dev/net/tun: {why}")).into());
        }
        other => other?,
    };
    // SAFETY: zero is a valid value for every field.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_ifru.ifru_flags = TUN_WITHOUT_HEAD;
    // SAFETY: the request lives, and has the layout the kernel expects for this command.
    checked(unsafe { libc::ioctl(device.as_raw_fd(), TUNSETIFF as _, &raw mut request) })?;
    Ok(stage.done()?)
}
