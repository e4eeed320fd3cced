//! Secrets by what they are: every secret file there is gets known to the kernel by its inode, so that a hard link, a
//! bind mount or a renamed parent directory does not hide it; and a secret that is a symbolic link is known by where it
//! leads.
//!
//! The kernel side writes the table, because device numbers differ between stat(2) and the kernel on some file systems:
//! this process opens the files, and the program on opened files takes note (`protect` and `open` in monitor-ebpf).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::bpf::learn::Learning;
use crate::policy::Policy;
use crate::policy::glob::{self, Anchor, Component, Element, Subject};
use crate::rule::RuleSet;

/// A name that the rules give to files of pkgwarden (`watch-itself`).
const OWN: &[u8] = b"/etc/pkgwarden/rules";

/// Directory entries looked at: homes with a million files must not hold up a run. Names are known all the same.
const ENTRIES: usize = 50_000;
/// How far `**` is followed.
const DEPTH: usize = 6;

/// What is there.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Files whose name is a secret's, with the group of that name.
    pub files: BTreeSet<(PathBuf, u16)>,
    /// Directories in which such files are, or could appear.
    pub directories: BTreeSet<PathBuf>,
}

/// Looks for the files of every object that is a secret and has a place: patterns that float (`**/.env`) are known by
/// name only.
#[must_use]
pub fn find(set: &RuleSet, policy: &Policy) -> Found {
    let mut search = Search { policy, found: Found::default(), left: ENTRIES };
    for object in set.objects.values().filter(|object| object.secret.is_some()) {
        let entries = object.files.iter().filter_map(|text| glob::parse(text, Subject::File).ok());
        for pattern in entries.filter(|entry| !entry.excluded).flat_map(|entry| entry.patterns) {
            for place in places(policy, &pattern.anchor) {
                search.below(&place, &pattern.components, 0);
            }
        }
    }
    if search.left == 0 {
        tracing::warn!("more than {ENTRIES} files lie where secrets may be; the rest is known by name only");
    }
    search.found
}

impl Found {
    /// Adds files of pkgwarden's own, which are protected from writers like secrets from readers: its program, its
    /// rules, what it writes.
    pub fn add_own<'a>(&mut self, policy: &Policy, paths: impl Iterator<Item = &'a PathBuf>) {
        let group = policy.file_group(OWN);
        let mut left: Vec<PathBuf> = paths.cloned().chain(std::env::current_exe().ok()).collect();
        while let Some(path) = left.pop() {
            if path.is_file() {
                self.files.insert((path, group));
            } else if let Ok(entries) = fs::read_dir(&path) {
                // A folder of rules; they have been loaded, so it is no loop.
                left.extend(entries.filter_map(Result::ok).map(|entry| entry.path()));
            }
        }
    }
}

/// Opens every file, so that the kernel side takes note. Those that cannot be opened are known by name only.
pub fn learn(found: &Found, learning: &mut Learning) {
    for (path, group) in &found.files {
        if let Err(error) = learning.with_group(*group, || open(path, 0)) {
            tracing::debug!("{} is known by name only: {error}", path.display());
        }
    }
}

/// Opens a file for nothing but to be seen opening it: no access time, no wait for a pipe's other end.
///
/// # Errors
/// If it cannot be opened.
pub fn open(path: &Path, flags: i32) -> std::io::Result<()> {
    let common = libc::O_NONBLOCK | libc::O_NOCTTY | flags;
    let open = |flags| File::options().read(true).custom_flags(common | flags).open(path);
    // Some file systems do not know O_NOATIME.
    open(libc::O_NOATIME).or_else(|_| open(0)).map(drop)
}

/// Where patterns with this anchor hang.
fn places(policy: &Policy, anchor: &Anchor) -> Vec<PathBuf> {
    match anchor {
        Anchor::Root => vec![PathBuf::from("/")],
        Anchor::Home => policy.environment.homes.clone(),
        Anchor::Variable(name) => policy.environment.directory(name).into_iter().collect(),
        Anchor::Start => Vec::new(),
    }
}

struct Search<'a> {
    policy: &'a Policy,
    found: Found,
    left: usize,
}

impl Search<'_> {
    /// Follows the components of a pattern; only the last word, whether a name is a secret's, is the policy's.
    fn below(&mut self, place: &Path, components: &[Component], depth: usize) {
        let Some((first, rest)) = components.split_first() else {
            self.candidate(place);
            return;
        };
        match first {
            Component::Name(elements) => match literal(elements) {
                Some(name) => {
                    self.found.directories.insert(place.to_path_buf());
                    self.below(&place.join(std::ffi::OsString::from_vec(name)), rest, depth);
                }
                None => self.each_entry(place, |search, entry| search.below(entry, rest, depth)),
            },
            // A pattern that begins with `**` floats.
            Component::Deep if components.len() > 1 && place == Path::new("/") => {}
            Component::Deep => self.all_below(place, depth),
        }
    }

    fn all_below(&mut self, place: &Path, depth: usize) {
        if depth >= DEPTH {
            return;
        }
        self.each_entry(place, |search, entry| {
            if entry.is_dir() && !entry.is_symlink() {
                search.all_below(entry, depth + 1);
            } else {
                search.candidate(entry);
            }
        });
    }

    fn each_entry(&mut self, place: &Path, mut visit: impl FnMut(&mut Self, &Path)) {
        let Ok(entries) = fs::read_dir(place) else { return };
        self.found.directories.insert(place.to_path_buf());
        for entry in entries.filter_map(Result::ok) {
            if self.left == 0 {
                return;
            }
            self.left -= 1;
            visit(self, &entry.path());
        }
    }

    fn candidate(&mut self, path: &Path) {
        if !path.is_file() {
            return;
        }
        let group = self.policy.file_group(path.as_os_str().as_bytes());
        let is_secret = |object: &String| {
            self.policy.names.objects.get(object).is_some_and(|object| object.secret.is_some())
        };
        if self.policy.names.group(group).iter().any(is_secret) {
            self.found.files.insert((path.to_path_buf(), group));
        }
    }
}

/// The name, if nothing in it varies.
fn literal(elements: &[Element]) -> Option<Vec<u8>> {
    elements
        .iter()
        .map(|element| if let Element::Byte(byte) = element { Some(*byte) } else { None })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::policy::Environment;
    use crate::rule::load::load;

    #[test]
    fn finds_secrets_under_their_names_and_behind_links() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        for (name, text) in
            [(".ssh/id_ed25519", "k"), (".ssh/id_ed25519.pub", "p"), ("dots/aws", "a"), (".profile", "x")]
        {
            let path = home.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::create_dir(home.join(".aws")).unwrap();
        symlink(home.join("dots/aws"), home.join(".aws/credentials")).unwrap();
        let environment = Environment {
            homes: vec![home.clone()],
            project: PathBuf::from("/nonexistent/project"),
            variables: BTreeMap::new(),
            ..Environment::default()
        };
        let set = load(&[]).unwrap();
        let policy = Policy::compile(&set, &environment).unwrap();
        let found = find(&set, &policy);
        let below: Vec<&Path> =
            found.files.iter().filter_map(|(path, _)| path.strip_prefix(&home).ok()).collect();
        assert_eq!(below, [Path::new(".aws/credentials"), Path::new(".ssh/id_ed25519")]);
        assert!(found.directories.contains(&home.join(".aws")));
    }
}
