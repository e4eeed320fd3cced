//! Starting the measured things: bare, watched, and under strace.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::sample::Sample;
use super::worker::{self, Step};

/// What all rows share.
pub(super) struct Bench {
    /// pkgwarden.
    pub(super) program: PathBuf,
    /// This program in a release build; its hidden subcommand is the measured loop.
    pub(super) worker: PathBuf,
    /// Work files.
    pub(super) directory: PathBuf,
    /// `audit` or `block`.
    pub(super) mode: String,
    /// The tier, if not the best there is.
    pub(super) tier: Option<String>,
    /// Pairs for a micro row.
    pub(super) rounds: usize,
}

/// Pairs under strace: it is slow, and its ratio is far from any goal.
const STRACE_ROUNDS: usize = 3;

impl Bench {
    /// The loop alone.
    pub(super) fn bare(&self, words: &[String]) -> Command {
        let mut command = Command::new(&self.worker);
        command.arg("bench-worker").args(words);
        command
    }

    /// The loop in a watched tree, with these rules instead of the built-in ones.
    pub(super) fn watched(&self, rules: Option<&Path>, words: &[String]) -> Command {
        let mut command = self.run(rules, &self.mode);
        command.arg("--").arg(&self.worker).arg("bench-worker").args(words);
        command
    }

    /// `pkgwarden run` without a command.
    pub(super) fn run(&self, rules: Option<&Path>, mode: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["run", "--mode", mode, "--started-by", "nobody"]);
        if let Some(tier) = &self.tier {
            command.args(["--tier", tier]);
        }
        if let Some(rules) = rules {
            command.arg("--rules").arg(rules);
        }
        command
    }

    /// The loop under `strace -f`.
    pub(super) fn traced(&self, words: &[String]) -> Command {
        let mut command = Command::new("strace");
        command
            .args(["-f", "-qq", "-o", "/dev/null", "--"])
            .arg(&self.worker)
            .arg("bench-worker")
            .args(words);
        command
    }

    /// Pairs of a loop under strace and the loop alone, by the wall: strace works in a process of its own.
    pub(super) fn strace_ratio(&self, words: &[String]) -> Result<Sample> {
        pairs(
            STRACE_ROUNDS,
            || Ok(step(&mut self.bare(words))?.wall),
            || Ok(step(&mut self.traced(words))?.wall),
        )
    }
}

/// Runs A and B in turn, A B B A, and divides each B by its A: what drifts falls on both.
pub(super) fn pairs(
    rounds: usize,
    mut a: impl FnMut() -> Result<f64>,
    mut b: impl FnMut() -> Result<f64>,
) -> Result<Sample> {
    // The first run of each finds cold caches.
    a()?;
    b()?;
    let mut ratios = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let (a, b) = if round % 2 == 0 {
            let first = a()?;
            (first, b()?)
        } else {
            let first = b()?;
            (a()?, first)
        };
        ratios.push(b / a);
    }
    Sample::new(ratios)
}

/// Runs a loop and returns what one step took on a processor.
pub(super) fn per_step(command: &mut Command) -> Result<f64> {
    Ok(step(command)?.processor)
}

/// Runs a loop and returns what one step took.
fn step(command: &mut Command) -> Result<Step> {
    let (what, said, complaint) = finish(command)?;
    said.lines().find_map(worker::read_result).with_context(|| format!("{what} printed no result{complaint}"))
}

/// Runs a command to its end and returns its wall time in seconds.
pub(super) fn wall(command: &mut Command) -> Result<f64> {
    let begin = Instant::now();
    finish(command)?;
    Ok(begin.elapsed().as_secs_f64())
}

/// Runs a command to its end and returns what it printed.
pub(super) fn said(command: &mut Command) -> Result<String> {
    Ok(finish(command)?.1)
}

/// Runs to the end; the command's name, what it printed, and its last complaint as the end of a sentence.
fn finish(command: &mut Command) -> Result<(String, String, String)> {
    let what = name(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {what}"))?;
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    let complaint = complaint(&complaints);
    if !output.status.success() {
        bail!("{what} ended with {}{complaint}", output.status);
    }
    Ok((what, String::from_utf8_lossy(&output.stdout).into_owned(), complaint))
}

/// What a program complained of, as the end of a sentence: pkgwarden says the reason first, others last.
fn complaint(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let reason = lines.clone().find(|line| line.starts_with("pkgwarden: ")).or_else(|| lines.next_back());
    reason.map(|line| format!(": {line}")).unwrap_or_default()
}

/// `pkgwarden run` and the like, for messages.
fn name(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy();
    let first =
        command.get_args().next().map(|word| format!(" {}", word.to_string_lossy())).unwrap_or_default();
    format!("`{program}{first}`")
}

/// A loop that does nothing until it is let go, perhaps in a watched tree.
pub(super) struct Held {
    child: Child,
    stdin: Option<ChildStdin>,
    /// From its start to the loop's first sign of life.
    pub(super) started_in: Duration,
}

impl Held {
    /// Starts `bench-worker hold` by this command, and waits until it runs.
    pub(super) fn start(bench: &Bench, mut command: Command) -> Result<Self> {
        let what = name(&command);
        // A file never fills up and blocks, as a pipe that nobody reads would.
        let complaints = bench.directory.join("held.txt");
        let stderr =
            File::create(&complaints).with_context(|| format!("cannot write {}", complaints.display()))?;
        let begin = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("cannot start {what}"))?;
        let stdin = child.stdin.take();
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).context("cannot read from the held loop")?;
        }
        let held = Self { child, stdin, started_in: begin.elapsed() };
        if line.trim() != worker::READY {
            let text = fs::read_to_string(&complaints).unwrap_or_default();
            bail!("{what} did not start the loop it was given{}", complaint(&text));
        }
        Ok(held)
    }

    /// The process that was started: pkgwarden, or the loop itself.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The loop ends at the end of its input, and pkgwarden with it.
        drop(self.stdin.take());
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        // Nothing more can be done if this fails: the child is gone, or not ours.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
