//! The deeds of the suite, one entry each: what is tried, and what proves that it was done. What pkgwarden promises is
//! that it is stopped, except as argued in [`promises`].
//!
//! Not here: proxies and sites that are allowed and used for something else; what needs an account or a program that a bare machine has not (sudo, a real daemon); what happens after an install.

mod asking;
mod copied;
mod daemons;
mod families;
mod floods;
mod foreign;
mod handed;
mod lineage;
mod machine;
mod mounted;
mod moved;
mod names;
mod programs;
mod promises;
mod races;
mod resolving;
mod rings;
mod sockets;
mod staying;
mod watcher;

use std::io;
use std::path::{Path, PathBuf};

use nix::sys::prctl;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

pub(crate) use asking::{ask_at_once, post_early};
pub(crate) use machine::{create_map, get_map, id_of_map, pin_map, set_map};
pub(crate) use names::post_home;
pub(crate) use programs::interpret;
pub(crate) use promises::{Promise, promise, unknown};

use crate::Failure;
use crate::stage::{ORDINARY, Stage};

/// One deed.
#[derive(Clone, Copy)]
pub(crate) struct Deed {
    /// Its name: words with hyphens.
    pub(crate) name: &'static str,
    /// The rows of the lists of evasions that it covers: `6.N`, or `2.11` and a word.
    pub(crate) rows: &'static [&'static str],
    /// What is tried, for people.
    pub(crate) technique: &'static str,
    /// Does it, inside of the tree.
    pub(crate) act: fn(&Stage) -> Result<(), Failure>,
    /// What proves that it was done.
    pub(crate) harm: Harm,
    /// What has to be there.
    pub(crate) needs: &'static [Need],
    /// Whether it is done as root or as somebody else.
    pub(crate) user: User,
    /// Why it may be impossible on some machines; empty if it must be possible.
    pub(crate) unless: &'static str,
    /// The rule, or how its name begins; any if empty.
    pub(crate) rule: &'static str,
    /// How many times the usual time it may take.
    pub(crate) patience: u32,
    /// Whether it needs a watch of its own.
    pub(crate) alone: bool,
    /// Whether it is luck that decides between what is promised and better.
    pub(crate) luck: bool,
}

