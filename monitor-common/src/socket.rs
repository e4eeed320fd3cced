//! What the kernel remembers of sockets, queries and addresses: keys and values of the maps about the network.

use crate::label::Label;

/// Who a socket belongs to: what an event needs of a process when packets leave outside of any process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Its label.
    pub label: Label,
    /// As in [`crate::event::Header`].
    pub start: u64,
    /// Likewise.
    pub tgid: u32,
    /// Likewise.
    pub tid: u32,
    /// Likewise.
    pub ppid: u32,
    /// Likewise.
    pub uid: u32,
}

/// The socket belongs to a watched process.
pub const WATCHED: u32 = 1;
/// It asks a resolver: [`Socket::resolver`].
pub const ASKS: u32 = 2;
/// What it had to say was refused: nothing more leaves it.
pub const REFUSED: u32 = 4;
/// [`Socket::next`] is known.
pub const IN_STEP: u32 = 8;
/// It connects to somebody, and what it says first has not been seen.
pub const SPEAKS_FIRST: u32 = 16;

/// What is remembered of a socket, for as long as the kernel has it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Socket {
    /// Whose it is; zeros if nobody's that is watched.
    pub owner: Owner,
    /// The network namespace: its cookie, which the kernel never gives twice.
    pub network: u64,
    /// The name that its peer was last met under: a key of the map of names; 0 if none.
    pub peer: u64,
    /// The resolver it asks, before any translation of addresses.
    pub resolver: [u8; 16],
    /// [`WATCHED`], [`ASKS`], [`REFUSED`], [`IN_STEP`], [`SPEAKS_FIRST`].
    pub flags: u32,
    /// Of a TCP connection to a resolver: the sequence number at which its next answer begins.
    pub next: u32,
}

/// Key of a query that waits for its answer.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct QueryKey {
    /// Of the socket: the kernel never gives one twice.
    pub cookie: u64,
    /// Of the name.
    pub name: u64,
    /// Of the message.
    pub id: u32,
    /// Zero.
    pub reserved: u32,
}

/// A query to one of the machine's resolvers that waits for its answer. From which of them is not asked: some programs
/// send a query to all at once.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// When, in seconds since boot.
    pub time: u32,
    /// Domain set of the name.
    pub set: u16,
    /// Zero.
    pub reserved: u16,
}

/// Key of an address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AddressKey {
    /// Network namespace: what is answered in one means nothing in another.
    pub network: u64,
    /// IPv6, or IPv4 as the IPv6 address it is mapped to.
    pub address: [u8; 16],
}

/// One name of an address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Name {
    /// Its hash; 0 is no name.
    pub hash: u64,
    /// When it ends to be one, in seconds since boot.
    pub expires: u32,
    /// Its domain set.
    pub set: u16,
    /// The tree that asked last, see [`short`]; 0 if somebody else did.
    pub tree: u16,
}

/// Names that an address can have at a time.
pub const NAMES: usize = 4;

/// The names of an address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Names(pub [Name; NAMES]);

/// A tree in 16 bits; never 0.
#[inline(always)]
#[must_use]
pub const fn short(tree: u32) -> u16 {
    let low = tree as u16;
    if low == 0 { u16::MAX } else { low }
}

impl Names {
    /// Adds a name, or prolongs it. Without a free place the one that ends first goes.
    #[inline(always)]
    pub fn add(&mut self, name: Name, now: u32) {
        let mut place = 0;
        let mut earliest = u32::MAX;
        let mut index = 0;
        while index < NAMES {
            let other = self.0[index];
            if other.hash == name.hash {
                let mut name = name;
                if other.expires > name.expires {
                    name.expires = other.expires;
                }
                // Who asked once, knows it.
                if name.tree == 0 && other.expires > now {
                    name.tree = other.tree;
                }
                self.0[index] = name;
                return;
            }
            let expires = if other.expires > now { other.expires } else { 0 };
            if expires < earliest {
                earliest = expires;
                place = index;
            }
            index += 1;
        }
        self.0[place & (NAMES - 1)] = name;
    }

