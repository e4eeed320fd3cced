//! Names: a resolver for the machine, and a name server of the thief's. Both are unbound.

use std::fmt::Write;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::deadline;
use crate::namespace::Namespace;

use super::ask;
use super::authority::Certificate;
use super::place::{self, Family, Place, REGISTRIES, RESOLVER, SHARED, THIEF, THIEF_NAMES, crowd};
use super::server::{Server, debian};
use super::view::View;

/// Two aliases, each valid for no time at all, before the address, which belongs to a content network.
pub const NPM: &str = "npm.packages.example";
/// An ordinary name.
pub const PYPI: &str = "pypi.packages.example";
/// More addresses than fit into a datagram: the answer is cut short and asked for again by TCP.
pub const CRATES: &str = "crates.packages.example";
/// On the content network, like [`NPM`] and [`SHARED_THIEF`]; no manager is configured for it.
pub const FILES: &str = "files.packages.example";
/// Repositories, by ssh and by HTTPS.
pub const FORGE: &str = "forge.packages.example";
/// The resolver's own name, for DNS over HTTPS.
pub const DOH: &str = "dns.resolver.example";
/// The domain of the thief. Every name in it exists, and asking for one tells the thief.
pub const THIEF_DOMAIN: &str = "thief.example";
/// Where stolen goods are taken in.
pub const COLLECT: &str = "collect.thief.example";
/// The same, on the address of [`NPM`].
pub const SHARED_THIEF: &str = "shared.thief.example";
/// A name of the thief's with the address of a metadata service.
pub const METADATA_ALIAS: &str = "metadata.thief.example";
/// Names that cannot be asked for without rules about them: drops for data, tunnels, chat, and who tells one's address.
pub const HARBOURS: [&str; 6] =
    ["webhook.site", "pipedream.net", "transfer.sh", "api.telegram.org", "trycloudflare.com", "ipinfo.io"];
/// Where managers go that nobody has configured. In parts: only patterns of such names belong into sources.
pub(super) const SHIPPED: [(&str, Shipped); 5] = [
    (concat!("registry", ".npmjs.org"), Shipped::Npm),
    (concat!("pypi", ".org"), Shipped::Pypi),
    (concat!("files", ".pythonhosted.org"), Shipped::Pypi),
    (concat!("index", ".crates.io"), Shipped::Index),
    (concat!("static", ".crates.io"), Shipped::Crates),
];

/// What a name in [`SHIPPED`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shipped {
    /// The npm registry.
    Npm,
    /// The Python index.
    Pypi,
    /// The index of crates.
    Index,
    /// The crates.
    Crates,
}

/// A metadata service by name.
pub const METADATA: &str = "metadata.google.internal";

/// Both name servers.
#[derive(Debug)]
pub(super) struct Names {
    _servers: [Server; 2],
    resolver_log: PathBuf,
    thief_log: PathBuf,
    probes: AtomicU32,
}

/// A question that arrived at a name server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who asked.
    pub from: String,
    /// The name, with capitals as they were, without a dot at its end.
    pub name: String,
    /// `A`, `AAAA`, `TXT`.
    pub kind: String,
}

impl Names {
    /// Starts both.
    pub(super) fn start(
        internet: &Namespace,
        view: &View,
        folder: &Path,
        family: Family,
        certificate: &Certificate,
    ) -> Self {
        let resolver = resolver(folder, family, certificate);
        let thief = thief(folder, family);
        let start = |name, config: &Path| {
            let mut command = debian("unbound");
            command.arg("-d").arg("-c").arg(config);
            view.enter(internet, || Server::start(name, &mut command, folder))
        };
        // The thief first: the resolver is ready when it can pass a question on.
        let thief = start("thief-names", &thief);
        let resolver = start("resolver", &resolver);
        let asked = |place: Place, name: &str| {
            internet.enter(|| place.both().into_iter().all(|address| ask::answers(address, name)))
        };
        let thief = thief.wait(|| asked(THIEF_NAMES, "ready.thief.example"));
        let resolver = resolver.wait(|| asked(RESOLVER, "ready.thief.example") && asked(RESOLVER, NPM));
        Self {
            _servers: [resolver, thief],
            resolver_log: folder.join("resolver.log"),
            thief_log: folder.join("thief-names.log"),
            probes: AtomicU32::new(0),
        }
    }

    /// What the machine's resolver was asked so far.
    pub(super) fn resolved(&self) -> Vec<Question> {
        questions(&self.resolver_log)
    }

    /// What the thief's name server was asked so far, by whomever.
    pub(super) fn told_thief(&self) -> Vec<Question> {
        questions(&self.thief_log)
    }

    /// Waits until every question that was sent before now has been noted: sends one after it, and waits for that.
    pub(super) fn settle(&self, internet: &Namespace) {
        let number = self.probes.fetch_add(1, Ordering::SeqCst);
        let name = format!("settled-{number}.{THIEF_DOMAIN}");
        let noted = |questions: Vec<Question>| questions.iter().any(|question| question.name == name);
        let settled = deadline::until(deadline::SOON, || {
            let answered = internet.enter(|| ask::answers(RESOLVER.v4.into(), &name));
            answered && noted(self.resolved()) && noted(self.told_thief())
        });
        assert!(settled, "the name servers do not note what they are asked");
    }
}

