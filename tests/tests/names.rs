//! E11 and the ways round that egress tools fell for: what a script has is spelt in names, and a thief's name server
//! hears of them, by whichever way they are asked for.
//!
//! The secret is in the script's own environment: no rule about files stops it before.

use std::process::Command;

use pkgwarden_tests::online::place::Family;
use pkgwarden_tests::{Harm, Scenario, binary, emulate_by_name};

emulate_by_name! {
    /// By c-ares, to the configured resolver, which passes them on.
    long_labels => spells("labels", Family::V4);

    /// The same, where there is IPv6 only.
    long_labels_ipv6 => spells("labels", Family::V6);

    /// By the C library.
    long_labels_by_libc => spells("lookup", Family::Both);

    /// Many TXT records in a row.
    txt_burst => spells("txt", Family::Both).harm(Harm::Asked("TXT"));

    /// Another resolver than the configured one.
    foreign_resolver => spells("foreign 203.0.113.53", Family::Both).harm(Harm::Asked("TXT"));

    /// By IPv6.
    foreign_resolver_ipv6 => spells("foreign 2001:db8:66::53", Family::Both).harm(Harm::Asked("TXT"));

    /// Datagrams without a connection and without a resolver library.
    datagrams => spells("datagrams 198.51.100.53", Family::Both);

    /// By IPv6.
    datagrams_ipv6 => spells("datagrams 2001:db8:53::53", Family::Both);

    /// To another resolver.
    datagrams_foreign => spells("datagrams 203.0.113.53", Family::Both);

    /// By TCP, which one tool did not read at all.
    over_tcp => spells("tcp 198.51.100.53", Family::Both);

    /// By IPv6.
    over_tcp_ipv6 => spells("tcp 2001:db8:53::53", Family::Both);

    /// Many questions in one connection, of which one tool read only the first.
    pipelined => spells("pipelined 198.51.100.53 npm.packages.example", Family::Both);

    /// By IPv6.
    pipelined_ipv6 => spells("pipelined 2001:db8:53::53 npm.packages.example", Family::Both);

    /// Questions that are cut across segments.
    dribbled => spells("dribbled 198.51.100.53", Family::Both);

    /// Inside TLS: what is asked cannot be read, but that somebody does it can be seen.
    over_tls => spells("dot 198.51.100.53", Family::Both);

    /// Inside HTTPS, by a resolver that everybody may talk to.
    over_https => spells("doh dns.resolver.example", Family::Both);

    /// By IPv6.
    over_https_ipv6 => spells("doh dns.resolver.example", Family::V6);

    /// All in one `sendmmsg`, which one tool did not see.
    at_once => asks_at_once("198.51.100.53:53");

    /// By IPv6.
    at_once_ipv6 => asks_at_once("[2001:db8:53::53]:53");

    /// All in one `sendmmsg`, to another resolver.
    at_once_foreign => asks_at_once("203.0.113.53:53");
}

/// Where nobody has asked for a limit, the shape of it is enough.
mod by_default {
    use super::*;

    emulate_by_name! {
        long_labels => spells("labels", Family::Both).network("audit").rule("PW-NET-032");

        txt_burst => spells("txt", Family::Both).network("audit").rule("PW-NET-032");

        foreign_resolver => spells("foreign 203.0.113.53", Family::Both).network("audit").rule("PW-NET-031");

        over_tls => spells("dot 198.51.100.53", Family::Both).network("audit").rule("PW-NET-030");
    }
}

fn spells(variant: &'static str, family: Family) -> Scenario {
    smuggles(Scenario::npm("evil-resolve"), variant, family)
}

/// The script's own environment is a file too.
fn asks_at_once(resolver: &'static str) -> Scenario {
    let variant = format!("ask-at-once {resolver} /proc/self/environ thief.example");
    smuggles(Scenario::npm("evil-deed"), variant.leak(), Family::Both)
}

fn smuggles(scenario: Scenario, variant: &'static str, family: Family) -> Scenario {
    let scenario = scenario.online(family).network("registry").env("VARIANT", variant).token("CI_TOKEN");
    scenario.harm(Harm::Smuggled).rule("PW-NET-").script("postinstall")
}

/// The watched halves of everything in `emulate_by_name` are off until there is something to watch with.
#[test]
#[ignore = "needs the built binary"]
fn watched_halves_are_switched_on_as_soon_as_they_can_be() {
    let output = Command::new(binary()).args(["doctor", "--json"]).output().expect("start pkgwarden");
    // The hook that reads answers of resolvers.
    let knows_names = String::from_utf8_lossy(&output.stdout).contains("\"ingress\"");
    let switched_on = cfg!(feature = "network-by-name");
    assert_eq!(
        knows_names, switched_on,
        "the hook that reads names and the feature network-by-name of this crate come together: see tests/Cargo.toml"
    );
}
