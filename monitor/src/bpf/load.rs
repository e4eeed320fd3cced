//! Loading the kernel object, filling its maps, attaching its programs.

use std::path::PathBuf;

use aya::Ebpf;
use aya::maps::{Array, HashMap, Map, PerCpuArray, RingBuf};
use monitor_common::counter::Counter;
use monitor_common::verdict::{Mode, Tier};

use super::attach::{DENY, KILL, Program};
pub use super::error::Error;
use super::function::Link;
use super::learn::Learning;
use super::prepare::Prepared;
use super::ring::Ring;
use super::tree::{Agents, Members};
use crate::policy::Policy;

/// An option of prctl that no kernel knows.
pub(super) const JOIN_OPTION: i32 = 0x706b_6777;

/// What makes a process the root of a tree: a `prctl` with words that only this agent knows.
#[derive(Clone, Copy, Debug)]
pub struct Join(pub(super) [u64; 2]);

impl Join {
    /// Makes the calling process the root of a tree. Safe between fork and exec: one system call, no allocation.
    pub fn join(&self) {
        // SAFETY: an option the kernel does not know: it answers EINVAL and touches nothing.
        unsafe { libc::prctl(JOIN_OPTION, self.0[0], self.0[1], 0, 0) };
    }
}

/// The kernel side, loaded and attached. Everything is detached when this is dropped, unless it is pinned.
pub struct Kernel {
    pub(super) ebpf: Ebpf,
    /// Programs on kernel functions: attached as long as these are held.
    pub(super) links: Vec<Link>,
    pub(super) join: Join,
    pub(super) tier: Tier,
    pub(super) blind: Vec<Tried>,
    /// Whether what an io_uring does is done by nobody.
    pub(super) unseen_rings: bool,
}

/// What became of a program.
#[derive(Debug)]
pub enum State {
    /// It is attached.
    Attached,
    /// The kernel has no such hook, and nothing is lost: why.
    Covered(&'static str),
    /// The kernel has no such hook; this program stands in.
    Replaced(&'static Program),
    /// It is not attached.
    Missing(Error),
}

/// A program, and what became of it.
pub type Tried = (&'static Program, State);

/// How trees are watched.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What findings lead to.
    pub mode: Mode,
    /// The tier to take; without one, the best.
    pub tier: Option<Tier>,
    /// Where programs and maps are pinned, so that they outlive this process: a folder on bpffs. What another process has
    /// pinned there is taken over. Without one, trees die with this process.
    pub pins: Option<PathBuf>,
}

/// The programs of a tier.
#[must_use]
pub const fn programs(tier: Tier) -> &'static [Program] {
    match tier {
        Tier::Deny => DENY,
        Tier::Kill => KILL,
    }
}

impl Kernel {
    /// Loads and attaches everything; on any error nothing stays behind.
    ///
    /// In the `deny` tier a hook that is refused is left out, unless the tier was asked for by name; [`Kernel::blind`]
    /// lists it. Where files cannot be refused at all, the `kill` tier is taken.
    ///
    /// # Errors
    /// Names the piece that failed and what to do.
    pub fn load(policy: &Policy, settings: &Settings) -> Result<Self, Error> {
        let mut prepared = Prepared::new(policy, settings)?;
        if settings.tier != Some(Tier::Kill) {
            let tried = prepared.attach_all(Tier::Deny, settings.tier.is_none())?;
            let blind: Vec<Tried> =
                tried.into_iter().filter(|(_, state)| matches!(state, State::Missing(_))).collect();
            let files = blind.iter().all(|(program, _)| program.name != FILES);
            if blind.is_empty() || (files && settings.tier.is_none()) {
                return prepared.finish(Tier::Deny, blind);
            }
            if settings.tier == Some(Tier::Deny) {
                prepared.abandon();
                let missing: Vec<String> = blind.iter().map(missing).collect();
                return Err(Error::Incomplete { tier: Tier::Deny.word(), missing: missing.join(", ") });
            }
            tracing::debug!("the deny tier cannot be had: {:?}", blind.first());
            prepared.abandon();
            prepared = Prepared::new(policy, settings)?;
        }
        for (_, state) in prepared.attach_all(Tier::Kill, false)? {
            if let State::Missing(error) = state {
                prepared.abandon();
                return Err(error);
            }
        }
        prepared.finish(Tier::Kill, Vec::new())
    }

