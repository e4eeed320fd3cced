//! Very much of something, then the deed: nothing may be lost in it.

use std::fs::{self, File};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};

use super::{Deed, Harm, lineage};
use crate::Failure;
use crate::stage::Stage;

/// The finding that must not be lost.
const SECRET: &str = "PW-CRED";

pub(super) const DEEDS: &[Deed] = &[
    Deed::new(
        "flood-open",
        &["6.39", "2.11 ringbuf loss"],
        "a million opens, then a secret",
        Harm::Leak,
        opens,
    )
    .by(SECRET)
    .patience(5)
    .alone(),
    Deed::new(
        "flood-names",
        &["6.39", "6.42"],
        "thousands of files with names of 255 bytes, then a secret",
        Harm::Leak,
        names,
    )
    .by(SECRET)
    .patience(5)
    .alone(),
    Deed::new(
        "flood-alerts",
        &["6.39", "2.11 ringbuf loss"],
        "thousands of things that are told, then a secret",
        Harm::Leak,
        alerts,
    )
    .by(SECRET)
    .patience(5)
    .alone(),
    Deed::new(
        "fork-bomb",
        &["6.39", "2.11 map full"],
        "thousands of processes one after the other, then a secret",
        Harm::Leak,
        fork_bomb,
    )
    .by(SECRET)
    .patience(5)
    .alone(),
    Deed::new(
        "many-processes",
        &["6.39", "2.11 map full"],
        "thousands of processes at once, then a secret",
        Harm::Leak,
        many,
    )
    .by(SECRET)
    .patience(5)
    .alone(),
    Deed::new("deep-ancestry", &["6.39", "6.10"], "hundreds of generations, then a secret", Harm::Leak, deep)
        .by(SECRET)
        .patience(2)
        .alone(),
];

fn open(stage: &Stage) -> Result<(), Failure> {
    Ok(stage.take(&fs::read(&stage.secret)?)?)
}

fn opens(stage: &Stage) -> Result<(), Failure> {
    let path = stage.in_project("harmless");
    fs::write(&path, "")?;
    for _ in 0..stage.flood {
        drop(File::open(&path)?);
    }
    open(stage)
}

fn names(stage: &Stage) -> Result<(), Failure> {
    for index in 0..stage.flood / 200 {
        let path = stage.in_project(&format!("{index:0>255}"));
        fs::write(&path, "")?;
        fs::remove_file(path)?;
    }
    open(stage)
}

fn alerts(stage: &Stage) -> Result<(), Failure> {
    // The sink takes few: what counts is that each try is told.
    let address = SocketAddr::from_abstract_name("/tmp/.X11-unix/X48")?;
    for _ in 0..stage.flood / 20 {
        UnixStream::connect_addr(&address).ok();
    }
    open(stage)
}

fn fork_bomb(stage: &Stage) -> Result<(), Failure> {
    for _ in 0..stage.flood / 500 {
        lineage::child(|| Ok(()))?;
    }
    lineage::child(|| open(stage))
}

fn many(stage: &Stage) -> Result<(), Failure> {
    let mut children = Vec::new();
    for _ in 0..stage.flood / 250 {
        // SAFETY: a deed has one thread when it gets here.
        match unsafe { fork() } {
            Ok(ForkResult::Child) => loop {
                nix::unistd::pause();
            },
            Ok(ForkResult::Parent { child }) => children.push(child),
            // As many as the machine has room for.
            Err(_) => break,
        }
    }
    let opened = lineage::child(|| open(stage));
    for child in children {
        kill(child, Signal::SIGKILL)?;
        waitpid(child, None)?;
    }
    opened
}

fn deep(stage: &Stage) -> Result<(), Failure> {
    fn descend(stage: &Stage, left: usize) -> Result<(), Failure> {
        if left == 0 { open(stage) } else { lineage::child(|| descend(stage, left - 1)) }
    }
    descend(stage, 300)
}
