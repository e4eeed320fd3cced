//! A secret file that is given another name, or moved out of its place for a moment.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, RenameFlags, open, renameat2};
use nix::sys::stat::Mode;
use nix::unistd::linkat;

use super::{Deed, Harm};
use crate::Failure;
use crate::stage::Stage;

pub(super) const DEEDS: &[Deed] = &[
    Deed::new(
        "hard-link",
        &["6.24", "2.11 hard link"],
        "hard link in the project, then open that",
        Harm::Leak,
        hard_link,
    ),
    Deed::new("hard-link-user", &["6.24", "2.11 hard link"], "the same, not as root", Harm::Leak, hard_link)
        .ordinary(),
    Deed::new("hard-link-fd", &["6.24"], "hard link to an O_PATH descriptor", Harm::Leak, link_descriptor),
    Deed::new(
        "hard-link-symlink",
        &["6.24"],
        "hard link through a symbolic link",
        Harm::Leak,
        link_through_symlink,
    ),
    Deed::new("hard-link-parent", &["6.24"], "hard link by way of /proc/self/cwd", Harm::Leak, link_by_cwd),
    Deed::new("rename-out", &["6.24"], "rename it away, read, put it back", Harm::Leak, rename_out),
    Deed::new("rename-exchange", &["6.24"], "exchange it with a file of the project", Harm::Leak, exchange),
    Deed::new(
        "rename-parent",
        &["6.24", "2.11 rename of parent dir"],
        "rename its directory, read, put it back",
        Harm::Leak,
        rename_parent,
    ),
    Deed::new(
        "rename-parent-user",
        &["6.24", "2.11 rename of parent dir"],
        "the same, not as root",
        Harm::Leak,
        rename_parent,
    )
    .ordinary(),
    Deed::new(
        "rename-home",
        &["6.24", "2.11 rename of parent dir"],
        "rename the home, read, put it back",
        Harm::Leak,
        rename_home,
    ),
    Deed::new(
        "exchange-parent",
        &["6.24", "2.11 rename of parent dir"],
        "exchange its directory with another one",
        Harm::Leak,
        exchange_parent,
    ),
];

fn hard_link(stage: &Stage) -> Result<(), Failure> {
    let twin = stage.in_project("twin");
    fs::hard_link(&stage.secret, &twin)?;
    Ok(stage.take(&fs::read(twin)?)?)
}

fn link_descriptor(stage: &Stage) -> Result<(), Failure> {
    let handle = open(&stage.secret, OFlag::O_PATH, Mode::empty())?;
    let twin = stage.in_project("twin");
    let name = format!("/proc/self/fd/{}", handle.as_raw_fd());
    linkat(AT_FDCWD, name.as_str(), AT_FDCWD, &twin, AtFlags::AT_SYMLINK_FOLLOW)?;
    Ok(stage.take(&fs::read(twin)?)?)
}

fn link_through_symlink(stage: &Stage) -> Result<(), Failure> {
    let (link, twin) = (stage.in_project("link"), stage.in_project("twin"));
    std::os::unix::fs::symlink(stage.in_home(".aws"), &link)?;
    linkat(AT_FDCWD, &link.join("credentials"), AT_FDCWD, &twin, AtFlags::AT_SYMLINK_FOLLOW)?;
    Ok(stage.take(&fs::read(twin)?)?)
}

fn link_by_cwd(stage: &Stage) -> Result<(), Failure> {
    let twin = stage.in_project("twin");
    std::env::set_current_dir(stage.in_home(".aws/sso"))?;
    fs::hard_link("/proc/self/cwd/../credentials", &twin)?;
    Ok(stage.take(&fs::read(twin)?)?)
}

fn rename_out(stage: &Stage) -> Result<(), Failure> {
    there_and_back(stage, &stage.secret, &stage.in_project("moved"), "")
}

fn rename_parent(stage: &Stage) -> Result<(), Failure> {
    there_and_back(stage, &stage.in_home(".aws"), &stage.in_project("moved"), "credentials")
}

fn rename_home(stage: &Stage) -> Result<(), Failure> {
    let moved = stage.aside.join("moved");
    // The loot is to be where it was, whatever becomes of this.
    let mut loot = stage.open_loot()?;
    fs::rename(&stage.home, &moved)?;
    let read = fs::read(moved.join(".aws/credentials"));
    fs::rename(&moved, &stage.home)?;
    Ok(std::io::Write::write_all(&mut loot, &read?)?)
}

fn there_and_back(stage: &Stage, from: &Path, to: &Path, rest: &str) -> Result<(), Failure> {
    fs::rename(from, to)?;
    let file = if rest.is_empty() { to.to_owned() } else { to.join(rest) };
    let read = fs::read(file);
    fs::rename(to, from)?;
    Ok(stage.take(&read?)?)
}

fn swap(one: &Path, other: &Path) -> nix::Result<()> {
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)
}

fn exchange(stage: &Stage) -> Result<(), Failure> {
    let other = stage.in_project("other");
    fs::write(&other, "nothing\n")?;
    swap(&other, &stage.secret)?;
    let read = fs::read(&other);
    swap(&other, &stage.secret)?;
    Ok(stage.take(&read?)?)
}

fn exchange_parent(stage: &Stage) -> Result<(), Failure> {
    let other = stage.in_project("other");
    fs::create_dir(&other)?;
    swap(&other, &stage.in_home(".aws"))?;
    let read = fs::read(other.join("credentials"));
    swap(&other, &stage.in_home(".aws"))?;
    Ok(stage.take(&read?)?)
}
