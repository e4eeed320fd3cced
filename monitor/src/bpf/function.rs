//! Programs on kernel functions: fmod_ret, which may replace what a function returns, and fentry.
//!
//! `security_*` functions may be modified so since v5.7 (kernel/bpf/verifier.c `check_attach_modify_return`), whether or
//! not `bpf` is among the security modules of the kernel's command line. aya has no such program type, so this module
//! does by hand what aya does for its own: the object is read a second time, given the maps that aya has made, and each
//! program goes through BPF_PROG_LOAD with the attach type BPF_MODIFY_RETURN and BPF_RAW_TRACEPOINT_OPEN.

use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use aya::Ebpf;
use aya_obj::generated::{bpf_attach_type, bpf_attr, bpf_cmd, bpf_prog_info, bpf_prog_type};
use aya_obj::{EbpfSectionKind, Object};

use super::btf::Btf;

/// A program could not be put on a function.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object is not what this module expects.
    #[error("the kernel object cannot be read: {0}")]
    Object(String),
    /// The kernel has no such function, or does not describe it.
    #[error("this kernel has no function {0}")]
    NoFunction(&'static str),
    /// The object lacks the program.
    #[error("the kernel object has no program {0}")]
    NoProgram(&'static str),
    /// BPF_BTF_LOAD, BPF_PROG_LOAD or BPF_RAW_TRACEPOINT_OPEN failed.
    #[error("{step} was refused{}", if .log.is_empty() { String::new() } else { format!(": {}", .log) })]
    Refused {
        /// Which of them.
        step: &'static str,
        /// Last words of the verifier.
        log: String,
        /// Errno.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Whether the kernel has no such function, or none that a program can be put on.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        match self {
            Self::NoFunction(_) => true,
            // Arguments that are structs: kernel/bpf/btf.c `btf_distill_func_proto`, before v6.1.
            Self::Refused { log, .. } => log.ends_with("type STRUCT is unsupported."),
            _ => false,
        }
    }
}

/// What the program is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To replace the result.
    Modify,
    /// To be called first.
    Watch,
}

/// A program that the verifier has taken.
#[derive(Debug)]
pub struct Loaded(OwnedFd);

impl Loaded {
    /// Puts it on its function.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn attach(self) -> Result<Link, Error> {
        let mut attr = blank();
        attr.raw_tracepoint.prog_fd = self.0.as_raw_fd() as u32;
        let link = call(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attr);
        let refused = |source| Error::Refused { step: "attaching", log: String::new(), source };
        Ok(Link { link: link.map_err(refused)?, program: self.0 })
    }
}

/// An attached program; it is detached when this is dropped, unless it is pinned.
#[derive(Debug)]
pub struct Link {
    link: OwnedFd,
    program: OwnedFd,
}

impl Link {
    /// Keeps the program attached when this process is gone.
    ///
    /// # Errors
    /// If `path` is not on bpffs, or exists.
    pub fn pin(&self, path: &Path) -> Result<(), Error> {
        let refused = |source| Error::Refused { step: "pinning", log: String::new(), source };
        let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| refused(error.into()))?;
        let mut attr = blank();
        // SAFETY: the member of the union that BPF_OBJ_PIN reads.
        let pin = unsafe { &mut attr.__bindgen_anon_4 };
        pin.pathname = name.as_ptr() as u64;
        pin.bpf_fd = self.link.as_raw_fd() as u32;
        command(bpf_cmd::BPF_OBJ_PIN, &mut attr).map(drop).map_err(refused)
    }

    /// How often the kernel did not ask the program: while it runs for one process, it is left out for another that takes
    /// the processor meanwhile (kernel/bpf/trampoline.c `__bpf_prog_enter_recur`, since v5.12). Only kernels that preempt
    /// themselves do that; an act that was not judged was let go. 0 where the kernel does not tell.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        // SAFETY: a struct of integers: zero is a valid value of each.
        let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
        let mut attr = blank();
        attr.info.bpf_fd = self.program.as_raw_fd() as u32;
        attr.info.info_len = size_of::<bpf_prog_info>() as u32;
        attr.info.info = (&raw mut info) as u64;
        match command(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr) {
            Ok(_) => info.recursion_misses,
            Err(_) => 0,
        }
    }
}

/// The object, ready for programs to be taken from it.
pub struct Functions {
    object: Object,
    btf: Option<OwnedFd>,
}

impl Functions {
    /// Reads the object and joins it to the maps that aya has made of it.
    ///
    /// # Errors
    /// If the object does not fit the maps, or the kernel refuses its type information.
    pub fn of(object: &[u8], ebpf: &Ebpf) -> Result<Self, Error> {
        let broken = |error: &dyn std::fmt::Display| Error::Object(error.to_string());
        let mut object = Object::parse(object).map_err(|error| broken(&error))?;
        let btf = match aya::features().btf() {
            None => None,
            Some(features) => {
                let btf = object.fixup_and_sanitize_btf(features).map_err(|error| broken(&error))?;
                btf.map(|btf| load_btf(&btf.to_bytes())).transpose()?
            }
        };
        let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
        let described: Vec<(String, aya_obj::Map)> = object.maps.drain().collect();
        let mut maps: Vec<(&str, RawFd, &aya_obj::Map)> = Vec::new();
        for (name, map) in &described {
            match ebpf.map(name) {
                Some(made) => maps.push((name, map_fd(made), map)),
                // A section for data that has none is not made into a map.
                None if matches!(map.section_kind(), EbpfSectionKind::Data | EbpfSectionKind::Bss) => {}
                None => return Err(Error::Object(format!("its map {name} was not made"))),
            }
        }
        object.relocate_maps(maps.into_iter(), &text).map_err(|error| broken(&error))?;
        object.relocate_calls(&text).map_err(|error| broken(&error))?;
        object.sanitize_functions(aya::features());
        Ok(Self { object, btf })
    }

