//! Loading the kernel object, filling its maps, attaching its programs.

use std::fs::File;
use std::io::Read;

use aya::maps::{HashMap, Map, PerCpuArray, ProgramArray, RingBuf};
use aya::programs::{CgroupAttachMode, CgroupSockAddr, ProgramError, RawTracePoint};
use aya::{Ebpf, EbpfLoader};
use monitor_common::counter::Counter;
use monitor_common::verdict::Mode;

use super::attach::{Hook, PROGRAMS, Program};
use super::ring::Ring;
use super::tree::Members;
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

/// What makes a process the root of a tree: a `prctl` with words that only this agent knows.
#[derive(Clone, Copy, Debug)]
pub struct Join([u64; 2]);

impl Join {
    /// Makes the calling process the root of a tree. Safe between fork and exec: one system call, no allocation.
    pub fn join(&self) {
        // SAFETY: an option the kernel does not know: it answers EINVAL and touches nothing.
        unsafe { libc::prctl(0x706b_6777, self.0[0], self.0[1], 0, 0) };
    }
}

/// The kernel side, loaded and attached. Everything is detached when this is dropped.
pub struct Kernel {
    ebpf: Ebpf,
    join: Join,
}

/// A program, and whether the kernel took it.
pub type Tried = (Program, Result<(), Error>);

/// Which processes are watched from the start, and how.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What findings lead to.
    pub mode: Mode,
}

impl Kernel {
    /// Loads and attaches everything; on any error nothing stays behind.
    ///
    /// # Errors
    /// Names the piece that failed and what to do.
    pub fn load(policy: &Policy, settings: Settings) -> Result<Self, Error> {
        let (mut ebpf, join, cgroup_root) = prepare(policy, settings)?;
        for program in PROGRAMS {
            attach(&mut ebpf, program, &cgroup_root)?;
        }
        Ok(Self { ebpf, join })
    }

    /// Tries every program by itself, for `doctor`, and detaches them all again.
    ///
    /// # Errors
    /// If it does not come to the programs: the piece that failed and what to do.
    pub fn probe(policy: &Policy) -> Result<Vec<Tried>, Error> {
        let (mut ebpf, _, cgroup_root) = prepare(policy, Settings { mode: Mode::Audit })?;
        Ok(PROGRAMS.iter().map(|program| (*program, attach(&mut ebpf, program, &cgroup_root))).collect())
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

/// Everything up to the programs: maps created and filled, nothing attached.
fn prepare(policy: &Policy, settings: Settings) -> Result<(Ebpf, Join, File), Error> {
    let object = object::object()?;
    // SAFETY: no arguments, cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return Err(Error::NotRoot);
    }
    let path = cgroup::mount_point()?;
    let cgroup_root =
        File::open(&path).map_err(|source| Error::CgroupRoot { path: path.display().to_string(), source })?;
    let fields = btf::Btf::of_kernel()?.resolve_fields()?;
    let words = random_words().map_err(Error::Random)?;

    let join_call = libc::SYS_prctl as u32;
    let root_actor = u32::from(policy.names.command);
    let root_mode = settings.mode as u32;
    let agent = std::process::id();
    let spoil = u32::from(may_write_user_memory());
    let mut loader = EbpfLoader::new();
    // Without the kernel's types: no program here asks for them, and parsing them costs time and memory.
    loader.btf(None);
    for (field, offset) in &fields {
        loader.override_global(field.global, offset, false);
    }
    loader
        .override_global("JOIN_CALL", &join_call, true)
        .override_global("JOIN_WORDS", &words, true)
        .override_global("ROOT_ACTOR", &root_actor, true)
        .override_global("ROOT_MODE", &root_mode, true)
        .override_global("SPOIL", &spoil, true)
        .override_global("AGENT", &agent, true);
    for (name, size) in tables::sizes(policy) {
        loader.map_max_entries(name, size);
    }
    let mut ebpf = loader.load(object).map_err(|error| Error::Object(Box::new(error)))?;
    tables::fill(&mut ebpf, policy)?;
    Ok((ebpf, Join(words), cgroup_root))
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

fn attach(ebpf: &mut Ebpf, program: &Program, cgroup_root: &File) -> Result<(), Error> {
    let refused =
        |source| Error::Program { name: program.name, sees: program.sees, source: Box::new(source) };
    match program.hook {
        Hook::RawTracepoint(tracepoint) => {
            raw_tracepoint(ebpf, program)?.attach(tracepoint).map_err(refused)?;
        }
        Hook::Cgroup => {
            let found = ebpf.program_mut(program.name).ok_or(Error::NoProgram(program.name))?;
            let hook: &mut CgroupSockAddr = found.try_into().map_err(refused)?;
            hook.load().map_err(refused)?;
            // A link always shares the hook with others, and refuses to be asked for it.
            hook.attach(cgroup_root, CgroupAttachMode::Single).map_err(refused)?;
        }
        Hook::Enter(handler) => register(ebpf, program, "ENTER_HANDLERS", handler as u32)?,
        Hook::Exit(handler) => register(ebpf, program, "EXIT_HANDLERS", handler as u32)?,
    }
    Ok(())
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
