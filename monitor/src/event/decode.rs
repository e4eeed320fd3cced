//! Bytes of the ring buffer to an owned, checked [`Record`].
//!
//! Nothing is trusted: lengths, versions, spans and every number of a closed list are checked, and whatever does not
//! fit is a typed error. There is no `unsafe` here.

use std::net::{IpAddr, Ipv6Addr};

use monitor_common::action::Action;
use monitor_common::event::{ABI, HEADER, Kind, MAX_RECORD, SPANS, Subject};
use monitor_common::label::{ActorId, ScopeId, TreeId};
use monitor_common::verdict::{Achieved, Verdict};

/// Why bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Too few bytes for a header.
    #[error(
        "a record of {0} bytes is shorter than its header; the kernel object and this program do not fit together, rebuild both"
    )]
    Short(usize),
    /// Another layout.
    #[error(
        "a record has layout version {0}, this program knows {ABI}; rebuild the kernel object and this program together"
    )]
    Abi(u16),
    /// The record's own length is impossible.
    #[error("a record claims {claimed} bytes where {given} were given")]
    Length {
        /// What the header says.
        claimed: u32,
        /// What the ring gave.
        given: usize,
    },
    /// A string lies outside the record.
    #[error("string {index} of a record lies outside it (offset {offset}, length {length})")]
    Span {
        /// Which string.
        index: usize,
        /// From the end of the header.
        offset: u16,
        /// Bytes.
        length: u16,
    },
    /// A number that is in no list of ours.
    #[error("a record has the unknown {what} {number}")]
    Unknown {
        /// Which list.
        what: &'static str,
        /// The number.
        number: u8,
    },
}

/// One record of the kernel side, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it tells.
    pub kind: Kind,
    /// What the object is.
    pub subject: Subject,
    /// Nanoseconds since boot.
    pub time: u64,
    /// Start of the process, same clock.
    pub start: u64,
    /// Process.
    pub tgid: u32,
    /// Thread.
    pub tid: u32,
    /// Real parent.
    pub ppid: u32,
    /// Effective user.
    pub uid: u32,
    /// Scope.
    pub scope: ScopeId,
    /// Tree.
    pub tree: TreeId,
    /// Marks of the scope before this act.
    pub marks: u32,
    /// Actor.
    pub actor: ActorId,
    /// What was done; checked for verdicts only, [`Action::Exec`] otherwise.
    pub action: Action,
    /// What the rule asks for; likewise.
    pub asked: Verdict,
    /// What became of it; likewise.
    pub achieved: Achieved,
    /// Index of the rule.
    pub rule: u16,
    /// Flags, see [`monitor_common::event`].
    pub flags: u16,
    /// Group of the object that the rule matched.
    pub group: u16,
    /// Port.
    pub port: u16,
    /// Number of the system call.
    pub syscall: Option<u32>,
    /// Depends on kind and subject.
    pub detail: u64,
    /// Address; IPv4 is unwrapped from its mapped form.
    pub address: IpAddr,
    /// The strings.
    pub strings: [Vec<u8>; SPANS],
}

/// Reads little pieces of a slice in order; the length is checked once in front.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// The next bytes; zeros behind the end, which the check in front makes unreachable.
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((bytes, rest)) = self.0.split_first_chunk::<N>() else {
            return [0; N];
        };
        self.0 = rest;
        *bytes
    }

    fn u8(&mut self) -> u8 {
        let [byte] = self.take();
        byte
    }

    fn u16(&mut self) -> u16 {
        u16::from_ne_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_ne_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_ne_bytes(self.take())
    }
}

fn known<T>(what: &'static str, number: u8, member: Option<T>) -> Result<T, DecodeError> {
    member.ok_or(DecodeError::Unknown { what, number })
}

/// Reads one record. Bytes behind the record's own length are ignored.
///
/// # Errors
/// When the bytes are no record of this version.
pub fn decode(bytes: &[u8]) -> Result<Record, DecodeError> {
    if bytes.len() < HEADER {
        return Err(DecodeError::Short(bytes.len()));
    }
    // In the order of `monitor_common::event::Header`, which has no padding; a test compares the two.
    let mut reader = Reader(bytes);
    let abi = reader.u16();
    if abi != ABI {
        return Err(DecodeError::Abi(abi));
    }
    let (kind, subject, claimed) = (reader.u8(), reader.u8(), reader.u32());
    let length = claimed as usize;
    if !(HEADER..=MAX_RECORD.min(bytes.len())).contains(&length) {
        return Err(DecodeError::Length { claimed, given: bytes.len() });
    }
    let kind = known("kind", kind, Kind::from_raw(kind))?;
    let subject = known("subject", subject, Subject::from_raw(subject))?;
    let (time, start) = (reader.u64(), reader.u64());
    let (tgid, tid, ppid, uid) = (reader.u32(), reader.u32(), reader.u32(), reader.u32());
    let (scope, tree, marks) = (reader.u64(), reader.u32(), reader.u32());
    let (actor, action, asked, achieved) = (reader.u8(), reader.u8(), reader.u8(), reader.u8());
    let (rule, flags, group, port) = (reader.u16(), reader.u16(), reader.u16(), reader.u16());
    let syscall = u32::try_from(reader.u32() as i32).ok();
    let detail = reader.u64();
    let address = Ipv6Addr::from(reader.take::<16>()).to_canonical();
    let (action, asked, achieved) = if kind == Kind::Verdict {
        (
            known("action", action, Action::from_raw(action))?,
            known("verdict", asked, Verdict::from_raw(asked))?,
            known("outcome", achieved, Achieved::from_raw(achieved))?,
        )
    } else {
        (Action::Exec, Verdict::Allow, Achieved::Allowed)
    };
    let mut strings: [Vec<u8>; SPANS] = Default::default();
    for (index, string) in strings.iter_mut().enumerate() {
        let (offset, length_of_string) = (reader.u16(), reader.u16());
        let begin = HEADER + usize::from(offset);
        let end = begin + usize::from(length_of_string);
        *string = bytes[..length]
            .get(begin..end)
            .ok_or(DecodeError::Span { index, offset, length: length_of_string })?
            .to_vec();
    }
    Ok(Record {
        kind,
        subject,
        time,
        start,
        tgid,
        tid,
        ppid,
        uid,
        scope,
        tree,
        marks,
        actor,
        action,
        asked,
        achieved,
        rule,
        flags,
        group,
        port,
        syscall,
        detail,
        address,
        strings,
    })
}

/// The words of a string whose words are separated, or each ended, by NUL.
#[must_use]
pub fn words(string: &[u8]) -> Vec<&[u8]> {
    if string.is_empty() {
        return Vec::new();
    }
    string.strip_suffix(&[0]).unwrap_or(string).split(|&byte| byte == 0).collect()
}

#[cfg(test)]
pub(crate) mod tests;
