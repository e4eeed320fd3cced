//! Programs and maps that outlive their process: pinned on bpffs, and taken over by a successor without a gap.
//!
//! ```text
//! FOLDER/DIGEST/maps/NAME       state and compiled rules; the successor's programs use these very maps
//! FOLDER/DIGEST/links-PID/NAME  programs of one process; the successor's are attached before the old ones go
//! ```
//!
//! Labels hold numbers that a set of rules gave out, so the digest of the compiled rules is part of the path: a
//! successor with other rules must not read the old state.

use std::fs;
use std::path::{Path, PathBuf};

use aya::programs::links::FdLink;
use aya_obj::Object;

use super::error::Error;
use crate::policy::Policy;

/// Where a service pins: bpffs is mounted there on every distribution.
pub const FOLDER: &str = "/sys/fs/bpf/pkgwarden";

const LINKS: &str = "links-";

/// The pins of one set of rules.
pub(super) struct Pins {
    folder: PathBuf,
    links: PathBuf,
    taken_over: bool,
}

impl Pins {
    /// Opens or makes the folder.
    pub(super) fn open(folder: &Path, policy: &Policy) -> Result<Self, Error> {
        let digest = format!("{:016x}", policy.digest());
        if let Some(other) = entries(folder).into_iter().find(|path| !path.ends_with(&digest)) {
            return Err(Error::OtherRules { pinned: other });
        }
        let folder = folder.join(digest);
        let taken_over = !links(&folder).is_empty();
        let pins = Self { links: folder.join(format!("{LINKS}{}", std::process::id())), folder, taken_over };
        for path in [&pins.folder.join("maps"), &pins.links] {
            fs::create_dir_all(path).map_err(|source| Error::Pin { path: path.clone(), source })?;
        }
        Ok(pins)
    }

    /// Whether another process has switched on before: its maps are full.
    pub(super) const fn is_taken_over(&self) -> bool {
        self.taken_over
    }

    /// Every map of the object that is shared, with its place. Constants are each object's own.
    pub(super) fn maps(&self, object: &[u8]) -> Result<Vec<(String, PathBuf)>, Error> {
        let object = Object::parse(object)
            .map_err(|error| Error::Functions(super::function::Error::Object(error.to_string())))?;
        let names = object.maps.into_keys().filter(|name| !name.starts_with(".rodata"));
        // Names with dots are reserved on bpffs (kernel/bpf/inode.c `bpf_lookup`).
        let place = |name: &str| self.folder.join("maps").join(name.replace('.', "_"));
        Ok(names.map(|name| (name.clone(), place(&name))).collect())
    }

    /// Where the link of a program goes.
    pub(super) fn path_of_link(&self, program: &str) -> PathBuf {
        self.links.join(program)
    }

    /// Pins a link of aya's.
    pub(super) fn link(&self, link: FdLink, program: &str) -> Result<(), Error> {
        let path = self.path_of_link(program);
        link.pin(&path).map(drop).map_err(|error| Error::Pin { path, source: std::io::Error::other(error) })
    }

    /// Removes what this process has pinned, when it cannot go on; what it took over stays.
    pub(super) fn abandon(&self) {
        let ours = if self.taken_over { &self.links } else { &self.folder };
        if let Err(error) = fs::remove_dir_all(ours) {
            tracing::warn!("{} could not be removed: {error}", ours.display());
        }
    }

    /// Removes the links of every other process: its programs are detached when it is gone too.
    pub(super) fn retire_others(&self) -> Result<(), Error> {
        for path in links(&self.folder).into_iter().filter(|path| *path != self.links) {
            fs::remove_dir_all(&path).map_err(|source| Error::Pin { path, source })?;
        }
        Ok(())
    }
}

/// Removes every pin. What no process holds is detached by that.
///
/// # Errors
/// If something cannot be removed.
pub fn remove_all(folder: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn links(folder: &Path) -> Vec<PathBuf> {
    let is_links =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(LINKS));
    // An empty folder is that of a process which ended before it had attached anything.
    entries(folder).into_iter().filter(|path| is_links(path) && !entries(path).is_empty()).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .map(|entries| entries.filter_map(Result::ok).map(|entry| entry.path()).collect())
        .unwrap_or_default()
}
