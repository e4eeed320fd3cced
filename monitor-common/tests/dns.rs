//! What is understood of a message, and what is not.

use monitor_common::dns::message::{answer, query};
use monitor_common::dns::record::kept_for;
use monitor_common::dns::shape::{Asked, MANY, is_odd};

const SEED: u64 = 1;

/// A name on the wire.
fn wire(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut bytes: Vec<u8> =
        labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    bytes.push(0);
    bytes
}

fn message(flags: u16, counts: [u16; 4], name: &str, kind: u16, rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xab, 0xcd];
    bytes.extend(flags.to_be_bytes());
    bytes.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
    bytes.extend(wire(name));
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend(rest);
    bytes
}

fn ask(name: &str, kind: u16) -> Vec<u8> {
    message(0x0100, [1, 0, 0, 0], name, kind, &[])
}

fn record(owner: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = owner.to_vec();
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend(ttl.to_be_bytes());
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(data);
    bytes
}

/// The addresses of an answer about `example.com`, the last octet of each.
fn last_octets(records: &[Vec<u8>]) -> Vec<u8> {
    let mut last = Vec::new();
    let bytes = message(0x8180, [1, records.len() as u16, 0, 0], "example.com", 1, &records.concat());
    answer(&bytes, SEED, |given| last.push(given.address[15]));
    last
}

#[test]
fn names_lose_their_case_and_nothing_else() {
    let question = query(&ask("Registry.NPM.Example", 28), SEED).unwrap();
    assert_eq!(question.name(), b"registry.npm.example");
    assert_eq!((question.kind, question.class), (28, 1));
    let other = query(&ask("registry.npm.example", 28), SEED).unwrap();
    assert_eq!(question.walk.name(), other.walk.name());
    assert_ne!(question.walk.name(), query(&ask("registry.npm.example", 28), 2).unwrap().walk.name());
    assert_eq!(query(&ask("", 2), SEED).unwrap().name(), b"");
}

#[test]
fn the_longest_name_fits_and_a_longer_one_is_none() {
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", "b".repeat(61));
    assert_eq!(query(&ask(&longest, 1), SEED).unwrap().name().len(), 253);
    assert!(query(&ask(&format!("{longest}b"), 1), SEED).is_none());
    assert!(query(&ask(&"a.".repeat(127), 1), SEED).is_some());
}

#[test]
fn what_is_no_plain_query_is_opaque() {
    let good = ask("a.example", 1);
    assert!(query(&good, SEED).is_some());
    assert!(query(&[good.clone(), vec![0]].concat(), SEED).is_none(), "something behind it");
    assert!(query(&good[..good.len() - 1], SEED).is_none(), "cut");
    assert!(query(&message(0x0100, [2, 0, 0, 0], "a.example", 1, &[]), SEED).is_none(), "two questions");
    assert!(query(&message(0x0100, [0, 0, 0, 0], "a.example", 1, &[]), SEED).is_none(), "none");
    assert!(query(&message(0x2900, [1, 0, 0, 0], "a.example", 6, &[]), SEED).is_none(), "an update");
    assert!(query(&message(0x8180, [1, 0, 0, 0], "a.example", 1, &[]), SEED).is_none(), "an answer");
    let option = record(&[0], 41, 0, &[]);
    assert!(query(&message(0x0100, [1, 0, 0, 1], "a.example", 1, &option), SEED).is_some(), "EDNS");
    assert!(query(&message(0x0100, [1, 0, 0, 1], "a.example", 1, &[]), SEED).is_none(), "EDNS is missing");
    // A dot inside a label: as text this would be `registry.npm.example`.
    let mut dotted = ask("registryxnpm.example", 1);
    dotted[12 + 1 + 8] = b'.';
    assert!(query(&dotted, SEED).is_none());
    let mut pointer = ask("a.example", 1);
    pointer[12..14].copy_from_slice(&[0xc0, 0]);
    assert!(query(&pointer, SEED).is_none(), "a pointer into the header");
}

