//! `cargo xtask vm`: every known way round, on several kernels in virtual machines, and docs/evasions.md from it.

mod debian;
mod initramfs;
mod installs;
mod kernel;
mod machine;
mod modules;
mod native;
mod page;
mod prepare;
mod programs;
mod qemu;
mod root;
mod run;
mod store;
mod suite;

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

pub(crate) use self::prepare::Prepared;

use crate::tally::Tally;
use crate::workspace::{self, Failed};
use kernel::{FEW, KERNELS, Kernel};
use page::{NATIVE, Ran, TIERS};
use run::{Plan, Report};

/// Which kernels, and what of the suite.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Kernels by name (`--list` shows them); all that are booted without any. `native` is this machine's own.
    #[arg(value_name = "KERNEL", value_parser = names_with_native())]
    kernels: Vec<String>,
    /// Tiers to run in; `native` has `kill` only unless given.
    #[arg(long, value_delimiter = ',', value_parser = TIERS)]
    tiers: Vec<String>,
    /// Only the deed of this name.
    #[arg(long, value_name = "DEED")]
    only: Vec<String>,
    /// The end-to-end tests with real package managers instead of the suite, in the `deny` tier unless given; after
    /// `--`, words of which one is in a test's name.
    #[arg(long, conflicts_with_all = ["only", "write", "jobs"])]
    installs: bool,
    /// Try the other kernels after one has failed.
    #[arg(long)]
    keep_going: bool,
    /// Write the columns of these kernels into docs/evasions.md.
    #[arg(long)]
    write: bool,
    /// How many virtual machines run at once.
    #[arg(long, value_name = "N", default_value_t = 2)]
    jobs: usize,
    /// End a virtual machine after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = LIMIT)]
    limit: u64,
    /// Show the kernels and which of them are in the cache.
    #[arg(long)]
    list: bool,
    /// A program to run in the virtual machine instead of the suite: `-- /bin/pkgwarden doctor`.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Emulation is about seven times slower than the machine itself.
const LIMIT: u64 = 3600;
const PAGE: &str = "docs/evasions.md";

/// The names of the kernels that can be booted.
pub(crate) fn names() -> Vec<&'static str> {
    KERNELS.iter().map(|kernel| kernel.name).collect()
}

fn names_with_native() -> Vec<&'static str> {
    [names(), vec![NATIVE]].concat()
}

/// The subcommand.
pub(crate) fn vm(arguments: &Arguments) -> Result<()> {
    if arguments.list {
        return list();
    }
    let chosen = |name: &str| arguments.kernels.iter().any(|chosen| chosen == name);
    let kernels: Vec<&'static Kernel> =
        KERNELS.iter().filter(|kernel| arguments.kernels.is_empty() || chosen(kernel.name)).collect();
    let plan = Plan {
        kernels,
        tiers: tiers(&arguments.tiers, &TIERS),
        only: arguments.only.clone(),
        limit: Duration::from_secs(arguments.limit),
        jobs: arguments.jobs,
        keep_going: arguments.keep_going,
    };
    if arguments.installs {
        let mut tally = Tally::default();
        for tier in tiers(&arguments.tiers, &TIERS[..1]) {
            tally.add(installs::run(&plan.kernels, &tier, &arguments.command, plan.limit)?);
        }
        println!("{tally}");
        return if tally.failed == 0 {
            Ok(())
        } else {
            Err(Failed { what: "the tests".into(), code: 1 }.into())
        };
    }
    if !arguments.command.is_empty() {
        let succeeded = plan.run_program(&arguments.command)?;
        return if succeeded { Ok(()) } else { Err(Failed { what: "the command".into(), code: 1 }.into()) };
    }
    let mut outcome = Outcome::default();
    if !plan.kernels.is_empty() {
        outcome.add(&plan.run()?, &plan.tiers, &plan.only);
    }
    if chosen(NATIVE) {
        let tiers = tiers(&arguments.tiers, &["kill"]);
        outcome.add(&[native::run(&tiers, &arguments.only)?], &tiers, &arguments.only);
    }
    outcome.show();
    outcome.compare(arguments.write)?;
    println!("{}", outcome.tally);
    if outcome.tally.failed == 0 { Ok(()) } else { Err(Failed { what: "the suite".into(), code: 1 }.into()) }
}

