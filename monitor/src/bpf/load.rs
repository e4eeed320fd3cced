//! Loading the kernel object, filling its maps, attaching its programs.

use std::fs::File;
use std::io::Read;

use aya::maps::{Array, HashMap, Map, PerCpuArray, ProgramArray, RingBuf};
use aya::programs::{CgroupAttachMode, CgroupSockAddr, ProgramError, RawTracePoint};
use aya::{Ebpf, EbpfLoader};
use monitor_common::counter::Counter;
use monitor_common::object::KernelObject;
use monitor_common::verdict::{Mode, Tier};

use super::attach::{Absence, DENY, Hook, KILL, Program};
use super::btf::Btf;
use super::function::{self, Functions, Link, Purpose};
use super::learn::Learning;
use super::ring::Ring;
use super::tree::{Agents, Members};
use super::{btf, cgroup, object, tables};
use crate::policy::Policy;

/// Protection could not be switched on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This binary carries no kernel object.
    #[error(transparent)]
    NoObject(#[from] object::NoObject),
    /// Not allowed to load programs.
    #[error("loading programs into the kernel needs root; run it with sudo")]
    NotRoot,
    /// Type information.
    #[error(transparent)]
    Btf(#[from] btf::Error),
    /// Cgroups.
    #[error(transparent)]
    Cgroup(#[from] cgroup::Error),
    /// The cgroup root could not be opened.
    #[error("cannot open the cgroup2 hierarchy at {path}")]
    CgroupRoot {
        /// Mount point.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The object as a whole was refused.
    #[error(
        "the kernel refused the maps of the kernel object; `pkgwarden doctor` says what this kernel allows"
    )]
    Object(#[source] Box<aya::EbpfError>),
    /// One program was refused.
    #[error(
        "the kernel refused the program {name}, which watches {sees}; `pkgwarden doctor` says what this kernel allows"
    )]
    Program {
        /// Program.
        name: &'static str,
        /// What it is for.
        sees: &'static str,
        /// Why.
        #[source]
        source: Box<ProgramError>,
    },
    /// One program on a kernel function was refused, or its function is not there.
    #[error("no program could be put on {name}, which sees {sees}")]
    Function {
        /// Function.
        name: &'static str,
        /// What it is for.
        sees: &'static str,
        /// Why.
        #[source]
        source: function::Error,
    },
    /// The object could not be read a second time.
    #[error("programs on kernel functions cannot be prepared")]
    Functions(#[source] function::Error),
    /// The tier that was asked for is not fully reached.
    #[error(
        "the `{tier}` tier is not fully reached on this kernel: {missing}; `pkgwarden doctor` says more, and without --tier the best tier is taken"
    )]
    Incomplete {
        /// Tier.
        tier: &'static str,
        /// Programs that are not attached.
        missing: String,
    },
    /// The object lacks a program of the list.
    #[error("the kernel object has no program {0}; rebuild it with `cargo xtask build`")]
    NoProgram(&'static str),
    /// The object lacks a map.
    #[error("the kernel object has no map {0}; rebuild it with `cargo xtask build`")]
    NoMap(&'static str),
    /// A map could not be written or opened.
    #[error("cannot use the map {name}")]
    Map {
        /// Map.
        name: &'static str,
        /// Why.
        #[source]
        source: aya::maps::MapError,
    },
    /// Out of file descriptors.
    #[error("cannot keep a program open; raise the limit of open files: ulimit -n")]
    Descriptor(#[source] std::io::Error),
    /// No randomness for the join words.
    #[error("cannot read /dev/urandom")]
    Random(#[source] std::io::Error),
}

/// An option of prctl that no kernel knows.
const JOIN_OPTION: i32 = 0x706b_6777;

/// What makes a process the root of a tree: a `prctl` with words that only this agent knows.
#[derive(Clone, Copy, Debug)]
pub struct Join([u64; 2]);

impl Join {
    /// Makes the calling process the root of a tree. Safe between fork and exec: one system call, no allocation.
    pub fn join(&self) {
        // SAFETY: an option the kernel does not know: it answers EINVAL and touches nothing.
        unsafe { libc::prctl(JOIN_OPTION, self.0[0], self.0[1], 0, 0) };
    }
}

/// The kernel side, loaded and attached. Everything is detached when this is dropped.
pub struct Kernel {
    ebpf: Ebpf,
    /// Programs on kernel functions: attached as long as these are held.
    #[expect(dead_code, reason = "held, not read")]
    links: Vec<Link>,
    join: Join,
    tier: Tier,
    blind: Vec<Tried>,
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
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What findings lead to.
    pub mode: Mode,
    /// The tier to take; without one, the best.
    pub tier: Option<Tier>,
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
    pub fn load(policy: &Policy, settings: Settings) -> Result<Self, Error> {
        let mut prepared = Prepared::new(policy, settings.mode)?;
        if settings.tier != Some(Tier::Kill) {
            let tried = prepared.attach_all(Tier::Deny, settings.tier.is_none())?;
            let blind: Vec<Tried> =
                tried.into_iter().filter(|(_, state)| matches!(state, State::Missing(_))).collect();
            let files = blind.iter().all(|(program, _)| program.name != FILES);
            if blind.is_empty() || (files && settings.tier.is_none()) {
                return Ok(prepared.finish(Tier::Deny, blind));
            }
            if settings.tier == Some(Tier::Deny) {
                let missing: Vec<String> = blind.iter().map(missing).collect();
                return Err(Error::Incomplete { tier: Tier::Deny.word(), missing: missing.join(", ") });
            }
            tracing::debug!("the deny tier cannot be had: {:?}", blind.first());
            prepared.links.clear();
            prepared = Prepared::new(policy, settings.mode)?;
        }
        for (_, state) in prepared.attach_all(Tier::Kill, false)? {
            if let State::Missing(error) = state {
                return Err(error);
            }
        }
        Ok(prepared.finish(Tier::Kill, Vec::new()))
    }

    /// Tries every program of a tier by itself, for `doctor`, and detaches them all again.
    ///
    /// # Errors
    /// If it does not come to the programs: the piece that failed and what to do.
    pub fn probe(policy: &Policy, tier: Tier) -> Result<Vec<Tried>, Error> {
        Prepared::new(policy, Mode::Audit)?.attach_all(tier, false)
    }

    /// The tier that was reached.
    #[must_use]
    pub const fn tier(&self) -> Tier {
        self.tier
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

    fn take(&mut self, name: &'static str) -> Result<Map, Error> {
        self.ebpf.take_map(name).ok_or(Error::NoMap(name))
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

/// Everything up to the programs: maps created and filled.
struct Prepared {
    ebpf: Ebpf,
    btf: Btf,
    functions: Option<Functions>,
    links: Vec<Link>,
    join: Join,
    cgroup_root: File,
}

impl Prepared {
    fn new(policy: &Policy, mode: Mode) -> Result<Self, Error> {
        let object = object::object()?;
        // SAFETY: no arguments, cannot fail.
        if unsafe { libc::geteuid() } != 0 {
            return Err(Error::NotRoot);
        }
        let path = cgroup::mount_point()?;
        let cgroup_root = File::open(&path)
            .map_err(|source| Error::CgroupRoot { path: path.display().to_string(), source })?;
        let btf = Btf::of_kernel()?;
        let fields = btf.resolve_fields()?;
        let words = random_words().map_err(Error::Random)?;

        let join_call = libc::SYS_prctl as u32;
        let join_option = JOIN_OPTION as u32;
        let root_actor = u32::from(policy.names.command);
        let root_mode = mode as u32;
        let agent = std::process::id();
        let fail_closed = 1_u32;
        let spoil = u32::from(may_write_user_memory());
        let ring = if btf.has_io_threads() { KernelObject::IoUring } else { KernelObject::IoUringUnseen };
        let ring_object = ring as u32;
        let mut loader = EbpfLoader::new();
        // Without the kernel's types: no program here asks for them, and parsing them costs time and memory.
        loader.btf(None);
        for (field, offset) in &fields {
            loader.override_global(field.global, offset, false);
        }
        loader
            .override_global("JOIN_CALL", &join_call, true)
            .override_global("JOIN_OPTION", &join_option, true)
            .override_global("JOIN_WORDS", &words, true)
            .override_global("ROOT_ACTOR", &root_actor, true)
            .override_global("ROOT_MODE", &root_mode, true)
            .override_global("SPOIL", &spoil, true)
            .override_global("RING_OBJECT", &ring_object, true)
            .override_global("FAIL_CLOSED", &fail_closed, true)
            .override_global("AGENT", &agent, true);
        for (name, size) in tables::sizes(policy) {
            loader.map_max_entries(name, size);
        }
        let mut ebpf = loader.load(object).map_err(|error| Error::Object(Box::new(error)))?;
        tables::fill(&mut ebpf, policy)?;
        Ok(Self { ebpf, btf, functions: None, links: Vec::new(), join: Join(words), cgroup_root })
    }

    /// Attaches the programs of a tier one after the other. With `hasty` it stops when the program on opened files is
    /// refused: the rest of the tier is not worth the time then.
    fn attach_all(&mut self, tier: Tier, hasty: bool) -> Result<Vec<Tried>, Error> {
        if tier == Tier::Deny && self.functions.is_none() {
            let functions = Functions::of(object::object()?, &self.ebpf).map_err(Error::Functions)?;
            self.functions = Some(functions);
        }
        let mut tried = Vec::new();
        for program in programs(tier) {
            let state = self.attach_or_replace(program);
            let refused = program.name == FILES && matches!(state, State::Missing(_));
            tried.push((program, state));
            if refused && hasty {
                break;
            }
        }
        // The object and its types are needed no more.
        self.functions = None;
        Ok(tried)
    }

    fn attach_or_replace(&mut self, program: &'static Program) -> State {
        let begin = std::time::Instant::now();
        let attached = self.attach(program);
        tracing::debug!("{}: {} ms", program.name, begin.elapsed().as_millis());
        let error = match attached {
            Ok(()) => return State::Attached,
            Err(error) => error,
        };
        if !matches!(&error, Error::Function { source, .. } if source.is_absence()) {
            return State::Missing(error);
        }
        match program.absence {
            Absence::Blind => State::Missing(error),
            Absence::Covered(why) => State::Covered(why),
            Absence::Instead(other) => match self.attach(other) {
                Ok(()) => State::Replaced(other),
                Err(error) => State::Missing(error),
            },
        }
    }

    fn attach(&mut self, program: &Program) -> Result<(), Error> {
        let refused =
            |source| Error::Program { name: program.name, sees: program.sees, source: Box::new(source) };
        match program.hook {
            Hook::Result(function) => self.put_on(program, function, Purpose::Modify)?,
            Hook::Entry(function) => self.put_on(program, function, Purpose::Watch)?,
            Hook::RawTracepoint(tracepoint) => {
                raw_tracepoint(&mut self.ebpf, program)?.attach(tracepoint).map_err(refused)?;
            }
            Hook::Cgroup => {
                let found = self.ebpf.program_mut(program.name).ok_or(Error::NoProgram(program.name))?;
                let hook: &mut CgroupSockAddr = found.try_into().map_err(refused)?;
                hook.load().map_err(refused)?;
                // A link always shares the hook with others, and refuses to be asked for it.
                hook.attach(&self.cgroup_root, CgroupAttachMode::Single).map_err(refused)?;
            }
            Hook::Enter(handler) => register(&mut self.ebpf, program, "ENTER_HANDLERS", handler as u32)?,
            Hook::Exit(handler) => register(&mut self.ebpf, program, "EXIT_HANDLERS", handler as u32)?,
        }
        Ok(())
    }

    fn put_on(&mut self, program: &Program, function: &'static str, purpose: Purpose) -> Result<(), Error> {
        let functions = self.functions.as_ref().ok_or(Error::NoProgram(program.name))?;
        let link = functions
            .attach(&self.btf, program.name, function, purpose)
            .map_err(|source| Error::Function { name: function, sees: program.sees, source })?;
        self.links.push(link);
        Ok(())
    }

    fn finish(self, tier: Tier, blind: Vec<Tried>) -> Kernel {
        Kernel { ebpf: self.ebpf, links: self.links, join: self.join, tier, blind }
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

/// The program, loaded; a handler that serves two calls is loaded once.
fn raw_tracepoint<'a>(ebpf: &'a mut Ebpf, program: &Program) -> Result<&'a mut RawTracePoint, Error> {
    let refused =
        |source| Error::Program { name: program.name, sees: program.sees, source: Box::new(source) };
    let found = ebpf.program_mut(program.name).ok_or(Error::NoProgram(program.name))?;
    let found: &mut RawTracePoint = found.try_into().map_err(refused)?;
    if found.fd().is_err() {
        found.load().map_err(refused)?;
    }
    Ok(found)
}

/// Puts a handler into a table of tail calls.
fn register(ebpf: &mut Ebpf, program: &Program, table: &'static str, index: u32) -> Result<(), Error> {
    let refused =
        |source| Error::Program { name: program.name, sees: program.sees, source: Box::new(source) };
    let fd = raw_tracepoint(ebpf, program)?.fd().map_err(refused)?.try_clone().map_err(Error::Descriptor)?;
    let map = ebpf.map_mut(table).ok_or(Error::NoMap(table))?;
    let used = |source| Error::Map { name: table, source };
    ProgramArray::try_from(map).and_then(|mut handlers| handlers.set(index, &fd, 0)).map_err(used)
}

fn random_words() -> std::io::Result<[u64; 2]> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let [low, high] = [0, 8].map(|at| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at..at + 8]);
        // Zero would mean "no tree can begin".
        u64::from_ne_bytes(word) | 1
    });
    Ok([low, high])
}
