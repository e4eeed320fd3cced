//! A world of one's own: what a deed mounts or binds is seen by nobody else on this machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::statfs::{BPF_FS_MAGIC, FsType, TRACEFS_MAGIC, statfs};

use crate::nameserver::CONFIGURATION;
use crate::stage::PASSWD;
use crate::{Failure, loopback};

/// A directory that no rule has heard of: not for temporary files or build products, and not hidden.
pub(super) const PLACE: &str = "/var/lib/pkgwarden-tests";

/// Rules beside the built-in ones: which names may be reached.
pub(super) const RULES: &str = "/var/lib/pkgwarden-tests/rules";
/// Where the C library reads whom to ask.
const RESOLVERS: &str = "/etc/resolv.conf";

/// What was prepared.
pub(super) struct Isolation {
    program: PathBuf,
}

impl Isolation {
    /// A copy of this program at a place that no rule has heard of.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// Enters it.
    pub(super) fn enter() -> Result<Self, Failure> {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
            .map_err(|why| format!("cannot make namespaces (this needs root): {why}"))?;
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
        // Sockets of daemons that are not there.
        mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=0755"))?;
        // Accounts: the homes of the scenes are to be homes of the machine.
        fs::write("/run/passwd", "root:x:0:0:root:/root:/bin/sh\n")?;
        mount(Some("/run/passwd"), PASSWD, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
        fs::write("/run/resolv.conf", CONFIGURATION)?;
        if !Path::new(RESOLVERS).exists() {
            fs::write(RESOLVERS, "")?;
        }
        mount(Some("/run/resolv.conf"), RESOLVERS, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
        loopback::bring_up()?;
        // Everybody may ping: some machines let nobody.
        fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647")?;
        for (kind, place, magic) in
            [("bpf", "/sys/fs/bpf", BPF_FS_MAGIC), ("tracefs", "/sys/kernel/tracing", TRACEFS_MAGIC)]
        {
            if let Err(why) = mount_if_missing(kind, place, magic) {
                eprintln!("deed: no {kind} at {place}: {why}");
            }
        }
        // Whatever a run leaves behind becomes a child of ours, and can be found and ended.
        prctl::set_child_subreaper(true)?;
        fs::create_dir_all(RULES)?;
        fs::write(Path::new(RULES).join("names.yaml"), include_str!("names.yaml"))?;
        let program = Path::new(PLACE).join(format!("deed-{}", std::process::id()));
        fs::copy("/proc/self/exe", &program)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        Ok(Self { program })
    }
}

impl Drop for Isolation {
    fn drop(&mut self) {
        fs::remove_file(&self.program).ok();
    }
}

fn mount_if_missing(kind: &str, place: &str, magic: FsType) -> nix::Result<()> {
    if statfs(place)?.filesystem_type() == magic {
        return Ok(());
    }
    mount(Some(kind), place, Some(kind), MsFlags::empty(), None::<&str>)
}
