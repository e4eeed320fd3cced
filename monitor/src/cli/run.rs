//! `pkgwarden run`, and what `record` and `check` have in common with it.

mod decoys;
mod ending;
mod environment;
mod files;
mod prepare;
mod protection;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, ValueEnum};
use monitor_common::verdict::{Mode, Tier};

use self::decoys::DecoyArgs;
use self::ending::exit_code;
use self::environment::EnvironmentArgs;
use self::files::Files;
use self::prepare::{Prepared, prepare};
use self::protection::Protection;
use super::format::ReportFile;
use crate::bpf::load::Settings;
use crate::lock::Recorder;
use crate::rule::syntax::{Network, Severity};
use crate::run::command;
use crate::run::gate::Known;
use crate::run::user::Invoker;
use crate::run::{EXIT_UNPROTECTED, EXIT_USAGE};

/// Run a command and watch everything it starts
///
/// The command keeps its terminal, its signals and its exit code. Its package managers may do what package managers do;
/// the code that packages bring may not read your keys, call home, or leave something behind. What it tries is stopped
/// and named.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo pkgwarden run -- npm install
  sudo pkgwarden run --mode audit --report findings.html -- pip install -r requirements.txt
  sudo pkgwarden run --report md=$GITHUB_STEP_SUMMARY --report pkgwarden.sarif -- npm ci
  sudo pkgwarden run --rules ./our-rules -- cargo build

Exit code: the command's own; 120 if it succeeded but there are findings at or above --fail-on; 121 if protection could
not be switched on (nothing was run then); 2 for wrong usage or rules; 128+n if a signal ended the command.")]
pub struct RunArgs {
    #[command(flatten)]
    options: RunOptions,
    /// The command
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// How a command is watched.
#[derive(Debug, Args)]
pub struct RunOptions {
    /// Report only (`audit`), or carry the verdicts out (`block`)
    #[arg(long, value_name = "MODE", default_value = "block", env = "PKGWARDEN_MODE", value_parser = mode)]
    mode: Mode,
    /// Insist on a tier: `deny` (calls fail) or `kill` (the process dies); without it the best one is taken
    #[arg(long, value_name = "TIER", env = "PKGWARDEN_TIER", value_parser = tier)]
    tier: Option<Tier>,
    /// Add the rules in this folder to the built-in ones (repeatable)
    #[arg(long, value_name = "DIR", env = "PKGWARDEN_RULES", value_delimiter = ':')]
    rules: Vec<PathBuf>,
    /// How far scripts may reach; without it what the rules say, else audit
    #[arg(long, value_enum, value_name = "REACH", env = "PKGWARDEN_NETWORK")]
    network: Option<Network>,
    /// Say who started this, instead of looking: `agent:claude`, `ci:github`, `nobody`; agents are held to stricter rules
    #[arg(long, value_name = "NAME", env = "PKGWARDEN_STARTED_BY", value_delimiter = ',')]
    started_by: Vec<String>,
    /// Write every event to this file, one JSON object a line
    #[arg(long, value_name = "FILE", env = "PKGWARDEN_EVENTS")]
    events: Option<PathBuf>,
    /// Write a report (repeatable); its name chooses the format: .html, .md, .sarif, .ocsf.jsonl, .ecs.jsonl, .txt,
    /// and JSON otherwise; `FORMAT=FILE` where the name cannot end so
    #[arg(long, value_name = "FILE", env = "PKGWARDEN_REPORT", value_delimiter = ':',
        value_parser = OsStringValueParser::new().map(ReportFile::from))]
    report: Vec<ReportFile>,
    /// Exit with 120 if there is a finding this bad: info, low, medium, high, critical
    #[arg(long, value_name = "SEVERITY", default_value = "high", env = "PKGWARDEN_FAIL_ON", value_parser = severity)]
    fail_on: Severity,
    /// How long processes may outlive the command, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, env = "PKGWARDEN_LINGER")]
    linger: u64,
    /// What happens to those that live longer, in block mode
    #[arg(long, value_enum, default_value_t = Survivors::Kill, env = "PKGWARDEN_SURVIVORS")]
    survivors: Survivors,
    #[command(flatten)]
    environment: EnvironmentArgs,
    #[command(flatten)]
    decoys: DecoyArgs,
    /// Run the command even if it cannot be watched, and say so
    #[arg(long, env = "PKGWARDEN_ALLOW_UNPROTECTED")]
    allow_unprotected: bool,
}