/// The kernels that every change is tried on, counted as tests.
pub(crate) fn few() -> Result<Tally> {
    let plan = Plan {
        kernels: FEW.iter().filter_map(|name| kernel::find(name)).collect(),
        tiers: tiers(&[], &TIERS),
        only: Vec::new(),
        limit: Duration::from_secs(LIMIT),
        jobs: 2,
        keep_going: true,
    };
    let mut outcome = Outcome::default();
    outcome.add(&plan.run()?, &plan.tiers, &plan.only);
    outcome.show();
    outcome.compare(false)?;
    Ok(outcome.tally)
}

/// Makes one kernel ready to boot, with these programs more in it.
pub(crate) fn prepare(kernel: &str, more: &[(&str, &Path)]) -> Result<Prepared> {
    let kernel = kernel::find(kernel).with_context(|| format!("there is no kernel {kernel}"))?;
    let unpacked = prepare::fetch(kernel)?;
    prepare::Workshop::new()?.prepare(kernel, unpacked, more)
}

fn tiers(given: &[String], otherwise: &[&str]) -> Vec<String> {
    if given.is_empty() { otherwise.iter().map(ToString::to_string).collect() } else { given.to_vec() }
}

/// What came of a run on several kernels.
#[derive(Default)]
struct Outcome {
    /// Each deed in each way is a test, and so is each kernel's part of the page.
    tally: Tally,
    /// The rows that differ from what was promised.
    broken: Vec<String>,
    /// What was run, for the page.
    ran: Vec<(&'static str, Vec<String>, bool, suite::Suite)>,
}

impl Outcome {
    fn add(&mut self, reports: &[Report], tiers: &[String], only: &[String]) {
        for report in reports {
            let Ok(suite) = &report.suite else {
                self.tally.add(Tally::one(false));
                continue;
            };
            for done in &suite.done {
                let kept = done.kept;
                if kept && done.outcome == suite::Outcome::Impossible {
                    self.tally.skipped += 1;
                } else {
                    self.tally.add(Tally::one(kept));
                }
            }
            for (tier, why) in &suite.unprotected {
                self.tally.add(Tally::one(false));
                self.broken.push(format!(
                    "| {} | {tier} | – | no such tier | protected | – | {} |",
                    report.kernel,
                    suite::in_cell(why)
                ));
            }
            self.broken.extend(suite.broken().iter().map(|done| done.row(report.kernel)));
            self.ran.push((report.kernel, tiers.to_vec(), only.is_empty(), suite.clone()));
        }
    }

    fn show(&self) {
        if self.broken.is_empty() {
            return;
        }
        println!("| kernel | run | deed | outcome | promised | rule | seen |\n|---|---|---|---|---|---|---|");
        for row in &self.broken {
            println!("{row}");
        }
    }

    /// Writes the page, or counts as failed what it says differently.
    fn compare(&mut self, write: bool) -> Result<()> {
        let path = workspace::root().join(PAGE);
        let document =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let old = page::read(&document)?;
        let mut new = old.clone();
        for (kernel, tiers, whole, suite) in &self.ran {
            let next = new.with(&Ran { kernel, tiers, whole: *whole, suite });
            let drift = new.differences(&next);
            new = next;
            if write {
                continue;
            }
            self.tally.add(Tally::one(drift.is_empty()));
            for line in &drift {
                println!("{PAGE}: {line}");
            }
        }
        if write {
            fs::write(&path, page::written(&document, &new)?)
                .with_context(|| format!("cannot write {}", path.display()))?;
            eprintln!("xtask: wrote {}", path.display());
        } else if old.differences(&new).is_empty() {
            // The page is as it should be.
        } else {
            eprintln!(
                "xtask: {PAGE} is not what this run says; if it is meant so, run the same with --write"
            );
        }
        Ok(())
    }
}

fn list() -> Result<()> {
    let store = workspace::cache("kernels")?;
    for kernel in KERNELS {
        let state = match store::cached(&store, kernel) {
            Some(release) => format!("in the cache: {release}"),
            None => format!("to be fetched from Debian {}", kernel.suites.join(" or ")),
        };
        println!(
            "{:12} {:8} lsm={}  {state}",
            kernel.name,
            kernel.architecture.word(),
            kernel.security_modules()
        );
    }
    println!("{NATIVE:12} this machine's own kernel");
    Ok(())
}
