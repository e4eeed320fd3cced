//! The registries that this machine is configured to use: hosts that its own files and environment name.
//!
//! They are read once, when the run starts, and never again: what a package writes later into a configuration opens no
//! door. What is trusted therefore is the invoking user's environment and home, the machine's `/etc`, and the project
//! that the install was started in. Nothing of a value is ever shown: addresses of indexes have passwords in them.

mod cargo;
mod endpoint;
mod go;
mod ini;
mod npm;
mod php;
mod python;
mod ruby;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

pub use self::endpoint::{Endpoint, Host};

use super::Environment;
use crate::enrich::package::disk::{self, Unread};
use crate::event::text::Text;

/// Ecosystems by their purl type, as objects name them under `registries`.
pub const ECOSYSTEMS: [&str; 6] = ["npm", "pypi", "cargo", "gem", "composer", "golang"];
/// The most bytes of a file that is read.
const MAX_BYTES: u64 = 1 << 20;
/// The most hosts of one ecosystem.
const MAX_HOSTS: usize = 64;

/// What the machine's own files say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configured {
    /// Hosts by ecosystem.
    pub hosts: BTreeMap<String, BTreeSet<Endpoint>>,
    /// One line for each thing that could not be understood; it adds no host.
    pub warnings: Vec<String>,
    /// Variables that the files refer to (`${NPM_TOKEN}`), with the file that was read first.
    pub references: BTreeMap<String, PathBuf>,
}

/// Reads everything.
#[must_use]
pub fn configured(environment: &Environment) -> Configured {
    let names = fs::read("/etc/hosts").unwrap_or_default();
    let mut reader = Reader {
        home: environment.variables.get("HOME").map(PathBuf::from),
        project: &environment.project,
        variables: &environment.variables,
        known: hosts_file(&String::from_utf8_lossy(&names)),
        found: Configured::default(),
    };
    npm::read(&mut reader);
    python::read(&mut reader);
    cargo::read(&mut reader);
    ruby::read(&mut reader);
    php::read(&mut reader);
    go::read(&mut reader);
    reader.found
}

/// Names of variables in a text: `${NAME}`, `${NAME:-otherwise}`; where `bare`, `$NAME` too.
fn references(text: &str, bare: bool) -> impl Iterator<Item = &str> {
    text.split('$').skip(1).filter_map(move |rest| {
        let rest = match rest.strip_prefix('{') {
            Some(inside) => inside,
            None if bare => rest,
            None => return None,
        };
        let end = rest.find(|character: char| !character.is_ascii_alphanumeric() && character != '_');
        Some(&rest[..end.unwrap_or(rest.len())])
            .filter(|name| name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_'))
    })
}

/// Addresses by name, as `/etc/hosts` gives them: no DNS answer ever names those.
fn hosts_file(text: &str) -> BTreeMap<String, Vec<IpAddr>> {
    let mut known: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse().ok()) else { continue };
        for name in words {
            known.entry(name.to_ascii_lowercase()).or_default().push(address);
        }
    }
    let local = known.entry("localhost".to_owned()).or_default();
    local.extend([IpAddr::from([127, 0, 0, 1]), IpAddr::from(1_u128.to_be_bytes())]);
    known
}

/// What the readers of each format share.
struct Reader<'a> {
    home: Option<PathBuf>,
    project: &'a Path,
    variables: &'a BTreeMap<String, String>,
    known: BTreeMap<String, Vec<IpAddr>>,
    found: Configured,
}

