//! Signals: what is meant for the command reaches the command, once.

use std::os::fd::{AsRawFd, RawFd};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

/// Signals that are passed on.
const PASSED: [Signal; 6] =
    [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2];

/// Signals of this process, as something that can be waited for.
pub struct Signals(SignalFd);

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// A child changed its state.
    Child,
    /// A signal from somebody, to be passed on.
    Pass(Signal),
    /// A signal from the terminal, which the command has got as well: it is in the same process group.
    Terminal,
}

impl Signals {
    /// Takes over the signals. The command gets a fresh mask when it is executed.
    ///
    /// # Errors
    /// If the kernel has no signalfd to give.
    pub fn take_over() -> nix::Result<Self> {
        let mut set = SigSet::empty();
        PASSED.into_iter().chain([Signal::SIGCHLD]).for_each(|signal| set.add(signal));
        set.thread_block()?;
        SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).map(Self)
    }

    /// The next signal, if one waits.
    ///
    /// # Errors
    /// If the descriptor cannot be read.
    pub fn next(&self) -> nix::Result<Option<Arrived>> {
        let Some(info) = self.0.read_signal()? else { return Ok(None) };
        let signal = i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok());
        Ok(signal.map(|signal| match signal {
            Signal::SIGCHLD => Arrived::Child,
            // SI_KERNEL: the terminal sent it to the whole process group (include/uapi/asm-generic/siginfo.h).
            Signal::SIGINT | Signal::SIGQUIT | Signal::SIGHUP if info.ssi_code == libc::SI_KERNEL => {
                Arrived::Terminal
            }
            other => Arrived::Pass(other),
        }))
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Passes a signal on to the command.
pub fn pass(signal: Signal, command: Pid) {
    // It may have ended already; then there is nobody to tell.
    let _ = kill(command, signal);
}
