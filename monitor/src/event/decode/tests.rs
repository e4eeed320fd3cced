use monitor_common::event::{Header, Span};
use proptest::prelude::*;

use super::*;

/// The bytes of a record as the kernel side writes them.
pub(crate) fn encode(header: Header, strings: &[&[u8]]) -> Vec<u8> {
    let mut header = Header { abi: ABI, ..header };
    let mut tail = Vec::new();
    for (span, string) in header.spans.iter_mut().zip(strings) {
        *span = Span { offset: tail.len() as u16, length: string.len() as u16 };
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
        let low = if cfg!(target_endian = "little") { bytes[offset] } else { expected };
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
        Err(DecodeError::Length { claimed: HEADER as u32 + 2, given: HEADER + 1 })
    );
    let mut other = good.clone();
    other[0] = 77;
    other[1] = 0;
    assert_eq!(decode(&other), Err(DecodeError::Abi(u16::from_ne_bytes([77, 0]))));
    assert_eq!(with(&|header| header.kind = 99), Err(DecodeError::Unknown { what: "kind", number: 99 }));
    assert_eq!(
        with(&|header| header.subject = 98),
        Err(DecodeError::Unknown { what: "subject", number: 98 })
    );
    assert_eq!(with(&|header| header.action = 97), Err(DecodeError::Unknown { what: "action", number: 97 }));
    assert_eq!(with(&|header| header.asked = 96), Err(DecodeError::Unknown { what: "verdict", number: 96 }));
    assert_eq!(
        with(&|header| header.achieved = 95),
        Err(DecodeError::Unknown { what: "outcome", number: 95 })
    );
    let mut outside = good.clone();
    let last = HEADER - 4;
    outside[last..HEADER].copy_from_slice(&[1_u16, 2].map(u16::to_ne_bytes).concat());
    assert_eq!(decode(&outside), Err(DecodeError::Span { index: 3, offset: 1, length: 2 }));
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
