//! Decoys: credentials that exist for one run only, so that whoever reads one has given himself away.
//!
//! A journal says what will be planted before anything is. It is locked as long as this process or its guard lives; one
//! that is not locked is of a run that died, and the next one tidies up. A file is removed only if its content is still
//! what was planted.

mod content;
mod place;

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use self::content::{Chance, DECOYS};
use self::place::{Owner, Removed};
use super::user::Invoker;

/// The most days that a decoy pretends to be old.
const DAYS: u64 = 200;
/// The largest journal that is read, bytes.
const MOST: u64 = 1 << 20;

/// What is planted, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Journal {
    home: PathBuf,
    /// Directories that may have to be made, parents first.
    directories: Vec<PathBuf>,
    files: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// Below the home.
    path: PathBuf,
    /// SHA-256 of the content.
    digest: String,
}

/// Decoys in a home. They are removed when this is dropped by the process that planted them.
#[derive(Debug)]
pub struct Planted {
    journal: Journal,
    path: PathBuf,
    /// Holds the lock, here and in every process that was forked since.
    _lock: File,
    owner: u32,
}

/// Decoys cannot be planted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no place for the journal.
    #[error(
        "no decoy was planted, because the journal {path} cannot be written; it says what has to be removed after a crash"
    )]
    Journal {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A home that cannot be written.
    #[error("no decoy could be planted in {home}")]
    Home {
        /// Whose.
        home: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Where journals are kept: with root's things, or with the user's own.
#[must_use]
pub fn state(invoker: &Invoker) -> PathBuf {
    if Uid::effective().is_root() {
        return PathBuf::from("/var/lib/pkgwarden/decoys");
    }
    let own = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    own.unwrap_or_else(|| invoker.home.join(".local/state")).join("pkgwarden/decoys")
}

/// Every place below a home that a decoy can be at.
pub fn places() -> impl Iterator<Item = &'static str> {
    DECOYS.iter().map(|(below, _)| *below)
}

/// Plants a decoy at each place below the invoker's home that `suits` and where nothing is.
///
/// # Errors
/// If the journal cannot be written, or nothing can be planted at all.
pub fn plant(invoker: &Invoker, state: &Path, suits: impl Fn(&Path) -> bool) -> Result<Planted, Error> {
    let home = fs::canonicalize(&invoker.home)
        .map_err(|source| Error::Home { home: invoker.home.clone(), source })?;
    let trouble = |source| Error::Home { home: home.clone(), source };
    let mut chance = Chance::new().map_err(trouble)?;
    let mut journal = Journal { home: home.clone(), ..Journal::default() };
    let mut contents = Vec::new();
    for (below, content) in DECOYS {
        let path = home.join(below);
        if path.symlink_metadata().is_ok() || !suits(&path) {
            continue;
        }
        let content = content(&mut chance).map_err(trouble)?;
        let parents: Vec<&Path> =
            Path::new(below).ancestors().skip(1).filter(|path| *path != Path::new("")).collect();
        for parent in parents.into_iter().rev() {
            if home.join(parent).symlink_metadata().is_err()
                && !journal.directories.iter().any(|known| known == parent)
            {
                journal.directories.push(parent.to_path_buf());
            }
        }
        journal.files.push(Entry { path: below.into(), digest: place::digest(content.as_bytes()) });
        contents.push(content);
    }
    let mut planted = Planted::begin(journal, state, &mut chance)?;
    let owner = Owner { uid: invoker.uid, gid: invoker.gid };
    // What is not made by us is not removed by us.
    let directories = std::mem::take(&mut planted.journal.directories);
    for directory in directories {
        if place::make_directory(&home, &directory, owner).map_err(trouble)? {
            planted.journal.directories.push(directory);
        }
    }
    let entries = std::mem::take(&mut planted.journal.files);
    for (entry, content) in entries.into_iter().zip(contents) {
        let age = chance.below(DAYS * 86_400).map_err(trouble)?;
        let time = SystemTime::now() - Duration::from_secs(age);
        if place::make_file(&home, &entry.path, owner, content.as_bytes(), time).map_err(trouble)? {
            planted.journal.files.push(entry);
        }
    }
    Ok(planted)
}

/// Removes what runs have left that died; says what could not be removed.
pub fn tidy(state: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(state) else { return Vec::new() };
    let mut complaints = Vec::new();
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        let Ok(file) = File::options().read(true).custom_flags(libc::O_NOFOLLOW).open(&path) else {
            continue;
        };
        match file.try_lock() {
            Ok(()) => {}
            // Somebody is at work.
            Err(TryLockError::WouldBlock) => continue,
            Err(TryLockError::Error(error)) => {
                complaints.push(format!("{}: {error}", path.display()));
                continue;
            }
        }
        let Ok(journal) = read(&file) else {
            // It breaks off: the run died before it planted anything.
            let _ = fs::remove_file(&path);
            continue;
        };
        complaints.extend(journal.remove());
        let _ = fs::remove_file(&path);
    }
    complaints
}

fn read(file: &File) -> io::Result<Journal> {
    Ok(serde_json::from_reader(io::Read::take(file, MOST))?)
}

impl Journal {
    /// Removes everything that is still what was planted; says what is not.
    fn remove(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        for Entry { path, digest } in &self.files {
            let shown = self.home.join(path).display().to_string().escape_debug().to_string();
            match place::remove_file(&self.home, path, digest) {
                Ok(Removed::Gone) => {}
                Ok(Removed::Changed) => complaints.push(format!(
                    "{shown} was planted as a decoy and is something else now, so it is left; look at it and remove it"
                )),
                Err(error) => complaints.push(format!("the decoy {shown} cannot be removed: {error}")),
            }
        }
        for directory in self.directories.iter().rev() {
            place::remove_directory(&self.home, directory);
        }
        complaints
    }
}

impl Planted {
    /// Writes the journal, before anything is planted.
    fn begin(journal: Journal, state: &Path, chance: &mut Chance) -> Result<Self, Error> {
        let number = chance.below(u64::MAX).unwrap_or_default();
        let path = state.join(format!("{}-{number:016x}.json", std::process::id()));
        let write = || -> io::Result<File> {
            DirBuilder::new().recursive(true).mode(0o700).create(state)?;
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
            // Before it says anything: one that is not locked is tidied up.
            file.lock()?;
            serde_json::to_writer(&mut file, &journal)?;
            file.sync_all()?;
            Ok(file)
        };
        let lock = write().map_err(|source| {
            let _ = fs::remove_file(&path);
            Error::Journal { path: path.clone(), source }
        })?;
        Ok(Self { journal, path, _lock: lock, owner: std::process::id() })
    }

    /// Paths of the files.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.journal.files.iter().map(|entry| self.journal.home.join(&entry.path)).collect()
    }

    /// Removes them; says what could not be removed. Also for a process that was forked from the one that planted them.
    pub fn remove(&self) -> Vec<String> {
        let complaints = self.journal.remove();
        let _ = fs::remove_file(&self.path);
        complaints
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        if self.owner == std::process::id() {
            for complaint in self.remove() {
                anstream::eprintln!("pkgwarden: {complaint}");
            }
        }
    }
}

#[cfg(test)]
mod tests;
