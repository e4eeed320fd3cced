//! Where the cgroup version 2 hierarchy is mounted: `/sys/fs/cgroup` on most hosts, a sub-directory on hybrid ones.

use std::path::PathBuf;

/// The hierarchy could not be found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The list of mounts is unreadable.
    #[error("cannot read /proc/self/mounts; is /proc mounted?")]
    Mounts(#[source] std::io::Error),
    /// No such mount.
    #[error(
        "no cgroup2 hierarchy is mounted, so connections cannot be judged; mount one: mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified"
    )]
    Absent,
}

/// The mount point.
///
/// # Errors
/// If there is none.
pub fn mount_point() -> Result<PathBuf, Error> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").map_err(Error::Mounts)?;
    find(&mounts).ok_or(Error::Absent)
}

fn find(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (_, point, kind) = (words.next()?, words.next()?, words.next()?);
        // Spaces in a path are written \040 there (fs/proc_namespace.c).
        (kind == "cgroup2").then(|| PathBuf::from(point.replace("\\040", " ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_both_layouts() {
        let hybrid =
            "cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(find(hybrid), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert_eq!(find("cgroup2 /a\\040b cgroup2 rw 0 0\n"), Some(PathBuf::from("/a b")));
        assert_eq!(find("proc /proc proc rw 0 0\n"), None);
    }
}
