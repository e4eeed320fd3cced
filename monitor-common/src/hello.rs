//! What a connection says first: the name of the host in a TLS ClientHello (RFC 8446, 4.1.2; RFC 6066, 3) or in an HTTP/1
//! request (RFC 9112, 3.2).
//!
//! One step a time, as the walks of [`crate::dns`]: an extension, a byte of the name, or a byte of the header.

use crate::dns::Message;
use crate::dns::name::{LONGEST, hash_byte, hash_end, lower};

/// State: neither of them, or without a name.
pub const NOTHING: u32 = 0;
/// State: at an extension of a ClientHello.
pub const EXTENSION: u32 = 1;
/// State: inside the header of a request.
pub const HEADER: u32 = 2;
/// State: inside the name.
pub const NAME: u32 = 3;
/// State: the name is whole.
pub const DONE: u32 = 4;
/// State: it begins like one of them and ends too early. No honest program sends its first bytes in pieces.
pub const CUT: u32 = 5;

/// The most steps of a walk.
pub const STEPS: u32 = 4096;

/// Reads the first bytes of a connection.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HelloWalk {
    /// Of the text so far.
    hash: u64,
    /// Where the next step reads.
    pub at: u32,
    /// Where the payload ends.
    pub end: u32,
    /// [`NOTHING`] and so on.
    pub state: u32,
    /// Bytes of text so far.
    pub length: u32,
    /// Where extensions, or the name, end.
    stop: u32,
    /// Of a header: how many bytes of what is looked for have been met.
    met: u32,
    /// 1 if the name comes from HTTP.
    plain: u32,
    /// 1 if a dot was met that may be the last byte.
    dot: u32,
    /// 1 if there is more in the name than digits and dots.
    letters: u32,
    reserved: u32,
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u32 = 0;
/// Octets of record header, handshake header, version and random.
const FIXED: u32 = 5 + 4 + 2 + 32;

/// What a line with the host begins with, the first byte lowest. A number: a table would be memory of its own.
const HOST: u64 = u64::from_le_bytes(*b"\nhost:\0\0");
/// Its bytes.
const HOST_LENGTH: u32 = 6;

impl HelloWalk {
    /// Begins with the payload in `0..end`.
    #[inline(always)]
    pub fn new<M: Message>(message: &M, end: u32, seed: u64) -> Self {
        let mut walk = Self { hash: seed, end, ..Self::default() };
        if message.byte(0) == HANDSHAKE && message.byte(1) == 3 {
            walk.begin_tls(message);
        } else if is_request(message) {
            walk.state = HEADER;
            walk.plain = 1;
        } else if end < SHORTEST && may_begin(message.byte(0)) {
            walk.state = CUT;
        }
        walk
    }

    /// The three vectors before the extensions, each behind its length.
    #[inline(always)]
    fn begin_tls<M: Message>(&mut self, message: &M) {
        self.state = CUT;
        let record = message.number(3).wrapping_add(5);
        let whole = (u32::from(message.byte(6)) << 16 | message.number(7)).wrapping_add(9);
        if self.end < FIXED || message.byte(5) != CLIENT_HELLO || whole > record {
            return;
        }
        let session = FIXED.wrapping_add(1).wrapping_add(u32::from(message.byte(FIXED)));
        let suites = session.wrapping_add(2).wrapping_add(message.number(session));
        let methods = suites.wrapping_add(1).wrapping_add(u32::from(message.byte(suites)));
        self.stop = methods.wrapping_add(2).wrapping_add(message.number(methods));
        self.at = methods.wrapping_add(2);
        if methods == whole {
            // Older than extensions.
            self.state = NOTHING;
        } else if self.at <= self.end && self.stop <= whole {
            self.state = EXTENSION;
        }
    }

    /// Whether there is more to do.
    #[inline(always)]
    #[must_use]
    pub const fn is_going(&self) -> bool {
        matches!(self.state, EXTENSION | HEADER | NAME)
    }

    /// One step. What comes back is the next byte of the name, for place [`HelloWalk::length`] - 1.
    #[inline(always)]
    pub fn step<M: Message>(&mut self, message: &M) -> Option<u8> {
        if self.state == EXTENSION {
            self.extension(message);
            return None;
        }
        if self.state == NAME && self.at >= self.stop && self.plain == 0 {
            self.end();
            return None;
        }
        if self.at >= self.end {
            self.state = CUT;
            return None;
        }
        let byte = message.byte(self.at);
        self.at = self.at.wrapping_add(1);
        if self.state == HEADER {
            self.header(byte);
            return None;
        }
        self.name(byte)
    }

