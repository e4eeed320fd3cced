//! Addresses and ports: entries as people write them, and the tables that the kernel looks them up in.
//!
//! The most specific entry of an object decides whether an address belongs to it. Each distinct network of all
//! objects becomes one entry of the LPM trie, with the set of the parts of objects it belongs to; ports likewise become
//! sets, and names of hosts are sets too, that of an automaton.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::{IpNet, Ipv4Net};

use monitor_common::policy::ANY_PORT;

use super::domain::{self, DomainEntry};
use super::environment::Environment;
use super::glob::GlobError;
use super::registries::{Endpoint, Host};
use crate::rule::syntax::Object;
use crate::rule::{Place, Problem, RuleSet};

/// Bits in front of an IPv4 address in `::ffff:a.b.c.d`.
const MAPPED: u32 = 96;

/// An address as the trie holds it: IPv4 as `::ffff:a.b.c.d`.
#[must_use]
pub fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// One entry of an object's `addresses`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressEntry {
    /// It began with `!`.
    pub excluded: bool,
    /// An address is a network of one.
    pub network: IpNet,
}

/// Reads one entry of `addresses`.
///
/// # Errors
/// When it is no address and no network.
pub fn parse_address(text: &str) -> Result<AddressEntry, GlobError> {
    let (excluded, body) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
    let network = match (body.parse::<IpAddr>(), body.parse::<IpNet>()) {
        (Ok(address), _) => IpNet::from(address),
        (_, Ok(network)) => network,
        _ => {
            return Err(GlobError {
                message: format!("`{body}` is no address and no network"),
                hint: "write `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`; names of hosts go under `domains`"
                    .into(),
            });
        }
    };
    if network.trunc() != network {
        return Err(GlobError {
            message: format!("`{body}` has bits set behind its prefix"),
            hint: format!("write `{}`", network.trunc()),
        });
    }
    Ok(AddressEntry { excluded, network: unmapped(network) })
}

/// Networks inside `::ffff:0:0/96` are IPv4 networks.
fn unmapped(network: IpNet) -> IpNet {
    let IpNet::V6(six) = network else { return network };
    let length = u32::from(six.prefix_len());
    match six.network().to_ipv4_mapped() {
        Some(four) if length >= MAPPED => {
            Ipv4Net::new(four, (length - MAPPED) as u8).map_or(network, IpNet::V4)
        }
        _ => network,
    }
}

/// One entry of an object's `ports`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortEntry {
    /// It began with `!`.
    pub excluded: bool,
    /// A port is a range of one.
    pub ports: RangeInclusive<u16>,
}

/// Reads one entry of `ports`.
///
/// # Errors
/// When it is no port and no range of ports.
pub fn parse_port(text: &str) -> Result<PortEntry, GlobError> {
    let (excluded, body) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
    let (first, last) = body.split_once('-').unwrap_or((body, body));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) if first <= last => Ok(PortEntry { excluded, ports: first..=last }),
        _ => Err(GlobError {
            message: format!("`{body}` is no port and no range of ports"),
            hint: "write `443` or `6881-6999`, up to 65535".into(),
        }),
    }
}

/// What an object says of addresses, names of hosts and ports. An object has one part for what the rules say of it, and
/// one for each host that the machine's own files add.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) object: u32,
    /// An empty list is any address, only exclusions is any other address; none is no address at all.
    pub(super) addresses: Option<Vec<AddressEntry>>,
    /// Names of hosts.
    pub(super) domains: Vec<DomainEntry>,
    /// An empty list is any port, only exclusions is any other port.
    pub(super) ports: Vec<PortEntry>,
    /// Where its domains are in the rules.
    pub(super) place: Place,
}

