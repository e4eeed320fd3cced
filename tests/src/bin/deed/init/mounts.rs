//! The file systems of a machine.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::unistd::{chdir, chroot};

use crate::Failure;

/// Where the new root is put together.
const NEW_ROOT: &str = "/new-root";

/// Type, place, options, and whether the machine is of use without it.
const SYSTEMS: [(&str, &str, &str, bool); 11] = [
    ("proc", "/proc", "", false),
    ("sysfs", "/sys", "", false),
    ("devtmpfs", "/dev", "", false),
    ("devpts", "/dev/pts", "ptmxmode=0666", true),
    ("tmpfs", "/dev/shm", "mode=1777", true),
    ("tmpfs", "/tmp", "mode=1777", false),
    ("tmpfs", "/run", "mode=0755", false),
    ("cgroup2", "/sys/fs/cgroup", "", false),
    ("bpf", "/sys/fs/bpf", "mode=0700", false),
    ("securityfs", "/sys/kernel/security", "", true),
    ("tracefs", "/sys/kernel/tracing", "", true),
];

/// Moves to a root that can be exchanged, and mounts everything.
pub(super) fn mount_all() -> Result<(), Failure> {
    move_to_tmpfs()?;
    for (kind, place, options, optional) in SYSTEMS {
        let made = fs::create_dir_all(place)
            .map_err(Failure::from)
            .and_then(|()| Ok(mount(Some(kind), place, Some(kind), MsFlags::empty(), Some(options))?));
        match made {
            Err(why) if optional => eprintln!("init: no {kind} on {place}: {why}"),
            Err(why) => return Err(format!("cannot mount {kind} on {place}: {why}").into()),
            Ok(()) => {}
        }
    }
    for (name, target) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")]
    {
        // The kernel's own /dev may have it already.
        symlink(target, Path::new("/dev").join(name)).ok();
    }
    Ok(())
}

/// Goes on living on a disk, with all that is mounted, and another disk mounted at a place of it.
pub(super) fn move_to_disk(root: &str, more: &str, place: &str) -> Result<(), Failure> {
    fs::create_dir_all(NEW_ROOT)?;
    let disk = |device: &str, place: &Path| -> Result<(), Failure> {
        fs::create_dir_all(place)?;
        let none = None::<&str>;
        mount(Some(device), place, Some("ext4"), MsFlags::empty(), none)
            .map_err(|why| format!("cannot mount {device} on {}: {why}", place.display()).into())
    };
    let new_root = Path::new(NEW_ROOT);
    disk(root, new_root)?;
    for place in ["proc", "sys", "dev", "tmp", "run"] {
        fs::create_dir_all(new_root.join(place))?;
        let (old, new) = (Path::new("/").join(place), new_root.join(place));
        mount(Some(&old), &new, None::<&str>, MsFlags::MS_MOVE, None::<&str>)?;
    }
    enter_new_root()?;
    disk(more, Path::new(place))
}

/// The first root can be neither exchanged nor left: copy it into a tmpfs, and put that on top.
fn move_to_tmpfs() -> Result<(), Failure> {
    fs::create_dir_all(NEW_ROOT)?;
    mount(Some("tmpfs"), NEW_ROOT, Some("tmpfs"), MsFlags::empty(), Some("mode=0755"))?;
    for entry in fs::read_dir("/")? {
        let name = entry?.file_name();
        if Path::new("/").join(&name) != Path::new(NEW_ROOT) {
            copy(&Path::new("/").join(&name), &Path::new(NEW_ROOT).join(&name))?;
        }
    }
    enter_new_root()
}

fn enter_new_root() -> Result<(), Failure> {
    chdir(NEW_ROOT)?;
    mount(Some("."), "/", None::<&str>, MsFlags::MS_MOVE, None::<&str>)?;
    chroot(".")?;
    Ok(chdir("/")?)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let kind = fs::symlink_metadata(from)?.file_type();
    if kind.is_symlink() {
        symlink(fs::read_link(from)?, to)
    } else if kind.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            copy(&from.join(&name), &to.join(&name))?;
        }
        fs::set_permissions(to, fs::metadata(from)?.permissions())
    } else if kind.is_file() {
        fs::copy(from, to)?;
        // Memory is scarce there, and nobody will look at the old root again.
        fs::remove_file(from)
    } else {
        // Devices come with devtmpfs.
        debug_assert!(kind.is_char_device() || kind.is_block_device() || kind.is_fifo() || kind.is_socket());
        Ok(())
    }
}
