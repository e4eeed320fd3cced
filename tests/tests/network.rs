//! Packages that ask for the machine's identity (E10) or talk to powerful sockets (E24).

use std::fs;
use std::path::Path;

use pkgwarden_tests::{Harm, Scenario, World, emulate};

emulate! {
    /// Most clouds.
    metadata => imds("tcp 169.254.169.254", "169.254.169.254:80");

    /// Containers.
    container_credentials => imds("tcp 169.254.170.2", "169.254.170.2:80");

    /// Another cloud, at an address that is not link-local.
    other_cloud => imds("tcp 100.100.100.200", "100.100.100.200:80");

    /// By IPv6.
    ipv6 => imds("tcp fd00:ec2::254", "[fd00:ec2::254]:80");

    /// IPv4 in the clothes of IPv6.
    mapped => imds("tcp ::ffff:169.254.169.254", "169.254.169.254:80");

    /// A datagram, without a connection.
    datagram => imds("udp4 169.254.169.254", "udp:80");

    /// A datagram by IPv6.
    datagram_ipv6 => imds("udp6 fd00:ec2::254", "udp:80");

    /// A datagram to IPv4 in the clothes of IPv6.
    datagram_mapped => imds("udp6 ::ffff:169.254.169.254", "udp:80");
}

/// E10.
fn imds(variant: &'static str, reached: &'static str) -> Scenario {
    let scenario = Scenario::npm("evil-imds").env("VARIANT", variant).harm(Harm::Contact(reached));
    scenario.rule("PW-NET-001").script("postinstall")
}

/// E24: sockets of a made-up user, where the real ones of rootless services are.
mod sockets {
    use super::*;

    emulate! {
        /// The engine of containers.
        docker => socket("docker.sock", |world| listen(world, "docker.sock")).rule("PW-ESC-001");

        /// The user's service manager.
        service_manager => socket("systemd/private", |world| listen(world, "systemd/private")).rule("PW-ESC-002");

        /// The bus has honest uses.
        session_bus => socket("bus", |world| listen(world, "bus")).rule("PW-ESC-003").only_told();
    }

    fn socket(name: &'static str, listen: fn(&mut World)) -> Scenario {
        let scenario = Scenario::npm("evil-socket").env("VARIANT", name).prepare(listen);
        scenario.harm(Harm::Contact("unix")).script("postinstall")
    }

    /// The package reads from the home which user it is about: every world has another.
    fn listen(world: &mut World, name: &str) {
        let folder = Path::new("/run/user").join(world.id());
        let socket = folder.join(name);
        let parent = socket.parent().expect("a socket is in a directory");
        fs::create_dir_all(parent).expect("make a directory for sockets");
        fs::write(world.home().path().join("sockets"), format!("{}\n", folder.display())).expect("name it");
        world.sink_mut().listen_unix(&socket);
        world.litter(&folder);
    }
}
