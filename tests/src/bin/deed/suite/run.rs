//! One run of one deed.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};

use super::children::{self, Children};
use super::isolation::RULES;
use super::options::Options;
use super::scene::Scene;
use crate::Failure;
use crate::deeds::{Deed, cgroup_root};

/// How long between two looks at a process that runs.
const BEAT: Duration = Duration::from_millis(4);

/// How long survivors of a command may go on.
pub(super) const ORPHANED: Duration = Duration::from_secs(3);

/// Under whose eyes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Watch<'a> {
    /// Nobody's.
    Bare,
    /// pkgwarden's.
    Tier {
        /// How it is to act.
        tier: &'a str,
        /// The program.
        pkgwarden: &'a Path,
    },
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Exit code, as a shell has it.
    pub(super) code: i32,
    /// The signal that ended the watcher.
    pub(super) signal: Option<i32>,
    /// It took too long.
    pub(super) late: bool,
    /// What was seen to happen to the watcher.
    pub(super) watcher: Option<String>,
    stderr: String,
}

impl Ended {
    /// A deed whose watcher goes on.
    pub(super) fn of_batch(code: i32, late: bool, stderr: String) -> Self {
        Self { code, signal: None, late, watcher: None, stderr }
    }

    /// The last line it complained.
    pub(super) fn last_words(&self) -> String {
        let line = self.stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        line.trim_start_matches("deed: ").to_owned()
    }

    /// All it complained, in one line.
    pub(super) fn complaints(&self) -> String {
        self.stderr.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// For people.
    pub(super) fn describe(&self) -> String {
        let late = if self.late { "took too long, " } else { "" };
        format!("{late}exit {}, last words: {}", self.code, self.last_words())
    }
}

/// Does a deed and waits until nothing is left of it.
pub(super) fn run(
    deed: &Deed,
    scene: &mut Scene,
    program: &Path,
    watch: Watch<'_>,
    options: &Options,
) -> Result<Ended, Failure> {
    let children = Children::now();
    let errors = scene.folder().join("stderr");
    let mut command = match watch {
        Watch::Bare => {
            let mut command = Command::new(program);
            command.arg("stand-in").arg(program);
            command
        }
        Watch::Tier { tier, pkgwarden } => {
            let mut command = Command::new(pkgwarden);
            command
                .env("PKGWARDEN_STARTED_BY", "nobody")
                .args(["run", "--tier", tier, "--rules", RULES, "--linger", "1", "--events"])
                .arg(&scene.stage.events);
            command.arg("--").arg(program);
            command
        }
    };
    command.args(["do", deed.name]).arg(scene.folder().join("stage.json"));
    command.current_dir(&scene.stage.project).env_clear();
    command.env("HOME", &scene.stage.home).env("TMPDIR", "/tmp").env("PATH", "/usr/bin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&errors)?);
    // Signals to a whole group are not to reach the suite.
    command.process_group(0);
    // SAFETY: between fork and exec it makes one system call, which touches no memory.
    unsafe { command.pre_exec(|| Ok(unshare(CloneFlags::CLONE_NEWNS)?)) };
    let mut child =
        command.spawn().map_err(|why| format!("cannot start {:?}: {why}", command.get_program()))?;
    let waited = wait(&mut child, &scene.stage.token, options.limit * deed.patience);
    if matches!(&waited, Ok((_, false, _))) {
        // What the command left behind, perhaps without a watcher, goes on for a while.
        children.let_others_end(ORPHANED);
    }
    children.end_others()?;
    let (status, late, watcher) = waited?;
    let (code, signal) = (status.code(), status.signal());
    let stderr = String::from_utf8_lossy(&fs::read(&errors)?).into_owned();
    let code = code.unwrap_or_else(|| 128 + signal.unwrap_or(0));
    Ok(Ended { code, signal, late, watcher, stderr })
}

/// Whether a deed has frozen somebody in a cgroup of its own; lets them go on.
fn thaw(token: &str) -> bool {
    let Ok(group) = cgroup_root().map(|root| root.join(format!("deed-{token}"))) else { return false };
    let events = fs::read_to_string(group.join("cgroup.events")).unwrap_or_default();
    events.contains("frozen 1") && fs::write(group.join("cgroup.freeze"), "0").is_ok()
}

/// Waits for the watcher. One that was stopped is let go on, so that the run can end.
fn wait(
    child: &mut Child,
    token: &str,
    limit: Duration,
) -> Result<(ExitStatus, bool, Option<String>), Failure> {
    let end = Instant::now() + limit;
    let pid = child.id().cast_signed();
    let mut watcher = None;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, false, watcher));
        }
        if let Some((state @ ('T' | 't'), _)) = children::status(pid) {
            watcher = Some(format!("the watcher stands still ({state})"));
            // The whole group: a deed may have stopped itself with it.
            nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGCONT)?;
        }
        if thaw(token) {
            watcher = Some("the watcher is frozen".into());
        }
        if Instant::now() >= end {
            child.kill()?;
            return Ok((child.wait()?, true, watcher));
        }
        std::thread::park_timeout(BEAT);
    }
}