/// What proves that a deed was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// A secret is among the loot, or arrived at a sink.
    Leak,
    /// Something arrived at the sink of this name.
    Contact(&'static str),
    /// The token arrived at the sink of this name; that somebody connected is no harm.
    Said(&'static str),
    /// This file of the home has the token in it.
    Written(&'static str),
    /// This file of the home is not what it was.
    Changed(&'static str),
    /// This file is not there any more; the name is relative to the home.
    Gone(&'static str),
    /// This file of the home has an extended attribute with the token.
    Attribute(&'static str),
    /// This file of the home has another mode or owner.
    Mode(&'static str),
    /// The suite's map has another value, or is not pinned any more.
    Map,
    /// A tracepoint was switched on.
    Trace,
    /// A kernel setting was changed.
    Setting,
    /// The victim was killed, stopped, or its memory was changed.
    Victim,
    /// The watcher was killed, stopped, or got other settings.
    Watcher,
    /// The token is among the loot: the kernel gave what was asked for.
    Done,
}

/// What a deed needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// A process outside of the tree with a secret in its memory and environment, and the secret file open.
    Victim,
    /// A disk with a secret on it.
    Disk,
    /// The secret file, open at the start.
    Inherited,
    /// A set-uid program of root's.
    Setuid,
    /// A BPF map with a secret in it.
    Map,
    /// Tracing files of the suite's own.
    Trace,
    /// A log, also in a bare run.
    Events,
    /// A home that belongs to somebody else than root.
    OrdinaryHome,
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    Root,
    Ordinary,
}

impl Deed {
    /// A deed done by root.
    const fn new(
        name: &'static str,
        rows: &'static [&'static str],
        technique: &'static str,
        harm: Harm,
        act: fn(&Stage) -> Result<(), Failure>,
    ) -> Self {
        Self {
            name,
            rows,
            technique,
            act,
            harm,
            needs: &[],
            user: User::Root,
            unless: "",
            rule: "",
            patience: 1,
            alone: false,
            luck: false,
        }
    }

    const fn needs(mut self, needs: &'static [Need]) -> Self {
        self.needs = needs;
        self
    }

    /// Done by somebody who is not root.
    const fn ordinary(mut self) -> Self {
        self.user = User::Ordinary;
        self
    }

    /// Impossible there.
    const fn unless(mut self, where_: &'static str) -> Self {
        self.unless = where_;
        self
    }

    /// The finding is to be by a rule whose name begins like this.
    const fn by(mut self, rule: &'static str) -> Self {
        self.rule = rule;
        self
    }

    /// It is about the watch itself, or about the command that is watched.
    const fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Two of them race: it may end better than is promised, and not every time.
    const fn luck(mut self) -> Self {
        self.luck = true;
        self
    }

    /// It may take so many times as long as others.
    const fn patience(mut self, times: u32) -> Self {
        self.patience = times;
        self
    }
}

/// Not to be done on this machine.
#[derive(Debug)]
pub(crate) struct Impossible(pub(crate) String);

impl std::fmt::Display for Impossible {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Impossible {}

/// All deeds.
pub(crate) fn all() -> impl Iterator<Item = &'static Deed> {
    [
        names::DEEDS,
        moved::DEEDS,
        mounted::DEEDS,
        handed::DEEDS,
        copied::DEEDS,
        rings::DEEDS,
        races::DEEDS,
        sockets::DEEDS,
        resolving::DEEDS,
        families::DEEDS,
        lineage::DEEDS,
        programs::DEEDS,
        foreign::DEEDS,
        daemons::DEEDS,
        machine::DEEDS,
        watcher::DEEDS,
        staying::DEEDS,
        floods::DEEDS,
    ]
    .into_iter()
    .flatten()
}

/// Where cgroups of the second version are mounted.
pub(crate) fn cgroup_root() -> Result<PathBuf, Failure> {
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    let place = mounts.lines().find_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
        [_, place, "cgroup2", ..] => Some(PathBuf::from(place)),
        _ => None,
    });
    place.ok_or_else(|| Impossible("there are no cgroups of the second version".into()).into())
}

/// Errors of a kernel that has no such thing make a deed impossible; others make it fail.
fn if_there<T>(what: &str, result: io::Result<T>) -> Result<T, Failure> {
    const ABSENT: [i32; 7] = [
        libc::ENOSYS,
        libc::EAFNOSUPPORT,
        libc::EPROTONOSUPPORT,
        libc::ESOCKTNOSUPPORT,
        libc::ENODEV,
        libc::ENXIO,
        libc::EOPNOTSUPP,
    ];
    result.map_err(|why| match why.raw_os_error() {
        Some(number) if ABSENT.contains(&number) => Impossible(format!("{what}: {why}")).into(),
        _ => format!("{what}: {why}").into(),
    })
}

/// Does a deed, as whoever it is done by.
pub(crate) fn perform(name: &str, stage: &Path) -> Result<(), Failure> {
    let deed = all().find(|deed| deed.name == name).ok_or_else(|| format!("there is no deed `{name}`"))?;
    let stage = Stage::read(stage)?;
    if deed.user == User::Ordinary {
        become_ordinary()?;
    }
    (deed.act)(&stage)
}

/// Gives up being root. The process stays inspectable by its own user, as if it had been started by them.
fn become_ordinary() -> Result<(), Failure> {
    let (user, group) = (Uid::from_raw(ORDINARY), Gid::from_raw(ORDINARY));
    setgroups(&[group])?;
    setresgid(group, group, group)?;
    setresuid(user, user, user)?;
    Ok(prctl::set_dumpable(true)?)
}
