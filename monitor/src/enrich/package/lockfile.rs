//! Lockfiles of JavaScript's package managers.
//!
//! They are read as a stream, and only names and versions are kept: a lockfile of many megabytes costs little memory.
//!
//! | file | key of an entry |
//! |---|---|
//! | npm's | the directory, as seen from the project: `node_modules/a/node_modules/b` |
//! | `bun.lock` | the names on the way to it: `a/b` |
//! | `yarn.lock` | name and version: `b@1.0.0`; where it lies is not said |

mod lines;
mod npm;

pub(super) use self::lines::split;

use std::collections::HashMap;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::disk::{self, Unread};

/// The most bytes of a lockfile that is read.
pub(super) const MAX_BYTES: u64 = 16 << 20;
/// The most entries that are kept of one lockfile.
const MAX_ENTRIES: usize = 16_000;
/// The most lockfiles that are kept in memory.
const MAX_FILES: usize = 2;

/// What a lockfile says of one directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// The real name, where it differs from the directory's.
    pub(super) name: Option<Box<str>>,
    /// The version that npm installed there.
    pub(super) version: Option<Box<str>>,
}

type Entries = HashMap<Box<str>, Entry>;

#[derive(Debug)]
struct Cached {
    path: PathBuf,
    stamp: (Option<SystemTime>, u64),
    entries: Entries,
}

/// The lockfiles read last.
#[derive(Debug, Default)]
pub(super) struct Lockfiles {
    cached: Vec<Cached>,
}

impl Lockfiles {
    /// What the lockfile at `path` says of `key`.
    pub(super) fn look_up(&mut self, path: &Path, key: &str) -> Result<Option<Entry>, Unread> {
        let (file, metadata) = disk::open(path, MAX_BYTES)?;
        let stamp = (metadata.modified().ok(), metadata.len());
        if let Some(cached) = self.cached.iter().find(|cached| cached.path == path && cached.stamp == stamp) {
            return Ok(cached.entries.get(key).cloned());
        }
        let mut entries = Entries::new();
        let input = BufReader::new(file.take(MAX_BYTES));
        match path.extension().and_then(std::ffi::OsStr::to_str) {
            Some("json") => npm::read(input, &mut entries),
            _ if path.ends_with("bun.lock") => lines::read_bun(input, &mut entries),
            _ => lines::read_yarn(input, &mut entries),
        }
        let entry = entries.get(key).cloned();
        self.cached.retain(|cached| cached.path != path);
        self.cached.truncate(MAX_FILES - 1);
        self.cached.insert(0, Cached { path: path.to_owned(), stamp, entries });
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn entry(name: Option<&str>, version: &str) -> Option<Entry> {
        Some(Entry { name: name.map(Into::into), version: Some(version.into()) })
    }

    #[test]
    fn entries_are_found_and_a_change_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("package-lock.json");
        let mut files = Lockfiles::default();
        assert_eq!(files.look_up(&path, "x"), Err(Unread::Missing));
        std::fs::write(
            &path,
            r#"{"lockfileVersion":3,"x":[1,{"y":2}],"packages":{"":{"name":"root"},
            "node_modules/a":{"version":"1.0.0","dev":true,"dependencies":{"b":"1"}},
            "node_modules/al":{"name":"real","version":"2.0.0"}}}"#,
        )
        .unwrap();
        assert_eq!(files.look_up(&path, "node_modules/a"), Ok(entry(None, "1.0.0")));
        assert_eq!(files.look_up(&path, "node_modules/al"), Ok(entry(Some("real"), "2.0.0")));
        assert_eq!(files.look_up(&path, "node_modules/b"), Ok(None));
        std::fs::write(&path, r#"{"packages":{"node_modules/a":{"version":"1.0.12"}}}"#).unwrap();
        assert_eq!(files.look_up(&path, "node_modules/a"), Ok(entry(None, "1.0.12")));
    }

    #[test]
    fn a_broken_tail_keeps_what_came_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("package-lock.json");
        std::fs::write(&path, r#"{"packages":{"node_modules/a":{"version":"1.0.0"},"node_modules/b":{"vers"#)
            .unwrap();
        let mut files = Lockfiles::default();
        assert_eq!(files.look_up(&path, "node_modules/a"), Ok(entry(None, "1.0.0")));
        assert_eq!(files.look_up(&path, "node_modules/b"), Ok(None));
        std::fs::write(&path, format!("{{\"a\":{}", "[".repeat(100_000))).unwrap();
        assert_eq!(files.look_up(&path, "node_modules/a"), Ok(None));
    }

    #[test]
    fn size_is_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("package-lock.json");
        std::fs::File::create(&path).unwrap().set_len(50 << 20).unwrap();
        assert_eq!(Lockfiles::default().look_up(&path, "x"), Err(Unread::TooLarge));
        let mut text = "{\"packages\":{".to_owned();
        for index in 0..MAX_ENTRIES + 10 {
            write!(text, "\"node_modules/p{index}\":{{\"version\":\"1\"}},").unwrap();
        }
        std::fs::write(&path, text).unwrap();
        let mut files = Lockfiles::default();
        files.look_up(&path, "x").unwrap();
        assert_eq!(files.cached[0].entries.len(), MAX_ENTRIES);
    }
}
