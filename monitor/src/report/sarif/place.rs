//! Where in a project a package was asked for: the line of its lockfile, or else of its manifest.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::entry::{Entry, files, manifest, requirements};
use crate::enrich::package::disk;
use crate::event::Event;
use crate::event::model::{Package, What};
use crate::event::text::Text;
use crate::event::time::Timestamp;
use crate::finding::Finding;

/// The most bytes of a lockfile that is read.
const MOST: u64 = 64 << 20;
/// The most directories that are looked into above the one where a manager was started.
const HIGHEST: usize = 32;

/// A place in a file of the project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Relative to the root of the project, percent-encoded.
    pub(super) uri: String,
    /// Counted from 1; none where the file is not there, or does not name the package.
    pub(super) line: Option<usize>,
}

/// Directories in which package managers ran, and what was read there.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Where the command was started.
    started: Option<PathBuf>,
    /// Directory and `--requirement` files of each process that was a manager.
    managers: HashMap<(u32, Timestamp), (PathBuf, Vec<PathBuf>)>,
    /// The entries of a file; none where there is no such file.
    read: HashMap<PathBuf, Option<Vec<Entry>>>,
}

impl Places {
    /// Follows the events of a run.
    pub(super) fn follow(events: &mut dyn Iterator<Item = Event>) -> Self {
        let mut places = Self::default();
        for event in events {
            let (What::Exec { .. }, Some(cwd)) = (&event.what, &event.process.cwd) else { continue };
            // One that the kernel could not tell in full leads nowhere.
            if !cwd.as_path().is_absolute() {
                continue;
            }
            places.started.get_or_insert_with(|| cwd.as_path().to_owned());
            if event.actor.starts_with("manager:") {
                let named = requirement_files(&event.process.argv, cwd.as_path());
                let who = (event.process.pid, event.process.start);
                places.managers.insert(who, (cwd.as_path().to_owned(), named));
            }
        }
        places
    }

    /// The root of the project: of the repository around the directory where the command was started, or that
    /// directory.
    pub(super) fn root(&self) -> Option<&Path> {
        let started = self.started.as_deref()?;
        let repository = started.ancestors().take(HIGHEST).find(|above| above.join(".git").exists());
        Some(repository.unwrap_or(started))
    }

    /// Where the package of a finding was asked for.
    pub(super) fn of(&mut self, finding: &Finding) -> Option<Place> {
        let root = self.root()?.to_owned();
        let (directories, named) = self.around(finding, &root);
        let package = finding.package.as_ref();
        let ecosystem = package.map_or_else(|| ecosystem(&finding.actor), |package| &package.ecosystem);
        let mut there = None;
        for file in named {
            let found = self.look(&file, package, requirements, &mut there);
            if let Some(line) = found {
                return Some(Place { uri: uri(&root, &file)?, line: Some(line) });
            }
        }
        for directory in directories {
            for (name, scan) in files(ecosystem) {
                let file = directory.join(name);
                if let Some(line) = self.look(&file, package, scan, &mut there) {
                    return Some(Place { uri: uri(&root, &file)?, line: Some(line) });
                }
            }
        }
        match there {
            Some(file) => Some(Place { uri: uri(&root, &file)?, line: None }),
            None => Some(Place { uri: manifest(ecosystem)?.to_owned(), line: None }),
        }
    }

    /// The line of a package in a file. A file that is there and does not name it is kept in `there`.
    fn look(
        &mut self,
        file: &Path,
        package: Option<&Package>,
        scan: fn(&str) -> Vec<Entry>,
        there: &mut Option<PathBuf>,
    ) -> Option<usize> {
        let entries = self.read.entry(file.to_owned()).or_insert_with(|| {
            let bytes = disk::read(file, MOST).ok()?;
            Some(scan(&String::from_utf8_lossy(&bytes)))
        });
        let entries = entries.as_ref()?;
        there.get_or_insert_with(|| file.to_owned());
        line_of(entries, package?)
    }

