//! A host and a port, out of what people write for a registry.

use std::net::IpAddr;

use url::Url;

use crate::policy::domain::parse_name;

/// Where a registry answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Name or address.
    pub host: Host,
    /// Port.
    pub port: u16,
}

/// Name or address of a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// Lower case, A-labels, no dot at the end.
    Name(String),
    /// IPv4 or IPv6.
    Address(IpAddr),
}

/// Reads an URL, a name, an address, or one of them with a port. None for a directory of this machine.
///
/// # Errors
/// Why it is none of them; nothing of the value is in it.
pub(super) fn parse(value: &str) -> Result<Option<Endpoint>, &'static str> {
    let value = value.trim().trim_matches(['"', '\'']);
    let value =
        ["sparse+", "git+", "registry+"].iter().find_map(|kind| value.strip_prefix(kind)).unwrap_or(value);
    if value.is_empty() || value.starts_with(['/', '.', '~']) || value.starts_with("file:") {
        return Ok(None);
    }
    let no_address = "it is no address of a registry";
    let url = match (value.contains("://"), value.parse::<std::net::Ipv6Addr>()) {
        (true, _) => Url::parse(value),
        (false, Ok(address)) => Url::parse(&format!("https://[{address}]")),
        (false, Err(_)) => Url::parse(&format!("https://{value}")),
    };
    let url = url.map_err(|_| no_address)?;
    let host = match url.host() {
        Some(url::Host::Domain(name)) => Host::Name(parse_name(name).map_err(|_| no_address)?),
        Some(url::Host::Ipv4(address)) => Host::Address(IpAddr::V4(address)),
        Some(url::Host::Ipv6(address)) => Host::Address(IpAddr::V6(address)),
        None => return Err(no_address),
    };
    let port = url.port_or_known_default().or(match url.scheme() {
        "ssh" => Some(22),
        "git" => Some(9418),
        _ => None,
    });
    Ok(Some(Endpoint { host, port: port.ok_or("its scheme has no port that is known")? }))
}
