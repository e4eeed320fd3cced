//! Something is left behind that runs later: in all the ways in which a file can come to its place.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown, symlink};
use std::path::PathBuf;

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, RenameFlags, openat2, renameat2};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::Mode;
use nix::unistd::linkat;

use super::{Deed, Harm, if_there};
use crate::Failure;
use crate::kernel::{c_path, checked, syscall};
use crate::stage::{ORDINARY, Stage};

/// A file that exists, and one that does not.
const OLD: &str = ".bashrc";
const NEW: &str = ".config/systemd/user/decoy.service";

pub(super) const DEEDS: &[Deed] = &[
    Deed::new("write", &["6.40"], "open for writing", Harm::Written(OLD), |stage| {
        Ok(fs::write(stage.in_home(OLD), &stage.token)?)
    }),
    Deed::new("append", &["6.40"], "append", Harm::Written(OLD), append),
    Deed::new("write-user", &["6.40"], "append, not as root", Harm::Written(OLD), append).ordinary(),
    Deed::new("create", &["6.40"], "a new file", Harm::Written(NEW), |stage| {
        Ok(fs::write(stage.in_home(NEW), &stage.token)?)
    }),
    Deed::new("create-openat2", &["6.40"], "a new file by openat2", Harm::Written(NEW), by_openat2),
    Deed::new("rename-onto", &["6.40"], "rename onto it", Harm::Written(OLD), rename_onto),
    Deed::new("rename-onto-user", &["6.40"], "the same, not as root", Harm::Written(OLD), rename_onto)
        .ordinary(),
    Deed::new("exchange", &["6.40"], "exchange it with another file", Harm::Written(OLD), exchange),
    Deed::new(
        "rename-directory",
        &["6.40"],
        "rename a whole directory onto its directory",
        Harm::Written(NEW),
        rename_directory,
    ),
    Deed::new("link", &["6.40"], "hard link at its place", Harm::Written(NEW), link),
    Deed::new(
        "link-out",
        &["6.40", "6.24"],
        "hard link to it elsewhere, written through that",
        Harm::Written(OLD),
        link_out,
    ),
    Deed::new("symlink-at", &["6.40"], "symbolic link at its place", Harm::Written(NEW), symlink_at),
    Deed::new(
        "symlink-to",
        &["6.40", "6.22"],
        "written through a symbolic link",
        Harm::Written(OLD),
        symlink_to,
    ),
    Deed::new("tmpfile-link", &["6.40"], "O_TMPFILE, then linkat", Harm::Written(NEW), tmpfile)
        .unless("a file system without O_TMPFILE"),
    Deed::new(
        "shared-mapping",
        &["6.40"],
        "written through a shared mapping",
        Harm::Written(OLD),
        shared_mapping,
    ),
    Deed::new("copy-range-into", &["6.40"], "copy_file_range into it", Harm::Written(OLD), copy_range),
    Deed::new("truncate", &["6.40"], "truncate by its name", Harm::Changed(OLD), truncate),
    Deed::new("truncate-open", &["6.40"], "emptied by opening it", Harm::Changed(OLD), truncate_open),
    Deed::new("setxattr", &["6.40"], "extended attribute by its name", Harm::Attribute(OLD), setxattr),
    Deed::new("fsetxattr", &["6.40"], "extended attribute by descriptor", Harm::Attribute(OLD), fsetxattr),
    Deed::new("chmod", &["6.40"], "made writable for everybody", Harm::Mode(OLD), chmod),
    Deed::new("fchmod", &["6.40"], "the same, by descriptor", Harm::Mode(OLD), fchmod),
    Deed::new("chown", &["6.40"], "given to another user", Harm::Mode(OLD), |stage| {
        Ok(chown(stage.in_home(OLD), Some(ORDINARY), None)?)
    }),
    Deed::new("fchown", &["6.40"], "the same, by descriptor", Harm::Mode(OLD), fchown),
    Deed::new(
        "mount-over",
        &["6.40", "6.26"],
        "another file mounted over it, in everybody's namespace",
        Harm::Done,
        mount_over,
    ),
    Deed::new(
        "proc-fd-write",
        &["6.40", "6.22"],
        "opened for reading, reopened for writing by /proc/self/fd",
        Harm::Written(OLD),
        reopen,
    ),
    Deed::new(
        "write-proc-root",
        &["6.40", "6.22"],
        "through /proc/self/root",
        Harm::Written(OLD),
        by_proc_root,
    ),
    Deed::new(
        "write-bind-mount",
        &["6.40", "6.26"],
        "through a bind mount of the home",
        Harm::Written(OLD),
        by_bind_mount,
    ),
    Deed::new(
        "mkdir-and-move",
        &["6.40"],
        "a file in a new directory, moved to its place with it",
        Harm::Written(".config/autostart/decoy.desktop"),
        move_in,
    ),
];

