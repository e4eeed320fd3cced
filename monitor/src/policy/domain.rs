//! Names of hosts: entries of an object's `domains` as people write them.
//!
//! A name is matched from its end, so that everything below `example.org` begins like it. In names the wire knows bytes
//! only; what people read in other alphabets is turned into that form (RFC 5891, A-labels) here.

use std::fmt;
use std::net::IpAddr;

use monitor_common::policy::LONGEST_NAME;

use super::glob::GlobError;

/// The longest label (RFC 1035, 2.3.4).
const LONGEST_LABEL: usize = 63;

/// One entry of an object's `domains`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainEntry {
    /// It began with `!`.
    pub excluded: bool,
    /// Names below it, not the name itself.
    pub below: bool,
    /// Lower case, no dot at the end. Empty, with `below`: any name.
    pub name: String,
}

impl fmt::Display for DomainEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.excluded { "!" } else { "" };
        match (self.below, self.name.as_str()) {
            (true, "") => write!(formatter, "{sign}*"),
            (true, name) => write!(formatter, "{sign}*.{name}"),
            (false, name) => write!(formatter, "{sign}{name}"),
        }
    }
}

/// Reads one entry of `domains`.
///
/// # Errors
/// When it is no name, or has a `*` where none can be.
pub fn parse(text: &str) -> Result<DomainEntry, GlobError> {
    let (excluded, body) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
    if body == "*" {
        return Ok(DomainEntry { excluded, below: true, name: String::new() });
    }
    let (below, name) = body.strip_prefix("*.").map_or((false, body), |rest| (true, rest));
    let name = parse_name(name)?;
    // Something stands in front of what is below.
    if below && name.len() + 2 > LONGEST_NAME {
        return Err(too_long());
    }
    Ok(DomainEntry { excluded, below, name })
}

/// Reads the name of a host: lower case and A-labels, without a dot at the end.
///
/// # Errors
/// When it is no name.
pub fn parse_name(text: &str) -> Result<String, GlobError> {
    not_something_else(text)?;
    let name = text.strip_suffix('.').unwrap_or(text);
    let name = if name.is_ascii() {
        name.to_ascii_lowercase()
    } else {
        idna::domain_to_ascii(name)
            .map_err(|_| error("it is no name in any alphabet", "write it as a browser shows it"))?
    };
    let name = name.strip_suffix('.').unwrap_or(&name);
    if name.is_empty() {
        return Err(error("it is empty", "write `example.org`, `*.example.org` or `*`"));
    }
    for label in name.split('.') {
        check_label(label, name)?;
    }
    if name.len() > LONGEST_NAME {
        return Err(too_long());
    }
    Ok(name.to_owned())
}

/// What people write in place of a name.
fn not_something_else(text: &str) -> Result<(), GlobError> {
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default();
        let host = host.split(':').next().unwrap_or_default();
        return Err(error("it is an URL", format!("write the name of the host only: `{host}`")));
    }
    let bare = text.trim_matches(['[', ']']);
    if bare.parse::<IpAddr>().is_ok() {
        return Err(error("it is an address", "addresses go under `addresses`"));
    }
    if let Some((host, port)) = text.rsplit_once(':')
        && port.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(error("a name has no port", format!("write `{host}` here and `{port}` under `ports`")));
    }
    if let Some((host, _)) = text.split_once('/') {
        return Err(error("a name has no path", format!("write the name of the host only: `{host}`")));
    }
    if text.contains('*') {
        return Err(error(
            "a `*` stands for whole labels, and only at the beginning",
            "write `*.example.org` for every name below example.org, or `*` for any name",
        ));
    }
    Ok(())
}

fn check_label(label: &str, name: &str) -> Result<(), GlobError> {
    if label.is_empty() {
        return Err(error(
            "it has an empty label",
            format!(
                "remove the doubled or first dot; every name below a name is `*.{}`",
                name.trim_matches('.')
            ),
        ));
    }
    if label.len() > LONGEST_LABEL {
        return Err(error(
            format!("a label of it is longer than {LONGEST_LABEL} bytes, and no name has such a one"),
            "shorten it",
        ));
    }
    if let Some(odd) = label.chars().find(|odd| !odd.is_ascii_alphanumeric() && !matches!(odd, '-' | '_')) {
        return Err(error(
            format!("no name of a host has the character `{}`", odd.escape_default()),
            "names have letters, digits, dashes and dots; write one entry for each name",
        ));
    }
    Ok(())
}

fn too_long() -> GlobError {
    error(format!("it is longer than {LONGEST_NAME} bytes, and no name is"), "shorten it")
}

fn error(message: impl fmt::Display, hint: impl fmt::Display) -> GlobError {
    GlobError { message: message.to_string(), hint: hint.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        parse(text)
            .map_or_else(|error| format!("{} / {}", error.message, error.hint), |entry| entry.to_string())
    }

    #[test]
    fn names_are_lower_case_a_labels_without_a_last_dot() {
        for (text, same) in [
            ("example.org", "example.org"),
            ("Example.ORG.", "example.org"),
            ("!*.Example.org", "!*.example.org"),
            ("*", "*"),
            ("!*", "!*"),
            ("_dmarc.example.org", "_dmarc.example.org"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("*.BÜCHER.example.", "*.xn--bcher-kva.example"),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(shown(text), same);
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_next_step() {
        let long = "a".repeat(64);
        let names = format!("{}.org", ["a".repeat(49).as_str(); 6].join("."));
        for (text, hint) in [
            ("https://me:pw@example.org/x", "the host only: `example.org`"),
            ("example.org/x", "the host only: `example.org`"),
            ("example.org:443", "`443` under `ports`"),
            ("192.0.2.7", "under `addresses`"),
            ("2001:db8::1", "under `addresses`"),
            ("[::1]", "under `addresses`"),
            (".example.org", "`*.example.org`"),
            ("a..b", "doubled"),
            ("", "write"),
            (".", "write"),
            ("!", "write"),
            ("*.", "write"),
            ("ex*.org", "`*.example.org`"),
            ("*.*.org", "`*.example.org`"),
            ("**.org", "`*.example.org`"),
            ("{a,b}.org", "one entry for each"),
            ("a b.org", "one entry for each"),
            (long.as_str(), "shorten"),
            (names.as_str(), "shorten"),
        ] {
            let shown = shown(text);
            assert!(shown.contains(hint), "{text}: {shown}");
        }
        let most = ["a".repeat(61), "a".repeat(63), "a".repeat(63), "a".repeat(63)].join(".");
        assert_eq!(most.len(), LONGEST_NAME);
        assert_eq!(shown(&most), most);
        assert!(shown(&format!("*.{most}")).contains("shorten"));
    }
}
