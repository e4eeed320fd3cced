//! Whom an install talked to: hosts by package, what was sent and what was refused, and the rule that would let scripts
//! reach just these.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use monitor_common::action::Action;
use monitor_common::verdict::Achieved;

use super::allow::{host, quote};
use super::phrase::{package_heading, somebody};
use crate::event::model::{Package, Scope, Thing};
use crate::event::text::Text;
use crate::finding::{Finding, Summary};

/// Number of UDP, RFC 768 and the registry of protocol numbers.
const UDP: u64 = 17;
/// Where names are asked for: RFC 1035, 4.2.
const DOMAIN_PORT: u16 = 53;

/// Who talked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Speaker {
    /// Scripts come before managers.
    is_manager: bool,
    /// For people: package and script, or the actor.
    pub(super) title: String,
    /// As rules call it.
    pub(super) actor: String,
}

/// To whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Peer {
    /// A name, or an address where none is known.
    pub(super) host: String,
    /// 0 where only the name was asked for.
    pub(super) port: u16,
    /// Whether it went by datagrams.
    pub(super) udp: bool,
    /// Whether `host` is a name.
    named: bool,
}

/// What passed between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Talk {
    /// Bytes of payload that left.
    pub(super) sent: u64,
    /// Calls and packets that were refused.
    pub(super) refused: u64,
}

impl Talk {
    /// Whether nothing got out.
    pub(super) const fn is_refused(&self) -> bool {
        self.sent == 0 && self.refused > 0
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        match (self.sent, self.refused) {
            (0, 1..) => "refused".to_owned(),
            (sent, 0) => format!("{} sent", bytes(sent)),
            (sent, refused) => format!("{} sent, {refused} refused", bytes(sent)),
        }
    }
}

/// Everybody who talked, and to whom.
pub(super) type Network = BTreeMap<Speaker, BTreeMap<Peer, Talk>>;

/// The network of a run: what the kernel side counted, and the calls that it refused before there was a packet.
pub(super) fn network(summary: &Summary) -> Network {
    let mut network = Network::new();
    for flow in summary.end.iter().flat_map(|end| &end.traffic) {
        let speaker = Speaker::new(flow.package.as_ref(), &flow.actor, flow.scope);
        let peer = Peer::new(flow.domain.as_ref(), &flow.address.to_string(), flow.port, flow.protocol);
        let talk = network.entry(speaker).or_default().entry(peer).or_default();
        talk.sent += flow.sent;
        talk.refused += flow.refused;
    }
    for finding in &summary.findings {
        if !matches!(finding.achieved, Achieved::Denied | Achieved::Killed) {
            continue;
        }
        let speaker = Speaker::new(finding.package.as_ref(), &finding.actor, finding.scope);
        for peer in peers(finding) {
            network.entry(speaker.clone()).or_default().entry(peer).or_default().refused += 1;
        }
    }
    network
}

/// Whom a refused act was about. What was refused of a packet is among the flows already.
fn peers(finding: &Finding) -> Vec<Peer> {
    let objects = std::iter::once(&finding.object).chain(&finding.samples);
    let mut peers: Vec<Peer> = objects
        .filter_map(|object| match &object.what {
            Thing::Address { address, port, protocol, domain, server_name }
                if finding.action == Action::Connect =>
            {
                let name = server_name.as_ref().or(domain.as_ref());
                Some(Peer::new(name, &address.to_string(), *port, *protocol))
            }
            Thing::Name { domain: Some(domain), .. } => Some(Peer::new(Some(domain), "", 0, 0)),
            _ => None,
        })
        .collect();
    peers.sort();
    peers.dedup();
    peers
}

impl Speaker {
    fn new(package: Option<&Package>, actor: &str, scope: Option<Scope>) -> Self {
        let title = package.map_or_else(|| somebody(actor), package_heading);
        Self { is_manager: package.is_none() && scope.is_none(), title, actor: actor.to_owned() }
    }

    /// Whether it is a manager or one of its helpers: nothing that a package brought.
    pub(super) const fn is_manager(&self) -> bool {
        self.is_manager
    }
}

impl Peer {
    fn new(name: Option<&Text>, address: &str, port: u16, protocol: u64) -> Self {
        let host = name.map_or_else(|| address.to_owned(), ToString::to_string);
        Self { host, port, udp: protocol == UDP, named: name.is_some() }
    }

