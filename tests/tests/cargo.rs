//! E19: crates that do harm in their build scripts.

use std::fs;

use pkgwarden_tests::{Harm, Scenario, deed, emulate};

emulate! {
    /// A bare address on an odd port.
    calls_home => build("connect").harm(Harm::Contact("203.0.113.7:9089")).rule("PW-NET-").script("build.rs");

    /// A program from the network.
    runs_what_it_fetched => build("drop")
        .prepare(|world| world.sink().serve("/stage", fs::read(deed()).expect("read the deed program")))
        .harm(Harm::Marker)
        .rule("PW-KERN-001");

    /// The registry token.
    registry_token => build("credentials").harm(Harm::Leak).rule("PW-CRED-").ancestors(&["cargo"]);
}

fn build(variant: &'static str) -> Scenario {
    Scenario::cargo("evil-build").env("VARIANT", variant)
}
