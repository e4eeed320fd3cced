//! The command line: one subcommand a file.

pub mod check;
pub mod diff;
pub mod doctor;
pub mod format;
mod lockfile;
pub mod record;
pub mod replay;
pub mod report;
pub mod rules;
pub mod run;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::policy::Environment;
use crate::policy::registries::{self, Configured};
use crate::rule::syntax::Severity;
use crate::run::EXIT_USAGE;

/// Watches what package installs do, in the kernel, and stops what they must not
///
/// Installing a package runs strangers' code with your keys in reach. pkgwarden watches the whole process tree of a
/// package manager from inside the kernel and decides, before a system call returns, whether this actor may do this to
/// that object. It names the package that did it.
#[derive(Debug, Parser)]
#[command(name = "pkgwarden", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Record(record::RecordArgs),
    Check(check::CheckArgs),
    Diff(diff::DiffArgs),
    Doctor(doctor::DoctorArgs),
    Rules(rules::RulesArgs),
    Report(report::ReportArgs),
    Replay(replay::ReplayArgs),
}

impl Cli {
    /// Does what was asked for.
    #[must_use]
    pub fn dispatch(self) -> ExitCode {
        log_to_stderr();
        let done = match &self.command {
            Command::Run(args) => run::run(args),
            Command::Record(args) => record::run(args),
            Command::Check(args) => check::run(args),
            Command::Diff(args) => diff::run(args),
            Command::Doctor(args) => doctor::run(args),
            Command::Rules(args) => rules::run(args),
            Command::Report(args) => report::run(args),
            Command::Replay(args) => replay::run(args),
        };
        done.unwrap_or_else(|error| {
            if is_broken_pipe(&error) {
                // Whoever read our output has seen enough.
                return ExitCode::SUCCESS;
            }
            complain(&error);
            ExitCode::from(EXIT_USAGE)
        })
    }
}

/// Says what went wrong, with its causes, on stderr.
fn complain(error: &anyhow::Error) {
    anstream::eprintln!("pkgwarden: {}", with_causes(error));
}

/// An error and its causes in one line.
fn with_causes(error: &anyhow::Error) -> String {
    let causes: Vec<String> = error.chain().map(|cause| first_line(&cause.to_string())).collect();
    causes.join(": ")
}

/// A verifier's log has thousands of lines; the first says what happened. `RUST_LOG=debug` shows all of it.
fn first_line(text: &str) -> String {
    tracing::debug!("{text}");
    text.lines().next().unwrap_or_default().to_owned()
}

/// The environment with the registries that this machine is configured to use; says what of it cannot be understood.
fn with_registries(environment: Environment) -> Environment {
    with_references(environment).0
}

/// The variables of this process that are text.
fn variables() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// As [`with_registries`], and the variables that files of managers refer to.
fn with_references(environment: Environment) -> (Environment, BTreeMap<String, PathBuf>) {
    let Configured { hosts, warnings, references } = registries::configured(&environment);
    for warning in warnings {
        anstream::eprintln!("pkgwarden: {warning}");
    }
    (Environment { registries: hosts, ..environment }, references)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .without_time()
        .init();
}

/// The severity that a word names.
fn severity(word: &str) -> Option<Severity> {
    [Severity::Info, Severity::Low, Severity::Medium, Severity::High, Severity::Critical]
        .into_iter()
        .find(|severity| format!("{severity:?}").eq_ignore_ascii_case(word))
}

/// The wall clock minus the boot clock, nanoseconds.
fn clock_offset() -> i64 {
    use nix::time::{ClockId, clock_gettime};
    let nanoseconds =
        |clock| clock_gettime(clock).map_or(0, |time| time.tv_sec() * 1_000_000_000 + time.tv_nsec());
    nanoseconds(ClockId::CLOCK_REALTIME) - nanoseconds(ClockId::CLOCK_BOOTTIME)
}
