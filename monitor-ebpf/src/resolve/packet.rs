//! The headers of a packet as the cgroup hooks give it: it begins with that of IP.

use aya_ebpf::programs::SkBuffContext;

use crate::connect;

// include/uapi/linux/in.h, include/uapi/linux/ipv6.h.
const IPPROTO_HOPOPTS: u8 = 0;
const IPPROTO_TCP: u32 = 6;
const IPPROTO_UDP: u32 = 17;
const IPPROTO_ROUTING: u8 = 43;
const IPPROTO_FRAGMENT: u8 = 44;
const IPPROTO_AH: u8 = 51;
const IPPROTO_DSTOPTS: u8 = 60;

/// The most headers that are skipped between that of IPv6 and that of the transport.
const EXTENSIONS: u32 = 4;

/// What the hooks want to know of a packet.
pub(super) struct Packet {
    pub(super) source: [u8; 16],
    pub(super) target: [u8; 16],
    /// 6 is TCP, 17 is UDP; others have no ports here.
    pub(super) protocol: u32,
    /// Host byte order, as all below.
    pub(super) source_port: u16,
    pub(super) target_port: u16,
    /// Where the payload begins.
    pub(super) payload: u32,
    /// Its bytes.
    pub(super) length: u32,
    /// Of TCP: the number of its first byte.
    pub(super) sequence: u32,
    /// Of TCP: whether the connection begins.
    pub(super) begins: bool,
}

impl Packet {
    /// A packet before it is read.
    pub(super) const fn unread() -> Self {
        Self {
            source: [0; 16],
            target: [0; 16],
            protocol: 0,
            source_port: 0,
            target_port: 0,
            payload: 0,
            length: 0,
            sequence: 0,
            begins: false,
        }
    }

    /// Reads the headers; false if they cannot be read.
    ///
    /// Not inlined, for the stack. <VERIFIER_ISSUE> such a function must not return an option of a struct: the compiler
    /// describes that as a union that ends too early, and the kernel refuses the object's types.
    #[inline(never)]
    pub(super) fn read(ctx: &SkBuffContext, packet: &mut Self) -> bool {
        match Self::of(ctx) {
            Some(read) => {
                *packet = read;
                true
            }
            None => false,
        }
    }

    #[inline(always)]
    fn of(ctx: &SkBuffContext) -> Option<Self> {
        let first: u8 = ctx.load(0).ok()?;
        let (source, target, protocol, transport) = match first >> 4 {
            4 => {
                let header: [u32; 5] = ctx.load(0).ok()?;
                // The second byte of the third word.
                let protocol = header[2].to_ne_bytes()[1];
                (connect::mapped(header[3]), connect::mapped(header[4]), protocol, u32::from(first & 15) * 4)
            }
            6 => {
                let next: u8 = ctx.load(6).ok()?;
                let (protocol, transport) = behind_extensions(ctx, next)?;
                (ctx.load(8).ok()?, ctx.load(24).ok()?, protocol, transport)
            }
            _ => return None,
        };
        let mut packet = Self {
            source,
            target,
            protocol: u32::from(protocol),
            source_port: 0,
            target_port: 0,
            payload: transport,
            length: 0,
            sequence: 0,
            begins: false,
        };
        if packet.is_tcp() {
            packet.read_tcp(ctx)?;
        } else if packet.protocol == IPPROTO_UDP {
            packet.read_ports(ctx)?;
            packet.payload = transport + 8;
        }
        packet.length = ctx.len().checked_sub(packet.payload)?;
        Some(packet)
    }

    #[inline(always)]
    pub(super) fn is_tcp(&self) -> bool {
        self.protocol == IPPROTO_TCP
    }

    #[inline(always)]
    pub(super) fn is_udp(&self) -> bool {
        self.protocol == IPPROTO_UDP
    }

    #[inline(always)]
    fn read_ports(&mut self, ctx: &SkBuffContext) -> Option<()> {
        let ports: [u16; 2] = ctx.load(self.payload as usize).ok()?;
        self.source_port = u16::from_be(ports[0]);
        self.target_port = u16::from_be(ports[1]);
        Some(())
    }

    /// RFC 9293, 3.1.
    #[inline(always)]
    fn read_tcp(&mut self, ctx: &SkBuffContext) -> Option<()> {
        const SYN: u8 = 2;
        self.read_ports(ctx)?;
        let words: [u32; 4] = ctx.load(self.payload as usize).ok()?;
        let [offset, flags, ..] = words[3].to_ne_bytes();
        self.sequence = u32::from_be(words[1]);
        self.begins = flags & SYN != 0;
        self.payload += u32::from(offset >> 4) * 4;
        Some(())
    }
}

/// The transport's protocol and place behind the extension headers of IPv6 (RFC 8200, 4).
#[inline(always)]
fn behind_extensions(ctx: &SkBuffContext, first: u8) -> Option<(u8, u32)> {
    let (mut next, mut at) = (first, 40_u32);
    let mut hop = 0;
    while hop < EXTENSIONS {
        let units = match next {
            IPPROTO_HOPOPTS | IPPROTO_ROUTING | IPPROTO_DSTOPTS | IPPROTO_AH | IPPROTO_FRAGMENT => 8,
            _ => return Some((next, at)),
        };
        let [following, length]: [u8; 2] = ctx.load(at as usize).ok()?;
        at += match next {
            IPPROTO_FRAGMENT => 8,
            IPPROTO_AH => (u32::from(length) + 2) * 4,
            _ => (u32::from(length) + 1) * units,
        };
        next = following;
        hop += 1;
    }
    match next {
        IPPROTO_HOPOPTS | IPPROTO_ROUTING | IPPROTO_DSTOPTS | IPPROTO_AH | IPPROTO_FRAGMENT => None,
        _ => Some((next, at)),
    }
}