    #[inline(always)]
    fn extension<M: Message>(&mut self, message: &M) {
        let data = self.at.wrapping_add(4);
        if self.at >= self.stop {
            self.state = NOTHING;
            return;
        }
        let behind = data.wrapping_add(message.number(self.at.wrapping_add(2)));
        if data > self.end || behind > self.stop {
            self.state = CUT;
            return;
        }
        if message.number(self.at) != SERVER_NAME {
            self.at = behind;
            return;
        }
        // A list of one entry: its type, 0 for a host, and the name behind its length.
        let name = data.wrapping_add(5);
        self.stop = name.wrapping_add(message.number(data.wrapping_add(3)));
        self.at = name;
        let is_host = message.byte(data.wrapping_add(2)) == 0;
        self.state = if is_host && self.stop == behind && self.stop <= self.end { NAME } else { CUT };
    }

    #[inline(always)]
    fn header(&mut self, byte: u8) {
        let wanted = (HOST >> ((self.met & 7) * 8)) as u8;
        if self.met == HOST_LENGTH {
            // Blanks before the value.
            if byte != b' ' && byte != b'\t' {
                self.at = self.at.wrapping_sub(1);
                self.stop = self.end;
                self.state = NAME;
            }
        } else if lower(byte) == wanted {
            self.met += 1;
        } else if byte == b'\n' {
            // Also the end of an empty line, behind which the body begins.
            self.state = if self.met == 1 { NOTHING } else { HEADER };
            self.met = 1;
        } else if !(byte == b'\r' && self.met == 1) {
            self.met = 0;
        }
    }

    #[inline(always)]
    fn name(&mut self, byte: u8) -> Option<u8> {
        if self.plain != 0 && matches!(byte, b'\r' | b'\n' | b':' | b' ' | b'\t') {
            self.end();
            return None;
        }
        if self.length >= LONGEST {
            self.state = CUT;
            return None;
        }
        // The last dot is no part of a name: each is held back until something follows.
        if self.dot != 0 {
            self.dot = 0;
            self.at = self.at.wrapping_sub(1);
            return Some(self.append(b'.'));
        }
        if byte == b'.' {
            self.dot = 1;
            return None;
        }
        if !byte.is_ascii_digit() && byte != b'[' {
            self.letters = 1;
        }
        Some(self.append(lower(byte)))
    }

    /// An address is no name, and no server tells its sites apart by it.
    #[inline(always)]
    fn end(&mut self) {
        self.state = if self.letters == 0 { NOTHING } else { DONE };
    }

    #[inline(always)]
    fn append(&mut self, byte: u8) -> u8 {
        self.length += 1;
        self.hash = hash_byte(self.hash, byte);
        byte
    }

    /// Hash of the name, once it is [`DONE`].
    #[inline(always)]
    #[must_use]
    pub const fn hash(&self) -> u64 {
        hash_end(self.hash)
    }
}

/// Of fewer bytes it cannot be told what they begin.
const SHORTEST: u32 = 4;

/// Whether a ClientHello or a method begins with this byte.
#[inline(always)]
fn may_begin(byte: u8) -> bool {
    matches!(byte, HANDSHAKE | b'G' | b'H' | b'P' | b'D' | b'C' | b'O' | b'T')
}

/// Whether it begins with a method that HTTP has (RFC 9110, 9; RFC 5789).
#[inline(always)]
fn is_request<M: Message>(message: &M) -> bool {
    let four = [message.byte(0), message.byte(1), message.byte(2), message.byte(3)];
    matches!(&four, b"GET " | b"HEAD" | b"POST" | b"PUT " | b"DELE" | b"CONN" | b"OPTI" | b"TRAC" | b"PATC")
}

/// The name that a connection begins with, and its hash; `Err` if it is cut off.
///
/// # Errors
/// If the payload begins like a ClientHello or a request and ends before the name is known.
pub fn host<'a>(
    payload: &[u8],
    seed: u64,
    text: &'a mut [u8; LONGEST as usize],
) -> Result<Option<(&'a [u8], u64)>, Cut> {
    let mut walk = HelloWalk::new(&payload, u32::try_from(payload.len()).unwrap_or(u32::MAX), seed);
    let mut steps = 0;
    while walk.is_going() && steps < STEPS {
        if let Some(byte) = walk.step(&payload) {
            text[walk.length as usize - 1] = byte;
        }
        steps += 1;
    }
    match walk.state {
        DONE => Ok(Some((&text[..walk.length as usize], walk.hash()))),
        NOTHING => Ok(None),
        _ => Err(Cut),
    }
}

/// The first bytes of a connection end before its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut;
