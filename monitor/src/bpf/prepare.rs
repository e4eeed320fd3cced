//! The steps of switching on: create and fill the maps, then put the programs of a tier where they belong.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;

use aya::maps::{Array, ProgramArray};
use aya::programs::links::FdLink;
use aya::programs::{
    CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, CgroupSock, CgroupSockAddr, RawTracePoint,
};
use aya::{Ebpf, EbpfLoader};
use monitor_common::object::KernelObject;
use monitor_common::verdict::Tier;

use super::attach::{Absence, Hook, MOVES, Program};
use super::btf::Btf;
use super::error::Error;
use super::function::{self, Functions, Link, Loaded, Purpose};
use super::load::{
    FILES, JOIN_OPTION, Join, Kernel, Settings, State, Tried, may_write_user_memory, programs,
};
use super::pin::Pins;
use super::{cgroup, object, tables};
use crate::policy::Policy;

/// Everything up to the programs: maps created and filled.
pub(super) struct Prepared {
    ebpf: Ebpf,
    btf: Btf,
    /// Programs on kernel functions, loaded; what is taken is attached.
    functions: HashMap<&'static str, Result<Loaded, function::Error>>,
    links: Vec<Link>,
    join: Join,
    unseen_rings: bool,
    /// Programs of [`MOVES`] that are attached.
    moves: usize,
    cgroup_root: File,
    pins: Option<Pins>,
}

impl Prepared {
    pub(super) fn new(policy: &Policy, settings: &Settings) -> Result<Self, Error> {
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
        let root_mode = settings.mode as u32;
        let agent = std::process::id();
        let fail_closed = u32::from(settings.pins.is_none());
        let spoil = u32::from(may_write_user_memory());
        let unseen_rings = !btf.has_io_threads();
        let ring = if unseen_rings { KernelObject::IoUringUnseen } else { KernelObject::IoUring };
        let ring_object = ring as u32;
        let dentry_argument = u32::from(btf.maps_owners());
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
            .override_global("DENTRY_ARGUMENT", &dentry_argument, true)
            .override_global("FAIL_CLOSED", &fail_closed, true)
            .override_global("AGENT", &agent, true);
        for (name, size) in tables::sizes(policy) {
            loader.map_max_entries(name, size);
        }
        let pins = settings.pins.as_ref().map(|folder| Pins::open(folder, policy)).transpose()?;
        let pinned_maps = pins.as_ref().map_or(Ok(Vec::new()), |pins| pins.maps(object))?;
        for (name, path) in &pinned_maps {
            loader.map_pin_path(name, path.as_path());
        }
        let mut ebpf = loader.load(object).map_err(|error| Error::Object(Box::new(error)))?;
        if !pins.as_ref().is_some_and(Pins::is_taken_over) {
            tables::fill(&mut ebpf, policy)?;
        }
        Ok(Self {
            ebpf,
            btf,
            functions: HashMap::new(),
            links: Vec::new(),
            join: Join(words),
            unseen_rings,
            moves: 0,
            cgroup_root,
            pins,
        })
    }

    /// Attaches the programs of a tier one after the other. With `hasty` it stops when the program on opened files is
    /// refused: the rest of the tier is not worth the time then.
    pub(super) fn attach_all(&mut self, tier: Tier, hasty: bool) -> Result<Vec<Tried>, Error> {
        if tier == Tier::Deny {
            self.load_functions(hasty)?;
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
        self.functions.clear();
        Ok(tried)
    }

    /// Has the programs on kernel functions verified, on every processor at once: there are forty of them.
    fn load_functions(&mut self, hasty: bool) -> Result<(), Error> {
        let functions = Functions::of(object::object()?, &self.ebpf).map_err(Error::Functions)?;
        let mut wanted: Vec<(&'static str, &'static str, Purpose)> = programs(Tier::Deny)
            .iter()
            .flat_map(|program| match program.absence {
                Absence::Instead(other) => vec![program, other],
                _ => vec![program],
            })
            .filter_map(|program| match program.hook {
                Hook::Result(function) => Some((program.name, function, Purpose::Modify)),
                Hook::Entry(function) => Some((program.name, function, Purpose::Watch)),
                _ => None,
            })
            .collect();
        let first =
            wanted.iter().position(|(name, ..)| *name == FILES).map(|index| wanted.swap_remove(index));
        if let Some((name, function, purpose)) = first {
            let loaded = functions.load(&self.btf, name, function, purpose);
            let refused = loaded.is_err();
            self.functions.insert(name, loaded);
            if refused && hasty {
                return Ok(());
            }
        }
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8);
        let share = wanted.len().div_ceil(threads).max(1);
        let (functions, btf) = (&functions, &self.btf);
        let loaded: Vec<_> = std::thread::scope(|scope| {
            let load = |part: &[(&'static str, &'static str, Purpose)]| -> Vec<_> {
                part.iter()
                    .map(|(name, function, purpose)| (*name, functions.load(btf, name, function, *purpose)))
                    .collect()
            };
            let parts: Vec<_> = wanted.chunks(share).map(|part| scope.spawn(move || load(part))).collect();
            // A thread that panicked has loaded nothing; its programs are then missing, by name.
            parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
        });
        self.functions.extend(loaded);
        Ok(())
    }

