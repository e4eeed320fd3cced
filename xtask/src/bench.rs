//! `cargo xtask bench`: the budgets, measured in pairs on this machine, written into docs/benchmarks.md.
//!
//! Two things are compared by running them in turn, A B B A, and dividing each pair: what slows the machine down for a
//! while slows both. A row is the median of those ratios and their quartiles, never a single time.

mod agent;
mod counted;
mod flood;
pub(crate) mod inside;
mod install;
mod micro;
mod page;
mod policy;
mod sample;
mod watch;
pub(crate) mod worker;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::{env, fs};

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::workspace::{self, check, output};
use crate::{build, privilege, test_needs, vm};
use sample::Measured;
use watch::Bench;

const ROUNDS: usize = 21;
const WHY_ROOT: &str = "what is measured is watched from the kernel";

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The rows to measure; all of them without any.
    rows: Vec<Row>,
    /// Count instructions in a virtual machine instead: a table of its own, without noise.
    #[arg(long, conflicts_with_all = ["rows", "program"])]
    vm: bool,
    /// The kernel of the virtual machine.
    #[arg(long, requires = "vm", default_value = counted::KERNEL, value_parser = vm::names())]
    kernel: String,
    /// The mode of `pkgwarden run` that is measured.
    #[arg(long, default_value = "block", value_parser = ["audit", "block"])]
    mode: String,
    /// Pairs for each micro row, long rows take a part of it; or rounds in the virtual machine.
    #[arg(long)]
    rounds: Option<usize>,
    /// The program to measure instead of a fresh build; the page is then only printed.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Where work files are kept.
    #[arg(long, hide = true)]
    directory: Option<PathBuf>,
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// Bare against bare: what this machine cannot tell apart.
    Noise,
    /// open() by a watched process.
    Open,
    /// The same with 10,000 rules against 10.
    Rules,
    /// open() by a process nobody watches, while another tree is watched.
    Unwatched,
    /// fork, exec and exit of a small program.
    Spawn,
    /// connect() on loopback.
    Connect,
    /// `npm ci` of more than 500 packages.
    NpmCi,
    /// Events a second without loss.
    Events,
    /// The agent's resident memory.
    Memory,
    /// From start to enforcing.
    Start,
    /// The agent's processor time while nothing happens.
    Idle,
    /// Compiling 10,000 path patterns.
    Patterns,
}

impl Row {
    /// What is measured, and the goal, as the table has them.
    fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::Noise => ("open(), bare / bare: the noise of this machine", "–"),
            Self::Open => ("open() by a watched process, built-in rules, watched / bare", "≤ 1.25"),
            Self::Rules => ("open() by a watched process, 10,000 rules / 10 rules", "≤ 1.05"),
            Self::Unwatched => {
                ("open() by an unwatched process while another tree is watched / bare", "≤ 1.02")
            }
            Self::Spawn => ("fork + exec + exit, watched / bare", "≤ 1.10"),
            Self::Connect => ("connect() on loopback, watched / bare", "≤ 1.05"),
            Self::NpmCi => ("`npm ci` of 500+ packages, wall time, watched / bare", "≤ 1.03"),
            Self::Events => ("events that pass the filter, 10 s", "200,000 a second without loss"),
            Self::Memory => ("resident memory of the agent", "≤ 10 MiB"),
            Self::Start => ("start to enforcing, built-in rules", "≤ 150 ms"),
            Self::Idle => ("processor time of the agent in 10 idle seconds", "0 (under 1 ms)"),
            Self::Patterns => ("10,000 path patterns, compile", "≤ 2 s"),
        }
    }

    fn measure(self, bench: &Bench) -> Result<Measured> {
        match self {
            Self::Noise => micro::noise(bench),
            Self::Open => micro::open(bench),
            Self::Rules => policy::ten_thousand_rules(bench),
            Self::Unwatched => micro::unwatched(bench),
            Self::Spawn => micro::spawn(bench),
            Self::Connect => micro::connect(bench),
            Self::NpmCi => install::npm_ci(bench),
            Self::Events => flood::events(bench),
            Self::Memory => agent::memory(bench),
            Self::Start => agent::start(bench),
            Self::Idle => agent::idle(bench),
            Self::Patterns => policy::patterns(bench),
        }
    }
}

