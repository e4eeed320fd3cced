//! Which file a caller means: what it wrote, joined to its directory, with the symbolic links followed that the kernel
//! would follow. Bytes all the way: a path need not be text.

pub(super) use crate::policy::evaluate::clean;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};

/// As the kernel's MAXSYMLINKS.
const MAX_LINKS: usize = 40;

/// Whose path it is: `/proc/self` is another directory for everybody.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    /// Process.
    pub(super) tgid: u32,
    /// Thread.
    pub(super) tid: u32,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Absolute, no `.`, `..` or empty components.
    pub(super) path: Vec<u8>,
    /// Whether nothing is there. Only asked where the last component is followed.
    pub(super) missing: bool,
}

/// What was written, seen from `base`.
pub(super) fn join(base: &[u8], written: &[u8]) -> Vec<u8> {
    if written.starts_with(b"/") {
        return written.to_vec();
    }
    let mut path = base.to_vec();
    if !written.is_empty() {
        path.push(b'/');
        path.extend_from_slice(written);
    }
    path
}

/// Follows an absolute path; the last component too if `follow`. Where nothing is, the letters decide. `None`: too many
/// links.
pub(super) fn resolve(path: &[u8], follow: bool, owner: Owner) -> Option<Place> {
    // With a slash or dots at its end a path means what a link leads to.
    let follow = follow || matches!(path.rsplit(|byte| *byte == b'/').next(), Some(b"" | b"." | b".."));
    // Most paths have no link in them, and the kernel can say so in one call (since v5.6).
    let asked = if follow { path } else { parent(path) };
    let how =
        OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    match openat2(AT_FDCWD, Path::new(OsStr::from_bytes(asked)), how) {
        Ok(_) => return Some(Place { path: clean(path), missing: false }),
        Err(Errno::ENOENT) => return Some(Place { path: clean(path), missing: true }),
        Err(_) => {}
    }
    let path = walk(path, follow, owner)?;
    let missing = follow && matches!(link(&path), Err(error) if error.kind() == io::ErrorKind::NotFound);
    Some(Place { path, missing })
}

/// All but the last component.
fn parent(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|byte| *byte == b'/') {
        None | Some(0) => b"/",
        Some(at) => &path[..at],
    }
}

/// Component by component, as the kernel does, but with the owner's `/proc/self`.
fn walk(path: &[u8], follow: bool, owner: Owner) -> Option<Vec<u8>> {
    let mut ahead: Vec<Vec<u8>> = Vec::new();
    push(&mut ahead, path);
    let mut done = Vec::new();
    let mut links = 0;
    while let Some(part) = ahead.pop() {
        if part == b".." {
            up(&mut done);
            continue;
        }
        let here = done.len();
        down(&mut done, &part);
        if ahead.is_empty() && !follow {
            break;
        }
        let target = match &done[..] {
            b"/proc/self" => Ok(owner.tgid.to_string().into_bytes()),
            b"/proc/thread-self" => Ok(format!("{}/task/{}", owner.tgid, owner.tid).into_bytes()),
            done => link(done),
        };
        // Not a link, or nothing there: then the letters decide.
        let Ok(target) = target else { continue };
        links += 1;
        if links > MAX_LINKS {
            return None;
        }
        done.truncate(if target.starts_with(b"/") { 0 } else { here });
        push(&mut ahead, &target);
    }
    if done.is_empty() {
        done.push(b'/');
    }
    Some(done)
}

/// Puts the components of a path in front of those ahead.
fn push(ahead: &mut Vec<Vec<u8>>, path: &[u8]) {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    ahead.extend(parts.rev().map(<[u8]>::to_vec));
}

fn down(path: &mut Vec<u8>, part: &[u8]) {
    path.push(b'/');
    path.extend_from_slice(part);
}

fn up(path: &mut Vec<u8>) {
    path.truncate(path.iter().rposition(|byte| *byte == b'/').unwrap_or(0));
}

/// What a symbolic link says.
pub(super) fn link(path: &[u8]) -> io::Result<Vec<u8>> {
    let path = CString::new(path)?;
    Ok(nix::fcntl::readlink(path.as_c_str())?.into_vec())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const OWNER: Owner = Owner { tgid: 1, tid: 1 };

    #[test]
    fn paths_are_joined_and_cleaned_byte_by_byte() {
        assert_eq!(join(b"/a", b"b"), b"/a/b");
        assert_eq!(join(b"/a", b"/b"), b"/b");
        assert_eq!(join(b"/a/f", b""), b"/a/f");
        assert_eq!(join(b"/", b"\xff\n"), b"//\xff\n");
        assert_eq!(clean(b"//\xff\n"), b"/\xff\n");
        assert_eq!(clean(b"/a/./b/../../../c//d/"), b"/c/d");
        assert_eq!(clean(b"/.."), b"/");
        assert_eq!(clean(b"/..."), b"/...");
    }

    #[test]
    fn links_on_the_way_are_followed_and_the_last_one_if_asked() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        let at = |name: &str| real.join(name).into_os_string().into_vec();
        std::fs::create_dir_all(real.join("home/sub")).unwrap();
        std::fs::write(real.join("home/.bashrc"), "").unwrap();
        symlink("home", real.join("way")).unwrap();
        symlink("home/sub", real.join("deep")).unwrap();
        symlink(real.join("way/.bashrc"), real.join("rc")).unwrap();
        symlink("way/new", real.join("dangling")).unwrap();
        symlink("loop", real.join("loop")).unwrap();
        let path = |name: &str, follow| resolve(&at(name), follow, OWNER).map(|place| place.path);
        assert_eq!(path("way/.bashrc", false), Some(at("home/.bashrc")));
        assert_eq!(path("rc", false), Some(at("rc")));
        assert_eq!(path("rc", true), Some(at("home/.bashrc")));
        // Not what the letters say.
        assert_eq!(path("deep/../.bashrc", false), Some(at("home/.bashrc")));
        assert_eq!(path("way/", false), Some(at("home")));
        assert_eq!(path("way/sub/..", false), Some(at("home")));
        assert_eq!(path("loop", true), None);
        let place = |name: &str| resolve(&at(name), true, OWNER).unwrap();
        assert_eq!(place("dangling"), Place { path: at("home/new"), missing: true });
        assert_eq!(place("home/new"), Place { path: at("home/new"), missing: true });
        assert_eq!(place("rc"), Place { path: at("home/.bashrc"), missing: false });
        assert_eq!(place("home/.bashrc"), Place { path: at("home/.bashrc"), missing: false });
    }

    #[test]
    fn proc_self_is_the_callers() {
        let owner = Owner { tgid: std::process::id(), tid: 0 };
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        let wanted = join(here.as_os_str().as_bytes(), b"x");
        assert_eq!(resolve(b"/proc/self/cwd/x", false, owner).map(|place| place.path), Some(wanted.clone()));
        let folder = tempfile::tempdir().unwrap();
        symlink("/proc/self", folder.path().join("me")).unwrap();
        let hidden = folder.path().join("me/cwd/x").into_os_string().into_vec();
        assert_eq!(resolve(&hidden, false, owner).map(|place| place.path), Some(wanted));
        // Of a process that is not there nothing can be followed.
        let nobody = Owner { tgid: u32::MAX, tid: 0 };
        let place = resolve(b"/proc/self/cwd/x", false, nobody).map(|place| place.path);
        assert_eq!(place, Some(format!("/proc/{}/cwd/x", u32::MAX).into_bytes()));
    }
}
