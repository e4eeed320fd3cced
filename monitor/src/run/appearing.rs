//! Secrets that appear, or are replaced, while a command runs: the kernel learns their inodes within moments. (Those that
//! a watched process makes are known at once, because the kernel side meets them itself.)

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

use super::secrets::{self, Found};

/// How deep a directory is followed that appears whole.
const DEPTH: usize = 4;
/// Directories watched at most; the kernel's own limit is fs.inotify.max_user_watches.
const DIRECTORIES: usize = 4096;

/// The directories in which secrets are, or could appear.
#[derive(Debug)]
pub struct Appearing {
    inotify: Inotify,
    directories: HashMap<WatchDescriptor, PathBuf>,
}

impl Appearing {
    /// Begins to watch.
    ///
    /// # Errors
    /// If the kernel gives no more watchers (fs.inotify.max_user_instances).
    pub fn watch(found: &Found) -> nix::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let mut appearing = Self { inotify, directories: HashMap::new() };
        for directory in &found.directories {
            appearing.add(directory);
        }
        Ok(appearing)
    }

    /// Opens what has appeared, so that the kernel side takes note of it; whether it is a secret is decided there.
    pub fn take_note(&mut self) {
        while let Ok(events) = self.inotify.read_events() {
            for event in events {
                self.look(&event);
            }
        }
    }

    fn look(&mut self, event: &InotifyEvent) {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            tracing::warn!("so many files were made at once that a new secret may be known by name only");
            return;
        }
        let (Some(directory), Some(name)) = (self.directories.get(&event.wd), &event.name) else { return };
        let path = directory.join(name);
        if event.mask.contains(AddWatchFlags::IN_ISDIR) {
            self.take_in(&path, 0);
        } else {
            note(&path);
        }
    }

    /// A directory that appeared, with what is in it already.
    fn take_in(&mut self, directory: &Path, depth: usize) {
        if depth >= DEPTH || !self.add(directory) {
            return;
        }
        let Ok(entries) = std::fs::read_dir(directory) else { return };
        for entry in entries.filter_map(Result::ok) {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.take_in(&entry.path(), depth + 1),
                Ok(kind) if kind.is_file() => note(&entry.path()),
                _ => {}
            }
        }
    }

    /// Whether there was room.
    fn add(&mut self, directory: &Path) -> bool {
        if self.directories.len() >= DIRECTORIES {
            return false;
        }
        let what = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_ONLYDIR
            | AddWatchFlags::IN_DONT_FOLLOW;
        // One that is not there needs no watch: its parent has one.
        let Ok(descriptor) = self.inotify.add_watch(directory, what) else { return false };
        self.directories.insert(descriptor, directory.to_path_buf());
        true
    }
}

impl AsRawFd for Appearing {
    fn as_raw_fd(&self) -> RawFd {
        self.inotify.as_fd().as_raw_fd()
    }
}

fn note(path: &Path) {
    if let Err(error) = secrets::open(path, libc::O_NOFOLLOW) {
        tracing::trace!("{}: {error}", path.display());
    }
}
