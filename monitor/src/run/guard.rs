//! A second process that outlives this one by a moment: if pkgwarden dies, the tree dies with it.
//!
//! The kernel side notices the agent's death by itself and kills each member at its next system call, but its programs
//! go when the last descriptor on them is closed. The guard holds these descriptors, ends members that make no system
//! call, and then leaves, and nothing stays attached.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::unistd::{ForkResult, Pid, fork, setsid};

use super::decoys::Planted;
use crate::bpf::tree::Members;

/// How long the guard tries to end a tree: until its processes are gone, unless they hang in the kernel.
const PATIENCE: Duration = Duration::from_secs(60);

/// The guard, from this side.
pub struct Guard {
    pid: Pid,
    /// Closed by the kernel when this process dies.
    lifeline: PipeWriter,
}

impl Guard {
    /// Starts the guard of all trees, and of what has to be removed when they have ended.
    ///
    /// # Errors
    /// If there can be no other process; the run must not begin then.
    pub fn start(members: &Members, planted: Option<&Planted>) -> std::io::Result<Self> {
        let (end, lifeline) = std::io::pipe()?;
        // SAFETY: this process has one thread here (the runtime is started later), so the child may do whatever it likes.
        match unsafe { fork() }? {
            ForkResult::Child => {
                drop(lifeline);
                stand_guard(members, planted, end);
            }
            ForkResult::Parent { child } => Ok(Self { pid: child, lifeline }),
        }
    }

    /// Its process id.
    #[must_use]
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends the guard home: the tree is over, or is to live on.
    pub fn dismiss(mut self) {
        let _ = self.lifeline.write_all(&[1]);
        let _ = nix::sys::wait::waitpid(self.pid, None);
    }
}

/// The guard's life: never returns.
fn stand_guard(members: &Members, planted: Option<&Planted>, mut end: PipeReader) -> ! {
    // Out of the terminal's reach: Ctrl-C is for the command.
    let _ = setsid();
    let _ = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), None);
    let _ = nix::sys::prctl::set_name(c"pkgwarden-guard");
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        // Whoever reads our output must not wait for the guard.
        let _ = nix::unistd::dup2_stdin(null.as_fd());
        let _ = nix::unistd::dup2_stdout(null.as_fd());
        let _ = nix::unistd::dup2_stderr(null.as_fd());
    }
    let dismissed = end.read_exact(&mut [0]).is_ok();
    if !dismissed {
        let _ = members.kill_all(None, PATIENCE);
        // Nobody is left who could be told what could not be removed.
        let _ = planted.map(Planted::remove);
    }
    // SAFETY: ends this process without running the parent's exit handlers.
    unsafe { libc::_exit(0) }
}
