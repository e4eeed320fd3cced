//! A secret file under another mount, or another root directory: its path is not what it was.

use std::env;
use std::ffi::CStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::chroot;
use std::path::Path;

use nix::fcntl::{OFlag, openat};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use nix::unistd::pivot_root;

use super::{Deed, Harm, if_there};
use crate::Failure;
use crate::kernel::{c_path, owned, syscall};
use crate::stage::Stage;

const NONE: Option<&str> = None;
// include/uapi/linux/mount.h
const CLONE_TREE: u32 = 1;
const EMPTY_PATH: u32 = 4;
const SET_STRING: u32 = 1;
const CREATE: u32 = 6;

pub(super) const DEEDS: &[Deed] = &[
    Deed::new("bind-mount", &["6.26", "2.11 bind mount"], "bind mount of its directory", Harm::Leak, bind),
    Deed::new(
        "bind-mount-file",
        &["6.26", "2.11 bind mount"],
        "bind mount of the file over another one",
        Harm::Leak,
        bind_file,
    ),
    Deed::new("overlay", &["6.26"], "overlay with its directory below", Harm::Leak, overlay)
        .unless("a kernel without overlayfs"),
    Deed::new("open-tree", &["6.26"], "open_tree(OPEN_TREE_CLONE), then openat", Harm::Leak, open_tree),
    Deed::new(
        "open-tree-plain",
        &["6.26"],
        "open_tree without a clone, then openat",
        Harm::Leak,
        open_tree_plain,
    ),
    Deed::new(
        "move-mount",
        &["6.26"],
        "open_tree, move_mount to the project, then open",
        Harm::Leak,
        move_mount,
    ),
    Deed::new(
        "fsmount",
        &["6.26"],
        "overlay by fsopen and fsmount, never attached, then openat",
        Harm::Leak,
        fsmount,
    )
    .unless("a kernel without overlayfs"),
    Deed::new("chroot", &["6.27"], "chroot into the home, then /.aws/credentials", Harm::Leak, by_chroot),
    Deed::new(
        "pivot-root",
        &["6.27"],
        "pivot_root to the home, then /.aws/credentials",
        Harm::Leak,
        by_pivot_root,
    ),
    Deed::new(
        "mount-namespace",
        &["6.26"],
        "own mount namespace, bind mount there",
        Harm::Leak,
        mount_namespace,
    ),
    Deed::new(
        "user-namespace",
        &["6.26", "6.36"],
        "own user and mount namespace, bind mount there",
        Harm::Leak,
        user_namespace,
    )
    .ordinary()
    .unless("a machine that lets no user make namespaces"),
    Deed::new(
        "user-namespace-clone3",
        &["6.36"],
        "user namespace by clone3, bind mount there",
        Harm::Leak,
        clone3,
    )
    .ordinary()
    .unless("a machine that lets no user make namespaces"),
    Deed::new(
        "user-namespace-chroot",
        &["6.27", "6.36"],
        "own user namespace, chroot into the home",
        Harm::Leak,
        user_chroot,
    )
    .ordinary()
    .unless("a machine that lets no user make namespaces"),
];

/// A directory of the project to mount on.
fn place(stage: &Stage) -> Result<std::path::PathBuf, Failure> {
    let place = stage.in_project("place");
    fs::create_dir_all(&place)?;
    Ok(place)
}

fn bind_at(stage: &Stage) -> Result<(), Failure> {
    let place = place(stage)?;
    mount(Some(&stage.in_home(".aws")), &place, NONE, MsFlags::MS_BIND, NONE)?;
    Ok(stage.take(&fs::read(place.join("credentials"))?)?)
}

fn bind(stage: &Stage) -> Result<(), Failure> {
    bind_at(stage)
}

fn bind_file(stage: &Stage) -> Result<(), Failure> {
    let place = stage.in_project("harmless");
    fs::write(&place, "")?;
    mount(Some(&stage.secret), &place, NONE, MsFlags::MS_BIND, NONE)?;
    Ok(stage.take(&fs::read(place)?)?)
}

fn layers(stage: &Stage) -> Result<(String, String), Failure> {
    let empty = stage.in_project("empty");
    fs::create_dir_all(&empty)?;
    Ok((stage.in_home(".aws").display().to_string(), empty.display().to_string()))
}

fn overlay(stage: &Stage) -> Result<(), Failure> {
    let place = place(stage)?;
    let (lower, empty) = layers(stage)?;
    let options = format!("lowerdir={lower}:{empty}");
    let made = mount(Some("overlay"), &place, Some("overlay"), MsFlags::empty(), Some(options.as_str()));
    if_there("mount an overlay", made.map_err(Into::into))?;
    Ok(stage.take(&fs::read(place.join("credentials"))?)?)
}