/// The parts of all objects; the number of a part is its place in the list.
pub(super) fn parts(set: &RuleSet, environment: &Environment) -> Result<Vec<Part>, Problem> {
    let mut parts = Vec::new();
    for ((name, object), number) in set.objects.iter().zip(0..) {
        let Object { addresses, domains, ports, .. } = object;
        let configured = object.registries.as_ref().and_then(|name| environment.registries.get(name));
        parts.extend(configured.into_iter().flatten().map(|endpoint| at(number, name, endpoint)));
        if addresses.is_empty() && domains.is_empty() && ports.is_empty() {
            continue;
        }
        let refused = |error: GlobError| Problem::new(error.message, error.hint, &["objects", name]);
        let addresses: Vec<AddressEntry> =
            addresses.iter().map(|text| parse_address(text)).collect::<Result<_, _>>().map_err(refused)?;
        let domains: Vec<DomainEntry> =
            domains.iter().map(|text| domain::parse(text)).collect::<Result<_, _>>().map_err(refused)?;
        let ports = ports.iter().map(|text| parse_port(text)).collect::<Result<_, _>>().map_err(refused)?;
        parts.push(Part {
            object: number,
            addresses: (!addresses.is_empty() || domains.is_empty()).then_some(addresses),
            domains,
            ports,
            place: ["objects", name, "domains"].map(str::to_owned).to_vec(),
        });
    }
    Ok(parts)
}

/// One host at one port.
fn at(object: u32, name: &str, endpoint: &Endpoint) -> Part {
    let (addresses, domains) = match &endpoint.host {
        Host::Address(address) => {
            let network = unmapped(IpNet::from(*address));
            (Some(vec![AddressEntry { excluded: false, network }]), Vec::new())
        }
        Host::Name(name) => (None, vec![DomainEntry { excluded: false, below: false, name: name.clone() }]),
    };
    let ports = vec![PortEntry { excluded: false, ports: endpoint.port..=endpoint.port }];
    Part { object, addresses, domains, ports, place: ["objects", name].map(str::to_owned).to_vec() }
}

/// Prefix length, address, set of an entry of the trie.
pub(super) type Entry = (u32, [u8; 16], usize);

/// Sets of parts by address and by port.
#[derive(Debug, Default)]
pub(super) struct Sets {
    /// Entries of the trie.
    pub(super) networks: Vec<Entry>,
    /// Parts by number of the address set; set 0 is for addresses that meet no entry.
    pub(super) addresses: Vec<BTreeSet<u32>>,
    /// Set of each port.
    pub(super) by_port: Vec<usize>,
    /// Parts by number of the port set; [`ANY_PORT`] is all of them.
    pub(super) ports: Vec<BTreeSet<u32>>,
}

/// Numbers of sets in the order they were met.
#[derive(Default)]
struct Numbering {
    numbers: BTreeMap<BTreeSet<u32>, usize>,
    sets: Vec<BTreeSet<u32>>,
}

impl Numbering {
    fn number(&mut self, set: BTreeSet<u32>) -> usize {
        if let Some(number) = self.numbers.get(&set) {
            return *number;
        }
        self.sets.push(set.clone());
        self.numbers.insert(set, self.sets.len() - 1);
        self.sets.len() - 1
    }
}

/// Builds the sets.
pub(super) fn sets(parts: &[Part]) -> Sets {
    let (networks, addresses) = address_sets(parts);
    let (by_port, ports) = port_sets(parts);
    Sets { networks, addresses, by_port, ports }
}

