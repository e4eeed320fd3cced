//! Who lives where in the internet of a test: addresses that only documentation uses, and metadata services.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host with an address of each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// RFC 5737, unless it says otherwise.
    pub v4: Ipv4Addr,
    /// RFC 3849.
    pub v6: Ipv6Addr,
}

/// Which addresses names have, and by which the resolver is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// Both, as is usual.
    Both,
}

const fn place(v4: [u8; 4], network: u16, host: u16) -> Place {
    let [a, b, c, d] = v4;
    Place { v4: Ipv4Addr::new(a, b, c, d), v6: Ipv6Addr::new(0x2001, 0xdb8, network, 0, 0, 0, 0, host) }
}

/// The machine that installs: a private address, as behind most routers.
pub const MACHINE: Place =
    Place { v4: Ipv4Addr::new(10, 77, 0, 2), v6: Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2) };
/// Its router, which is the whole internet at once.
pub const ROUTER: Place =
    Place { v4: Ipv4Addr::new(10, 77, 0, 1), v6: Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1) };
/// The resolver in `/etc/resolv.conf`: datagrams, TCP, TLS and HTTPS.
pub const RESOLVER: Place = place([198, 51, 100, 53], 0x53, 0x53);
/// The Python index and the forge.
pub const REGISTRIES: Place = place([203, 0, 113, 10], 0x10, 0x10);
/// A content network: the npm registry, a site of files and a thief's on one address, told apart by name only.
pub const SHARED: Place = place([203, 0, 113, 20], 0x20, 0x20);
/// The thief's own web server.
pub const THIEF: Place = place([203, 0, 113, 66], 0x66, 0x66);
/// The thief's name server, which answers anybody, and about some names with lies.
pub const THIEF_NAMES: Place = place([203, 0, 113, 53], 0x66, 0x53);
/// A host without a name.
pub const NAMELESS: Place = place([203, 0, 113, 7], 0x7, 0x7);
/// The first of as many hosts as do not fit into a datagram.
pub const CROWD: Place = place([203, 0, 113, 128], 0x80, 0x80);
/// How many there are.
pub const CROWD_SIZE: u8 = 40;

/// The metadata service of most clouds; its IPv6 address is one cloud's own.
pub const METADATA: Place =
    Place { v4: Ipv4Addr::new(169, 254, 169, 254), v6: Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254) };
/// Of containers, and of another cloud.
const MORE_METADATA: [Ipv4Addr; 2] = [Ipv4Addr::new(169, 254, 170, 2), Ipv4Addr::new(100, 100, 100, 200)];

impl Place {
    /// Both addresses.
    #[must_use]
    pub fn both(self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }

    /// The addresses of a family.
    #[must_use]
    pub fn of(self, family: Family) -> Vec<IpAddr> {
        match family {
            Family::V4 => vec![self.v4.into()],
            Family::V6 => vec![self.v6.into()],
            Family::Both => self.both().to_vec(),
        }
    }

    /// The host that is so many addresses further.
    fn after(self, count: u8) -> Self {
        let v4 = Ipv4Addr::from(u32::from(self.v4) + u32::from(count));
        Self { v4, v6: Ipv6Addr::from(u128::from(self.v6) + u128::from(count)) }
    }
}

/// The hosts that do not fit into a datagram.
pub(super) fn crowd() -> impl Iterator<Item = Place> {
    (0..CROWD_SIZE).map(|count| CROWD.after(count))
}

/// Every address of the internet.
pub(super) fn everybody() -> Vec<IpAddr> {
    let known = [RESOLVER, REGISTRIES, SHARED, THIEF, THIEF_NAMES, NAMELESS, METADATA];
    let more = MORE_METADATA.map(IpAddr::from);
    known.into_iter().chain(crowd()).flat_map(Place::both).chain(more).collect()
}
