//! Records of an answer, one after the other.

use super::name::{self, BAD, DONE, GOING};
use super::{CLASS_INTERNET, Message};

/// Types of records (RFC 1035, 3.2.2; RFC 3596).
pub const A: u32 = 1;
/// See [`A`].
pub const AAAA: u32 = 28;

/// The most pieces of an owner name: each label has at least two octets.
pub const PIECES: u32 = 128;
/// The most records that are looked at.
pub const RECORDS: u32 = 128;

/// Octets of a record between its owner name and its data.
const FIXED: u32 = 10;

/// Walks from record to record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordWalk {
    /// Where the message begins: pointers count from there.
    pub begin: u32,
    /// Where the next piece is.
    pub at: u32,
    /// Where what there is of the message ends.
    pub end: u32,
    /// Of the owner name under way: [`GOING`], [`DONE`] or [`BAD`].
    pub state: u32,
    /// Of the last record: its type.
    pub kind: u32,
    /// Its class.
    pub class: u32,
    /// How long it may be kept, in seconds.
    pub ttl: u32,
    /// Octets of its data.
    pub length: u32,
    /// Where its data is.
    pub data: u32,
}

impl RecordWalk {
    /// Begins at `at`, the first octet of a record, in a message from `begin` to `end`.
    #[inline(always)]
    #[must_use]
    pub const fn new(begin: u32, at: u32, end: u32) -> Self {
        Self { begin, at, end, state: GOING, kind: 0, class: 0, ttl: 0, length: 0, data: 0 }
    }

    /// One piece of the owner name.
    #[inline(always)]
    pub fn skip<M: Message>(&mut self, message: &M) {
        if self.at >= self.end {
            self.state = BAD;
            return;
        }
        (self.at, self.state) = name::skip(message, self.begin, self.at);
    }

    /// Behind the owner name: reads the rest of the record and goes on to the next one. False if it is not whole.
    #[inline(always)]
    pub fn read<M: Message>(&mut self, message: &M) -> bool {
        if self.state != DONE {
            return false;
        }
        let data = self.at.wrapping_add(FIXED);
        self.kind = message.number(self.at);
        self.class = message.number(self.at.wrapping_add(2));
        self.ttl = message.number(self.at.wrapping_add(4)) << 16 | message.number(self.at.wrapping_add(6));
        self.length = message.number(self.at.wrapping_add(8));
        self.data = data;
        self.at = data.wrapping_add(self.length);
        self.state = GOING;
        // Lengths are small numbers, so nothing wraps here.
        self.at <= self.end
    }

    /// The address that the last record gives, IPv4 as the IPv6 address it is mapped to.
    #[inline(always)]
    pub fn address<M: Message>(&self, message: &M) -> Option<[u32; 4]> {
        if self.class != CLASS_INTERNET {
            return None;
        }
        match (self.kind, self.length) {
            (A, 4) => Some([0, 0, u32::from_be(0xffff), word(message, self.data)]),
            (AAAA, 16) => Some([
                word(message, self.data),
                word(message, self.data.wrapping_add(4)),
                word(message, self.data.wrapping_add(8)),
                word(message, self.data.wrapping_add(12)),
            ]),
            _ => None,
        }
    }
}

/// Four octets, in the order of the wire.
#[inline(always)]
fn word<M: Message>(message: &M, at: u32) -> u32 {
    (message.number(at) << 16 | message.number(at.wrapping_add(2))).to_be()
}

/// The shortest time that an address keeps its name, in seconds: programs connect later than they ask, and again.
pub const TTL_FLOOR: u32 = 300;
/// The longest.
pub const TTL_CAP: u32 = 86_400;

/// For how many seconds an address keeps a name that was answered with `ttl`. The highest bit makes it 0 (RFC 2181, 8).
#[inline(always)]
#[must_use]
pub const fn kept_for(ttl: u32) -> u32 {
    if ttl < TTL_FLOOR || ttl >= 1 << 31 {
        TTL_FLOOR
    } else if ttl > TTL_CAP {
        TTL_CAP
    } else {
        ttl
    }
}