/// Builds, measures as root, writes the table.
pub(crate) fn bench(arguments: &Arguments) -> Result<()> {
    if arguments.vm {
        return counted::bench(&arguments.mode, arguments.rounds, &arguments.kernel);
    }
    privilege::ensure(WHY_ROOT)?;
    test_needs::ensure_for_bench()?;
    let program = match &arguments.program {
        Some(program) => {
            fs::canonicalize(program).with_context(|| format!("cannot find {}", program.display()))?
        }
        None => build::build()?,
    };
    // The loops must not be slowed by a debug build: that would hide what watching costs.
    let mut worker =
        workspace::cargo_command(&["build", "--quiet", "--release", "--package", "xtask", "--target-dir"]);
    let target = workspace::target()?;
    check("building the loops that are measured", worker.arg(&target))?;

    let mut command = privilege::as_root(OsStr::new("env"), WHY_ROOT)?;
    // Both sides of a pair run as root: sudo's variables would make pkgwarden change the user of one.
    command.args(["-u", "SUDO_UID", "-u", "SUDO_GID", "-u", "SUDO_USER", "-u", "SUDO_COMMAND"]);
    command.arg(target.join("release/xtask")).arg("bench-measure");
    command.arg("--program").arg(&program).arg("--directory").arg(target.join("bench"));
    command.args(["--mode", &arguments.mode, "--rounds", &rounds(arguments).to_string()]);
    command.args(
        arguments.rows.iter().filter_map(ValueEnum::to_possible_value).map(|row| row.get_name().to_owned()),
    );
    workspace::without_cargo_environment(&mut command);
    let said = output(&mut command)?;

    let path = workspace::root().join("docs/benchmarks.md");
    let old = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let order: Vec<&str> = Row::value_variants().iter().map(|row| row.text().0).collect();
    let new = page::updated(&old, &facts(arguments), &page::rows(&said)?, &order)?;
    print!("{}", page::table(&new)?);
    // The page speaks of this repository's program; another one does not belong there.
    if arguments.program.is_none() {
        fs::write(&path, &new).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("xtask: wrote {}", path.display());
    }
    Ok(())
}

/// The part that runs as root: one line of JSON for each row.
pub(crate) fn measure(arguments: &Arguments) -> Result<()> {
    let bench = Bench {
        program: arguments.program.clone().context("--program is needed")?,
        worker: env::current_exe().context("cannot find this program")?,
        directory: arguments.directory.clone().context("--directory is needed")?,
        mode: arguments.mode.clone(),
        tier: None,
        rounds: rounds(arguments),
    };
    fs::create_dir_all(&bench.directory)
        .with_context(|| format!("cannot make {}", bench.directory.display()))?;
    let rows = if arguments.rows.is_empty() { Row::value_variants() } else { &arguments.rows };
    for row in rows {
        let (what, goal) = row.text();
        eprintln!("xtask: measuring {what}");
        let measured = row.measure(&bench).unwrap_or_else(|error| {
            eprintln!("xtask: not measured: {error:#}");
            Measured::not(&format!("{error:#}"))
        });
        println!("{}", page::line(what, goal, &measured));
    }
    Ok(())
}

fn rounds(arguments: &Arguments) -> usize {
    arguments.rounds.unwrap_or(ROUNDS).max(1)
}

/// What a reader must know of the machine.
fn facts(arguments: &Arguments) -> Vec<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let information = read("/proc/cpuinfo");
    let model = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let commit = workspace::ask(workspace::git().args(["describe", "--always", "--dirty"]));
    vec![
        format!(
            "kernel: {} {} {}",
            read("/proc/sys/kernel/ostype"),
            read("/proc/sys/kernel/osrelease"),
            env::consts::ARCH
        ),
        format!("processors: {cores} × {}", model.map_or("unknown", |(_, name)| name.trim())),
        format!("pkgwarden: {}, `--mode {}`", commit.unwrap_or_else(|| "unknown".into()), arguments.mode),
        format!("reproduce: `cargo xtask bench --mode {} --rounds {}`", arguments.mode, rounds(arguments)),
    ]
}
