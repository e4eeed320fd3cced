//! Names on the wire, and as text.

/// Octets of the longest name on the wire (RFC 1035, 2.3.4).
const LONGEST_ON_WIRE: u32 = 255;
/// Bytes of the longest name as text.
pub const LONGEST: u32 = LONGEST_ON_WIRE - 2;
/// Octets of the longest label.
const LONGEST_LABEL: u32 = 63;

/// State of a walk: more octets are wanted.
pub const GOING: u32 = 0;
/// State of a walk: the name has ended.
pub const DONE: u32 = 1;
/// State of a walk: this is no name.
pub const BAD: u32 = 2;

/// Reads the name of a question octet by octet: text in lower case without a dot at the end, its hash, its shape.
///
/// Not a name: what is longer than names are; a pointer, since nothing lies before a question that it could lead to; a
/// dot inside a label, which as text would be another name.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameWalk {
    /// Hash of the text so far.
    pub hash: u64,
    /// Hashes of the label under way and of the two before it.
    labels_hash: [u64; 3],
    /// The last eight bytes of the text.
    tail: u64,
    seed: u64,
    /// Where the next octet is.
    pub at: u32,
    /// [`GOING`], [`DONE`] or [`BAD`].
    pub state: u32,
    /// Bytes of text so far.
    pub length: u32,
    /// Octets of the label that are still to come.
    left: u32,
    /// How many labels there are.
    pub labels: u32,
    /// Octets of the longest label.
    pub longest: u32,
    /// Octets of the label under way and of the one before it.
    lengths: [u32; 2],
}

/// One byte more in a hash: FNV-1a. The seed is secret, so nobody can choose names that collide.
#[inline(always)]
const fn mixed(hash: u64, byte: u64) -> u64 {
    (hash ^ byte).wrapping_mul(0x0000_0100_0000_01b3)
}

/// Spreads what the last bytes did over the whole word.
#[inline(always)]
const fn finished(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ hash >> 29
}

/// The hash of a name that comes as text, byte by byte: equal to [`NameWalk::name`] of the same name.
#[inline(always)]
#[must_use]
pub const fn hash_byte(hash: u64, byte: u8) -> u64 {
    mixed(hash, byte as u64)
}

/// The end of [`hash_byte`]; never 0.
#[inline(always)]
#[must_use]
pub const fn hash_end(hash: u64) -> u64 {
    finished(hash) | 1
}

/// An ASCII letter in lower case; anything else as it is.
#[inline(always)]
#[must_use]
pub const fn lower(byte: u8) -> u8 {
    if byte >= b'A' && byte <= b'Z' { byte + 32 } else { byte }
}

impl NameWalk {
    /// Begins at `at`. The seed makes the hashes.
    #[inline(always)]
    #[must_use]
    pub const fn new(at: u32, seed: u64) -> Self {
        Self {
            hash: seed,
            labels_hash: [seed; 3],
            tail: 0,
            seed,
            at,
            state: GOING,
            length: 0,
            left: 0,
            labels: 0,
            longest: 0,
            lengths: [0; 2],
        }
    }

    /// Takes the octet at [`NameWalk::at`]. What comes back is the next byte of the text, for place
    /// [`NameWalk::length`] - 1.
    #[inline(always)]
    pub fn push(&mut self, octet: u8) -> Option<u8> {
        self.at = self.at.wrapping_add(1);
        if self.left == 0 {
            return self.begin_label(u32::from(octet));
        }
        self.left -= 1;
        if octet == b'.' {
            self.state = BAD;
            return None;
        }
        let byte = lower(octet);
        self.labels_hash[0] = mixed(self.labels_hash[0], u64::from(byte));
        self.append(byte)
    }

    #[inline(always)]
    fn begin_label(&mut self, length: u32) -> Option<u8> {
        if length == 0 {
            self.state = DONE;
            return None;
        }
        if length > LONGEST_LABEL {
            self.state = BAD;
            return None;
        }
        self.left = length;
        if length > self.longest {
            self.longest = length;
        }
        let first = self.labels == 0;
        self.labels += 1;
        self.labels_hash = [self.seed, self.labels_hash[0], self.labels_hash[1]];
        self.lengths = [length, self.lengths[0]];
        if first { None } else { self.append(b'.') }
    }

    #[inline(always)]
    fn append(&mut self, byte: u8) -> Option<u8> {
        if self.length >= LONGEST {
            self.state = BAD;
            return None;
        }
        self.length += 1;
        self.hash = mixed(self.hash, u64::from(byte));
        self.tail = self.tail << 8 | u64::from(byte);
        Some(byte)
    }

    /// Hash of the name, once it is [`DONE`]; never 0.
    #[inline(always)]
    #[must_use]
    pub const fn name(&self) -> u64 {
        hash_end(self.hash)
    }

    /// Hash of the domain that somebody registered, without a list of those: the last two labels, or three below a
    /// country's short second level (`co.uk`).
    #[inline(always)]
    #[must_use]
    pub const fn registered(&self) -> u64 {
        let two = mixed(finished(self.labels_hash[0]), self.labels_hash[1]);
        if self.lengths[0] == 2 && self.lengths[1] <= 3 && self.labels > 2 {
            return finished(mixed(two, self.labels_hash[2]));
        }
        finished(two)
    }

    /// Whether it is the name of an address (`in-addr.arpa`, `ip6.arpa`).
    #[inline(always)]
    #[must_use]
    pub const fn is_reverse(&self) -> bool {
        self.tail & 0xff_ffff_ffff == 0x2e_6172_7061
    }
}

/// Skips one piece of the owner name of a record, at `at`: a label, the end, or a pointer, which must lead back. Returns
/// where to go on, and the state then.
#[inline(always)]
pub fn skip<M: super::Message>(message: &M, begin: u32, at: u32) -> (u32, u32) {
    let octet = u32::from(message.byte(at));
    match octet {
        0 => (at.wrapping_add(1), DONE),
        1..=LONGEST_LABEL => (at.wrapping_add(1).wrapping_add(octet), GOING),
        0xc0.. => {
            let target = message.number(at) & 0x3fff;
            // It is not followed, so where it leads makes no difference; forward is what no resolver takes.
            let leads_back = target < at.wrapping_sub(begin);
            (at.wrapping_add(2), if leads_back { DONE } else { BAD })
        }
        // Kinds of labels that were given up (RFC 6891, 5).
        _ => (at, BAD),
    }
}
