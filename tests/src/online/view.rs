//! What a process finds at the paths that are about the machine: the machine's files, except for a few of our own.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use crate::namespace::Namespace;

/// Sockets of helpers that would answer for the resolver, from outside.
const HELPERS: [&str; 3] = ["/run/systemd/resolve", "/run/nscd", "/run/dbus"];

/// A mount namespace. It has no name, so it goes away with the last process and descriptor in it.
#[derive(Debug)]
pub(super) struct View {
    handle: OwnedFd,
}

impl View {
    /// Lays these files, kept in `folder`, over those of the machine; hides these directories.
    pub(super) fn new(folder: &Path, files: &[(&str, String)], hidden: &[&str]) -> Self {
        fs::create_dir_all(folder).expect("make a directory for files of the machine");
        let covers: Vec<(PathBuf, PathBuf)> =
            files.iter().map(|(path, text)| (cover(folder, path, text), real(path))).collect();
        let made = thread::scope(|scope| {
            let thread = scope.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNS).expect("make a mount namespace (this needs root)");
                change(None, "/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE);
                for (cover, path) in &covers {
                    change(Some(cover), path, None, MsFlags::MS_BIND);
                }
                for path in hidden.iter().chain(&HELPERS).filter(|path| Path::new(path).is_dir()) {
                    change(Some(Path::new("none")), path, Some("tmpfs"), MsFlags::empty());
                }
                File::open("/proc/thread-self/ns/mnt").expect("open the new mount namespace")
            });
            thread.join()
        });
        Self { handle: made.expect("a mount namespace").into() }
    }

    /// Does something on a thread that has this view, and this network.
    pub(super) fn enter<T: Send>(&self, network: &Namespace, act: impl FnOnce() -> T + Send) -> T {
        network.enter(|| {
            // Threads share where they are in the file system until they say otherwise.
            unshare(CloneFlags::CLONE_FS).expect("have a working directory of one's own");
            setns(&self.handle, CloneFlags::CLONE_NEWNS).expect("enter the mount namespace");
            act()
        })
    }
}

fn cover(folder: &Path, path: &str, text: &str) -> PathBuf {
    let name = path.trim_start_matches('/').replace('/', "-");
    let cover = folder.join(name);
    fs::write(&cover, text).expect("write a file of the machine");
    cover
}

/// Where the file really is: `/etc/resolv.conf` is often a link.
fn real(path: &str) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|why| panic!("the tests need a file {path} to cover: {why}"))
}

fn change(source: Option<&Path>, target: impl AsRef<Path>, kind: Option<&str>, flags: MsFlags) {
    let target = target.as_ref();
    mount(source, target, kind, flags, None::<&str>)
        .unwrap_or_else(|why| panic!("mount over {}: {why}", target.display()));
}