/// A file of the project with the token in it.
fn code(stage: &Stage) -> Result<PathBuf, Failure> {
    let path = stage.in_project("code");
    fs::write(&path, &stage.token)?;
    Ok(path)
}

fn append(stage: &Stage) -> Result<(), Failure> {
    Ok(OpenOptions::new().append(true).open(stage.in_home(OLD))?.write_all(stage.token.as_bytes())?)
}

fn by_openat2(stage: &Stage) -> Result<(), Failure> {
    let home = File::open(&stage.home)?;
    let how = OpenHow::new().flags(OFlag::O_WRONLY | OFlag::O_CREAT).mode(Mode::from_bits_truncate(0o644));
    Ok(File::from(openat2(&home, NEW, how)?).write_all(stage.token.as_bytes())?)
}

fn rename_onto(stage: &Stage) -> Result<(), Failure> {
    Ok(fs::rename(code(stage)?, stage.in_home(OLD))?)
}

fn exchange(stage: &Stage) -> Result<(), Failure> {
    Ok(renameat2(AT_FDCWD, &code(stage)?, AT_FDCWD, &stage.in_home(OLD), RenameFlags::RENAME_EXCHANGE)?)
}

fn rename_directory(stage: &Stage) -> Result<(), Failure> {
    let folder = stage.in_project("units");
    fs::create_dir(&folder)?;
    fs::write(folder.join("decoy.service"), &stage.token)?;
    // Its directory is empty, so another one may take its place.
    Ok(fs::rename(folder, stage.in_home(".config/systemd/user"))?)
}

fn move_in(stage: &Stage) -> Result<(), Failure> {
    let folder = stage.in_project("desktop");
    fs::create_dir(&folder)?;
    fs::write(folder.join("decoy.desktop"), &stage.token)?;
    Ok(renameat2(
        AT_FDCWD,
        &folder,
        AT_FDCWD,
        &stage.in_home(".config/autostart"),
        RenameFlags::RENAME_EXCHANGE,
    )?)
}

fn link(stage: &Stage) -> Result<(), Failure> {
    Ok(fs::hard_link(code(stage)?, stage.in_home(NEW))?)
}

fn link_out(stage: &Stage) -> Result<(), Failure> {
    let twin = stage.in_project("twin");
    fs::hard_link(stage.in_home(OLD), &twin)?;
    Ok(fs::write(twin, &stage.token)?)
}

fn symlink_at(stage: &Stage) -> Result<(), Failure> {
    Ok(symlink(code(stage)?, stage.in_home(NEW))?)
}

fn symlink_to(stage: &Stage) -> Result<(), Failure> {
    let link = stage.in_project("notes");
    symlink(stage.in_home(OLD), &link)?;
    Ok(fs::write(link, &stage.token)?)
}

fn tmpfile(stage: &Stage) -> Result<(), Failure> {
    let open = OpenOptions::new().write(true).mode(0o644).custom_flags(libc::O_TMPFILE).open(&stage.project);
    let mut file = if_there("O_TMPFILE", open)?;
    file.write_all(stage.token.as_bytes())?;
    let name = format!("/proc/self/fd/{}", file.as_raw_fd());
    let to = stage.in_home(NEW);
    Ok(linkat(AT_FDCWD, name.as_str(), AT_FDCWD, &to, AtFlags::AT_SYMLINK_FOLLOW)?)
}

