//! A secret file, opened under its own name or one that leads to it.

use std::env;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::Mode;

use super::{Deed, Harm, Impossible, Need};
use crate::Failure;
use crate::kernel::syscall;
use crate::stage::Stage;

const READ: OFlag = OFlag::O_RDONLY;
/// The secret, seen from its home.
const NAME: &str = ".aws/credentials";
/// The longest path the kernel takes, without its end.
const LONGEST: usize = 4095;

pub(super) const DEEDS: &[Deed] = &[
    Deed::new("open", &["6.19"], "open a secret by its name, without a C library", Harm::Leak, by_name),
    Deed::new("open-user", &["6.19"], "the same, not as root", Harm::Leak, by_name).ordinary(),
    Deed::new("other-home", &["6.41"], "with HOME set to another directory", Harm::Leak, other_home),
    Deed::new("symlink", &["6.22", "2.11 symlink"], "symbolic link to the file", Harm::Leak, by_symlink),
    Deed::new("symlink-chain", &["6.22"], "chain of symbolic links to a parent", Harm::Leak, by_chain),
    Deed::new("dot-dot", &["6.22", "2.11 .."], "`..` in the path", Harm::Leak, by_dots),
    Deed::new(
        "dot-dot-symlink",
        &["6.22"],
        "`..` behind a symbolic link to a directory",
        Harm::Leak,
        dots_behind_link,
    ),
    Deed::new("relative", &["6.22"], "relative path, after chdir", Harm::Leak, relative),
    Deed::new("dirfd", &["6.22"], "relative to a descriptor of the directory", Harm::Leak, by_directory),
    Deed::new("proc-self-fd", &["6.22", "2.11 /proc/*/fd"], "/proc/self/fd/N/name", Harm::Leak, proc_fd),
    Deed::new("dev-fd", &["6.22"], "/dev/fd/N/name", Harm::Leak, dev_fd).unless("the machine has no /dev/fd"),
    Deed::new(
        "proc-self-root",
        &["6.22", "2.11 /proc/self/root"],
        "/proc/self/root/...",
        Harm::Leak,
        proc_root,
    ),
    Deed::new("proc-self-cwd", &["6.22"], "/proc/self/cwd/...", Harm::Leak, proc_cwd),
    Deed::new("proc-pid-root", &["6.22"], "/proc/PID/root of a process outside", Harm::Leak, victims_root)
        .needs(&[Need::Victim]),
    Deed::new("proc-pid-cwd", &["6.22"], "/proc/PID/cwd of a process outside", Harm::Leak, victims_cwd)
        .needs(&[Need::Victim]),
    Deed::new(
        "proc-pid-fd",
        &["6.30", "2.11 /proc/*/fd"],
        "/proc/PID/fd/N of a process outside",
        Harm::Leak,
        victims_fd,
    )
    .needs(&[Need::Victim]),
    Deed::new("o-path", &["6.23"], "O_PATH, then /proc/self/fd/N", Harm::Leak, o_path),
    Deed::new(
        "o-path-empty",
        &["6.23"],
        "O_PATH of the directory's parent, then openat",
        Harm::Leak,
        o_path_parent,
    ),
    Deed::new("openat2", &["6.23"], "openat2", Harm::Leak, by_openat2),
    Deed::new("openat2-in-root", &["6.23"], "openat2 with RESOLVE_IN_ROOT", Harm::Leak, in_root),
    Deed::new("long-path", &["6.42", "2.11 path too long"], "path of 4,095 bytes", Harm::Leak, long_path),
    Deed::new(
        "deep-tree",
        &["6.42", "2.11 path too long"],
        "from 100 directories deep, names of 255 bytes",
        Harm::Leak,
        deep_tree,
    ),
    Deed::new("odd-name", &["6.42"], "link whose name is no text and has a line break", Harm::Leak, odd_name),
    Deed::new("read-write", &["6.19"], "opened for reading and writing", Harm::Leak, read_write),
];

fn by_name(stage: &Stage) -> Result<(), Failure> {
    take(stage, &stage.secret)
}

fn take(stage: &Stage, path: &Path) -> Result<(), Failure> {
    Ok(stage.take(&fs::read(path)?)?)
}

fn take_from(stage: &Stage, fd: OwnedFd) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    File::from(fd).read_to_end(&mut bytes)?;
    Ok(stage.take(&bytes)?)
}

fn other_home(stage: &Stage) -> Result<(), Failure> {
    let mut child = crate::oneself(&["post-home"]);
    let path = stage.secret.clone();
    child.env("HOME", &stage.project).env("SECRET", path).env("LOOT", &stage.loot);
    if child.status()?.success() { Ok(()) } else { Err("the child was stopped".into()) }
}

/// The child of a deed whose home was changed: it knows where to look all the same.
pub(crate) fn post_home() -> Result<(), Failure> {
    let variable = |name| env::var_os(name).map(PathBuf::from).ok_or("not started by a deed");
    Ok(fs::copy(variable("SECRET")?, variable("LOOT")?).map(drop)?)
}

fn by_symlink(stage: &Stage) -> Result<(), Failure> {
    let link = stage.in_project("harmless");
    symlink(&stage.secret, &link)?;
    take(stage, &link)
}

fn by_chain(stage: &Stage) -> Result<(), Failure> {
    let links: Vec<PathBuf> = (0..8).map(|index| stage.in_project(&format!("link-{index}"))).collect();
    symlink(stage.in_home(".aws"), &links[0])?;
    for pair in links.windows(2) {
        symlink(&pair[0], &pair[1])?;
    }
    take(stage, &links[7].join("credentials"))
}

