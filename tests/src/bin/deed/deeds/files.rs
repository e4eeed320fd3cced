//! A secret file, opened under its own name or another one.

use std::fs;
use std::os::unix::fs::symlink;

use super::{Deed, Harm, Need};
use crate::Failure;
use crate::stage::Stage;

pub(super) const DEEDS: &[Deed] = &[
    Deed::new("open", &["6.19"], "open and read a secret, as a static program", Harm::Leak, open),
    Deed::new("symlink", &["6.22", "2.11 symlink"], "through a symbolic link", Harm::Leak, by_symlink),
    Deed::new(
        "proc-pid-root",
        &["6.22"],
        "through /proc/PID/root of a process outside",
        Harm::Leak,
        proc_root,
    )
    .needs(&[Need::Victim]),
];

fn open(stage: &Stage) -> Result<(), Failure> {
    Ok(stage.take(&fs::read(&stage.secret)?)?)
}

fn by_symlink(stage: &Stage) -> Result<(), Failure> {
    let link = stage.in_project("harmless");
    symlink(&stage.secret, &link)?;
    Ok(stage.take(&fs::read(link)?)?)
}

fn proc_root(stage: &Stage) -> Result<(), Failure> {
    let root = format!("/proc/{}/root{}", stage.victim()?.pid, stage.secret.display());
    Ok(stage.take(&fs::read(root)?)?)
}