fn shared_mapping(stage: &Stage) -> Result<(), Failure> {
    let file = OpenOptions::new().read(true).write(true).open(stage.in_home(OLD))?;
    let token = stage.token.as_bytes();
    file.set_len(token.len() as u64)?;
    let (nowhere, access) = (std::ptr::null_mut(), libc::PROT_READ | libc::PROT_WRITE);
    // SAFETY: a new mapping at a place of the kernel's choosing.
    let place = unsafe { libc::mmap(nowhere, token.len(), access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    if place == libc::MAP_FAILED {
        return Err(std::io::Error::last_os_error().into());
    }
    // SAFETY: the mapping has this length and is ours to write.
    unsafe { std::ptr::copy_nonoverlapping(token.as_ptr(), place.cast(), token.len()) };
    Ok(())
}

fn copy_range(stage: &Stage) -> Result<(), Failure> {
    let (from, to) = (File::open(code(stage)?)?, OpenOptions::new().write(true).open(stage.in_home(OLD))?);
    let none = std::ptr::null_mut::<libc::off_t>();
    let length = stage.token.len();
    // SAFETY: offsets are null: the files' own are used.
    unsafe { syscall!(libc::SYS_copy_file_range, from.as_raw_fd(), none, to.as_raw_fd(), none, length, 0) }?;
    Ok(())
}

fn truncate(stage: &Stage) -> Result<(), Failure> {
    let path = c_path(stage.in_home(OLD))?;
    // SAFETY: the path is a C string that lives.
    checked(unsafe { libc::truncate(path.as_ptr(), 0) })?;
    Ok(())
}

fn truncate_open(stage: &Stage) -> Result<(), Failure> {
    drop(OpenOptions::new().write(true).truncate(true).open(stage.in_home(OLD))?);
    Ok(())
}

fn setxattr(stage: &Stage) -> Result<(), Failure> {
    let (path, value) = (c_path(stage.in_home(OLD))?, stage.token.as_bytes());
    let (name, pointer) = (c"trusted.deed".as_ptr(), value.as_ptr().cast());
    // SAFETY: path and name are C strings, the value lives and has the length given.
    checked(unsafe { libc::setxattr(path.as_ptr(), name, pointer, value.len(), 0) })?;
    Ok(())
}

fn fsetxattr(stage: &Stage) -> Result<(), Failure> {
    let (file, value) = (File::open(stage.in_home(OLD))?, stage.token.as_bytes());
    let (name, pointer) = (c"trusted.deed".as_ptr(), value.as_ptr().cast());
    // SAFETY: the name is a C string, the value lives and has the length given.
    checked(unsafe { libc::fsetxattr(file.as_raw_fd(), name, pointer, value.len(), 0) })?;
    Ok(())
}

fn chmod(stage: &Stage) -> Result<(), Failure> {
    Ok(fs::set_permissions(stage.in_home(OLD), fs::Permissions::from_mode(0o666))?)
}

fn fchmod(stage: &Stage) -> Result<(), Failure> {
    Ok(File::open(stage.in_home(OLD))?.set_permissions(fs::Permissions::from_mode(0o666))?)
}

fn fchown(stage: &Stage) -> Result<(), Failure> {
    Ok(std::os::unix::fs::fchown(File::open(stage.in_home(OLD))?, Some(ORDINARY), None)?)
}

fn mount_over(stage: &Stage) -> Result<(), Failure> {
    let none = None::<&str>;
    mount(Some(&code(stage)?), &stage.in_home(OLD), none, MsFlags::MS_BIND, none)?;
    // Namespaces of the suite are its own, so it cannot see this: what is read there now is what was mounted.
    if fs::read_to_string(stage.in_home(OLD))? == stage.token {
        Ok(stage.done()?)
    } else {
        Err("not there".into())
    }
}

fn reopen(stage: &Stage) -> Result<(), Failure> {
    let file = File::open(stage.in_home(OLD))?;
    Ok(fs::write(format!("/proc/self/fd/{}", file.as_raw_fd()), &stage.token)?)
}

fn by_proc_root(stage: &Stage) -> Result<(), Failure> {
    Ok(fs::write(format!("/proc/self/root{}", stage.in_home(OLD).display()), &stage.token)?)
}

fn by_bind_mount(stage: &Stage) -> Result<(), Failure> {
    let (place, none) = (stage.aside.join("place"), None::<&str>);
    fs::create_dir(&place)?;
    mount(Some(&stage.home), &place, none, MsFlags::MS_BIND, none)?;
    Ok(fs::write(place.join(OLD), &stage.token)?)
}
