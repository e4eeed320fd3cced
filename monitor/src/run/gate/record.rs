//! A refusal as a record in the layout of the ring, so that it takes the same way as those of the kernel side.

use monitor_common::action::Action;
use monitor_common::event::{
    ABI, COARSE_START, HEADER, Header, Kind, PATH_TOO_LONG, Span, Subject, UNRESOLVED,
};
use monitor_common::label::Label;
use monitor_common::verdict::Achieved;
use nix::time::{ClockId, clock_gettime};

use super::caller::{self, Status};
use super::judge::Refusal;

/// The longest path in a record of the kernel side.
const LONGEST: usize = 4095;

/// What was refused.
pub(super) struct Refused<'a> {
    pub(super) label: Label,
    pub(super) status: Status,
    pub(super) tid: u32,
    pub(super) syscall: u32,
    pub(super) action: Action,
    pub(super) subject: Subject,
    /// See `Header::detail`.
    pub(super) detail: u64,
    pub(super) path: &'a [u8],
    /// Whether `path` is where the links lead.
    pub(super) resolved: bool,
    pub(super) refusal: Refusal,
}

/// The record of a refusal.
pub(super) fn record(refused: &Refused) -> Vec<u8> {
    let Refused { label, status, refusal, .. } = refused;
    let path = &refused.path[refused.path.len().saturating_sub(LONGEST)..];
    let mut flags = COARSE_START;
    if path.len() < refused.path.len() {
        flags |= PATH_TOO_LONG;
    }
    if !refused.resolved {
        flags |= UNRESOLVED;
    }
    let mut header = Header {
        abi: ABI,
        kind: Kind::Verdict as u8,
        subject: refused.subject as u8,
        length: (HEADER + path.len()) as u32,
        time: now(),
        start: caller::start(status.tgid).unwrap_or(0),
        tgid: status.tgid,
        tid: refused.tid,
        ppid: status.ppid,
        uid: status.uid,
        scope: label.scope,
        tree: label.tree,
        marks: refusal.marks,
        actor: label.actor,
        action: refused.action as u8,
        asked: refusal.asked as u8,
        achieved: Achieved::Denied as u8,
        rule: refusal.rule,
        flags,
        group: refusal.group,
        detail: refused.detail,
        syscall: i32::try_from(refused.syscall).unwrap_or(-1),
        ..Header::default()
    };
    header.spans[0] = Span { offset: 0, length: path.len() as u16 };
    let mut bytes = bytes(&header);
    bytes.extend_from_slice(path);
    bytes
}

/// Nanoseconds since boot.
fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .map_or(0, |time| (time.tv_sec() * 1_000_000_000 + time.tv_nsec()).unsigned_abs())
}

/// The header's bytes, in the order of its fields: it has no padding, as the size says.
fn bytes(header: &Header) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + LONGEST);
    bytes.extend(header.abi.to_ne_bytes());
    bytes.extend([header.kind, header.subject]);
    bytes.extend(header.length.to_ne_bytes());
    bytes.extend(header.time.to_ne_bytes());
    bytes.extend(header.start.to_ne_bytes());
    for number in [header.tgid, header.tid, header.ppid, header.uid] {
        bytes.extend(number.to_ne_bytes());
    }
    bytes.extend(header.scope.to_ne_bytes());
    bytes.extend(header.tree.to_ne_bytes());
    bytes.extend(header.marks.to_ne_bytes());
    bytes.extend([header.actor, header.action, header.asked, header.achieved]);
    for number in [header.rule, header.flags, header.group, header.port] {
        bytes.extend(number.to_ne_bytes());
    }
    bytes.extend(header.syscall.to_ne_bytes());
    bytes.extend(header.detail.to_ne_bytes());
    bytes.extend(header.address);
    for span in header.spans {
        bytes.extend(span.offset.to_ne_bytes());
        bytes.extend(span.length.to_ne_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use monitor_common::verdict::Verdict;

    use super::*;
    use crate::event::decode::decode;

    fn refused(path: &[u8]) -> Refused<'_> {
        Refused {
            label: Label { tree: 7, actor: 3, child: 4, reserved: [0; 2], scope: 0x1234_5678_9abc },
            status: Status { tgid: 41, ppid: 40, uid: 1000 },
            tid: 42,
            syscall: 316,
            action: Action::Rename,
            subject: Subject::File,
            detail: 0,
            path,
            resolved: true,
            refusal: Refusal { asked: Verdict::Deny, rule: 513, group: 99, marks: 0x8000_0001 },
        }
    }

    #[test]
    fn the_decoder_reads_what_was_written() {
        let record = decode(&record(&refused(b"/home/\xff/.bashrc"))).unwrap();
        assert_eq!((record.kind, record.subject), (Kind::Verdict, Subject::File));
        assert_eq!((record.tgid, record.tid, record.ppid, record.uid), (41, 42, 40, 1000));
        assert_eq!((record.tree, record.scope, record.actor), (7, 0x1234_5678_9abc, 3));
        assert_eq!((record.action, record.asked), (Action::Rename, Verdict::Deny));
        assert_eq!(record.achieved, Achieved::Denied);
        assert_eq!((record.rule, record.group, record.marks), (513, 99, 0x8000_0001));
        assert_eq!((record.syscall, record.flags), (Some(316), COARSE_START));
        assert_eq!(record.strings[0], b"/home/\xff/.bashrc");
        assert!(record.time > 0);
    }

    #[test]
    fn a_path_that_is_too_long_keeps_its_end() {
        let path = [&b"/"[..], &[b'a'; 2 * LONGEST], b"/end"].concat();
        let record = decode(&record(&Refused { resolved: false, ..refused(&path) })).unwrap();
        assert_eq!(record.strings[0].len(), LONGEST);
        assert!(record.strings[0].ends_with(b"/end"));
        assert_eq!(record.flags, COARSE_START | PATH_TOO_LONG | UNRESOLVED);
    }
}