    /// Directories to look into, the nearest first, all inside of `root`; and files that the command line names.
    fn around(&self, finding: &Finding, root: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let mut begins = Vec::new();
        let mut named = Vec::new();
        if let Some(project) = finding.process.cwd.as_ref().and_then(above_modules) {
            begins.push(project);
        }
        let own = (finding.process.pid, Some(finding.process.start));
        let above = finding.ancestry.iter().map(|ancestor| (ancestor.pid, ancestor.start));
        for (pid, start) in std::iter::once(own).chain(above) {
            if let Some((directory, files)) = start.and_then(|start| self.managers.get(&(pid, start))) {
                begins.push(directory.clone());
                named.extend(files.iter().filter(|file| file.starts_with(root)).cloned());
            }
        }
        begins.extend(self.started.clone());
        begins.push(root.to_owned());
        let mut directories: Vec<PathBuf> = Vec::new();
        for begin in begins.iter().filter(|begin| begin.starts_with(root)) {
            for directory in begin.ancestors().take(HIGHEST).take_while(|above| above.starts_with(root)) {
                if !directories.iter().any(|known| known == directory) {
                    directories.push(directory.to_owned());
                }
            }
        }
        (directories, named)
    }
}

/// `npm` of `script:npm`. Names of managers that share a registry are those of their ecosystem.
fn ecosystem(actor: &str) -> &str {
    match actor.split_once(':').map_or("", |(_, name)| name) {
        "npm" | "npx" | "pnpm" | "yarn" | "bun" => "npm",
        "pip" | "uv" | "poetry" | "pipx" | "pdm" | "pypi" => "pypi",
        "cargo" => "cargo",
        "gem" | "bundler" | "bundle" => "gem",
        "composer" => "composer",
        _ => "",
    }
}

/// The project in whose `node_modules` a directory lies.
fn above_modules(directory: &Text) -> Option<PathBuf> {
    let above = directory.as_path().ancestors();
    let modules = above.filter(|above| above.file_name().is_some_and(|name| name == "node_modules"));
    modules.last()?.parent().map(Path::to_owned)
}

/// The values of `-r` and `--requirement`.
fn requirement_files(argv: &[Text], cwd: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut words = argv.iter().map(Text::as_bytes);
    while let Some(word) = words.next() {
        let file = match word {
            b"-r" | b"--requirement" => words.next(),
            _ => word.strip_prefix(b"--requirement=").or_else(|| word.strip_prefix(b"-r")),
        };
        // `-r../x` leads out of the project sooner or later; what does is left out by its path.
        files.extend(
            file.map(|file| cwd.join(Text::from(file).as_path())).filter(|file| {
                !file.components().any(|part| matches!(part, std::path::Component::ParentDir))
            }),
        );
    }
    files
}

fn line_of(entries: &[Entry], package: &Package) -> Option<usize> {
    let wanted = package.name.to_string();
    let python = package.ecosystem == "pypi";
    let is_named = |entry: &&Entry| {
        if python { normalised(&entry.name) == normalised(&wanted) } else { entry.name == wanted }
    };
    let version = package.version.as_ref().map(ToString::to_string);
    let is_version = |entry: &&Entry| match (&entry.version, &version) {
        // Behind a hyphen stands the platform of a gem.
        (Some(entry), Some(wanted)) => {
            entry == wanted || entry.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.starts_with('-'))
        }
        _ => false,
    };
    let exact = entries.iter().filter(is_named).find(is_version);
    exact.or_else(|| entries.iter().find(is_named)).map(|entry| entry.line)
}

/// As PEP 503 compares names.
fn normalised(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

/// A path inside of `root` as a relative reference (RFC 3986), its first part never taken for a scheme.
pub(super) fn uri(root: &Path, file: &Path) -> Option<String> {
    let relative = file.strip_prefix(root).ok()?;
    Some(encoded(relative.as_os_str().as_bytes()))
}

/// Bytes of a path, percent-encoded.
pub(super) fn encoded(path: &[u8]) -> String {
    let mut text = String::new();
    for byte in path {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(*byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests;
