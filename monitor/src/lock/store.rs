//! The file: read and checked before anything is run, written as a whole.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::format::{Lock, SCHEMA};
use crate::event::text::Text;
use crate::rule::load::{read_text, yaml};
use crate::rule::problem::{Finding, Problems};
use crate::rule::set::Source;

/// The largest lockfile that is read.
pub const MAX_BYTES: u64 = 32 << 20;
/// The longest path or name, in characters: a path of 4,096 bytes, each of them escaped.
const LONGEST_KEY: usize = 1 << 16;
/// What stands above everything.
const HEAD: &str = "\
# What the install scripts of packages did. Written by `pkgwarden record`, held to by `pkgwarden check`.
# Review a change of this file as you review code.
";

/// Why a lockfile could not be written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot write the lockfile {path}; nothing was changed")]
    Write {
        /// Which.
        path: Text,
        /// Why.
        source: io::Error,
    },
    /// Somebody else wrote it meanwhile.
    #[error(
        "the lockfile {path} was changed by somebody else while the command ran; it was left alone, and what was recorded \
         is in {other}: compare them with `pkgwarden diff`, and keep one"
    )]
    Changed {
        /// Which.
        path: Text,
        /// Where the recording is.
        other: Text,
    },
    /// It cannot be expressed.
    #[error("cannot put the lockfile into YAML")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

/// A lockfile on disk.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
    /// What was in it; nothing if it was not there.
    before: Option<Vec<u8>>,
    /// What it says.
    pub lock: Lock,
}

impl Store {
    /// Reads a lockfile; one that is not there is empty.
    ///
    /// # Errors
    /// If it is there and cannot be read or understood, with file, line and hint; if its folder is not there.
    pub fn open(path: &Path) -> Result<Self, Problems> {
        // Written is where a link leads, for the link itself would be replaced.
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        match fs::symlink_metadata(&real) {
            Ok(_) => {
                let (lock, text) = read(&real)?;
                Ok(Self { path: real, before: Some(text.into_bytes()), lock })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && folder(&real).is_dir() => {
                Ok(Self { path: real, before: None, lock: Lock::default() })
            }
            Err(error) => {
                let name = Text::from(path);
                let message = format!("the lockfile {name} cannot be made: {error}");
                Err(one(Finding::plain(message, "name a file in a folder that exists")))
            }
        }
    }

    /// Whether there was a file.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.before.is_some()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes it as a whole, or not at all. A new file belongs to `owner`, another keeps its owner and mode.
    ///
    /// # Errors
    /// If it cannot be written, or has been changed meanwhile.
    pub fn write(&self, owner: (u32, u32)) -> Result<(), StoreError> {
        let text = render(&self.lock)?;
        if self.before.as_deref() == Some(text.as_bytes()) {
            return Ok(());
        }
        let now =
            match fs::symlink_metadata(&self.path) {
                // A named pipe that somebody has put there would never answer.
                Ok(known) if !known.is_file() => Some(None),
                Ok(_) => {
                    let read = fs::read(&self.path);
                    Some(Some(read.map_err(|source| StoreError::Write {
                        path: Text::from(self.path.as_path()),
                        source,
                    })?))
                }
                Err(_) => None,
            };
        if now != self.before.clone().map(Some) {
            let mut other = self.path.clone().into_os_string();
            other.push(".new");
            let other = PathBuf::from(other);
            put(&other, &text, owner)
                .map_err(|source| StoreError::Write { path: Text::from(other.as_path()), source })?;
            return Err(StoreError::Changed {
                path: Text::from(self.path.as_path()),
                other: Text::from(other.as_path()),
            });
        }
        put(&self.path, &text, owner)
            .map_err(|source| StoreError::Write { path: Text::from(self.path.as_path()), source })
    }
}

/// Reads a lockfile that must be there: what it says, and its text.
///
/// # Errors
/// If it cannot be read or understood, with file, line and hint.
pub fn read(path: &Path) -> Result<(Lock, String), Problems> {
    let source = read_text("the lockfile", path, MAX_BYTES).map_err(one)?;
    let lock = parse(&source).map_err(one)?;
    Ok((lock, source.text.as_ref().to_owned()))
}

/// The text of a lockfile.
///
/// # Errors
/// If it cannot be expressed.
pub fn render(lock: &Lock) -> Result<String, serde_saphyr::ser::Error> {
    // One line an object: nothing is folded. Words such as `no` are quoted, for readers of an older YAML.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let mut text = HEAD.to_owned();
    text.push_str(&serde_saphyr::to_string_with_options(lock, options)?);
    Ok(text)
}

/// Which format it is; everything else may be unknown here.
#[derive(Deserialize)]
struct Head {
    schema: Option<String>,
}

/// What a text says.
///
/// # Errors
/// At the line that is wrong.
pub fn parse(source: &Source) -> Result<Lock, Finding> {
    let what = |message: String, hint: &str| {
        Finding::at(message, Some(hint.to_owned()), &source.name, &source.text, None)
    };
    if source.text.lines().all(|line| line.trim().is_empty() || line.starts_with('#')) {
        return Err(what(
            "the lockfile is empty".to_owned(),
            "remove it, and `pkgwarden record` makes a new one; or restore it from your repository",
        ));
    }
    // The size of the file is the limit; a lockfile of a large project has more parts than a document that strangers send.
    let budget = serde_saphyr::budget! {
        max_events: 20_000_000,
        max_nodes: 10_000_000,
        simple_key_max_lookahead: LONGEST_KEY,
        max_aliases: 100,
    };
    let options = || serde_saphyr::options! { budget: budget.clone() };
    let head: Head =
        serde_saphyr::from_str_with_options(&source.text, options()).map_err(|error| yaml(source, &error))?;
    match head.schema.as_deref() {
        Some(SCHEMA) => {}
        Some(other) => {
            let other = Text::from(other);
            let message = format!("this lockfile has the schema `{other}` where `{SCHEMA}` is expected");
            return Err(what(message, "use the pkgwarden that wrote it, or record anew into another file"));
        }
        None => {
            let message =
                "the key `schema` is missing: this is no lockfile, or not the whole of one".to_owned();
            return Err(what(
                message,
                "name a file that `pkgwarden record` wrote, or restore it from your repository",
            ));
        }
    }
    serde_saphyr::from_str_with_options(&source.text, options()).map_err(|error| yaml(source, &error))
}

fn put(path: &Path, text: &str, (uid, gid): (u32, u32)) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".pkgwarden.lock.").tempfile_in(folder(path))?;
    file.write_all(text.as_bytes())?;
    let (mode, uid, gid) = match fs::symlink_metadata(path) {
        Ok(known) if known.is_file() => (known.mode() & 0o777, known.uid(), known.gid()),
        _ => (0o644, uid, gid),
    };
    file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    // Only root can give a file away, and only root has to.
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::fchown(file.as_file(), Some(uid), Some(gid))?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The name too must outlive a loss of power; where a folder cannot be opened, the file is there all the same.
    File::open(folder(path)).and_then(|folder| folder.sync_all()).or(Ok(()))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn one(finding: Finding) -> Problems {
    let mut problems = Problems::default();
    problems.push(finding);
    problems
}