    /// Whether it answers questions about names: those are told by name.
    pub(super) const fn is_resolver(&self) -> bool {
        self.port == DOMAIN_PORT
    }

    /// For people: `host:port`.
    pub(super) fn text(&self) -> String {
        let host = if !self.named && self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match (self.port, self.udp) {
            (0, _) => host,
            (port, false) => format!("{host}:{port}"),
            (port, true) => format!("{host}:{port} (udp)"),
        }
    }
}

/// Bytes for people: `0 B`, `14 kB`.
pub(super) fn bytes(count: u64) -> String {
    let mut value = count;
    let mut rest = 0;
    let mut unit = "B";
    for larger in ["kB", "MB", "GB", "TB"] {
        if value < 1000 {
            break;
        }
        (rest, value, unit) = (value % 1000, value / 1000, larger);
    }
    if value < 10 && unit != "B" {
        format!("{value}.{} {unit}", rest / 100)
    } else {
        format!("{value} {unit}")
    }
}

/// Rules that let scripts reach the hosts they reached, and no others: to be used with `--network deny`. Hosts that were
/// refused stand there as comments. None if scripts reached nothing that a rule can name.
pub(super) fn allow_list(network: &Network) -> Option<String> {
    let mut actors = by_actor(network);
    actors.retain(|_, peers| peers.iter().any(|(peer, refused)| !refused && peer.value().is_some()));
    // By actor, port, and whether all of it was refused: the hosts.
    let mut lists: BTreeMap<(&str, u16, bool), BTreeSet<String>> = BTreeMap::new();
    for (actor, peers) in actors {
        for (peer, refused) in peers {
            if let Some(value) = peer.value() {
                lists.entry((actor, peer.port, refused)).or_default().insert(value);
            }
        }
    }
    if lists.is_empty() {
        return None;
    }
    let (mut objects, mut rules) = (String::from("objects:\n"), String::from("rules:\n"));
    for ((actor, port, refused), hosts) in &lists {
        let (off, end) = if *refused { ("# ", "  # was refused") } else { ("", "") };
        let word: String = actor.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let name = format!("{word}-hosts-{port}");
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(
            objects,
            "  {off}{name}: {{ title: {}, {} }}{end}",
            quote(&format!("hosts that {actor} may reach")),
            keys(hosts, *port),
        );
        let does = if *port == 0 { "resolve" } else { "[resolve, connect, send]" };
        let _ = writeln!(
            rules,
            "  {off}- {{ id: LOCAL-{}, title: {}, severity: info, when: {{ actor: {}, does: {does}, object: {name} }}, then: allow, why: \"say here who reviewed this\" }}{end}",
            name.to_ascii_uppercase(),
            quote(&format!("{actor} reaches the hosts it is known to need")),
            quote(actor),
        );
    }
    Some(objects + &rules)
}

/// Whom scripts talked to, by what rules call them, and whether nothing got out to it.
fn by_actor(network: &Network) -> BTreeMap<&str, BTreeMap<&Peer, bool>> {
    let mut actors: BTreeMap<&str, BTreeMap<&Peer, bool>> = BTreeMap::new();
    for (speaker, peers) in network.iter().filter(|(speaker, _)| !speaker.is_manager) {
        for (peer, talk) in peers.iter().filter(|(peer, _)| !peer.is_resolver()) {
            let refused = actors.entry(&speaker.actor).or_default().entry(peer).or_insert(true);
            *refused &= talk.is_refused();
        }
    }
    actors
}

/// The keys of an object that has these hosts at this port; 0 is any.
fn keys(hosts: &BTreeSet<String>, port: u16) -> String {
    let (addresses, domains): (Vec<&String>, Vec<&String>) =
        hosts.iter().partition(|host| host.parse::<IpAddr>().is_ok());
    let list = |key: &str, values: Vec<&String>| {
        let values: Vec<String> = values.into_iter().map(|value| quote(value)).collect();
        (!values.is_empty()).then(|| format!("{key}: [{}]", values.join(", ")))
    };
    let ports = (port != 0).then(|| format!("ports: [{port}]"));
    let keys = [list("domains", domains), list("addresses", addresses), ports];
    keys.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

impl Peer {
    /// As rules write it, if they can.
    fn value(&self) -> Option<String> {
        if self.named {
            host(&Text::from(self.host.as_bytes())).map(str::to_owned)
        } else {
            Some(self.host.clone())
        }
    }
}
