//! The suite on several kernels, a few at once.

use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::kernel::Kernel;
use super::prepare::{self, Prepared, Workshop};
use super::suite::Suite;

/// What is to be run.
pub(crate) struct Plan {
    /// On which kernels.
    pub(crate) kernels: Vec<&'static Kernel>,
    /// In which tiers.
    pub(crate) tiers: Vec<String>,
    /// Which deeds; all of them without any.
    pub(crate) only: Vec<String>,
    /// When a VM is ended at the latest.
    pub(crate) limit: Duration,
    /// How many VMs run at once.
    pub(crate) jobs: usize,
    /// Whether the other kernels are tried after one failed.
    pub(crate) keep_going: bool,
}

/// How it went on one kernel.
pub(crate) struct Report {
    /// The kernel's name.
    pub(crate) kernel: &'static str,
    /// What the suite said, if it came to its end.
    pub(crate) suite: Result<Suite>,
}

impl Plan {
    /// Fetches, builds and boots what is needed; a report for each kernel that was tried, in the order of the plan.
    pub(crate) fn run(&self) -> Result<Vec<Report>> {
        let (prepared, mut reports) = self.prepare()?;
        reports.extend(self.boot_all(prepared));
        reports.sort_by_key(|report| self.kernels.iter().position(|kernel| kernel.name == report.kernel));
        Ok(reports)
    }

    /// Runs a program in each VM in turn and shows what it prints; whether all of them succeeded.
    pub(crate) fn run_program(&self, words: &[String]) -> Result<bool> {
        let (prepared, mut reports) = self.prepare()?;
        for one in &prepared {
            let machine = one.machine(self.limit, false);
            eprintln!(
                "xtask: {} ({}), its complaints go to {}",
                one.kernel.name,
                one.unpacked.release,
                machine.log.display()
            );
            let code = machine.run(words, |line| println!("{line}"));
            let suite = code
                .and_then(|code| if code == 0 { Ok(Suite::default()) } else { bail!("exit code {code}") });
            if let Err(error) = &suite {
                eprintln!("xtask: {}: {error:#}", one.kernel.name);
            }
            reports.push(Report { kernel: one.kernel.name, suite });
        }
        Ok(reports.iter().all(|report| report.suite.is_ok()))
    }

    /// What can be booted, and the reports of what cannot.
    fn prepare(&self) -> Result<(VecDeque<Prepared>, Vec<Report>)> {
        let mut reports = Vec::new();
        let mut fetched = Vec::new();
        // All that needs a network comes first.
        for &kernel in &self.kernels {
            match prepare::fetch(kernel) {
                Ok(unpacked) => fetched.push((kernel, unpacked)),
                Err(error) if self.keep_going => {
                    eprintln!("xtask: {error:#}");
                    reports.push(Report { kernel: kernel.name, suite: Err(error) });
                }
                Err(error) => return Err(error),
            }
        }
        let mut workshop = Workshop::new()?;
        let prepared: Result<_> =
            fetched.into_iter().map(|(kernel, unpacked)| workshop.prepare(kernel, unpacked, &[])).collect();
        Ok((prepared?, reports))
    }

    fn boot_all(&self, prepared: VecDeque<Prepared>) -> Vec<Report> {
        let queue = Mutex::new(prepared);
        let reports = Mutex::new(Vec::new());
        let failed = AtomicBool::new(false);
        let status = Status::new();
        thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(|| {
                    while self.keep_going || !failed.load(Ordering::Relaxed) {
                        let Some(next) = lock(&queue).pop_front() else { return };
                        let suite = self.boot(&next, &status);
                        if !suite.as_ref().is_ok_and(Suite::is_kept) {
                            failed.store(true, Ordering::Relaxed);
                        }
                        lock(&reports).push(Report { kernel: next.kernel.name, suite });
                    }
                });
            }
        });
        reports.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn boot(&self, prepared: &Prepared, status: &Status) -> Result<Suite> {
        let name = prepared.kernel.name;
        let machine = prepared.machine(self.limit, false);
        let begin = Instant::now();
        let mut suite = Suite::default();
        let mut broken = None;
        let code = machine.run(&words("/bin/deed", "/bin/pkgwarden", &self.tiers, &self.only), |line| {
            if let Err(error) = suite.line(line) {
                broken.get_or_insert(error);
            }
            status.show(name, &suite.counts(&self.tiers));
        });
        let checked =
            code.and_then(|code| broken.map_or(Ok(()), Err).and_then(|()| suite.check(code).map(drop)));
        let seconds = begin.elapsed().as_secs();
        match &checked {
            Ok(()) => {
                status.done(
                    name,
                    &format!(
                        "{}: {}, {} ({seconds} s)",
                        prepared.unpacked.release,
                        suite.counts(&self.tiers),
                        suite.verdict()
                    ),
                );
                // At once: the other kernels take their time.
                suite.broken().iter().for_each(|done| eprintln!("  {}", done.row(name)));
            }
            Err(error) => status.done(name, &format!("FAILED after {seconds} s: {error:#}")),
        }
        checked.map(|()| suite)
    }
}

/// The command line of the suite.
pub(super) fn words(deed: &str, pkgwarden: &str, tiers: &[String], only: &[String]) -> Vec<String> {
    let mut words: Vec<String> =
        [deed, "suite", "--pkgwarden", pkgwarden, "--tiers"].map(str::to_owned).into();
    words.push(tiers.join(","));
    words.extend(only.iter().flat_map(|name| ["--only".to_owned(), name.clone()]));
    words
}

/// What is running, in one line: renewed on a terminal, repeated now and then elsewhere.
pub(super) struct Status(Mutex<Running>);

struct Running {
    counts: Vec<(&'static str, String)>,
    shown: Instant,
    terminal: bool,
}

/// How long a log that is no terminal stays silent.
const SILENCE: Duration = Duration::from_secs(60);

impl Status {
    pub(super) fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self(Mutex::new(Running { counts: Vec::new(), shown: Instant::now(), terminal }))
    }

    pub(super) fn show(&self, kernel: &'static str, counts: &str) {
        let mut running = lock(&self.0);
        match running.counts.iter_mut().find(|(name, _)| *name == kernel) {
            Some((_, old)) => counts.clone_into(old),
            None => running.counts.push((kernel, counts.to_owned())),
        }
        let all: Vec<String> =
            running.counts.iter().map(|(name, counts)| format!("{name}: {counts}")).collect();
        if running.terminal {
            eprint!("\r\x1b[K{}", all.join("  |  "));
            // A line that is not shown is no reason to stop.
            let _ = std::io::stderr().flush();
        } else if running.shown.elapsed() >= SILENCE {
            eprintln!("xtask: so far: {}", all.join("; "));
            running.shown = Instant::now();
        }
    }

    pub(super) fn done(&self, kernel: &'static str, text: &str) {
        let mut running = lock(&self.0);
        running.counts.retain(|(name, _)| *name != kernel);
        let clear = if running.terminal { "\r\x1b[K" } else { "" };
        eprintln!("{clear}xtask: {kernel:10} {text}");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A thread that panicked has not left half of anything.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
