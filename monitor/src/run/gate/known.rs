//! Files by what they are: pkgwarden's own, and the secrets there were at the start, under whatever name.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Device and inode, as stat(2) has them.
type Identity = (u64, u64);

/// Files that are known by their inode, with the group of the name that the rules have for them.
#[derive(Debug, Default)]
pub struct Known(HashMap<Identity, u16>);

impl Known {
    /// Takes note of files. One that is not there is left out.
    pub fn of<'a>(files: impl Iterator<Item = &'a (PathBuf, u16)>) -> Self {
        let entry = |(path, group): &(PathBuf, u16)| Some((identity(&fs::metadata(path).ok()?), *group));
        Self(files.filter_map(entry).collect())
    }

    /// The group of the file that `path` is to the thread `tid`; 0 if it is none of them. A link at its end is not
    /// followed.
    pub(super) fn group(&self, tid: u32, path: &[u8]) -> u16 {
        // Its own root: the same letters may lead elsewhere.
        let mut place = format!("/proc/{tid}/root").into_bytes();
        place.extend_from_slice(path);
        fs::symlink_metadata(OsStr::from_bytes(&place)).map_or(0, |found| self.look_up(&found))
    }

    /// As [`Known::group`], of what a descriptor stands for.
    pub(super) fn group_behind(&self, tid: u32, descriptor: i32) -> u16 {
        fs::metadata(format!("/proc/{tid}/fd/{descriptor}")).map_or(0, |found| self.look_up(&found))
    }

    fn look_up(&self, found: &Metadata) -> u16 {
        self.0.get(&identity(found)).copied().unwrap_or(0)
    }
}

fn identity(found: &Metadata) -> Identity {
    (found.dev(), found.ino())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_file_is_known_under_every_name() {
        let folder = tempfile::tempdir().unwrap();
        let (own, twin) = (folder.path().join("events.jsonl"), folder.path().join("twin"));
        let file = File::create(&own).unwrap();
        fs::hard_link(&own, &twin).unwrap();
        let missing = folder.path().join("missing");
        let known = Known::of([(own.clone(), 7), (missing.clone(), 8)].iter());
        let group = |path: &PathBuf| known.group(std::process::id(), path.as_os_str().as_bytes());
        assert_eq!((group(&own), group(&twin), group(&missing)), (7, 7, 0));
        assert_eq!(known.group_behind(std::process::id(), file.as_raw_fd()), 7);
        fs::rename(&own, &missing).unwrap();
        assert_eq!((group(&own), group(&missing)), (0, 7));
    }
}