impl Reader<'_> {
    /// A path below the home directory.
    fn home(&self, path: &str) -> Option<PathBuf> {
        Some(self.home.as_ref()?.join(path))
    }

    /// A directory that a variable names, or else one below the home directory.
    fn directory(&self, variable: &str, path: &str) -> Option<PathBuf> {
        match self.variables.get(variable).filter(|value| value.starts_with('/')) {
            Some(value) => Some(PathBuf::from(value)),
            None => self.home(path),
        }
    }

    /// Text of a file of the user or of the machine, who may keep it behind a link.
    fn text(&mut self, path: Option<PathBuf>) -> Option<(PathBuf, String)> {
        let path = path?;
        let real = fs::canonicalize(&path).ok()?;
        self.read(&real, path)
    }

    /// Text of a file of the project, never through a link: a checkout can have one that leads anywhere.
    fn of_project(&mut self, name: &str) -> Option<(PathBuf, String)> {
        let path = self.project.join(name);
        self.read(&path.clone(), path)
    }

    fn read(&mut self, real: &Path, path: PathBuf) -> Option<(PathBuf, String)> {
        match disk::read(real, MAX_BYTES).map(String::from_utf8) {
            Ok(Ok(text)) => {
                self.refer(&text, &path);
                Some((path, text))
            }
            Ok(Err(_)) => {
                self.broken(&path, "it is not UTF-8");
                None
            }
            Err(Unread::TooLarge) => {
                self.broken(&path, "it is larger than 1 MiB");
                None
            }
            Err(Unread::Missing) => None,
        }
    }

    /// Notes the variables that a file refers to. A project's own description is no configuration: nothing in it is
    /// replaced.
    fn refer(&mut self, text: &str, path: &Path) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name == "pyproject.toml" {
            return;
        }
        for variable in references(text, name.ends_with("bunfig.toml")) {
            self.found.references.entry(variable.to_owned()).or_insert_with(|| path.to_path_buf());
        }
    }

    /// Says that a file cannot be understood.
    fn broken(&mut self, path: &Path, why: &str) {
        self.warn(&Text::from(path).to_string(), why);
    }

    fn warn(&mut self, place: &str, why: &str) {
        self.found.warnings.push(format!("no registry is taken from {place}: {why}"));
    }

    /// Adds the host of a value found at `place`; a directory has none.
    fn add(&mut self, ecosystem: &str, place: &str, value: &str) {
        let endpoints = match self
            .expand(value)
            .ok_or("it names a variable that is not set")
            .and_then(|value| endpoint::parse(&value))
        {
            Ok(Some(endpoint)) => self.with_addresses(endpoint),
            Ok(None) => return,
            Err(why) => return self.warn(place, why),
        };
        let hosts = self.found.hosts.entry(ecosystem.to_owned()).or_default();
        hosts.extend(endpoints);
        if hosts.len() > MAX_HOSTS {
            while hosts.len() > MAX_HOSTS {
                hosts.pop_last();
            }
            self.warn(place, "there are more than 64 hosts already");
        }
    }

    /// As [`Reader::add`], for the value at a key of a file.
    fn add_key(&mut self, ecosystem: &str, path: &Path, key: &str, value: &str) {
        let path = Text::from(path);
        let key = Text::from(key.as_bytes());
        self.add(ecosystem, &format!("`{key}` in {path}"), value);
    }

    /// Adds the hosts of a variable's value, words with blanks between them.
    fn add_variable(&mut self, ecosystem: &str, name: &str) {
        let value = self.variables.get(name).cloned().unwrap_or_default();
        for word in value.split_ascii_whitespace() {
            self.add(ecosystem, &format!("the variable {name}"), word);
        }
    }

    /// The value with `${NAME}` and `${NAME:-otherwise}` replaced; none if a variable is not set.
    fn expand(&self, value: &str) -> Option<String> {
        let mut out = String::new();
        let mut rest = value;
        while let Some((before, inside)) = rest.split_once("${") {
            let (inside, after) = inside.split_once('}')?;
            let (name, otherwise) = match inside.split_once(":-").or_else(|| inside.split_once('-')) {
                Some((name, otherwise)) => (name, Some(otherwise)),
                None => (inside.trim_end_matches('?'), None),
            };
            out.push_str(before);
            out.push_str(self.variables.get(name).map(String::as_str).or(otherwise)?);
            rest = after;
        }
        out.push_str(rest);
        Some(out)
    }

    /// A host, and what `/etc/hosts` says that it is.
    fn with_addresses(&self, endpoint: Endpoint) -> Vec<Endpoint> {
        let mut all = Vec::new();
        if let Host::Name(name) = &endpoint.host {
            let addresses = self.known.get(name).into_iter().flatten();
            all.extend(
                addresses.map(|address| Endpoint { host: Host::Address(*address), ..endpoint.clone() }),
            );
        }
        all.push(endpoint);
        all
    }
}

/// Every string below a value of a configuration, with the path of keys to it.
fn strings(value: &serde_json::Value, path: &mut Vec<String>, each: &mut impl FnMut(&[String], &str)) {
    match value {
        serde_json::Value::String(text) => each(path, text),
        serde_json::Value::Array(values) => {
            for value in values {
                strings(value, path, each);
            }
        }
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                path.push(key.clone());
                strings(value, path, each);
                path.pop();
            }
        }
        _ => {}
    }
}

impl Reader<'_> {
    /// Adds the strings of a parsed file whose path of keys `wanted` says is that of a registry.
    fn add_strings(
        &mut self,
        ecosystem: &str,
        path: &Path,
        parsed: Option<serde_json::Value>,
        wanted: impl Fn(&[&str]) -> bool,
    ) {
        let Some(parsed) = parsed else {
            self.broken(path, "it cannot be parsed");
            return;
        };
        let mut found = Vec::new();
        strings(&parsed, &mut Vec::new(), &mut |keys, text| {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            if wanted(&keys) {
                found.push((keys.join("."), text.to_owned()));
            }
        });
        for (key, text) in found {
            self.add_key(ecosystem, path, &key, &text);
        }
    }
}

/// A TOML file as a tree of values.
fn toml(text: &str) -> Option<serde_json::Value> {
    serde_json::to_value(text.parse::<toml::Table>().ok()?).ok()
}

/// A YAML file as a tree of values; an empty one is an empty tree.
fn yaml(text: &str) -> Option<serde_json::Value> {
    serde_saphyr::from_str::<Option<serde_json::Value>>(text).ok().map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests;
