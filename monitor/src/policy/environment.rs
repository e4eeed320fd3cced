//! What patterns mean on this machine: home directories, the project, environment variables.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::glob::{self, Anchor, Subject};
use super::registries::{ECOSYSTEMS, Endpoint, Host};
use crate::rule::RuleSet;
use crate::rule::syntax::Network;

/// What `~`, `$PROJECT` and `$NAME` stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Every home directory, as the kernel names it.
    pub homes: Vec<PathBuf>,
    /// The directory the install was started in.
    pub project: PathBuf,
    /// Environment of the invoking user.
    pub variables: BTreeMap<String, String>,
    /// Hosts that the machine's own files name, by ecosystem; see [`super::registries`].
    pub registries: BTreeMap<String, BTreeSet<Endpoint>>,
    /// Which rules about the network there are.
    pub network: Network,
    /// Who started the run, the nearest first: which rules that ask for it there are.
    pub started_by: Vec<String>,
}

impl Environment {
    /// The homes of root, of every user with a login shell, and of `$HOME` in `variables`.
    ///
    /// A machine without a readable `/etc/passwd` has only `$HOME` and `/root`.
    #[must_use]
    pub fn of_machine(project: &Path, variables: BTreeMap<String, String>) -> Self {
        let passwd = fs::read("/etc/passwd").unwrap_or_default();
        let mut homes = vec![PathBuf::from("/root")];
        homes.extend(login_homes(&passwd));
        homes.extend(variables.get("HOME").map(PathBuf::from));
        let mut unique = Vec::new();
        for home in homes.iter().filter_map(|home| canonical(home)) {
            if !unique.contains(&home) {
                unique.push(home);
            }
        }
        let project = canonical(project).unwrap_or_else(|| project.to_path_buf());
        Self { homes: unique, project, variables, ..Self::default() }
    }

    /// A machine like any other, for the tests inside rule files: they must not depend on who runs them. Every
    /// variable that a pattern hangs from is set, to a directory of its own under `/opt/variables`. Of every ecosystem
    /// two registries are configured: `registry.test:8443` and `127.0.0.1:4873`.
    #[must_use]
    pub fn for_tests(set: &RuleSet) -> Self {
        let host = |host, port| Endpoint { host, port };
        let configured = BTreeSet::from([
            host(Host::Name("registry.test".to_owned()), 8443),
            host(Host::Address(IpAddr::from([127, 0, 0, 1])), 4873),
        ]);
        let variable = |name: String| (name.clone(), format!("/opt/variables/{name}"));
        Self {
            homes: vec![PathBuf::from("/home/dev"), PathBuf::from("/root")],
            project: PathBuf::from("/home/dev/project"),
            variables: variables(set).into_iter().filter(|name| name != "PROJECT").map(variable).collect(),
            registries: ECOSYSTEMS.map(|name| (name.to_owned(), configured.clone())).into(),
            ..Self::default()
        }
    }

    /// Where a variable's directory lies, as the kernel names it; none if it is unset or no place to hang a pattern.
    #[must_use]
    pub fn directory(&self, name: &str) -> Option<PathBuf> {
        if name == "PROJECT" {
            return lexical(&self.project);
        }
        canonical(Path::new(self.variables.get(name)?))
    }
}

/// Names of the variables that patterns hang from.
fn variables(set: &RuleSet) -> BTreeSet<String> {
    let objects =
        set.objects.values().flat_map(|object| [&object.files, &object.executables, &object.sockets]);
    let managers = set.managers.values().flat_map(|manager| &manager.recognise);
    let lists = objects
        .chain(set.tools.values().flat_map(|tool| [&tool.exe, &tool.script]))
        .chain(managers.flat_map(|way| [&way.exe, &way.script]))
        .chain([&set.interpreters, &set.multicall, &set.trampolines]);
    let entries = lists.flatten().filter_map(|text| glob::parse(text, Subject::Program).ok());
    let anchors = entries.flat_map(|entry| entry.patterns).map(|pattern| pattern.anchor);
    anchors.filter_map(|anchor| if let Anchor::Variable(name) = anchor { Some(name) } else { None }).collect()
}

/// Home directories in the text of a passwd file, of root and of everybody with a login shell.
fn login_homes(passwd: &[u8]) -> Vec<PathBuf> {
    let home = |line: &[u8]| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let [_, _, uid, _, _, home, shell] = fields[..] else {
            return None;
        };
        let no_login = [&b"nologin"[..], b"false", b"sync", b"shutdown", b"halt"];
        let login = uid == b"0" || !no_login.iter().any(|name| shell.ends_with(name));
        login.then(|| PathBuf::from(std::ffi::OsStr::from_bytes(home)))
    };
    passwd.split(|byte| *byte == b'\n').filter_map(home).collect()
}

/// The path as the kernel names it if it exists, else as written. None for the root directory and for relative
/// paths: a pattern that hangs from them would be about everything, or about nothing.
fn canonical(path: &Path) -> Option<PathBuf> {
    match fs::canonicalize(path) {
        Ok(real) if path.is_absolute() => lexical(&real),
        _ => lexical(path),
    }
}

fn lexical(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            Component::Prefix(_) => return None,
        }
    }
    (path.is_absolute() && clean != Path::new("/")).then_some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_people_have_homes() {
        let passwd = b"root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/usr/sbin:/usr/sbin/nologin\n\
            ann:x:1000:1000:,,,:/home/ann:/bin/zsh\nbroken line\nsvc:x:999:999::/var/lib/svc:/bin/false\n";
        assert_eq!(login_homes(passwd), [PathBuf::from("/root"), PathBuf::from("/home/ann")]);
    }

    #[test]
    fn the_root_directory_is_nobody_s_home() {
        let variables =
            BTreeMap::from([("A".to_owned(), "/".to_owned()), ("B".to_owned(), "rel".to_owned())]);
        let environment =
            Environment { project: PathBuf::from("/p/./q"), variables, ..Environment::default() };
        assert_eq!(environment.directory("A"), None);
        assert_eq!(environment.directory("B"), None);
        assert_eq!(environment.directory("C"), None);
        assert_eq!(environment.directory("PROJECT"), Some(PathBuf::from("/p/q")));
    }
}