fn by_dots(stage: &Stage) -> Result<(), Failure> {
    take(stage, &stage.in_project("../.aws/./sso/../credentials"))
}

fn dots_behind_link(stage: &Stage) -> Result<(), Failure> {
    // By its letters this is a file of the project.
    symlink(stage.in_home(".aws/sso"), stage.in_project("cache"))?;
    take(stage, &stage.in_project("cache/../credentials"))
}

fn relative(stage: &Stage) -> Result<(), Failure> {
    env::set_current_dir(stage.in_home(".aws"))?;
    take(stage, Path::new("credentials"))
}

fn directory(path: &Path) -> nix::Result<OwnedFd> {
    open(path, OFlag::O_PATH | OFlag::O_DIRECTORY, Mode::empty())
}

fn by_directory(stage: &Stage) -> Result<(), Failure> {
    let folder = open(&stage.in_home(".aws"), READ | OFlag::O_DIRECTORY, Mode::empty())?;
    take_from(stage, openat(&folder, "credentials", READ, Mode::empty())?)
}

fn proc_fd(stage: &Stage) -> Result<(), Failure> {
    let folder = directory(&stage.in_home(".aws"))?;
    take(stage, Path::new(&format!("/proc/self/fd/{}/credentials", folder.as_raw_fd())))
}

fn dev_fd(stage: &Stage) -> Result<(), Failure> {
    if !Path::new("/dev/fd").exists() {
        return Err(Impossible("there is no /dev/fd".into()).into());
    }
    let folder = directory(&stage.in_home(".aws"))?;
    take(stage, Path::new(&format!("/dev/fd/{}/credentials", folder.as_raw_fd())))
}

fn proc_root(stage: &Stage) -> Result<(), Failure> {
    take(stage, Path::new(&format!("/proc/self/root{}", stage.secret.display())))
}

fn proc_cwd(stage: &Stage) -> Result<(), Failure> {
    env::set_current_dir(&stage.home)?;
    take(stage, &Path::new("/proc/self/cwd").join(NAME))
}

fn victims_root(stage: &Stage) -> Result<(), Failure> {
    take(stage, Path::new(&format!("/proc/{}/root{}", stage.victim()?.pid, stage.secret.display())))
}

fn victims_cwd(stage: &Stage) -> Result<(), Failure> {
    take(stage, Path::new(&format!("/proc/{}/cwd/{NAME}", stage.victim()?.pid)))
}

fn victims_fd(stage: &Stage) -> Result<(), Failure> {
    let victim = stage.victim()?;
    take(stage, Path::new(&format!("/proc/{}/fd/{}", victim.pid, victim.fd)))
}

fn o_path(stage: &Stage) -> Result<(), Failure> {
    let handle = open(&stage.secret, OFlag::O_PATH, Mode::empty())?;
    take(stage, Path::new(&format!("/proc/self/fd/{}", handle.as_raw_fd())))
}

fn o_path_parent(stage: &Stage) -> Result<(), Failure> {
    let home = directory(&stage.home)?;
    let folder = openat(&home, ".aws", OFlag::O_PATH | OFlag::O_DIRECTORY, Mode::empty())?;
    take_from(stage, openat(&folder, "credentials", READ, Mode::empty())?)
}

fn by_openat2(stage: &Stage) -> Result<(), Failure> {
    let here = directory(Path::new("/"))?;
    take_from(stage, openat2(&here, &stage.secret, OpenHow::new().flags(READ))?)
}

fn in_root(stage: &Stage) -> Result<(), Failure> {
    let home = directory(&stage.home)?;
    let how = OpenHow::new().flags(READ).resolve(ResolveFlag::RESOLVE_IN_ROOT);
    take_from(stage, openat2(&home, "/.aws/credentials", how)?)
}

fn long_path(stage: &Stage) -> Result<(), Failure> {
    // The first half is nothing but the directory itself, again and again.
    let (home, end) = (stage.home.display().to_string(), format!("/{NAME}"));
    let turns = (LONGEST - 1 - home.len() - end.len()) / 2;
    let path = format!("{home}{}{end}", "/.".repeat(turns));
    take(stage, Path::new(&path))
}

fn deep_tree(stage: &Stage) -> Result<(), Failure> {
    let name = "d".repeat(255);
    for _ in 0..100 {
        fs::create_dir(&name)?;
        env::set_current_dir(&name)?;
    }
    // Up again, 100 levels and one more: the path that was written says nothing, the one that it leads to does.
    take(stage, Path::new(&format!("{}../{NAME}", "../".repeat(100))))
}

fn odd_name(stage: &Stage) -> Result<(), Failure> {
    use std::os::unix::ffi::OsStringExt;
    let name = std::ffi::OsString::from_vec(b"x\xff\n{\"kind\":\"end\"}\n\x1b[2J".to_vec());
    let link = stage.project.join(name);
    symlink(&stage.secret, &link)?;
    take(stage, &link)
}

fn read_write(stage: &Stage) -> Result<(), Failure> {
    let path = crate::kernel::c_path(&stage.secret)?;
    // SAFETY: the path is a C string that lives.
    let fd = unsafe { syscall!(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), libc::O_RDWR, 0) }?;
    take_from(stage, crate::kernel::owned(fd)?)
}
