//! Where scripts take things: to hosts with names of all kinds, and to hosts that only seem to have a good one.

use std::fs;

use pkgwarden_tests::online::place::Family;
use pkgwarden_tests::{Harm, Scenario, World, emulate_by_name};

emulate_by_name! {
    /// A host of the thief's.
    thief => takes("token https://collect.thief.example/", Family::V4);

    /// The same, where there is IPv6 only.
    thief_ipv6 => takes("token https://collect.thief.example/", Family::V6);

    /// A name in capitals, with a dot at its end, is the same name.
    thief_in_capitals => takes("token https://COLLECT.Thief.Example./", Family::Both);

    /// Somebody else's host, where anybody may leave things.
    webhook => takes("token https://webhook.site/", Family::Both);

    /// A chat.
    chat => takes("token https://api.telegram.org/bot", Family::Both);

    /// A tunnel, with a name made up for it.
    tunnel => takes("token https://made-up.trycloudflare.com/", Family::Both);

    /// An address without a name, on a port of no service.
    nameless => takes("token http://203.0.113.7:8000/", Family::Both);

    /// By IPv6.
    nameless_ipv6 => takes("token http://[2001:db8:7::7]:8000/", Family::Both);

    /// Without `connect`, with the first packet.
    fast_open => deed("post-early 203.0.113.66:8000 /proc/self/environ");

    /// By IPv6.
    fast_open_ipv6 => deed("post-early [2001:db8:66::66]:8000 /proc/self/environ");

    /// An honest host, when nothing is allowed at all.
    honest_but_denied => egress("visit https://npm.packages.example/collect", Family::Both)
        .network("deny")
        .harm(Harm::Heard("X-Name: npm.packages.example"));
}

/// One address, several names.
mod shared_addresses {
    use super::*;

    emulate_by_name! {
        /// The registry and the thief are on one address, and the thief is asked for by name.
        by_name => takes("token https://shared.thief.example/", Family::V4)
            .harm(Harm::Heard("X-Name: shared.thief.example"));

        /// By IPv6.
        by_name_ipv6 => takes("token https://shared.thief.example/", Family::V6)
            .harm(Harm::Heard("X-Name: shared.thief.example"));

        /// The address is the registry's: only TLS tells whom it is for.
        by_sni => takes("pretend shared.thief.example 203.0.113.20", Family::Both)
            .harm(Harm::Heard("X-Name: shared.thief.example"));

        /// TLS begins with the registry's name. What is said inside is for the thief; a secret was read before.
        fronted => steals("front https://npm.packages.example/ shared.thief.example");
    }
}

/// Addresses that look as if a good name had them.
mod forged_names {
    use super::*;

    emulate_by_name! {
        /// A name that was never looked up.
        pretended => takes("pretend npm.packages.example 203.0.113.66", Family::Both);

        /// Answered by a name server of the script's own.
        own_name_server => forges("own npm.packages.example 203.0.113.66");

        /// The answer is an address of IPv6.
        own_name_server_ipv6 => forges("own npm.packages.example 2001:db8:66::66");

        /// Answered by an accomplice.
        foreign_name_server => forges("foreign npm.packages.example 203.0.113.66 203.0.113.53");

        /// By IPv6.
        foreign_name_server_ipv6 => forges("foreign npm.packages.example 2001:db8:66::66 2001:db8:66::53");

        /// An answer to a question that was never asked.
        unasked_answer => forges("unasked npm.packages.example 203.0.113.66");
    }

    fn forges(variant: &'static str) -> Scenario {
        let scenario = Scenario::npm("evil-forgery").online(Family::Both).network("registry");
        let scenario = scenario.env("VARIANT", variant).token("CI_TOKEN").harm(Harm::Leak);
        scenario.rule("PW-NET-").script("postinstall")
    }
}

/// After a secret was read, also good hosts are closed.
mod secret_then_network {
    use super::*;

    emulate_by_name! {
        /// To the thief.
        thief => steals("steal https://collect.thief.example/");

        /// To the registry, whose site takes things in.
        registry => steals("steal https://npm.packages.example/collect").rule("PW-NET-050");

        /// Copied by one child and sent by another.
        relayed => steals("relay https://npm.packages.example/collect").rule("PW-NET-050");

        /// Also where nobody has asked for a limit.
        by_default => steals("steal https://npm.packages.example/collect").network("audit").rule("PW-NET-050");
    }
}

/// E23: what stays when the install is over.
mod afterwards {
    use super::*;

    emulate_by_name! {
        dead_man => Scenario::npm("evil-poll")
            .online(Family::Both)
            .network("registry")
            .env("VARIANT", "https://collect.thief.example/alive")
            .harm(Harm::Marker)
            .rule("PW-NET-")
            .spares_command();
    }
}

/// Services of this machine that the install has not started.
mod loopback {
    use super::*;

    emulate_by_name! {
        neighbour => knocks("http://127.0.0.1:8000/").network("registry");

        /// By IPv6.
        neighbour_ipv6 => knocks("http://[::1]:8000/").network("registry");

        /// By an address that means the same.
        neighbour_by_zero => knocks("http://0.0.0.0:8000/").network("registry");

        /// Where nobody has asked for a limit it is told.
        by_default => knocks("http://127.0.0.1:8000/").network("audit").only_told();
    }

    fn knocks(variant: &'static str) -> Scenario {
        let scenario = Scenario::npm("evil-loopback").online(Family::Both).env("VARIANT", variant);
        let scenario = scenario.prepare(World::open_neighbour).harm(Harm::Neighbour);
        scenario.rule("PW-NET-").script("postinstall")
    }
}

/// Takes the secret of its environment somewhere.
fn takes(variant: &'static str, family: Family) -> Scenario {
    egress(variant, family).token("CI_TOKEN").harm(Harm::Leak)
}

fn egress(variant: &'static str, family: Family) -> Scenario {
    let scenario = Scenario::npm("evil-egress").online(family).network("registry").env("VARIANT", variant);
    scenario.rule("PW-NET-").script("postinstall")
}

/// Reads a secret, which is only told, and takes it somewhere.
fn steals(variant: &'static str) -> Scenario {
    let secret = |world: &mut World| {
        let token = world.entrust("the project's .env");
        fs::write(world.project().join(".env"), format!("TOKEN={token}\n"))
            .expect("write the project's .env");
    };
    egress(variant, Family::Both).prepare(secret).harm(Harm::Leak)
}

fn deed(variant: &'static str) -> Scenario {
    let scenario =
        Scenario::npm("evil-deed").online(Family::Both).network("registry").env("VARIANT", variant);
    scenario.token("CI_TOKEN").harm(Harm::Leak).rule("PW-NET-").script("postinstall")
}