    fn attach_or_replace(&mut self, program: &'static Program) -> State {
        let begin = std::time::Instant::now();
        let attached = self.attach(program);
        tracing::debug!("{}: {} ms", program.name, begin.elapsed().as_millis());
        let error = match attached {
            Ok(()) => {
                self.moves += usize::from(MOVES.contains(&program.name));
                return State::Attached;
            }
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
            Hook::Result(function) | Hook::Entry(function) => self.put_on(program, function)?,
            Hook::RawTracepoint(tracepoint) => {
                let hook = raw_tracepoint(&mut self.ebpf, program)?;
                let id = hook.attach(tracepoint).map_err(refused)?;
                if let Some(pins) = &self.pins {
                    let link = hook.take_link(id).map_err(refused)?;
                    pins.link(FdLink::from(link), program.name)?;
                }
            }
            Hook::Cgroup => {
                let found = self.ebpf.program_mut(program.name).ok_or(Error::NoProgram(program.name))?;
                let hook: &mut CgroupSockAddr = found.try_into().map_err(refused)?;
                hook.load().map_err(refused)?;
                // A link always shares the hook with others, and refuses to be asked for it.
                let id = hook.attach(&self.cgroup_root, CgroupAttachMode::Single).map_err(refused)?;
                if let Some(pins) = &self.pins {
                    let link = hook.take_link(id).map_err(refused)?;
                    pins.link(FdLink::try_from(link).map_err(Error::NoLink)?, program.name)?;
                }
            }
            Hook::Egress | Hook::Ingress => {
                let direction = match program.hook {
                    Hook::Egress => CgroupSkbAttachType::Egress,
                    _ => CgroupSkbAttachType::Ingress,
                };
                let found = self.ebpf.program_mut(program.name).ok_or(Error::NoProgram(program.name))?;
                let hook: &mut CgroupSkb = found.try_into().map_err(refused)?;
                hook.load().map_err(refused)?;
                let id =
                    hook.attach(&self.cgroup_root, direction, CgroupAttachMode::Single).map_err(refused)?;
                if let Some(pins) = &self.pins {
                    let link = hook.take_link(id).map_err(refused)?;
                    pins.link(FdLink::try_from(link).map_err(Error::NoLink)?, program.name)?;
                }
            }
            Hook::Sockets => {
                let found = self.ebpf.program_mut(program.name).ok_or(Error::NoProgram(program.name))?;
                let hook: &mut CgroupSock = found.try_into().map_err(refused)?;
                hook.load().map_err(refused)?;
                let id = hook.attach(&self.cgroup_root, CgroupAttachMode::Single).map_err(refused)?;
                if let Some(pins) = &self.pins {
                    let link = hook.take_link(id).map_err(refused)?;
                    pins.link(FdLink::try_from(link).map_err(Error::NoLink)?, program.name)?;
                }
            }
            Hook::Enter(handler) => register(&mut self.ebpf, program, "ENTER_HANDLERS", handler as u32)?,
            Hook::Exit(handler) => register(&mut self.ebpf, program, "EXIT_HANDLERS", handler as u32)?,
        }
        Ok(())
    }

    fn put_on(&mut self, program: &Program, function: &'static str) -> Result<(), Error> {
        let refused = |source| Error::Function { name: function, sees: program.sees, source };
        let loaded = self.functions.remove(program.name).ok_or(Error::NoProgram(program.name))?;
        let link = loaded.and_then(Loaded::attach).map_err(refused)?;
        if let Some(pins) = &self.pins {
            link.pin(&pins.path_of_link(program.name)).map_err(refused)?;
        }
        self.links.push(link);
        Ok(())
    }

    /// Detaches what was attached.
    pub(super) fn abandon(self) {
        if let Some(pins) = &self.pins {
            pins.abandon();
        }
    }

    pub(super) fn finish(mut self, tier: Tier, blind: Vec<Tried>) -> Result<Kernel, Error> {
        if self.moves == MOVES.len() {
            let name = "REMEMBERING";
            let map = self.ebpf.map_mut(name).ok_or(Error::NoMap(name))?;
            Array::try_from(map)
                .and_then(|mut on| on.set(0, 1_u32, 0))
                .map_err(|source| Error::Map { name, source })?;
        }
        if let Some(pins) = &self.pins {
            // Only now: from here on our programs do what those of the predecessor did.
            pins.retire_others()?;
        }
        let Self { ebpf, links, join, unseen_rings, .. } = self;
        Ok(Kernel { ebpf, links, join, tier, blind, unseen_rings })
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