    /// Loads a program for a function.
    ///
    /// # Errors
    /// If the kernel has no such function, or refuses.
    pub fn load(
        &self,
        kernel: &Btf,
        program: &'static str,
        function: &'static str,
        purpose: Purpose,
    ) -> Result<Loaded, Error> {
        let target = kernel.function(function).ok_or(Error::NoFunction(function))?;
        self.load_for(program, target, purpose).map(Loaded)
    }

    fn load_for(&self, name: &'static str, target: u32, purpose: Purpose) -> Result<OwnedFd, Error> {
        let program = self.object.programs.get(name).ok_or(Error::NoProgram(name))?;
        let function = self.object.functions.get(&program.function_key()).ok_or(Error::NoProgram(name))?;
        let functions = function.func_info.func_info_bytes();
        let lines = function.line_info.line_info_bytes();
        let mut attr = blank();
        // SAFETY: the member of the union that BPF_PROG_LOAD reads; all of it is zero, which is a valid value.
        let load = unsafe { &mut attr.__bindgen_anon_3 };
        let label = CString::new(&name[..name.len().min(load.prog_name.len() - 1)]).unwrap_or_default();
        for (to, from) in load.prog_name.iter_mut().zip(label.as_bytes()) {
            *to = *from as _;
        }
        load.prog_type = bpf_prog_type::BPF_PROG_TYPE_TRACING as u32;
        load.expected_attach_type = match purpose {
            Purpose::Modify => bpf_attach_type::BPF_MODIFY_RETURN,
            Purpose::Watch => bpf_attach_type::BPF_TRACE_FENTRY,
        } as u32;
        load.attach_btf_id = target;
        load.insns = function.instructions.as_ptr() as u64;
        load.insn_cnt = function.instructions.len() as u32;
        load.license = program.license.as_ptr() as u64;
        if let Some(btf) = &self.btf {
            load.prog_btf_fd = btf.as_raw_fd() as u32;
            load.func_info = functions.as_ptr() as u64;
            load.func_info_cnt = function.func_info.len() as u32;
            load.func_info_rec_size = function.func_info_rec_size as u32;
            load.line_info = lines.as_ptr() as u64;
            load.line_info_cnt = function.line_info.len() as u32;
            load.line_info_rec_size = function.line_info_rec_size as u32;
        }
        call(bpf_cmd::BPF_PROG_LOAD, &mut attr).map_err(|first| {
            // Once more, to hear why; without a log the verifier is faster.
            let mut log = vec![0_u8; 4 << 20];
            // SAFETY: as above.
            let load = unsafe { &mut attr.__bindgen_anon_3 };
            load.log_level = 1;
            load.log_buf = log.as_mut_ptr() as u64;
            load.log_size = log.len() as u32;
            let source = call(bpf_cmd::BPF_PROG_LOAD, &mut attr).err().unwrap_or(first);
            Error::Refused { step: "loading", log: last_words(&log), source }
        })
    }
}

/// What the verifier said last, without its statistics.
fn last_words(log: &[u8]) -> String {
    let text = String::from_utf8_lossy(log.split(|byte| *byte == 0).next().unwrap_or(&[])).into_owned();
    tracing::debug!("the verifier said:\n{text}");
    let statistics = |line: &&str| !line.starts_with("processed ") && !line.trim().is_empty();
    text.lines().rev().find(statistics).unwrap_or_default().to_owned()
}

fn map_fd(map: &aya::maps::Map) -> RawFd {
    use aya::maps::Map;
    macro_rules! fd {
        ($($kind:ident)*) => {
            match map {
                $(Map::$kind(data))|* => data.fd().as_fd().as_raw_fd(),
                // No other kind is in our object.
                _ => -1,
            }
        };
    }
    fd!(Array HashMap LruHashMap PerCpuArray ProgramArray RingBuf SkStorage Stack LpmTrie)
}

fn load_btf(bytes: &[u8]) -> Result<OwnedFd, Error> {
    let mut attr = blank();
    // SAFETY: the member of the union that BPF_BTF_LOAD reads.
    let load = unsafe { &mut attr.__bindgen_anon_7 };
    load.btf = bytes.as_ptr() as u64;
    load.btf_size = bytes.len() as u32;
    let step = "type information of the kernel object";
    call(bpf_cmd::BPF_BTF_LOAD, &mut attr).map_err(|source| Error::Refused {
        step,
        log: String::new(),
        source,
    })
}

fn blank() -> bpf_attr {
    // SAFETY: a union of structs of integers: zero is a valid value of each.
    unsafe { std::mem::zeroed() }
}

/// bpf(2), for commands that give a descriptor.
fn call(command_number: bpf_cmd, attr: &mut bpf_attr) -> std::io::Result<OwnedFd> {
    let descriptor = command(command_number, attr)?;
    // SAFETY: a new descriptor, ours alone.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn command(number: bpf_cmd, attr: &mut bpf_attr) -> std::io::Result<RawFd> {
    // SAFETY: the attributes point to memory that outlives the call, with lengths that are theirs.
    let result = unsafe { libc::syscall(libc::SYS_bpf, number as u32, attr, size_of::<bpf_attr>()) };
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(result as RawFd) }
}