fn tree(path: &Path, flags: u32) -> Result<OwnedFd, Failure> {
    let path = c_path(path)?;
    // SAFETY: the path is a C string that lives.
    let fd = unsafe { syscall!(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
    Ok(owned(if_there("open_tree", fd)?)?)
}

fn take_below(stage: &Stage, folder: &OwnedFd) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    File::from(openat(folder, "credentials", OFlag::O_RDONLY, Mode::empty())?).read_to_end(&mut bytes)?;
    Ok(stage.take(&bytes)?)
}

fn open_tree(stage: &Stage) -> Result<(), Failure> {
    take_below(stage, &tree(&stage.in_home(".aws"), CLONE_TREE)?)
}

fn open_tree_plain(stage: &Stage) -> Result<(), Failure> {
    take_below(stage, &tree(&stage.in_home(".aws"), 0)?)
}

fn attach(mount: &OwnedFd, place: &Path) -> Result<(), Failure> {
    let (from, to) = (c"", c_path(place)?);
    let (mount, here) = (mount.as_raw_fd(), libc::AT_FDCWD);
    // SAFETY: both paths are C strings that live.
    unsafe { syscall!(libc::SYS_move_mount, mount, from.as_ptr(), here, to.as_ptr(), EMPTY_PATH) }?;
    Ok(())
}

fn move_mount(stage: &Stage) -> Result<(), Failure> {
    let place = place(stage)?;
    attach(&tree(&stage.in_home(".aws"), CLONE_TREE)?, &place)?;
    Ok(stage.take(&fs::read(place.join("credentials"))?)?)
}

fn configure(
    context: &OwnedFd,
    command: u32,
    key: Option<&CStr>,
    value: Option<&CStr>,
) -> Result<(), Failure> {
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    let (key, value) = (pointer(key), pointer(value));
    // SAFETY: each is null or a C string that lives.
    unsafe { syscall!(libc::SYS_fsconfig, context.as_raw_fd(), command, key, value, 0) }?;
    Ok(())
}

fn fsmount(stage: &Stage) -> Result<(), Failure> {
    let (lower, empty) = layers(stage)?;
    // SAFETY: the name is a C string that lives.
    let context = unsafe { syscall!(libc::SYS_fsopen, c"overlay".as_ptr(), 0) };
    let context = owned(if_there("fsopen overlay", context)?)?;
    let layers = c_path(format!("{lower}:{empty}"))?;
    configure(&context, SET_STRING, Some(c"lowerdir"), Some(&layers))?;
    configure(&context, CREATE, None, None)?;
    // SAFETY: the call takes no pointers.
    let mount = unsafe { syscall!(libc::SYS_fsmount, context.as_raw_fd(), 0, 0) }?;
    take_below(stage, &owned(mount)?)
}

fn by_chroot(stage: &Stage) -> Result<(), Failure> {
    let mut loot = stage.open_loot()?;
    chroot(&stage.home)?;
    env::set_current_dir("/")?;
    Ok(std::io::Write::write_all(&mut loot, &fs::read("/.aws/credentials")?)?)
}

fn by_pivot_root(stage: &Stage) -> Result<(), Failure> {
    let mut loot = stage.open_loot()?;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
    mount(Some(&stage.home), &stage.home, NONE, MsFlags::MS_BIND, NONE)?;
    env::set_current_dir(&stage.home)?;
    pivot_root(".", ".")?;
    env::set_current_dir("/")?;
    Ok(std::io::Write::write_all(&mut loot, &fs::read("/.aws/credentials")?)?)
}

fn mount_namespace(stage: &Stage) -> Result<(), Failure> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    bind_at(stage)
}

fn user_namespace(stage: &Stage) -> Result<(), Failure> {
    if_allowed(unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS))?;
    bind_at(stage)
}

fn user_chroot(stage: &Stage) -> Result<(), Failure> {
    if_allowed(unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS))?;
    by_chroot(stage)
}

/// Namespaces of users can be switched off, by number or altogether.
fn if_allowed(made: nix::Result<()>) -> Result<(), Failure> {
    let limit = fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    let forbidden = fs::read_to_string("/proc/sys/kernel/unprivileged_userns_clone").unwrap_or_default();
    if made.is_err() && (limit.trim() == "0" || forbidden.trim() == "0") {
        return Err(super::Impossible("namespaces of users are switched off".into()).into());
    }
    Ok(made?)
}

fn clone3(stage: &Stage) -> Result<(), Failure> {
    let flags = libc::CLONE_NEWUSER | libc::CLONE_NEWNS;
    super::lineage::clone3_child(flags.cast_unsigned().into(), || bind_at(stage))
}