#[test]
fn a_chain_ends_at_addresses_of_the_question() {
    let alias = record(&[0xc0, 12], 5, 60, &wire("cdn.example.net"));
    let one = record(&wire("cdn.example.net"), 1, 60, &[203, 0, 113, 1]);
    let two = record(&[0xc0, 12], 1, 60, &[203, 0, 113, 2]);
    let six = record(&[0xc0, 12], 28, 60, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
    let text = record(&[0xc0, 12], 16, 60, b"\x04\x01\x02\x03\x04");
    assert_eq!(last_octets(&[alias, one, text, two, six]), [1, 2, 3]);
}

#[test]
fn hostile_records_end_the_answer() {
    let good = || record(&[0xc0, 12], 1, 60, &[203, 0, 113, 1]);
    let odd = record(&[0xc0, 12], 1, 60, &[203, 0, 113, 1, 9]);
    assert_eq!(last_octets(&[odd, good()]), [1], "an address of five octets is none");
    let itself = record(&[0xc0, 45], 1, 60, &[203, 0, 113, 2]);
    assert_eq!(last_octets(&[good(), itself, good()]), [1], "a pointer to itself");
    let forward = record(&[0xc1, 0], 1, 60, &[203, 0, 113, 2]);
    assert_eq!(last_octets(&[good(), forward, good()]), [1], "a pointer to what comes");
    // Fuzzing found that resolvers take such a name, and so the address that comes with it.
    let header = record(&[0xc0, 3], 1, 60, &[203, 0, 113, 2]);
    assert_eq!(last_octets(&[good(), header, good()]), [1, 2, 1], "a pointer into the header");
    let reserved = record(&[0x80, 0], 1, 60, &[203, 0, 113, 2]);
    assert_eq!(last_octets(&[good(), reserved]), [1], "a kind of label that was never used");
    let mut long = record(&[0xc0, 12], 16, 60, &[]);
    let end = long.len();
    long[end - 2..].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(last_octets(&[good(), long, good()]), [1], "a record longer than the message");
}

#[test]
fn refusals_give_no_addresses() {
    let records = record(&[0xc0, 12], 1, 60, &[203, 0, 113, 1]);
    for flags in [0x8183_u16, 0x8182, 0x0100, 0x9180] {
        let mut count = 0;
        assert!(
            answer(&message(flags, [1, 1, 0, 0], "a.example", 1, &records), SEED, |_| count += 1).is_none()
        );
        assert_eq!(count, 0, "{flags:x}");
    }
    let mut count = 0;
    answer(&message(0x8380, [1, 1, 0, 0], "a.example", 1, &records), SEED, |_| count += 1);
    assert_eq!(count, 1, "truncated, but this record is there");
}

#[test]
fn times_have_a_floor_and_a_cap() {
    assert_eq!([0, 299, 300, 86_401, u32::MAX, 1 << 31].map(kept_for), [300, 300, 300, 86_400, 300, 300]);
}

#[test]
fn shapes_that_carry_something_out_are_odd() {
    let odd = |name: &str, kind| is_odd(&query(&ask(name, kind), SEED).unwrap().walk, kind.into());
    assert!(
        !odd("registry.npm.example", 1)
            && !odd("registry.npm.example", 28)
            && !odd("_http._tcp.deb.example", 33)
    );
    assert!(!odd("prod-us-east-1-starport-layer-bucket.s3.us-east-1.amazonaws.com", 1));
    assert!(odd("example.com", 16) && odd("example.com", 10) && odd("example.com", 65_280));
    assert!(odd(&format!("{}.example.com", "a".repeat(50)), 1));
    assert!(odd(&format!("{}example.com", "abcdefgh.".repeat(14)), 1));
    assert!(!odd(&format!("{}ip6.arpa", "f.".repeat(32)), 12));
}

#[test]
fn names_below_one_domain_are_counted_once_each() {
    let walk = |name: &str| query(&ask(name, 1), SEED).unwrap().walk;
    assert_eq!(walk("a.example.com").registered(), walk("x.y.z.example.com").registered());
    assert_ne!(walk("a.example.com").registered(), walk("a.example.net").registered());
    assert_ne!(walk("a.one.co.uk").registered(), walk("a.two.co.uk").registered());
    assert_eq!(walk("a.one.co.uk").registered(), walk("b.one.co.uk").registered());
    let mut asked = Asked::default();
    let first = walk("n0.example.com").name();
    for _ in 0..1000 {
        assert!(!asked.note(first));
    }
    let many = (0..200).map(|number| walk(&format!("n{number}.example.com")).name());
    let before = many.clone().position(|name| asked.note(name)).expect("200 names are many") as u32;
    // Some share a bit.
    assert!((MANY..MANY + 20).contains(&before), "{before}");
}
