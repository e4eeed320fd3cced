//! Which package a scope works for.
//!
//! The answer comes from where the scope's first process was started (working directory, program, script), joined to
//! what the package manager wrote on disk. The environment is never asked: a package can write there what it likes.
//! Files are read when the first exec of the scope is handled, because they may be gone later.

use std::collections::{HashMap, VecDeque};

use crate::enrich::process::Image;
use crate::event::model::{Confidence, Package, Scope};
use crate::event::text::Text;

mod cargo;
mod composer;
pub(crate) mod disk;
mod gem;
mod lockfile;
mod manifest;
mod npm;
mod one_shot;
mod pip;
mod purl;
mod pylock;

use lockfile::Lockfiles;

/// The most packages that are named where it cannot be told which it is.
const MAX_CANDIDATES: usize = 16;
/// The most scopes whose package is remembered; the oldest give way.
const MAX_SCOPES: usize = 4096;

/// The first exec of a scope.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// Program.
    pub exe: &'a [u8],
    /// Arguments as they were given.
    pub argv: &'a [&'a [u8]],
    /// Working directory.
    pub cwd: &'a [u8],
    /// Script that an interpreter was given.
    pub script: &'a [u8],
    /// purl type of the packages of the manager that the actor belongs to; empty if it belongs to none.
    pub ecosystem: &'a str,
    /// The process.
    pub image: &'a Image,
}

/// The packages of the scopes.
#[derive(Debug, Default)]
pub struct Packages {
    scopes: HashMap<Scope, Known>,
    order: VecDeque<Scope>,
    lockfiles: Lockfiles,
}

#[derive(Debug)]
struct Known {
    package: Option<Package>,
    /// Whether this is the package and stays it. Where a scope begins with the user's own shell or script, a command that
    /// was fetched to be run once is known only when it is executed.
    settled: bool,
}

/// A directory whose place tells a package.
#[derive(Debug)]
struct Place<'a> {
    /// Which resolver found it.
    kind: Kind,
    /// The package's directory.
    directory: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Npm,
    Pip,
    Gem,
}

/// What a resolver found, before it is dressed as a [`Package`].
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    name: Vec<u8>,
    version: Option<Vec<u8>>,
    script: Option<String>,
    exact: bool,
    source: String,
    /// The name in the package's own manifest, if it is another one.
    claims: Option<String>,
    /// Whether it is the user's own project.
    own: bool,
    /// Names and versions of all that it can be, where it cannot be told which.
    candidates: Vec<(String, Option<String>)>,
}

impl Found {
    fn into_package(mut self, ecosystem: &str) -> Option<Package> {
        self.candidates.truncate(MAX_CANDIDATES);
        if let [(name, version)] = &self.candidates[..] {
            self.name = name.clone().into_bytes();
            self.version = version.clone().map(String::into_bytes);
            self.candidates.clear();
        } else if !self.candidates.is_empty() {
            let names: Vec<&str> = self.candidates.iter().map(|(name, _)| name.as_str()).collect();
            self.name = names.join(" or ").into_bytes();
            self.version = None;
        }
        if self.name.is_empty() {
            return None;
        }
        let confidence = match (self.exact, &self.version) {
            (_, None) => Confidence::None,
            (true, Some(_)) => Confidence::Exact,
            (false, Some(_)) => Confidence::Likely,
        };
        let candidates: Vec<Text> = self
            .candidates
            .iter()
            .filter_map(|(name, version)| {
                purl::purl(ecosystem, name.as_bytes(), version.as_ref().map(String::as_bytes))
            })
            .map(|purl| Text::from(shorten(purl.into_bytes())))
            .collect();
        let purl = if self.candidates.is_empty() {
            purl::purl(ecosystem, &self.name, self.version.as_deref())
        } else {
            None
        };
        Some(Package {
            ecosystem: ecosystem.to_owned(),
            purl,
            name: Text::from(shorten(self.name)),
            version: self.version.map(|version| Text::from(shorten(version))),
            script: self.script.map(|script| Text::from(shorten(script.into_bytes()))),
            confidence,
            source: self.source,
            claims: self.claims.map(|name| Text::from(shorten(name.into_bytes()))),
            candidates,
        })
    }
}

/// Names come from files that a stranger wrote.
fn shorten(mut text: Vec<u8>) -> Vec<u8> {
    const LONGEST: usize = 256;
    if text.len() > LONGEST {
        text.truncate(LONGEST);
        text.extend_from_slice(b"...");
    }
    text
}

impl Packages {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The package of a scope that was entered.
    #[must_use]
    pub fn of(&self, scope: Scope) -> Option<&Package> {
        self.scopes.get(&scope)?.package.as_ref()
    }

    /// A process of the scope was started; `first` if the scope begins with it. The first that is seen decides, unless
    /// it is the user's own. Says whether the package is news.
    pub fn enter(&mut self, scope: Scope, start: &Start<'_>, first: bool) -> bool {
        let known = match self.scopes.get(&scope) {
            Some(known) if !first && known.settled => return false,
            Some(_) if !first => match self.narrow(start) {
                Some(package) => Known { package: Some(package), settled: true },
                None => return false,
            },
            _ => self.identify(start),
        };
        if self.scopes.insert(scope, known).is_none() {
            self.order.push_back(scope);
        }
        if self.order.len() > MAX_SCOPES
            && let Some(oldest) = self.order.pop_front()
        {
            self.scopes.remove(&oldest);
        }
        true
    }

