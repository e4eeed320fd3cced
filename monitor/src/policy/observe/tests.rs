//! Observing tells more and changes nothing.

use std::net::IpAddr;

use monitor_common::label::MAX_MARKS;
use monitor_common::object::KernelObject;
use monitor_common::policy::{MAX_GROUPS, Past, Query};

use super::*;
use crate::policy::Judge;
use crate::rule::load::load;
use crate::rule::syntax::Network;

const PATHS: &[&str] = &[
    "/home/dev/.ssh/id_rsa",
    "/home/dev/.aws/credentials",
    "/home/dev/.npmrc",
    "/home/dev/.bashrc",
    "/home/dev/.config/autostart/x.desktop",
    "/home/dev/Documents/x",
    "/home/dev/project/package.json",
    "/home/dev/project/.git/hooks/pre-commit",
    "/home/dev/project/.env",
    "/home/dev/project/node_modules/a/index.js",
    "/home/dev/.cache/pip/x",
    "/home/dev/.cache/puppeteer/x",
    "/home/dev/.cargo/registry/src/a/b.rs",
    "/tmp/x",
    "/etc/passwd",
    "/etc/cron.d/x",
    "/usr/lib/python3/dist-packages/x.pth",
    "/usr/local/bin/x",
    "/opt/x",
    "/dev/null",
    "/dev/sda",
    "/proc/sys/kernel/x",
    "/boot/vmlinuz",
    "/var/run/docker.sock",
];
const SOCKETS: &[&str] =
    &["/var/run/docker.sock", "/run/user/1000/bus", "/tmp/x.sock", "@/tmp/.X11-unix/X0", "@x"];
const HOSTS: &[&str] =
    &["registry.test", "example.org", "webhook.site", "github.com", "localhost", "x.ngrok.io"];
const ADDRESSES: &[&str] = &["203.0.113.7", "127.0.0.1", "169.254.169.254", "10.1.2.3", "::1", "2001:db8::1"];
const PORTS: &[u16] = &[0, 22, 53, 80, 443, 4873, 8000, 8443, 9050, 40000];

/// Two policies and everything that can be asked of both.
struct Both {
    plain: Policy,
    observing: Policy,
}

impl Both {
    fn new(network: Network) -> Self {
        let set = load(&[]).unwrap();
        let environment = Environment { network, ..Environment::for_tests(&set) };
        let plain = Policy::compile(&set, &environment).unwrap();
        let observing = Policy::compile_observing(&set, &environment).unwrap();
        Self { plain, observing }
    }

    /// Groups of everything that an act can be about, in both.
    fn subjects(&self) -> Vec<(Action, [[u16; MAX_GROUPS]; 2], String)> {
        let of = |group: &dyn Fn(&Policy) -> [u16; MAX_GROUPS]| [group(&self.plain), group(&self.observing)];
        let changes =
            [Action::Read, Action::Write, Action::Create, Action::Link, Action::Rename, Action::Remove];
        let mut all = Vec::new();
        for path in PATHS {
            for object in [None, Some(KernelObject::OpaquePath), Some(KernelObject::RawDevice)] {
                let groups = of(&|policy| {
                    let object = object.map_or(0, |object| policy.kernel_group(object));
                    [policy.file_group(path.as_bytes()), 0, 0, object, 0, 0]
                });
                all.extend(changes.map(|action| (action, groups, format!("{path} {object:?}"))));
            }
        }
        for socket in SOCKETS {
            let groups = of(&|policy| [policy.socket_group(socket.as_bytes()), 0, 0, 0, 0, 0]);
            all.push((Action::UnixConnect, groups, (*socket).to_owned()));
        }
        for host in HOSTS {
            let groups = of(&|policy| [policy.domain_group(host.as_bytes(), None), 0, 0, 0, 0, 0]);
            all.push((Action::Resolve, groups, (*host).to_owned()));
        }
        for address in ADDRESSES {
            let bytes = match address.parse::<IpAddr>().unwrap() {
                IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
                IpAddr::V6(address) => address.octets(),
            };
            for port in PORTS {
                for host in HOSTS.iter().map(Some).chain([None]) {
                    let groups = of(&|policy| {
                        let name = host.map_or(0, |host| policy.domain_group(host.as_bytes(), Some(*port)));
                        let object = if host.is_some() {
                            0
                        } else {
                            policy.kernel_group(KernelObject::UnnamedAddress)
                        };
                        [policy.net_group(bytes, *port), name, 0, object, 0, 0]
                    });
                    for action in [Action::Connect, Action::Send, Action::Listen] {
                        all.push((action, groups, format!("{address} {port} {host:?}")));
                    }
                }
            }
        }
        all
    }
}

