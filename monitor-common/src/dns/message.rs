//! Whole messages, for userspace and for tests: the loops over the walks.

use super::name::{BAD, DONE, GOING, LONGEST, NameWalk};
use super::record::{PIECES, RECORDS, RecordWalk};
use super::{HEADER, Head, Message};

impl Message for &[u8] {
    #[inline(always)]
    fn byte(&self, at: u32) -> u8 {
        self.get(at as usize).copied().unwrap_or(0)
    }
}

/// A question, with the name as text.
#[derive(Clone, Debug)]
pub struct Question {
    /// The name's hashes and shape.
    pub walk: NameWalk,
    /// Its text; [`Question::name`] is the part that counts.
    text: [u8; LONGEST as usize],
    /// Which type of record is asked for.
    pub kind: u32,
    /// The class.
    pub class: u32,
    /// Where the next section begins.
    pub end: u32,
}

impl Question {
    /// The name: lower case, no dot at the end; the root's is empty.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.text[..self.walk.length as usize]
    }
}

/// The only question of a message.
#[must_use]
pub fn question(message: &[u8], seed: u64) -> Option<Question> {
    let end = u32::try_from(message.len()).ok()?;
    let mut walk = NameWalk::new(HEADER, seed);
    let mut text = [0; LONGEST as usize];
    while walk.state == GOING && walk.at < end {
        if let Some(byte) = walk.push(message.byte(walk.at)) {
            text[walk.length as usize - 1] = byte;
        }
    }
    let (kind, class) = (message.number(walk.at), message.number(walk.at + 2));
    let behind = walk.at + 4;
    (walk.state == DONE && behind <= end).then_some(Question { walk, text, kind, class, end: behind })
}

/// The question of a query that is whole and has nothing more in it; `None` is the object `opaque-query`.
#[must_use]
pub fn query(message: &[u8], seed: u64) -> Option<Question> {
    let head = Head::read(&message, 0);
    if !head.is_query() {
        return None;
    }
    let question = question(message, seed)?;
    let mut walk = RecordWalk::new(0, question.end, message.len() as u32);
    for _ in 0..head.additionals {
        if !next(&mut walk, message) {
            return None;
        }
    }
    (walk.at == walk.end).then_some(question)
}

/// An address, for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    /// IPv6, or IPv4 as the IPv6 address it is mapped to.
    pub address: [u8; 16],
    /// For how long, in seconds.
    pub ttl: u32,
}

/// Calls `each` with every address of an answer, and returns its question; what is behind a broken record is not seen.
pub fn answer(message: &[u8], seed: u64, mut each: impl FnMut(Given)) -> Option<Question> {
    let head = Head::read(&message, 0);
    if !head.is_answer() {
        return None;
    }
    let question = question(message, seed)?;
    let mut walk = RecordWalk::new(0, question.end, message.len() as u32);
    for _ in 0..head.answers.min(RECORDS) {
        if !next(&mut walk, message) {
            break;
        }
        if let Some(words) = walk.address(&message) {
            let mut address = [0; 16];
            for (bytes, word) in address.chunks_exact_mut(4).zip(words) {
                bytes.copy_from_slice(&word.to_ne_bytes());
            }
            each(Given { address, ttl: walk.ttl });
        }
    }
    Some(question)
}

/// One record further.
fn next(walk: &mut RecordWalk, message: &[u8]) -> bool {
    for _ in 0..PIECES {
        walk.skip(&message);
        if walk.state != GOING {
            break;
        }
    }
    walk.state != BAD && walk.read(&message)
}