fn address_sets(parts: &[Part]) -> (Vec<Entry>, Vec<BTreeSet<u32>>) {
    let mut numbering = Numbering::default();
    let belongs = |entries: &Vec<AddressEntry>, network: Option<IpNet>| {
        let deciding = entries
            .iter()
            .filter(|entry| network.is_some_and(|network| entry.network.contains(&network)))
            .max_by_key(|entry| (entry.network.prefix_len(), entry.excluded));
        deciding.map_or(entries.iter().all(|entry| entry.excluded), |entry| !entry.excluded)
    };
    let set = |network: Option<IpNet>| -> BTreeSet<u32> {
        let inside = |part: &Part| part.addresses.as_ref().is_some_and(|entries| belongs(entries, network));
        (0..).zip(parts).filter(|(_, part)| inside(part)).map(|(number, _)| number).collect()
    };
    numbering.number(set(None));
    let mut networks: BTreeSet<IpNet> =
        parts.iter().flat_map(|part| &part.addresses).flatten().map(|entry| entry.network).collect();
    // IPv4 addresses lie inside `::/0` in the trie, but no IPv6 network is about them.
    if networks.iter().any(|network| matches!(network, IpNet::V6(_))) {
        networks.insert(IpNet::V4(Ipv4Net::default()));
    }
    let entries = networks.iter().map(|network| {
        let length = u32::from(network.prefix_len());
        let length = if matches!(network, IpNet::V4(_)) { MAPPED + length } else { length };
        (length, mapped(network.network()), numbering.number(set(Some(*network))))
    });
    let entries = entries.collect();
    (entries, numbering.sets)
}

fn port_sets(parts: &[Part]) -> (Vec<usize>, Vec<BTreeSet<u32>>) {
    let mut numbering = Numbering::default();
    let any = numbering.number((0..parts.len() as u32).collect());
    debug_assert_eq!(any, ANY_PORT as usize, "the first set has the first number");
    // Between two of these the set of a port cannot change.
    let mut edges: BTreeSet<u32> = BTreeSet::from([0, 1 << 16]);
    for entry in parts.iter().flat_map(|part| &part.ports) {
        edges.insert(u32::from(*entry.ports.start()));
        edges.insert(u32::from(*entry.ports.end()) + 1);
    }
    let edges: Vec<u32> = edges.into_iter().collect();
    let mut by_port = Vec::with_capacity(1 << 16);
    for pair in edges.windows(2) {
        let port = pair[0] as u16;
        let belongs = |part: &Part| {
            let hit = |excluded| {
                part.ports.iter().any(|entry| entry.excluded == excluded && entry.ports.contains(&port))
            };
            !hit(true) && (hit(false) || part.ports.iter().all(|entry| entry.excluded))
        };
        let set = (0..).zip(parts).filter(|(_, part)| belongs(part)).map(|(number, _)| number).collect();
        let number = numbering.number(set);
        by_port.resize(pair[1] as usize, number);
    }
    (by_port, numbering.sets)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The only part of a test, so it has number 0.
    fn part(addresses: &[&str], ports: &[&str]) -> Part {
        Part {
            object: 7,
            addresses: Some(addresses.iter().map(|text| parse_address(text).unwrap()).collect()),
            domains: Vec::new(),
            ports: ports.iter().map(|text| parse_port(text).unwrap()).collect(),
            place: Place::new(),
        }
    }

    #[test]
    fn ipv4_is_not_inside_an_ipv6_network() {
        let sets = sets(&[part(&["::/0"], &[])]);
        let of = |length| sets.networks.iter().find(|entry| entry.0 == length).unwrap().2;
        assert!(sets.addresses[of(0)].contains(&0));
        assert!(sets.addresses[of(96)].is_empty());
        assert!(sets.addresses[0].is_empty());
    }

    #[test]
    fn only_exclusions_mean_all_others() {
        let sets = sets(&[part(&["!127.0.0.0/8"], &["!80"])]);
        assert!(sets.addresses[0].contains(&0));
        assert!(sets.addresses[sets.networks[0].2].is_empty());
        assert!(sets.ports[sets.by_port[80]].is_empty());
        assert!(sets.ports[sets.by_port[81]].contains(&0));
        assert_eq!(sets.by_port.len(), 1 << 16);
    }

    #[test]
    fn malformed_entries_are_refused() {
        for text in ["", "example.org", "10.0.0.1/8", "10.0.0.0/33", "300.1.1.1"] {
            assert!(parse_address(text).is_err(), "{text}");
        }
        for text in ["", "x", "70000", "90-80", "-1"] {
            assert!(parse_port(text).is_err(), "{text}");
        }
        assert_eq!(parse_address("::ffff:10.0.0.0/104").unwrap().network.to_string(), "10.0.0.0/8");
    }
}