    /// Tries every program of a tier by itself, for `doctor`, and detaches them all again.
    ///
    /// # Errors
    /// If it does not come to the programs: the piece that failed and what to do.
    pub fn probe(policy: &Policy, tier: Tier) -> Result<Vec<Tried>, Error> {
        let settings = Settings { mode: Mode::Audit, tier: Some(tier), pins: None };
        Prepared::new(policy, &settings)?.attach_all(tier, false)
    }

    /// The tier that was reached.
    #[must_use]
    pub const fn tier(&self) -> Tier {
        self.tier
    }

    /// Whether what an io_uring is ordered to do is done by nobody that the hooks of the `deny` tier would know.
    #[must_use]
    pub const fn has_unseen_rings(&self) -> bool {
        self.unseen_rings
    }

    /// Programs of the tier that are not attached.
    #[must_use]
    pub fn blind(&self) -> &[Tried] {
        &self.blind
    }

    /// How a process becomes the root of a tree.
    #[must_use]
    pub const fn join(&self) -> Join {
        self.join
    }

    /// The events. Can be taken once.
    ///
    /// # Errors
    /// If it was taken before.
    pub fn take_ring(&mut self) -> Result<Ring, Error> {
        let name = "EVENTS";
        let ring = RingBuf::try_from(self.take(name)?).map_err(|source| Error::Map { name, source })?;
        Ok(Ring::new(ring))
    }

    /// The labelled processes. Can be taken once.
    ///
    /// # Errors
    /// If it was taken before.
    pub fn take_members(&mut self) -> Result<Members, Error> {
        let name = "TASKS";
        let tasks = HashMap::try_from(self.take(name)?).map_err(|source| Error::Map { name, source })?;
        let name = "SCOPES";
        let scopes = HashMap::try_from(self.take(name)?).map_err(|source| Error::Map { name, source })?;
        Ok(Members::new(tasks, scopes))
    }

    /// The table of pkgwarden's own processes. Can be taken once.
    ///
    /// # Errors
    /// If it was taken before.
    pub fn take_agents(&mut self) -> Result<Agents, Error> {
        let name = "AGENTS";
        let agents = HashMap::try_from(self.take(name)?).map_err(|source| Error::Map { name, source })?;
        Ok(Agents::new(agents))
    }

    /// The way to tell what is about to be opened. Can be taken once.
    ///
    /// # Errors
    /// If it was taken before.
    pub fn take_learning(&mut self) -> Result<Learning, Error> {
        let name = "LESSON";
        let lesson = Array::try_from(self.take(name)?).map_err(|source| Error::Map { name, source })?;
        Ok(Learning::new(lesson))
    }

    /// The failure counters that are not zero, summed over processors.
    #[must_use]
    pub fn failures(&self) -> Vec<(Counter, u64)> {
        let Some(map) = self.ebpf.map("COUNTERS") else { return Vec::new() };
        let Ok(counters) = PerCpuArray::<_, u64>::try_from(map) else { return Vec::new() };
        Counter::ALL
            .iter()
            .filter_map(|counter| {
                let total: u64 = counters.get(&(*counter as u32), 0).ok()?.iter().sum();
                (total > 0).then_some((*counter, total))
            })
            .collect()
    }

    /// How often the kernel let an act go without asking the program that judges it, see [`Link::left_out`].
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.links.iter().map(Link::left_out).sum()
    }

    fn take(&mut self, name: &'static str) -> Result<Map, Error> {
        self.ebpf.take_map(name).ok_or(Error::NoMap(name))
    }
}

/// Whether this kernel lets programs write to the memory of the process they run for: not when it is locked down
/// (security/lockdown, since v5.4). Where that cannot be known, no. Without it a rename or a truncation is carried out
/// although the process is killed.
#[must_use]
pub fn may_write_user_memory() -> bool {
    let folder = std::path::Path::new("/sys/kernel/security");
    match std::fs::read_to_string(folder.join("lockdown")) {
        Ok(state) => !(state.contains("[integrity]") || state.contains("[confidentiality]")),
        // A kernel without lockdown has the folder but not the file; an empty folder is not mounted.
        Err(_) => std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()),
    }
}

/// The program without which the `deny` tier is none.
pub const FILES: &str = "security_file_open";

fn missing((program, state): &Tried) -> String {
    let mut words = format!("{} ({})", program.name, program.sees);
    if let State::Missing(error) = state {
        let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
        while let Some(error) = cause {
            words += &format!(": {error}");
            cause = error.source();
        }
    }
    words
}
