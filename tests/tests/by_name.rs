//! The attacks of the other files in a world with an internet: the thief has a name and a public address, as in real
//! incidents. Rules about files and programs stop them; in audit mode the calls that follow are found too.

use std::fs;

use pkgwarden_tests::online::names::{METADATA, METADATA_ALIAS};
use pkgwarden_tests::online::place::Family;
use pkgwarden_tests::{Harm, Install, Scenario, Subject, World, deed, emulate, words};

/// E1 to E9 and E12: what is taken goes to a host with a name.
mod takes {
    use super::*;

    emulate! {
        /// E1.
        npmrc_thief => by_name(Scenario::npm("evil-npmrc"), Family::V4).rule("PW-CRED-").script("postinstall");

        /// E1 where there is IPv6 only.
        npmrc_thief_ipv6 => by_name(Scenario::npm("evil-npmrc"), Family::V6).rule("PW-CRED-").script("postinstall");

        /// E3: the runtime comes from the thief's host, and calls it when the install is over.
        own_runtime => by_name(Scenario::npm("evil-runtime"), Family::Both)
            .prepare(|world| world.sink().serve("/runtime", fs::read(deed()).expect("read the deed program")))
            .rule("PW-NET-")
            .later_rule("PW-KERN-001");

        /// E4.
        phantom_gyp => by_name(Scenario::npm("evil-gyp"), Family::Both).rule("PW-CRED-");

        /// E5: from a repository, which is cloned by HTTPS.
        git_prepare => by_name(Scenario::new(Install::Other(Some(GIT), git_dependency)), Family::Both)
            .rule("PW-CRED-")
            .script("prepare")
            .spares_command();

        /// E7.
        packed_with_tar => by_name(Scenario::pip("evil-tar"), Family::Both).rule("PW-CRED-");

        /// E8.
        runner_memory => by_name(Scenario::npm("evil-memory"), Family::Both)
            .prepare(|world| world.bystander("Runner.Worker", None))
            .env("VARIANT", "mem")
            .rule("PW-KERN-01");

        /// E9.
        environ_sweep => by_name(Scenario::npm("evil-environ"), Family::Both)
            .prepare(services)
            .rule("PW-KERN-011");

        /// E12.
        harvest => by_name(Scenario::npm("evil-harvest"), Family::Both).rule("PW-CRED-");

        /// The build backend of a Python package.
        upload_token => by_name(Scenario::pip("evil-backend"), Family::Both).rule("PW-CRED-");

        /// E19, the registry token.
        registry_token => by_name(Scenario::cargo("evil-build"), Family::Both)
            .env("VARIANT", "credentials")
            .rule("PW-CRED-");
    }

    const GIT: Subject = Subject { ecosystem: "npm", name: "evil-git" };

    fn git_dependency(world: &mut World) -> Vec<String> {
        let (internet, home) = world.internet_and_home();
        internet.forge(home, &[GIT.name]);
        let manifest = serde_json::json!({
            "name": "victim",
            "version": "1.0.0",
            "optionalDependencies": { GIT.name: world.internet().by_https(GIT.name) },
        });
        fs::write(world.project().join("package.json"), manifest.to_string()).expect("write the manifest");
        words("npm install")
    }

    fn by_name(scenario: Scenario, family: Family) -> Scenario {
        let scenario = scenario.online(family).env("THIEF", "collect.thief.example");
        scenario.harm(Harm::Leak).later_rule("PW-NET-")
    }

    fn services(world: &mut World) {
        for _ in 0..3 {
            world.bystander("decoy-service", Some("SERVICE_TOKEN"));
        }
    }
}

/// E2 and E19: an address without a name, behind a route and not on loopback.
mod nameless {
    use super::*;

    emulate! {
        /// E2.
        second_stage => Scenario::npm("evil-drop")
            .online(Family::Both)
            .prepare(|world| {
                let marker = world.marker().display().to_string();
                world.sink().serve("/ld.py", format!("open({marker:?}, 'w').write('done')\n").into_bytes());
            })
            .harm(Harm::Contact("203.0.113.7:8000"))
            .harm(Harm::Marker)
            .rule("PW-EXEC-003")
            .later_rule("PW-NET-");

        /// E19.
        build_script => Scenario::cargo("evil-build")
            .online(Family::Both)
            .env("VARIANT", "connect")
            .harm(Harm::Contact("203.0.113.7:9089"))
            .rule("PW-NET-")
            .script("build.rs");
    }
}

/// E10: metadata services, behind a route, by address and by name.
mod metadata {
    use super::*;

    emulate! {
        /// By address.
        address => imds("tcp 169.254.169.254", Family::Both, "169.254.169.254:80");

        /// By IPv6.
        address_ipv6 => imds("tcp fd00:ec2::254", Family::Both, "[fd00:ec2::254]:80");

        /// A datagram.
        datagram => imds("udp4 100.100.100.200", Family::Both, "udp:80");

        /// By the name that a cloud gives it.
        name => imds(tcp(METADATA), Family::V4, "169.254.169.254:80");

        /// By IPv6.
        name_ipv6 => imds(tcp(METADATA), Family::V6, "[fd00:ec2::254]:80");

        /// By a name of the thief's that has its address.
        alias => imds(tcp(METADATA_ALIAS), Family::V4, "169.254.169.254:80");

        /// By IPv6.
        alias_ipv6 => imds(tcp(METADATA_ALIAS), Family::V6, "[fd00:ec2::254]:80");
    }

    fn imds(variant: &'static str, family: Family, reached: &'static str) -> Scenario {
        let scenario = Scenario::npm("evil-imds").online(family).env("VARIANT", variant);
        scenario.harm(Harm::Contact(reached)).rule("PW-NET-001").script("postinstall")
    }

    fn tcp(name: &str) -> &'static str {
        format!("tcp {name}").leak()
    }
}
