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
    if length < HEADER || length > MAX_RECORD || length > bytes.len() {
        return Err(DecodeError::Length {
            claimed,
            given: bytes.len(),
        });
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
            .ok_or(DecodeError::Span {
                index,
                offset,
                length: length_of_string,
            })?
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
    string
        .strip_suffix(&[0])
        .unwrap_or(string)
        .split(|&byte| byte == 0)
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use monitor_common::event::{Header, Span};
    use proptest::prelude::*;

    use super::*;

    /// The bytes of a record as the kernel side writes them.
    pub(crate) fn encode(header: Header, strings: &[&[u8]]) -> Vec<u8> {
        let mut header = Header { abi: ABI, ..header };
        let mut tail = Vec::new();
        for (span, string) in header.spans.iter_mut().zip(strings) {
            *span = Span {
                offset: tail.len() as u16,
                length: string.len() as u16,
            };
            tail.extend_from_slice(string);
        }
        header.length = (HEADER + tail.len()) as u32;
        let mut bytes = Vec::with_capacity(HEADER + tail.len());
        let Header {
            abi,
            kind,
            subject,
            length,
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
            spans,
        } = header;
        bytes.extend(abi.to_ne_bytes());
        bytes.extend([kind, subject]);
        bytes.extend(length.to_ne_bytes());
        bytes.extend([time, start].map(u64::to_ne_bytes).concat());
        bytes.extend([tgid, tid, ppid, uid].map(u32::to_ne_bytes).concat());
        bytes.extend(scope.to_ne_bytes());
        bytes.extend([tree, marks].map(u32::to_ne_bytes).concat());
        bytes.extend([actor, action, asked, achieved]);
        bytes.extend([rule, flags, group, port].map(u16::to_ne_bytes).concat());
        bytes.extend(syscall.to_ne_bytes());
        bytes.extend(detail.to_ne_bytes());
        bytes.extend(address);
        for span in spans {
            bytes.extend([span.offset, span.length].map(u16::to_ne_bytes).concat());
        }
        bytes.extend(tail);
        bytes
    }

    fn sample() -> Header {
        Header {
            kind: Kind::Verdict as u8,
            subject: Subject::File as u8,
            time: 11,
            start: 12,
            tgid: 13,
            tid: 14,
            ppid: 15,
            uid: 16,
            scope: 17,
            tree: 18,
            marks: 19,
            actor: 20,
            action: Action::Read as u8,
            asked: Verdict::Deny as u8,
            achieved: Achieved::Killed as u8,
            rule: 21,
            flags: 22,
            group: 23,
            port: 24,
            syscall: 257,
            detail: 25,
            address: Ipv6Addr::from([0, 0, 0, 0, 0, 0xffff, 0x0a00, 1]).octets(),
            ..Header::default()
        }
    }

    #[test]
    fn every_field_arrives() {
        let record = decode(&encode(sample(), &[b"/a/\xff", b"x\0y"])).unwrap();
        assert_eq!(
            record,
            Record {
                kind: Kind::Verdict,
                subject: Subject::File,
                time: 11,
                start: 12,
                tgid: 13,
                tid: 14,
                ppid: 15,
                uid: 16,
                scope: 17,
                tree: 18,
                marks: 19,
                actor: 20,
                action: Action::Read,
                asked: Verdict::Deny,
                achieved: Achieved::Killed,
                rule: 21,
                flags: 22,
                group: 23,
                port: 24,
                syscall: Some(257),
                detail: 25,
                address: IpAddr::from([10, 0, 0, 1]),
                strings: [b"/a/\xff".to_vec(), b"x\0y".to_vec(), Vec::new(), Vec::new()],
            }
        );
    }

    /// The order of the fields above is that of the shared struct, byte for byte.
    #[test]
    fn the_order_of_fields_is_the_shared_one() {
        use std::mem::offset_of;
        let bytes = encode(sample(), &[b"abc"]);
        for (offset, expected) in [
            (offset_of!(Header, time), 11),
            (offset_of!(Header, start), 12),
            (offset_of!(Header, tgid), 13),
            (offset_of!(Header, tid), 14),
            (offset_of!(Header, ppid), 15),
            (offset_of!(Header, uid), 16),
            (offset_of!(Header, scope), 17),
            (offset_of!(Header, tree), 18),
            (offset_of!(Header, marks), 19),
            (offset_of!(Header, actor), 20),
            (offset_of!(Header, rule), 21),
            (offset_of!(Header, flags), 22),
            (offset_of!(Header, group), 23),
            (offset_of!(Header, port), 24),
            (offset_of!(Header, detail), 25),
        ] {
            let low = if cfg!(target_endian = "little") {
                bytes[offset]
            } else {
                expected
            };
            assert_eq!(low, expected, "offset {offset}");
        }
        assert_eq!(bytes[offset_of!(Header, address) + 12], 10);
        assert_eq!(bytes.len(), HEADER + 3);
    }

    #[test]
    fn what_does_not_fit_is_a_typed_error() {
        let good = encode(sample(), &[b"/a"]);
        let with = |change: &dyn Fn(&mut Header)| {
            let mut header = sample();
            change(&mut header);
            decode(&encode(header, &[b"/a"]))
        };
        assert_eq!(decode(&good[..HEADER - 1]), Err(DecodeError::Short(HEADER - 1)));
        assert_eq!(
            decode(&good[..HEADER + 1]),
            Err(DecodeError::Length {
                claimed: HEADER as u32 + 2,
                given: HEADER + 1
            })
        );
        let mut other = good.clone();
        other[0] = 77;
        other[1] = 0;
        assert_eq!(decode(&other), Err(DecodeError::Abi(u16::from_ne_bytes([77, 0]))));
        assert_eq!(
            with(&|header| header.kind = 99),
            Err(DecodeError::Unknown {
                what: "kind",
                number: 99
            })
        );
        assert_eq!(
            with(&|header| header.subject = 98),
            Err(DecodeError::Unknown {
                what: "subject",
                number: 98
            })
        );
        assert_eq!(
            with(&|header| header.action = 97),
            Err(DecodeError::Unknown {
                what: "action",
                number: 97
            })
        );
        assert_eq!(
            with(&|header| header.asked = 96),
            Err(DecodeError::Unknown {
                what: "verdict",
                number: 96
            })
        );
        assert_eq!(
            with(&|header| header.achieved = 95),
            Err(DecodeError::Unknown {
                what: "outcome",
                number: 95
            })
        );
        let mut outside = good.clone();
        let last = HEADER - 4;
        outside[last..HEADER].copy_from_slice(&[1_u16, 2].map(u16::to_ne_bytes).concat());
        assert_eq!(
            decode(&outside),
            Err(DecodeError::Span {
                index: 3,
                offset: 1,
                length: 2
            })
        );
        assert!(decode(&good).is_ok());
    }

    #[test]
    fn words_are_separated_or_ended_by_nul() {
        assert!(words(b"").is_empty());
        assert_eq!(words(b"a\0b"), [b"a", b"b"]);
        assert_eq!(words(b"a\0b\0"), [b"a", b"b"]);
        assert_eq!(words(b"a\0\0"), [&b"a"[..], b""]);
    }

    proptest! {
        #[test]
        fn no_bytes_can_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn no_change_of_a_good_record_can_panic(
            changes in proptest::collection::vec((0..HEADER + 8, any::<u8>()), 1..6)
        ) {
            let mut bytes = encode(sample(), &[b"/a/b/c/d"]);
            for (place, byte) in changes {
                bytes[place] = byte;
            }
            if let Ok(record) = decode(&bytes) {
                prop_assert!(record.strings.iter().all(|string| string.len() <= 8));
            }
        }
    }
}