/// Unbound's log has `info: ADDRESS NAME. TYPE CLASS` for each question.
fn questions(log: &Path) -> Vec<Question> {
    let text = fs::read(log).expect("read the log of a name server");
    let text = String::from_utf8_lossy(&text);
    let question = |line: &str| {
        let words: Vec<&str> = line.split_once("info: ")?.1.split(' ').collect();
        let [from, name, kind, "IN"] = words.as_slice() else { return None };
        from.parse::<IpAddr>().ok()?;
        let name = name.trim_end_matches('.').to_owned();
        Some(Question { from: (*from).to_owned(), name, kind: (*kind).to_owned() })
    };
    // The servers' own trials do not count.
    let ours = |question: &Question| question.name.starts_with("ready.");
    text.lines().filter_map(question).filter(|question| !ours(question)).collect()
}

fn resolver(folder: &Path, family: Family, certificate: &Certificate) -> PathBuf {
    let mut text = common(RESOLVER, &[53, 853, 443]);
    let (key, certificate) = (certificate.key.display(), certificate.certificate.display());
    text += &format!("  tls-service-key: \"{key}\"\n  tls-service-pem: \"{certificate}\"\n");
    // What is not said here does not exist.
    text += "  local-zone: \".\" static\n";
    for domain in ["packages.example", "edge.example", "resolver.example", THIEF_DOMAIN] {
        text += &format!("  local-zone: \"{domain}.\" transparent\n");
    }
    for domain in HARBOURS {
        text += &everything_in(domain, THIEF, family);
    }
    for (name, shipped) in SHIPPED {
        let place = if shipped == Shipped::Npm { SHARED } else { REGISTRIES };
        text += &everything_in(name, place, family);
    }
    text += &everything_in(METADATA, place::METADATA, family);
    for (domain, records) in zones(family) {
        let file = folder.join(format!("{domain}.zone"));
        let head = format!(
            "@ 3600 IN SOA ns.{domain}. admin.{domain}. 1 3600 600 86400 60\n@ 3600 IN NS ns.{domain}.\n"
        );
        fs::write(&file, format!("$ORIGIN {domain}.\n{head}{records}")).expect("write a zone");
        text += &format!("auth-zone:\n  name: \"{domain}\"\n  zonefile: \"{}\"\n", file.display());
        text += "  for-downstream: no\n  for-upstream: yes\n  fallback-enabled: no\n";
    }
    text += &format!("forward-zone:\n  name: \"{THIEF_DOMAIN}\"\n");
    for address in THIEF_NAMES.both() {
        text += &format!("  forward-addr: {address}\n");
    }
    write_config(folder, "resolver.conf", &text)
}

fn thief(folder: &Path, family: Family) -> PathBuf {
    let mut text = common(THIEF_NAMES, &[53]);
    text += &everything_in(THIEF_DOMAIN, THIEF, family);
    text += &everything_in(SHARED_THIEF, SHARED, family);
    text += &everything_in(METADATA_ALIAS, place::METADATA, family);
    // Lies, for those who ask here instead of there.
    text += &everything_in("packages.example", THIEF, family);
    write_config(folder, "thief-names.conf", &text)
}

fn common(place: Place, ports: &[u16]) -> String {
    let mut text = String::from("server:\n");
    for port in ports {
        for address in place.both() {
            text += &format!("  interface: {address}@{port}\n");
        }
    }
    for address in place.both() {
        text += &format!("  outgoing-interface: {address}\n");
    }
    text += "  access-control: 0.0.0.0/0 allow\n  access-control: ::/0 allow\n";
    text += "  username: \"\"\n  chroot: \"\"\n  directory: \"\"\n  pidfile: \"\"\n  do-daemonize: no\n";
    text += "  use-syslog: no\n  log-queries: yes\n  verbosity: 1\n  module-config: \"iterator\"\n";
    text += "  qname-minimisation: no\n  num-threads: 1\n  do-not-query-localhost: no\n";
    text
}

/// Every name in a domain has the same records.
fn everything_in(domain: &str, place: Place, family: Family) -> String {
    let mut text = format!("  local-zone: \"{domain}.\" redirect\n");
    for address in place.of(family) {
        text += &format!("  local-data: \"{domain}. 60 IN {} {address}\"\n", kind(address));
    }
    text + &format!("  local-data: '{domain}. 60 IN TXT \"thank you\"'\n")
}

/// The honest domains.
fn zones(family: Family) -> [(&'static str, String); 3] {
    let mut packages = String::new();
    let mut edge = String::new();
    let mut resolver = String::new();
    packages += "npm 0 IN CNAME npm.edge.example.\n";
    edge += "npm 0 IN CNAME pool.edge.example.\n";
    records(&mut edge, "pool", 0, SHARED, family);
    records(&mut packages, "pypi", 60, REGISTRIES, family);
    records(&mut packages, "forge", 60, REGISTRIES, family);
    records(&mut packages, "files", 60, SHARED, family);
    for place in crowd() {
        records(&mut packages, "crates", 60, place, family);
    }
    records(&mut resolver, "dns", 60, RESOLVER, family);
    [("packages.example", packages), ("edge.example", edge), ("resolver.example", resolver)]
}

fn records(zone: &mut String, name: &str, seconds: u32, place: Place, family: Family) {
    for address in place.of(family) {
        writeln!(zone, "{name} {seconds} IN {} {address}", kind(address)).expect("write to a string");
    }
}

fn kind(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "A" } else { "AAAA" }
}

fn write_config(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).expect("write the configuration of a name server");
    path
}
