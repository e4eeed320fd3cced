//! Packages that use the kernel in ways no install needs: programs without a file, raw sockets, io_uring.

use pkgwarden_tests::{Harm, Scenario, emulate};

emulate! {
    /// A program that is in no directory.
    fileless => told("memfd ../../../harm").harm(Harm::Marker).rule("PW-KERN-003");

    /// A datagram past the calls that send datagrams.
    raw_socket => told("raw-socket").harm(Harm::Contact("udp:8053")).rule("PW-KERN-030");

    /// A file past the calls that read files.
    io_uring => told("io-uring ../../../.aws/credentials").harm(Harm::Leak).rule("PW-KERN-02");
}

fn told(deed: &'static str) -> Scenario {
    Scenario::npm("evil-deed").env("VARIANT", deed).script("postinstall")
}