    /// The package whose code runs inside a tool or a manager, as far as that can be told: procedural macros inside the
    /// compiler, plugins inside Composer.
    #[must_use]
    pub fn inside(actor: &str, image: &Image) -> Option<Package> {
        let program = image.program();
        let (ecosystem, what, candidates) = match actor {
            "tool:compiler" => ("cargo", "procedural macro", cargo::macros(&program.argv)),
            "manager:composer" => ("composer", "plugin", composer::plugins(program.cwd.as_ref()?.as_bytes())),
            _ => return None,
        };
        let source = if candidates.len() == 1 { format!("the only {what}") } else { format!("any {what}") };
        let found = Found { script: Some(what.to_owned()), source, candidates, ..Found::default() };
        found.into_package(ecosystem)
    }

    fn identify(&mut self, start: &Start<'_>) -> Known {
        if let Some(package) = self.narrow(start) {
            return Known { package: Some(package), settled: true };
        }
        if start.ecosystem.is_empty() {
            // Started by no package manager: wherever a person runs a command, it is the person's.
            return Known { package: None, settled: false };
        }
        let Some((found, ecosystem)) = self.find(start) else {
            return Known { package: None, settled: false };
        };
        let settled = !found.own;
        Known { package: found.into_package(ecosystem), settled }
    }

    /// What is told by the program or script that is executed, wherever that is done.
    fn narrow(&mut self, start: &Start<'_>) -> Option<Package> {
        if start.ecosystem == "composer" {
            let script = absolute(start.cwd, start.script);
            let found = composer::directory(&script).and_then(|place| composer::installed(place, start));
            if let Some(found) = found {
                return found.into_package("composer");
            }
        }
        let (found, ecosystem) = one_shot::identify(start, &mut self.lockfiles)?;
        found.into_package(ecosystem)
    }

    fn find(&mut self, start: &Start<'_>) -> Option<(Found, &'static str)> {
        if let Some(found) = cargo::identify(start) {
            return Some((found, "cargo"));
        }
        let script = absolute(start.cwd, start.script);
        // Where a manager put the process says more than which program it runs there.
        for path in [start.cwd, &script, start.exe] {
            if let Some(place) = locate(path) {
                return Some(match place.kind {
                    Kind::Npm => (npm::installed(place.directory, start, &mut self.lockfiles), "npm"),
                    Kind::Pip => (pip::unpacked(place.directory, start), "pypi"),
                    Kind::Gem => (gem::unpacked(place.directory, start), "gem"),
                });
            }
        }
        match start.ecosystem {
            "npm" => npm::elsewhere(start, &mut self.lockfiles).map(|found| (found, "npm")),
            "pypi" => pip::elsewhere(start).map(|found| (found, "pypi")),
            "composer" => composer::elsewhere(start).map(|found| (found, "composer")),
            _ => None,
        }
    }
}

/// The innermost directory on the way to `path` that a package manager named after a package.
fn locate(path: &[u8]) -> Option<Place<'_>> {
    let candidates = [
        npm::directory(path).map(|directory| Place { kind: Kind::Npm, directory }),
        pip::directory(path).map(|directory| Place { kind: Kind::Pip, directory }),
        gem::directory(path).map(|directory| Place { kind: Kind::Gem, directory }),
    ];
    candidates.into_iter().flatten().max_by_key(|place| place.directory.len())
}

/// The directory of the package that `path` lies in, if its place tells one.
#[must_use]
pub fn directory(path: &[u8]) -> Option<&[u8]> {
    locate(path).map(|place| place.directory)
}

/// `path` as seen from `directory`.
fn absolute(directory: &[u8], path: &[u8]) -> Vec<u8> {
    if path.is_empty() || path.starts_with(b"/") { path.to_vec() } else { [directory, b"/", path].concat() }
}

/// The components of a path, each with the path up to its end.
fn components(path: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while path.get(at) == Some(&b'/') {
            at += 1;
        }
        let begin = at;
        at += path.get(begin..)?.iter().take_while(|byte| **byte != b'/').count();
        (at > begin).then(|| (&path[begin..at], &path[..at]))
    })
}

/// Everything behind the last slash.
fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// Splits `name-1.2.3` where a version begins: at the first dash that a digit follows and no letter comes before a dot.
fn split_version(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let dashes = text.iter().enumerate().filter(|(_, byte)| **byte == b'-').map(|(index, _)| index);
    dashes
        .map(|dash| (&text[..dash], &text[dash + 1..]))
        .find(|(name, version)| !name.is_empty() && looks_like_version(version))
}

/// `1.2`, `1.2.3-rc.1`, `2.0.0+build`: digits, a dot, digits.
fn looks_like_version(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let major = digits(text);
    major > 0 && text.get(major) == Some(&b'.') && digits(&text[major + 1..]) > 0
}

#[cfg(test)]
mod tests;
