//! Packages that ask for the machine's identity (E10) or talk to powerful sockets (E24).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

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
        docker => socket(DOCKER, |world| listen(world, DOCKER)).rule("PW-ESC-001");

        /// The user's service manager.
        service_manager => socket(MANAGER, |world| listen(world, MANAGER)).rule("PW-ESC-002");

        /// The bus has honest uses.
        session_bus => socket(BUS, |world| listen(world, BUS)).rule("PW-ESC-003").only_told();
    }

    const DOCKER: &str = "/run/user/3999999/docker.sock";
    const MANAGER: &str = "/run/user/3999997/systemd/private";
    const BUS: &str = "/run/user/3999998/bus";

    fn socket(path: &'static str, listen: fn(&mut World)) -> Scenario {
        let scenario = Scenario::npm("evil-socket").env("VARIANT", path).prepare(listen);
        scenario.harm(Harm::Contact("unix")).script("postinstall")
    }

    fn listen(world: &mut World, path: &str) {
        let folder = Path::new(path).parent().expect("a socket is in a directory");
        let user: PathBuf = folder.components().take(4).collect();
        fs::create_dir_all(folder).expect("make a directory for sockets");
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("set its mode");
        world.sink_mut().listen_unix(path.as_ref());
        world.litter(&user);
    }
}