fn pasts() -> Vec<Past> {
    let all = (0..MAX_MARKS as u32).fold(0, |marks, bit| marks | 1 << bit);
    let mut pasts = vec![Past::default()];
    for marks in [0, all] {
        for classes in [0, 2] {
            pasts.push(Past { marks: marks | SCRIPT_SCOPE, classes });
        }
    }
    pasts
}

#[test]
fn what_the_rules_say_stays() {
    let mut told = 0;
    for network in [Network::Audit, Network::Registry] {
        let both = Both::new(network);
        let (plain, observing) = (&both.plain, &both.observing);
        let observer = observing.names.observer.unwrap();
        assert_eq!(plain.names.actors, observing.names.actors);
        assert_eq!(plain.names.marks, observing.names.marks);
        for (action, groups, what) in both.subjects() {
            for actor in 0..plain.names.actors.len() {
                for past in pasts() {
                    let query = |groups| Query { actor: actor as u8, action, groups, past };
                    let said = Judge::new(plain).judge(&query(groups[0]));
                    let mut more = Judge::new(observing).judge(&query(groups[1]));
                    assert_eq!(
                        plain.secrets(groups[0], &said),
                        observing.secrets(groups[1], &more),
                        "{what} {action:?} {past:?}"
                    );
                    if more.rule == observer && more.is_finding() {
                        told += 1;
                        assert_eq!(more.verdict, Asked::Alert as u8);
                        assert_ne!(past.marks & SCRIPT_SCOPE, 0);
                        more = monitor_common::policy::Decision {
                            verdict: Asked::Allow as u8,
                            rank: said.rank,
                            rule: said.rule,
                            slot: said.slot,
                            ..more
                        };
                    }
                    assert_eq!(said, more, "{what} {action:?} {past:?} {}", plain.names.actors[actor]);
                }
            }
        }
    }
    assert!(told > 10_000, "only {told}");
}

#[test]
fn what_nobody_objects_to_is_told() {
    let both = Both::new(Network::Audit);
    let policy = &both.observing;
    let observer = policy.names.observer.unwrap();
    let actor = policy.names.actor("script:npm").unwrap();
    let told = |action, groups: [u16; MAX_GROUPS]| {
        let past = Past { marks: SCRIPT_SCOPE, classes: 0 };
        let decision = Judge::new(policy).judge(&Query { actor, action, groups, past });
        decision.is_finding() && decision.rule == observer
    };
    let file = |path: &str| [policy.file_group(path.as_bytes()), 0, 0, 0, 0, 0];
    for (path, expected) in [
        ("/opt/x", true),
        ("/home/dev/.config/tool/settings", true),
        ("/home/dev/.cache/puppeteer/chrome", true),
        ("/home/dev/project/node_modules/other/index.js", true),
        ("/home/dev/project/dist/a.js", false),
        ("/home/dev/.npm/_cacache/x", false),
        ("/tmp/x", false),
        ("/dev/null", false),
    ] {
        assert_eq!(told(Action::Create, file(path)), expected, "{path}");
        assert!(!told(Action::Read, file(path)), "{path}");
    }
    let socket = [policy.socket_group(b"/tmp/x.sock"), 0, 0, 0, 0, 0];
    assert!(told(Action::UnixConnect, socket));
    let name = [policy.domain_group(b"example.org", None), 0, 0, 0, 0, 0];
    assert!(told(Action::Resolve, name));
}

#[test]
fn nobody_sees_how_it_is_done() {
    let both = Both::new(Network::Audit);
    let hidden = |name: &String| name.starts_with(PREFIX);
    assert!(!both.observing.names.groups.iter().flatten().any(hidden));
    assert!(!both.observing.names.objects.keys().any(hidden));
    assert_eq!(both.plain.names.observer, None);
    let (plain, observing) = (both.plain.words.len(), both.observing.words.len());
    assert!(observing < plain * 2, "{plain} words became {observing}");
}
