//! Files below a home that belongs to somebody else: never through a symbolic link, never over what is there.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Component, Path};
use std::time::SystemTime;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open, openat};
use nix::sys::stat::{Mode, fchmod, fstat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, linkat, unlinkat};
use sha2::{Digest as _, Sha256};

/// The largest file that can be one of ours, bytes.
const MOST: u64 = 64 << 10;

/// Whose home it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) uid: Uid,
    pub(super) gid: Gid,
}

/// The directory that a path below `home` is in.
fn parent(home: &Path, below: &Path) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut directory = open(home, flags, Mode::empty())?;
    for part in below.parent().into_iter().flat_map(Path::components) {
        let Component::Normal(name) = part else { return Err(Errno::EINVAL) };
        directory = openat(&directory, name, flags, Mode::empty())?;
    }
    Ok(directory)
}

fn name(below: &Path) -> nix::Result<&std::ffi::OsStr> {
    below.file_name().ok_or(Errno::EINVAL)
}

/// The directory, if every step to it is a directory and no link.
fn parent_if_any(home: &Path, below: &Path) -> nix::Result<Option<OwnedFd>> {
    match parent(home, below) {
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
        directory => directory.map(Some),
    }
}

/// Makes a directory; false if there was something of that name already, or the way there leads elsewhere.
pub(super) fn make_directory(home: &Path, below: &Path, owner: Owner) -> io::Result<bool> {
    let Some(directory) = parent_if_any(home, below)? else { return Ok(false) };
    let name = name(below)?;
    match mkdirat(&directory, name, Mode::S_IRWXU) {
        Err(Errno::EEXIST) => return Ok(false),
        made => made?,
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let made = openat(&directory, name, flags, Mode::empty())?;
    fchown(&made, Some(owner.uid), Some(owner.gid))?;
    Ok(true)
}

/// Makes a file that only its owner can read, with its whole content or not at all; false if there was something of that
/// name already, or the way there leads elsewhere.
pub(super) fn make_file(
    home: &Path,
    below: &Path,
    owner: Owner,
    content: &[u8],
    time: SystemTime,
) -> io::Result<bool> {
    let Some(directory) = parent_if_any(home, below)? else { return Ok(false) };
    // In somebody else's directory its owner has no secrets.
    if fstat(&directory)?.st_uid != owner.uid.as_raw() {
        return Ok(false);
    }
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    // Without a name at first, so that a crash leaves nothing half written.
    let mut file =
        File::from(openat(&directory, ".", OFlag::O_TMPFILE | OFlag::O_WRONLY | OFlag::O_CLOEXEC, mode)?);
    file.write_all(content)?;
    fchmod(&file, mode)?;
    fchown(&file, Some(owner.uid), Some(owner.gid))?;
    // How old it looks is no reason to fail.
    let _ = file.set_modified(time);
    let nameless = format!("/proc/self/fd/{}", file.as_raw_fd());
    match linkat(AT_FDCWD, nameless.as_str(), &directory, name(below)?, AtFlags::AT_SYMLINK_FOLLOW) {
        Ok(()) => Ok(true),
        Err(Errno::EEXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What became of a file that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removed {
    /// It is gone, now or before.
    Gone,
    /// It is not what was put there, so it stays.
    Changed,
}

/// Removes a file if its content is what was put there.
pub(super) fn remove_file(home: &Path, below: &Path, digest: &str) -> io::Result<Removed> {
    let Some(directory) = parent_if_any(home, below)? else { return Ok(Removed::Gone) };
    let name = name(below)?;
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = match openat(&directory, name, flags, Mode::empty()) {
        Err(Errno::ENOENT) => return Ok(Removed::Gone),
        Err(Errno::ELOOP) => return Ok(Removed::Changed),
        file => File::from(file?),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > MOST {
        return Ok(Removed::Changed);
    }
    let mut content = Vec::new();
    file.take(MOST).read_to_end(&mut content)?;
    if self::digest(&content) != digest {
        return Ok(Removed::Changed);
    }
    match unlinkat(&directory, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(Removed::Gone),
        Err(error) => Err(error.into()),
    }
}

/// Removes a directory if nothing is in it.
pub(super) fn remove_directory(home: &Path, below: &Path) {
    if let (Ok(directory), Ok(name)) = (parent(home, below), name(below)) {
        // One that is not empty is somebody's by now.
        let _ = unlinkat(&directory, name, UnlinkatFlags::RemoveDir);
    }
}

/// A content in short.
pub(super) fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}
