//! Messages of the domain name system: the kernel side's parser and hickory-proto's must not say different things of the
//! same octets, because the program that is watched believes a parser like the latter.

use hickory_proto::op::{Message, MessageType, OpCode};
use hickory_proto::rr::{DNSClass, Name, RData};
use monitor_common::dns::message::{Question, answer, query};
use monitor_common::dns::name::LONGEST;
use monitor_common::dns::record::RECORDS;

const SEED: u64 = 0x5eed;

/// Parses `bytes` as a query and as an answer; where hickory-proto understands them, both must understand the same.
pub fn run(bytes: &[u8]) {
    let asked = query(bytes, SEED);
    let mut given = Vec::new();
    let answered = answer(bytes, SEED, |address| given.push(address.address));
    for question in [&asked, &answered].into_iter().flatten() {
        check(question, bytes);
    }
    let Ok(message) = Message::from_vec(bytes) else { return };
    let [one] = &message.queries[..] else { return };
    let name = text(one.name());
    let ordinary = message.metadata.op_code == OpCode::Query && !question_has_pointer(bytes);
    if !ordinary {
        return;
    }
    if message.metadata.message_type == MessageType::Query {
        if let Some(asked) = &asked {
            assert_eq!(Some(asked.name()), name.as_deref());
            assert_eq!(asked.kind, u32::from(u16::from(one.query_type())));
        }
        return;
    }
    // The low half of the result; the other is in a record that only says why something failed.
    if bytes[3] & 0xf != 0 {
        return;
    }
    assert_eq!(answered.as_ref().map(Question::name), name.as_deref());
    if answered.is_none() || message.answers.len() > RECORDS as usize {
        return;
    }
    let theirs: Vec<[u8; 16]> = message
        .answers
        .iter()
        .filter(|record| record.dns_class == DNSClass::IN)
        .filter_map(|record| match &record.data {
            RData::A(address) => Some(address.0.to_ipv6_mapped().octets()),
            RData::AAAA(address) => Some(address.0.octets()),
            _ => None,
        })
        .collect();
    assert_eq!(given, theirs);
}

/// What holds of every question.
fn check(question: &Question, bytes: &[u8]) {
    let name = question.name();
    assert!(name.len() <= LONGEST as usize);
    assert!(!name.iter().any(u8::is_ascii_uppercase) && !name.ends_with(b".") && !name.starts_with(b"."));
    assert!(question.end as usize <= bytes.len());
    assert_ne!(question.walk.name(), 0);
}

/// A name as rules have it; none if a dot inside a label would make another name of it.
fn text(name: &Name) -> Option<Vec<u8>> {
    let labels: Vec<Vec<u8>> = name.iter().map(<[u8]>::to_ascii_lowercase).collect();
    labels.iter().all(|label| !label.contains(&b'.')).then(|| labels.join(&b'.'))
}

/// Whether the question's name is written with a pointer. It can only lead into the header; hickory-proto follows it.
fn question_has_pointer(bytes: &[u8]) -> bool {
    let mut at = 12;
    while let Some(&length) = bytes.get(at) {
        match length {
            0 => return false,
            0xc0.. => return true,
            _ => at += 1 + usize::from(length),
        }
    }
    false
}
