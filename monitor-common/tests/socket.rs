//! What is remembered of addresses.

use std::net::{IpAddr, Ipv6Addr};

use monitor_common::socket::{Name, Names, is_loopback, is_public, short};

fn octets(text: &str) -> [u8; 16] {
    match text.parse().unwrap() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => Ipv6Addr::octets(&address),
    }
}

#[test]
fn public_addresses_are_told_from_others() {
    for text in [
        "1.1.1.1",
        "203.0.113.7",
        "172.32.0.1",
        "100.128.0.1",
        "192.169.0.1",
        "2606:4700::1",
        "64:ff9b::101:101",
    ] {
        assert!(is_public(&octets(text)), "{text}");
    }
    let others = [
        "0.0.0.0",
        "10.1.2.3",
        "127.0.0.53",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fd00:ec2::254",
        "fe80::1",
        "ff02::1",
    ];
    for text in others {
        assert!(!is_public(&octets(text)), "{text}");
    }
}

#[test]
fn loopback_has_many_addresses() {
    for text in ["127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::"] {
        assert!(is_loopback(&octets(text)), "{text}");
    }
    for text in ["128.0.0.1", "10.0.0.1", "::2", "::ffff:1.2.3.4", "1::1"] {
        assert!(!is_loopback(&octets(text)), "{text}");
    }
}

fn name(hash: u64, expires: u32, tree: u16) -> Name {
    Name { hash, expires, set: 7, tree }
}

#[test]
fn an_address_keeps_several_names_and_drops_the_one_that_ends_first() {
    let mut names = Names::default();
    for (hash, expires) in [(1, 500), (2, 400), (3, 600), (4, 700)] {
        names.add(name(hash, expires, 0), 100);
    }
    assert_eq!(names.for_tree(9, 100), 0b1111);
    assert_eq!(names.for_tree(9, 450), 0b1101, "one has ended");
    names.add(name(5, 800, 0), 100);
    assert_eq!(names.0.map(|name| name.hash), [1, 5, 3, 4]);
    names.add(name(3, 200, 0), 100);
    assert_eq!(names.0[2].expires, 600, "a shorter time takes nothing away");
}

#[test]
fn what_a_tree_asked_itself_comes_before_what_others_asked() {
    let mut names = Names::default();
    names.add(name(1, 500, 0), 100);
    names.add(name(2, 500, short(42)), 100);
    assert_eq!(names.for_tree(42, 100), 0b10);
    assert_eq!(names.for_tree(43, 100), 0b11);
    names.add(name(2, 900, 0), 100);
    assert_eq!(names.for_tree(42, 100), 0b10, "that others ask too changes nothing");
    assert_ne!(short(0x1_0000), 0);
}
