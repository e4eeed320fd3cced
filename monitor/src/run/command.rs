//! Starting the command: labelled before it exists as a program, as the invoking user, with the terminal as it is.

use std::ffi::{CString, OsString};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::SigSet;
use nix::unistd::{ForkResult, Pid, fork, initgroups, setgid, setuid};

use super::gate::{self, Extent, Listener, Watchers};
use super::user::Invoker;
use crate::bpf::load::Join;

/// The command could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No pipe or no process.
    #[error("cannot start a process for the command")]
    Process(#[source] std::io::Error),
    /// The kernel side did not label it: nothing was run.
    #[error(
        "the kernel did not take the command into a tree, so nothing was run; `pkgwarden doctor` says what this kernel allows"
    )]
    NotLabelled,
    /// The program cannot be run.
    #[error("cannot run `{program}`")]
    Program {
        /// As it was written.
        program: String,
        /// Why.
        source: std::io::Error,
    },
}

impl Error {
    /// Exit code, by the shell's convention: 127 not found, 126 not executable.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Program { source, .. } if source.kind() == std::io::ErrorKind::NotFound => 127,
            Self::Program { .. } => 126,
            Self::Process(_) | Self::NotLabelled => super::EXIT_UNPROTECTED,
        }
    }
}

/// A command that runs.
#[derive(Debug)]
pub struct Started {
    /// Its first process.
    pub pid: Pid,
    /// Where its gated calls wait, if a gate was asked for and could be had.
    pub listener: Option<Listener>,
}

/// Starts `command`. With a `join` it is labelled first, and `is_labelled` must confirm it before the program is run.
/// With `gated` it starts behind the gate, which keeps it from these processes.
///
/// # Errors
/// If it cannot be started or labelled. Nothing of it is left then.
pub fn start(
    command: &[OsString],
    invoker: &Invoker,
    join: Option<Join>,
    gated: Option<(Extent, Watchers)>,
    is_labelled: impl Fn() -> bool,
) -> Result<Started, Error> {
    let (mut ready, child_ready) = std::io::pipe().map_err(Error::Process)?;
    let (child_go, mut go) = std::io::pipe().map_err(Error::Process)?;
    let (mut failure, child_failure) = std::io::pipe().map_err(Error::Process)?;
    let (gate, child_gate) = gated.map(|_| UnixStream::pair()).transpose().map_err(Error::Process)?.unzip();
    // SAFETY: this process has one thread here (the runtime is started later), so the child may do whatever it likes.
    let pid = match unsafe { fork() }.map_err(|error| Error::Process(error.into()))? {
        ForkResult::Child => {
            drop((ready, go, failure, gate));
            let ends = Ends {
                ready: child_ready,
                go: child_go,
                failure: child_failure,
                gate: child_gate.zip(gated),
            };
            become_command(command, invoker, join, ends);
        }
        ForkResult::Parent { child } => child,
    };
    drop((child_ready, child_go, child_failure, child_gate));
    let listener = match gate.map_or(Ok(None), |gate| Listener::take_from(&gate)) {
        Ok(listener) => listener,
        Err(error) => {
            drop(go);
            let _ = nix::sys::wait::waitpid(pid, None);
            return Err(Error::Process(error));
        }
    };
    let mut byte = [0];
    if join.is_some() && (ready.read_exact(&mut byte).is_err() || !is_labelled()) {
        // Without a word from us it ends before it runs anything.
        drop(go);
        let _ = nix::sys::wait::waitpid(pid, None);
        return Err(Error::NotLabelled);
    }
    go.write_all(&byte).map_err(Error::Process)?;
    let mut code = [0; 4];
    match failure.read_exact(&mut code) {
        // The end of the pipe without a word: the program is running.
        Err(_) => Ok(Started { pid, listener }),
        Ok(()) => {
            let _ = nix::sys::wait::waitpid(pid, None);
            let source = std::io::Error::from_raw_os_error(i32::from_ne_bytes(code));
            let program = command.first().map(|word| word.to_string_lossy().escape_debug().to_string());
            Err(Error::Program { program: program.unwrap_or_default(), source })
        }
    }
}

/// The child's ends of what it shares with its parent.
struct Ends {
    ready: PipeWriter,
    go: PipeReader,
    failure: PipeWriter,
    gate: Option<(UnixStream, (Extent, Watchers))>,
}

/// The child's side: never returns.
fn become_command(command: &[OsString], invoker: &Invoker, join: Option<Join>, ends: Ends) -> ! {
    let Ends { mut ready, mut go, mut failure, gate } = ends;
    let attempt = || -> std::io::Result<std::convert::Infallible> {
        if let Some((parent, gated)) = gate {
            gate::enter(&parent, gated)?;
        }
        if invoker.by_sudo {
            let name = CString::new(invoker.name.as_bytes())?;
            initgroups(&name, invoker.gid)?;
            setgid(invoker.gid)?;
            setuid(invoker.uid)?;
        }
        let (program, arguments) = command.split_first().ok_or(std::io::ErrorKind::NotFound)?;
        let mut program = Command::new(program);
        program.args(arguments);
        for name in &invoker.withheld {
            program.env_remove(name);
        }
        for (name, value) in invoker.environment() {
            match value {
                Some(value) => program.env(name, value),
                None => program.env_remove(name),
            };
        }
        // The mask is inherited; the command must get its signals.
        SigSet::empty().thread_set_mask()?;
        if let Some(join) = join {
            join.join();
            ready.write_all(&[1])?;
        }
        go.read_exact(&mut [0])?;
        Err(program.exec())
    };
    let code = match attempt() {
        Ok(never) => match never {},
        Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
    };
    let _ = failure.write_all(&code.to_ne_bytes());
    // SAFETY: ends this process without running the parent's exit handlers.
    unsafe { libc::_exit(127) }
}
