//! A Debian with real package managers, for VMs: made once, kept in the cache, never written to by a VM.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::debian;
use crate::apt::{self, Need};
use crate::privilege;
use crate::workspace::{self, Missing, check, find};

/// Its suite: not older than what this machine's programs were linked against.
const SUITE: &str = "trixie";
/// What installs, and what native packages and emulated attacks are made with.
const PACKAGES: &str = "ca-certificates cargo curl g++ gcc git iproute2 libc6-dev libnode-dev make nodejs npm openssl \
                        procps python3 python3-dev python3-pip python3-venv rustc";
/// What fills a file system of this type is known to every kernel that is tried.
const FORMAT: &str = "ext4";
/// Room for what the tests write.
const ROOM: u64 = 2 << 30;

const WHY_ROOT: &str = "a root file system belongs to root";

/// The image, made first if it is not there.
pub(crate) fn ensure() -> Result<PathBuf> {
    let store = workspace::cache("kernels")?;
    fs::create_dir_all(&store).with_context(|| format!("cannot make {}", store.display()))?;
    let image = store.join(format!("{SUITE}.{FORMAT}"));
    if image.is_file() {
        return Ok(image);
    }
    privilege::ensure(WHY_ROOT)?;
    apt::install(&needs())?;
    eprintln!("xtask: making a Debian {SUITE} with real package managers in {}", image.display());
    eprintln!("  {PACKAGES}");
    let folder = store.join(format!("{SUITE}.partial"));
    let made = fill(&folder).and_then(|()| pack(&folder, &image));
    // What is unfinished is never taken for a root; what is finished is in the image.
    check("rm", as_root("rm", &["-rf", "--one-file-system"])?.arg(&folder))?;
    made.map_err(|error| Missing {
        piece: format!("a Debian {SUITE} for virtual machines ({error:#})"),
        mend: format!("try again with a network; or copy {} from a machine that has it", image.display()),
    })?;
    Ok(image)
}

fn needs() -> Vec<Need> {
    let tools = [
        ("debootstrap", "debootstrap", "makes a root file system of Debian's"),
        ("mke2fs", "e2fsprogs", "makes a disk of it"),
    ];
    let missing = tools.into_iter().filter(|(tool, ..)| find(tool).is_none());
    missing
        .map(|(tool, package, what)| Need {
            what: format!("{tool} ({what})"),
            packages: vec![package.into()],
            elsewhere: format!("install {package}"),
        })
        .collect()
}

fn fill(folder: &Path) -> Result<()> {
    let mirror = debian::mirror()?;
    let mut command = as_root("debootstrap", &["--variant=minbase"])?;
    command.arg(format!("--keyring={}", debian::KEYS)).arg(SUITE).arg(folder).arg(mirror);
    check("debootstrap", quiet(&mut command))?;
    // Its own packages have no alternatives to choose from; those of the managers have.
    let install = format!(
        "apt-get -qq update && apt-get -qq -y --no-install-recommends install {PACKAGES} && apt-get clean"
    );
    let mut command = as_root("env", &["DEBIAN_FRONTEND=noninteractive", "chroot"])?;
    command.arg(folder).args(["sh", "-c", &install]);
    check("apt-get", quiet(&mut command))
}

fn pack(folder: &Path, image: &Path) -> Result<()> {
    let said = workspace::output(as_root("du", &["-sx", "--block-size=1"])?.arg(folder))?;
    let used: u64 = said
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .with_context(|| format!("du said {said:?}"))?;
    let partial = image.with_extension("new");
    disk(folder, &partial, used + ROOM)?;
    fs::rename(&partial, image).with_context(|| format!("cannot write {}", image.display()))
}

/// A disk with what is in a folder, and this many bytes in all. Blocks that nobody uses take no room.
pub(crate) fn disk(folder: &Path, image: &Path, bytes: u64) -> Result<()> {
    if image.exists() {
        fs::remove_file(image).with_context(|| format!("cannot remove {}", image.display()))?;
    }
    let mke2fs = find("mke2fs").context("mke2fs has gone")?;
    let mut command = privilege::as_root(mke2fs.as_os_str(), WHY_ROOT)?;
    // A journal and checksums are for disks that outlive their machine, and are not in every kernel's reach.
    command.args(["-q", "-t", FORMAT, "-O", "^has_journal,^metadata_csum,^orphan_file", "-m", "0", "-d"]);
    command.arg(folder).arg(image).arg(format!("{}k", bytes / 1024));
    check("mke2fs", quiet(&mut command))
}

fn as_root(program: &str, arguments: &[&str]) -> Result<Command> {
    let mut command = privilege::as_root(program.as_ref(), WHY_ROOT)?;
    command.args(arguments);
    Ok(command)
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null())
}
