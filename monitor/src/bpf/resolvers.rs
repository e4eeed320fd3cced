//! Which resolvers this machine asks: whoever else answers is not believed, and asking anybody else is told.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use monitor_common::dns::name::{GOING, NameWalk};

/// Where the C library reads it (resolv.conf(5)).
const USUAL: &str = "/etc/resolv.conf";
/// Whom systemd-resolved asks itself: all servers of all links (systemd-resolved.service(8)).
const UPSTREAM: &str = "/run/systemd/resolve/resolv.conf";
/// Where systemd-resolved listens.
const STUBS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53)), IpAddr::V4(Ipv4Addr::new(127, 0, 0, 54))];

/// What this machine's programs are told about names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Addresses of the resolvers.
    pub servers: Vec<IpAddr>,
    /// Domains below which every name is tried.
    pub search: Vec<String>,
}

impl Configuration {
    /// Reads it. The C library asks this machine itself where nothing is written down.
    #[must_use]
    pub fn of_machine() -> Self {
        let mut configured = Self::default();
        configured.add(&std::fs::read_to_string(USUAL).unwrap_or_default());
        if configured.servers.is_empty() {
            configured.servers = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        }
        if let Ok(upstream) = std::fs::read_to_string(UPSTREAM) {
            configured.servers.extend(STUBS);
            configured.add(&upstream);
        }
        configured.servers.sort_unstable();
        configured.servers.dedup();
        configured
    }

    fn add(&mut self, text: &str) {
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    // The link of a link-local address is no part of it.
                    let address: Option<IpAddr> =
                        words.next().and_then(|word| word.split('%').next()?.parse().ok());
                    self.servers.extend(address);
                }
                Some("search" | "domain") => self.search.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
    }

    /// The registered domains of the search list, as the kernel side numbers them.
    pub fn searched(&self, seed: u64) -> impl Iterator<Item = u64> {
        self.search.iter().filter_map(move |domain| registered(domain, seed))
    }
}

/// The number of the registered domain of a name.
fn registered(domain: &str, seed: u64) -> Option<u64> {
    let mut walk = NameWalk::new(0, seed);
    for label in domain.split('.').filter(|label| !label.is_empty()) {
        let length = u8::try_from(label.len()).ok()?;
        for octet in std::iter::once(length).chain(label.bytes()) {
            walk.push(octet);
        }
    }
    (walk.state == GOING && walk.labels > 0).then(|| walk.registered())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_servers_and_search_domains() {
        let mut configured = Configuration::default();
        configured.add("# none\nnameserver 10.0.0.2 # one\n  nameserver fe80::1%eth0\nnameserver x\nsearch a.b.example corp.example\noptions ndots:5\n");
        let servers: Vec<IpAddr> = vec!["10.0.0.2".parse().unwrap(), "fe80::1".parse().unwrap()];
        assert_eq!(configured.servers, servers);
        assert_eq!(configured.search, ["a.b.example", "corp.example"]);
    }

    #[test]
    fn a_search_domain_has_the_number_of_what_is_asked_below_it() {
        let asked = registered("registry.npm.example.svc.cluster.local.", 7);
        assert_eq!(registered("Cluster.Local", 7), asked);
        assert_ne!(registered("cluster.local", 8), asked);
        assert_eq!(registered(".", 7), None);
        assert_eq!(registered(&"x".repeat(64), 7), None);
    }
}
