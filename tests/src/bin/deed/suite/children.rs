//! Whoever a run left behind.

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use pkgwarden_tests::deadline;

/// Our children before the run: they stay.
#[derive(Debug)]
pub(super) struct Children {
    known: HashSet<i32>,
}

impl Children {
    /// Remembers those that are there now.
    pub(super) fn now() -> Self {
        Self { known: of(std::process::id().cast_signed()).into_iter().collect() }
    }

    /// Waits until all others have ended, but not for long.
    pub(super) fn let_others_end(&self, limit: Duration) {
        let _ = deadline::until(limit, || {
            let mut left = of(std::process::id().cast_signed());
            left.retain(|pid| !self.known.contains(pid));
            for pid in &left {
                waitpid(Pid::from_raw(*pid), Some(WaitPidFlag::WNOHANG)).ok();
            }
            left.is_empty()
        });
    }

    /// Ends all others, and waits for them. Orphans of orphans come to us one after the other.
    pub(super) fn end_others(&self) -> Result<(), String> {
        let mut left = Vec::new();
        let gone = deadline::until(deadline::SOON, || {
            left = of(std::process::id().cast_signed());
            left.retain(|pid| !self.known.contains(pid));
            for pid in &left {
                // It may have ended since; then there is nothing to do.
                kill(Pid::from_raw(*pid), Signal::SIGCONT).ok();
                kill(Pid::from_raw(*pid), Signal::SIGKILL).ok();
                waitpid(Pid::from_raw(*pid), Some(WaitPidFlag::WNOHANG)).ok();
            }
            left.is_empty()
        });
        if gone { Ok(()) } else { Err(format!("these outlive SIGKILL: {left:?}")) }
    }
}

/// The children of a process.
pub(crate) fn of(parent: i32) -> Vec<i32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| status(*pid).is_some_and(|(_, its)| its == parent)).collect()
}

/// State and parent of a process.
pub(crate) fn status(pid: i32) -> Option<(char, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}
