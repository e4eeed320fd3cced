//! Messages of the domain name system, as far as a watch needs them: who asks for which name, and which addresses are
//! answered (RFC 1035, RFC 3596, RFC 6891, RFC 9619).
//!
//! ```text
//! query:   header, one question, at most a few additional records, nothing else
//! answer:  header, the same question, records; each A and AAAA belongs to the name that was asked for
//! ```
//!
//! The kernel side and userspace walk the same states. Every walk is a struct with one step: what loops over it is a few
//! global functions in the kernel, where the verifier wants each loop short, and a plain loop in [`message`].
//!
//! Owner names of answers are skipped, not compared. Whoever answers for the name in the question can make it lead to
//! any address, so a record with another owner (the end of a chain of CNAMEs, or something out of place) says nothing
//! that could not be said of the question's name itself. For the same reason a name in the middle of a chain is no name
//! of the address: it would be a stranger's word about somebody else's domain.

pub mod message;
pub mod name;
pub mod record;
pub mod shape;

/// A message that may be longer than what there is of it.
pub trait Message {
    /// The octet at `at`; 0 behind the end.
    fn byte(&self, at: u32) -> u8;

    /// The number of two octets at `at`, high one first.
    #[inline(always)]
    fn number(&self, at: u32) -> u32 {
        u32::from(self.byte(at)) << 8 | u32::from(self.byte(at.wrapping_add(1)))
    }
}

/// Octets of the header (RFC 1035, 4.1.1).
pub const HEADER: u32 = 12;
/// The port that resolvers listen at.
pub const PORT: u16 = 53;
/// The class of everything on the internet.
pub const CLASS_INTERNET: u32 = 1;

/// The header of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// What an answer repeats of its query.
    pub id: u16,
    /// Flags, operation and result.
    pub flags: u16,
    /// Entries of the question section.
    pub questions: u32,
    /// Records of the answer section.
    pub answers: u32,
    /// Records of the authority section.
    pub authorities: u32,
    /// Records of the additional section.
    pub additionals: u32,
}

/// Flag: an answer, no query.
const RESPONSE: u16 = 0x8000;
/// The operation; 0 is an ordinary query.
const OPERATION: u16 = 0x7800;
/// The result; 0 is success.
const RESULT: u16 = 0x000f;
/// The most additional records of a query: EDNS and a signature.
const ADDITIONALS: u32 = 2;

impl Head {
    /// Reads the header of the message that begins at `at`.
    #[inline(always)]
    pub fn read<M: Message>(message: &M, at: u32) -> Self {
        Self {
            id: message.number(at) as u16,
            flags: message.number(at.wrapping_add(2)) as u16,
            questions: message.number(at.wrapping_add(4)),
            answers: message.number(at.wrapping_add(6)),
            authorities: message.number(at.wrapping_add(8)),
            additionals: message.number(at.wrapping_add(10)),
        }
    }

    /// Whether this can be the header of a query that a resolver of the C library sends. Several questions in one message
    /// were never defined (RFC 9619).
    #[inline(always)]
    #[must_use]
    pub const fn is_query(&self) -> bool {
        self.flags & (RESPONSE | OPERATION) == 0
            && self.questions == 1
            && self.answers == 0
            && self.authorities == 0
            && self.additionals <= ADDITIONALS
    }

    /// Whether this can be the header of an answer with addresses. A truncated one counts: the records that are there are
    /// whole, and some resolvers use them.
    #[inline(always)]
    #[must_use]
    pub const fn is_answer(&self) -> bool {
        self.flags & (RESPONSE | OPERATION | RESULT) == RESPONSE && self.questions == 1
    }
}