/// What happens to processes that outlive the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Survivors {
    /// They are killed
    Kill,
    /// They live on, unwatched
    Detach,
}

fn mode(word: &str) -> Result<Mode, String> {
    Mode::from_word(word).ok_or_else(|| "it is `audit` or `block`".to_owned())
}

fn tier(word: &str) -> Result<Tier, String> {
    Tier::from_word(word).ok_or_else(|| "it is `deny` or `kill`".to_owned())
}

fn severity(word: &str) -> Result<Severity, String> {
    super::severity(word).ok_or_else(|| "it is `info`, `low`, `medium`, `high` or `critical`".to_owned())
}

/// Runs the command. Every way out is an exit code.
///
/// # Errors
/// What is none of the command's business and none of the documented refusals.
pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    execute(&args.options, &args.command, None).map(Ended::exit_code)
}

/// How a command came to its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ended {
    /// Nothing was run, or nothing was watched.
    Unwatched(ExitCode),
    /// It was watched to its end; the code that `run` exits with.
    Watched(u8),
}

impl Ended {
    fn exit_code(self) -> ExitCode {
        match self {
            Self::Unwatched(code) => code,
            Self::Watched(code) => ExitCode::from(code),
        }
    }
}

/// Somebody who takes down what packages do, and the file they do it for, which no package may write to.
pub(super) struct Recording<'a> {
    pub(super) recorder: &'a mut Recorder,
    pub(super) file: &'a Path,
}

/// Watches a command.
///
/// # Errors
/// As [`run`].
pub(super) fn execute(
    args: &RunOptions,
    command: &[OsString],
    recording: Option<Recording<'_>>,
) -> anyhow::Result<Ended> {
    let mut invoker = Invoker::of_this_process()?;
    let observing = recording.is_some();
    let Prepared { policy, mut secrets, decoys } = match prepare(args, command, observing, &mut invoker)? {
        Ok(prepared) => prepared,
        Err(problems) => {
            anstream::eprint!("{}", problems.render(std::io::stderr().is_terminal()));
            return Ok(Ended::Unwatched(ExitCode::from(EXIT_USAGE)));
        }
    };
    // Before anything is switched on: a run whose report cannot be written is not begun.
    let files = Files::create(args)?;
    let reports = args.report.iter().map(|report| &report.path);
    let lockfile = recording.as_ref().map(|recording| recording.file.to_path_buf());
    secrets.add_own(&policy, args.rules.iter().chain(&args.events).chain(&lockfile).chain(reports));
    let settings = Settings { mode: args.mode, tier: args.tier, pins: None };
    let protected = Protection::switch_on(&policy, &secrets, &settings, decoys.as_ref());
    let protection = match protected {
        Ok(protection) => protection,
        Err(error) if args.allow_unprotected => {
            super::complain(&error);
            drop(decoys);
            anstream::eprintln!("pkgwarden: --allow-unprotected: running the command WITHOUT protection");
            return unprotected(command, &invoker).map(Ended::Unwatched);
        }
        Err(error) => {
            super::complain(&error);
            anstream::eprintln!("pkgwarden: nothing was run");
            return Ok(Ended::Unwatched(ExitCode::from(EXIT_UNPROTECTED)));
        }
    };
    let watched = Watched { args, command, invoker: &invoker };
    let recorder = recording.map(|recording| recording.recorder);
    protection.run(&watched, policy, Known::of(secrets.files.iter()), files, recorder)
}

/// What is run, how, and for whom.
struct Watched<'a> {
    args: &'a RunOptions,
    command: &'a [OsString],
    invoker: &'a Invoker,
}

/// Runs the command as if pkgwarden were not there.
fn unprotected(command: &[OsString], invoker: &Invoker) -> anyhow::Result<ExitCode> {
    match command::start(command, invoker, None, None, || true) {
        Ok(started) => Ok(ExitCode::from(exit_code(nix::sys::wait::waitpid(started.pid, None)?))),
        Err(error) => Ok(refused(error)),
    }
}

fn refused(error: command::Error) -> ExitCode {
    let code = error.exit_code();
    super::complain(&anyhow::Error::new(error));
    ExitCode::from(code)
}
