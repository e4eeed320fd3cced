//! Queries that carry something out: what they look like, whatever domain they are about.

use super::name::NameWalk;

/// Octets of a label that nobody types. The longest that package registries and their stores use have about 40.
const LONG_LABEL: u32 = 50;
/// Bytes of a name, likewise.
const LONG_NAME: u32 = 130;
/// The most different names below one registered domain that one scope asks for.
pub const MANY: u32 = 32;

/// Whether a query is odd by itself: a long label, a long name, or a type that carries text (TXT, NULL and whatever else
/// no installer asks for).
#[inline(always)]
#[must_use]
pub const fn is_odd(name: &NameWalk, kind: u32) -> bool {
    if !is_usual(kind) {
        return true;
    }
    // Names of IPv6 addresses are long, and nobody can choose them.
    !name.is_reverse() && (name.longest >= LONG_LABEL || name.length >= LONG_NAME)
}

/// A, NS, CNAME, SOA, PTR, MX, AAAA, SRV, SVCB, HTTPS.
const fn is_usual(kind: u32) -> bool {
    matches!(kind, 1 | 2 | 5 | 6 | 12 | 15 | 28 | 33 | 64 | 65)
}

/// Which names a scope asked for below one domain: a bit for each, by hash.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    bits: [u64; 4],
    count: u32,
    reserved: u32,
}

impl Asked {
    /// Notes a name by its hash. True if there are more than [`MANY`] by now.
    #[inline(always)]
    pub fn note(&mut self, name: u64) -> bool {
        // The lowest bit is always set.
        let bit = name >> 8 & 0xff;
        let place = (bit >> 6 & 3) as usize;
        let mask = 1 << (bit & 63);
        if self.bits[place] & mask == 0 {
            self.bits[place] |= mask;
            self.count = self.count.saturating_add(1);
        }
        self.count > MANY
    }
}

const _: () = assert!(size_of::<Asked>() == 40);