    /// Which names count for a tree, a bit each: those that the tree asked for itself, if there are any; else all that
    /// have not ended.
    #[inline(always)]
    #[must_use]
    pub fn for_tree(&self, tree: u32, now: u32) -> u32 {
        let tree = short(tree);
        let (mut own, mut all) = (0, 0);
        let mut index = 0;
        while index < NAMES {
            let name = &self.0[index];
            if name.hash != 0 && name.expires > now {
                all |= 1 << index;
                if name.tree == tree {
                    own |= 1 << index;
                }
            }
            index += 1;
        }
        if own != 0 { own } else { all }
    }
}

/// The text of a name.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameText {
    /// Bytes that count.
    pub length: u64,
    /// Behind the length: whatever was there before.
    pub text: [u8; 256],
}

/// Key of the traffic of a scope.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// Scope, or tree for a manager of its own.
    pub scope: u64,
    /// Address.
    pub address: [u8; 16],
    /// Port, host byte order.
    pub port: u16,
    /// 6 is TCP, 17 is UDP.
    pub protocol: u8,
    /// Actor.
    pub actor: u8,
    /// Tree.
    pub tree: u32,
}

/// What a scope sent to an address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Bytes of payload that left, those sent again included.
    pub sent: u64,
    /// Packets with payload that were refused.
    pub refused: u64,
    /// The name that the address was met under; 0 if none.
    pub name: u64,
}

/// A port that a tree has bound.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BoundKey {
    /// Tree.
    pub tree: u32,
    /// Port, host byte order.
    pub port: u32,
}

/// Whether an address (IPv4 as the IPv6 address it is mapped to) is one of the public internet: neither this machine nor
/// a private network (RFC 1918, 4193, 6598), a link, or a group (RFC 3927, 4291, 5771).
#[inline(always)]
#[must_use]
pub fn is_public(address: &[u8; 16]) -> bool {
    if is_mapped(address) {
        let (first, second) = (address[12], address[13]);
        return !(first == 0
            || first == 10
            || first == 127
            || first >= 224
            || (first == 100 && second & 0xc0 == 64)
            || (first == 169 && second == 254)
            || (first == 172 && second & 0xf0 == 16)
            || (first == 192 && second == 168));
    }
    // Loopback and "any" have a first byte of 0, as has everything else that is not given out (RFC 4291, 2.4).
    !(address[0] == 0 && address[1] != 0x64
        || address[0] & 0xfe == 0xfc
        || (address[0] == 0xfe && address[1] & 0x80 == 0x80)
        || address[0] == 0xff)
}

/// Whether an address leads to this machine by loopback.
#[inline(always)]
#[must_use]
pub fn is_loopback(address: &[u8; 16]) -> bool {
    if is_mapped(address) {
        return address[12] == 127 || address[12] == 0;
    }
    let [high, low] = halves(address);
    high == 0 && (low == 0 || low == 1)
}

/// Whether an address is one that only a link knows (RFC 3927, RFC 4291).
#[inline(always)]
#[must_use]
pub fn is_link_local(address: &[u8; 16]) -> bool {
    if is_mapped(address) {
        return address[12] == 169 && address[13] == 254;
    }
    address[0] == 0xfe && address[1] & 0xc0 == 0x80
}

#[inline(always)]
fn is_mapped(address: &[u8; 16]) -> bool {
    let [high, low] = halves(address);
    high == 0 && low >> 32 == 0xffff
}

#[inline(always)]
fn halves(address: &[u8; 16]) -> [u64; 2] {
    let whole = u128::from_be_bytes(*address);
    [(whole >> 64) as u64, whole as u64]
}

const _: () = assert!(size_of::<Owner>() == 40);
const _: () = assert!(size_of::<Socket>() == 80);
const _: () = assert!(size_of::<QueryKey>() == 24);
const _: () = assert!(size_of::<Pending>() == 8);
const _: () = assert!(size_of::<AddressKey>() == 24);
const _: () = assert!(size_of::<Names>() == 64);
const _: () = assert!(size_of::<NameText>() == 264);
const _: () = assert!(size_of::<FlowKey>() == 32);
const _: () = assert!(size_of::<Flow>() == 24);

#[cfg(feature = "user")]
mod user_impl {
    // SAFETY: `repr(C)`, integers only, no padding (sizes asserted above), so every bit pattern is valid.
    unsafe impl aya::Pod for super::FlowKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::Flow {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::NameText {}
}
