//! Messages that hickory-proto writes, whole and with changed octets, through the target `dns`.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use monitor_common::dns::message::{answer, query};
use proptest::collection::vec;
use proptest::prelude::*;

fn name() -> impl Strategy<Value = Name> {
    let label = prop_oneof!["[a-zA-Z0-9_-]{1,12}", "[a-z0-9]{40,63}", "[!-~]{1,8}"];
    vec(label, 1..6).prop_filter_map("a name that is too long", |labels| {
        Name::from_labels(labels.iter().map(String::as_bytes)).ok()
    })
}

fn data() -> impl Strategy<Value = RData> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| RData::A(A(Ipv4Addr::from(octets)))),
        any::<[u8; 16]>().prop_map(|octets| RData::AAAA(AAAA(Ipv6Addr::from(octets)))),
        name().prop_map(|name| RData::CNAME(CNAME(name))),
        "[ -~]{0,80}".prop_map(|text| RData::TXT(TXT::new(vec![text]))),
    ]
}

prop_compose! {
    fn a_query()(asked in name(), kind in any::<u16>(), id in any::<u16>(), edns in any::<bool>()) -> Vec<u8> {
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(asked, RecordType::from(kind)));
        if edns {
            message.set_edns(Edns::new());
        }
        message.to_vec().unwrap()
    }
}

prop_compose! {
    fn an_answer()(
        asked in name(),
        chain in vec((name(), any::<u32>(), data()), 0..24),
        own in vec(data(), 0..4),
        edns in any::<bool>(),
        truncated in any::<bool>(),
    ) -> Vec<u8> {
        let mut message = Message::new(7, MessageType::Response, OpCode::Query);
        message.metadata.truncation = truncated;
        message.add_query(Query::query(asked.clone(), RecordType::A));
        for data in own {
            message.add_answer(Record::from_rdata(asked.clone(), 60, data));
        }
        for (owner, ttl, data) in chain {
            message.add_answer(Record::from_rdata(owner, ttl, data));
        }
        if edns {
            message.set_edns(Edns::new());
        }
        message.to_vec().unwrap()
    }
}

/// Octets to be written somewhere, and an end.
fn changes() -> impl Strategy<Value = (Vec<(usize, u8)>, usize)> {
    (vec((any::<usize>(), any::<u8>()), 0..4), 0_usize..8)
}

fn changed(mut bytes: Vec<u8>, (changes, cut): (Vec<(usize, u8)>, usize)) -> Vec<u8> {
    let length = bytes.len();
    for (place, byte) in changes {
        bytes[place % length] = byte;
    }
    bytes.truncate(length - cut.min(length));
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a_query_of_a_resolver_is_understood(bytes in a_query()) {
        let dotted = Message::from_vec(&bytes).unwrap().queries[0].name().iter().any(|label| label.contains(&b'.'));
        prop_assert_eq!(query(&bytes, 1).is_some(), !dotted);
        fuzz::dns::run(&bytes);
    }

    #[test]
    fn a_query_with_changed_octets_is_not_misunderstood(bytes in a_query(), changes in changes()) {
        fuzz::dns::run(&changed(bytes, changes));
    }

    #[test]
    fn nothing_can_hide_behind_a_query(bytes in a_query(), more in vec(any::<u8>(), 1..40)) {
        prop_assert!(query(&[bytes, more].concat(), 1).is_none());
    }

    #[test]
    fn an_answer_is_understood(bytes in an_answer()) {
        fuzz::dns::run(&bytes);
    }

    #[test]
    fn an_answer_with_changed_octets_is_not_misunderstood(bytes in an_answer(), changes in changes()) {
        fuzz::dns::run(&changed(bytes, changes));
    }

    /// Of a message that is cut, what is there is used, and nothing is made up.
    #[test]
    fn what_is_cut_gives_a_beginning(bytes in an_answer(), cut in any::<prop::sample::Index>()) {
        let mut whole = Vec::new();
        let mut part = Vec::new();
        answer(&bytes, 1, |given| whole.push(given));
        answer(&bytes[..cut.index(bytes.len())], 1, |given| part.push(given));
        prop_assert!(whole.starts_with(&part));
    }
}
