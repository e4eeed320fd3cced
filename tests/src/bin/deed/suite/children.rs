//! Whoever a run left behind.

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use pkgwarden_tests::deadline;

/// How long the dead may take to go. Whoever held the programs of a watch takes them off the kernel's functions on its
/// way out, one by one, which no signal cuts short.
const DYING: Duration = Duration::from_secs(180);

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
        let gone = deadline::until(DYING, || {
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
        let described: Vec<String> = left.iter().map(|pid| describe(*pid)).collect();
        if gone { Ok(()) } else { Err(format!("these outlive SIGKILL: {}", described.join(", "))) }
    }
}

/// What a process is, and what it waits for in the kernel.
fn describe(pid: i32) -> String {
    let read = |name: &str| {
        let text = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        String::from_utf8_lossy(&text).replace(['\0', '\n'], " ").trim().to_owned()
    };
    let state = status(pid).map_or('?', |(state, _)| state);
    format!("{pid} ({state}; {}; {}; {})", read("cmdline"), read("wchan"), read("stack"))
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
