//! `pkgwarden run`.

mod files;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, ValueEnum};
use monitor_common::verdict::{Achieved, Mode, Tier};
use nix::sys::wait::WaitStatus;

use self::files::{Files, Written, begin_events};
use super::format::{Format, ReportFile};
use crate::bpf::load::{Kernel, Settings};
use crate::bpf::traffic::Flow;
use crate::bpf::tree::Members;
use crate::event::log::{End, Host, Rules, Run};
use crate::event::text::Text;
use crate::event::time::Timestamp;
use crate::finding::pipeline::Pipeline;
use crate::policy::{Environment, Policy};
use crate::report::layout::Screen;
use crate::report::redact;
use crate::rule::load::load;
use crate::rule::syntax::{Network, Severity};
use crate::run::appearing::Appearing;
use crate::run::command;
use crate::run::gate::{self, Extent, Gate, Known, Unread};
use crate::run::guard::Guard;
use crate::run::live::Live;
use crate::run::signals::Signals;
use crate::run::user::Invoker;
use crate::run::watch::{EventFile, Outcome, Watch};
use crate::run::{EXIT_FINDINGS, EXIT_UNPROTECTED, EXIT_USAGE};
use crate::run::{secrets, starter};

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
    /// Run the command even if it cannot be watched, and say so
    #[arg(long, env = "PKGWARDEN_ALLOW_UNPROTECTED")]
    allow_unprotected: bool,
    /// The command
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
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
    let invoker = Invoker::of_this_process()?;
    let environment = environment(&invoker)?;
    let compiled = load(&args.rules).and_then(|set| {
        let started_by =
            starter::told(&args.started_by, &set).map_err(|problem| set.explain(vec![problem]))?;
        let theirs = started_by.iter().find_map(|name| set.starters.get(name)?.network);
        let network = args.network.or(set.network).or(theirs).unwrap_or_default();
        let policy = Policy::compile(&set, &Environment { network, started_by, ..environment })?;
        let secrets = secrets::find(&set, &policy);
        Ok((policy, secrets))
    });
    let (policy, mut secrets) = match compiled {
        Ok(compiled) => compiled,
        Err(problems) => {
            anstream::eprint!("{}", problems.render(std::io::stderr().is_terminal()));
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    // Before anything is switched on: a run whose report cannot be written is not begun.
    let files = Files::create(args)?;
    let reports = args.report.iter().map(|report| &report.path);
    secrets.add_own(&policy, args.rules.iter().chain(&args.events).chain(reports));
    let settings = Settings { mode: args.mode, tier: args.tier, pins: None };
    let protected = Protection::switch_on(&policy, &secrets, &settings);
    let protection = match protected {
        Ok(protection) => protection,
        Err(error) if args.allow_unprotected => {
            super::complain(&error);
            anstream::eprintln!("pkgwarden: --allow-unprotected: running the command WITHOUT protection");
            return unprotected(args, &invoker);
        }
        Err(error) => {
            super::complain(&error);
            anstream::eprintln!("pkgwarden: nothing was run");
            return Ok(ExitCode::from(EXIT_UNPROTECTED));
        }
    };
    protection.run(args, &invoker, policy, Known::of(secrets.files.iter()), files)
}

/// What the patterns of the rules stand for on this machine.
fn environment(invoker: &Invoker) -> anyhow::Result<Environment> {
    let mut variables: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    variables.insert("HOME".to_owned(), invoker.home.to_string_lossy().into_owned());
    Ok(super::with_registries(Environment::of_machine(&std::env::current_dir()?, variables)))
}

/// Runs the command as if pkgwarden were not there.
fn unprotected(args: &RunArgs, invoker: &Invoker) -> anyhow::Result<ExitCode> {
    match command::start(&args.command, invoker, None, None, || true) {
        Ok(started) => Ok(ExitCode::from(exit_code(nix::sys::wait::waitpid(started.pid, None)?))),
        Err(error) => Ok(refused(error)),
    }
}

fn refused(error: command::Error) -> ExitCode {
    let code = error.exit_code();
    super::complain(&anyhow::Error::new(error));
    ExitCode::from(code)
}

/// The kernel side, attached, and the guard that outlives us.
struct Protection {
    kernel: Kernel,
    members: Arc<Members>,
    guard: Guard,
    appearing: Option<Appearing>,
}

impl Protection {
    fn switch_on(policy: &Policy, secrets: &secrets::Found, settings: &Settings) -> anyhow::Result<Self> {
        let mut kernel = Kernel::load(policy, settings)?;
        for (program, _) in kernel.blind() {
            anstream::eprintln!(
                "pkgwarden: this kernel refuses {}, so {} are not seen; `pkgwarden doctor` says why",
                program.name,
                program.sees
            );
        }
        let members = Arc::new(kernel.take_members()?);
        // Compiling and loading leave tens of megabytes of free memory behind; the run should not hold on to them.
        // SAFETY: gives free pages of the heap back to the kernel, nothing else.
        unsafe { libc::malloc_trim(0) };
        let guard = Guard::start(&members)?;
        let mut agents = kernel.take_agents()?;
        for process in [std::process::id(), guard.pid().as_raw().unsigned_abs()] {
            agents.add(process)?;
        }
        let appearing = Appearing::watch(secrets)
            .inspect_err(|error| tracing::warn!("secrets that appear are known by name only: {error}"))
            .ok();
        secrets::learn(secrets, &mut kernel.take_learning()?);
        Ok(Self { kernel, members, guard, appearing })
    }

    fn run(
        mut self,
        args: &RunArgs,
        invoker: &Invoker,
        mut policy: Policy,
        known: Known,
        files: Files,
    ) -> anyhow::Result<ExitCode> {
        let names = Arc::new(std::mem::take(&mut policy.names));
        let run = Run {
            time: Timestamp::now(),
            tier: self.kernel.tier(),
            mode: args.mode,
            command: redact::arguments(
                &args.command.iter().map(|word| word.as_encoded_bytes()).collect::<Vec<_>>(),
            ),
            started_by: policy.environment.started_by.iter().map(|name| Text::from(name.as_str())).collect(),
            rules: Rules {
                count: names.rules.len(),
                sources: std::iter::once(Text::from(&b"built-in"[..]))
                    .chain(args.rules.iter().map(|folder| Text::from(folder.as_os_str().as_encoded_bytes())))
                    .collect(),
            },
            host: Host::current(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let Files { events, recorded, reports } = files;
        let events = events.map(|file| begin_events(file, &run)).transpose()?;
        let mut pipeline = Pipeline::new(names, run.tier, super::clock_offset());
        let signals = Signals::take_over()?;
        let ring = self.kernel.take_ring()?;

        let join = self.kernel.join();
        // Detached survivors would be left behind a gate without a keeper.
        let may_be =
            args.mode == Mode::Block && args.survivors == Survivors::Kill && gate::supported().is_ok();
        let extent = match run.tier {
            Tier::Kill => Some(Extent::Everything),
            Tier::Deny => self.kernel.has_unseen_rings().then_some(Extent::Rings),
        };
        let watchers = [std::process::id(), self.guard.pid().as_raw().unsigned_abs()];
        let gated = extent.filter(|_| may_be).map(|extent| (extent, watchers));
        let labelled = || !self.members.is_empty();
        let started = match command::start(&args.command, invoker, Some(join), gated, labelled) {
            Ok(started) => started,
            Err(error) => {
                self.guard.dismiss();
                return Ok(refused(error));
            }
        };
        let gate = match started
            .listener
            .map(|listener| Gate::open(listener, policy, self.members.clone(), known, watchers))
        {
            None => Gate::none(),
            Some(Ok(gate)) => gate,
            Some(Err(error)) => {
                let _ = self.members.kill_all(None, Duration::from_secs(5));
                self.guard.dismiss();
                return Err(anyhow::Error::new(error).context("cannot start the thread of the gate"));
            }
        };
        let Gate { refused: denials, unread } = gate;
        let watch = Watch {
            ring,
            refused: denials,
            members: &self.members,
            signals,
            guard: &self.guard,
            appearing: self.appearing.take(),
            command: started.pid,
            pipeline: &mut pipeline,
            events,
            listener: Live::new(),
            linger: Duration::from_secs(args.linger),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let watched = runtime.block_on(watch.until_over());
        drop(runtime);
        let (outcome, mut events) = match watched {
            Ok(over) => over,
            Err(error) => {
                // Nothing may run on unwatched.
                let _ = self.members.kill_all(None, Duration::from_secs(5));
                self.guard.dismiss();
                return Err(error.into());
            }
        };
        self.end_survivors(args, &outcome, &mut pipeline, &mut events)?;
        let lost = self.lost(&outcome, &unread);
        self.guard.dismiss();
        let files = Written { events, recorded, reports };
        finish(args, &outcome, (lost, self.kernel.traffic()), run, &pipeline, files)
    }

    /// Processes that outlived the command are a finding; in block mode they end here.
    fn end_survivors(
        &self,
        args: &RunArgs,
        outcome: &Outcome,
        pipeline: &mut Pipeline,
        events: &mut Option<EventFile>,
    ) -> anyhow::Result<()> {
        if outcome.survivors.is_empty() {
            return Ok(());
        }
        let kill = args.mode == Mode::Block && args.survivors == Survivors::Kill;
        let achieved = if !kill {
            Achieved::Observed
        } else if self.members.kill_all(None, Duration::from_secs(5)).is_empty() {
            Achieved::Killed
        } else {
            Achieved::Missed
        };
        for pid in &outcome.survivors {
            let event = pipeline.survivor(*pid, achieved, args.linger);
            if let Some(file) = events {
                file.event(&event)?;
            }
        }
        Ok(())
    }

    /// What the kernel side and this program could not do.
    fn lost(&self, outcome: &Outcome, unread: &Unread) -> BTreeMap<String, u64> {
        let mut lost: BTreeMap<String, u64> = self
            .kernel
            .failures()
            .into_iter()
            .filter(|(counter, _)| !counter.is_told_otherwise())
            .map(|(counter, n)| (counter.word().to_owned(), n))
            .collect();
        if outcome.undecoded > 0 {
            lost.insert("undecoded".to_owned(), outcome.undecoded);
        }
        if unread.count() > 0 {
            lost.insert("gate-unread".to_owned(), unread.count());
        }
        lost
    }
}

/// Reports, and the exit code.
fn finish(
    args: &RunArgs,
    outcome: &Outcome,
    (lost, flows): (BTreeMap<String, u64>, Vec<Flow>),
    run: Run,
    pipeline: &Pipeline,
    files: Written,
) -> anyhow::Result<ExitCode> {
    if let Some(error) = &outcome.events_error {
        anstream::eprintln!("pkgwarden: the events file is incomplete: {error}");
    }
    if outcome.guard_lost {
        anstream::eprintln!("pkgwarden: the guard process was killed, so the tree was ended");
    }
    let worst = pipeline.worst();
    let own = exit_code(outcome.status);
    let code = match own {
        0 if outcome.guard_lost => EXIT_UNPROTECTED,
        0 if worst.is_some_and(|worst| worst >= args.fail_on) => EXIT_FINDINGS,
        own => own,
    };
    let traffic = pipeline.traffic(&flows);
    let end = End { time: Timestamp::now(), exit_code: Some(code), lost, traffic };
    let summary = pipeline.summary(run, Some(end));
    let written = files.write(&summary);
    // Whatever became of the files: who typed the command is told.
    Format::Human.report(Screen::stderr()).render(
        &summary,
        &mut std::iter::empty(),
        &mut anstream::stderr(),
    )?;
    written?;
    Ok(ExitCode::from(code))
}

/// The command's own exit code, or 128+n.
fn exit_code(status: WaitStatus) -> u8 {
    match status {
        WaitStatus::Exited(_, code) => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
        WaitStatus::Signaled(_, signal, _) => 128_u8.saturating_add(signal as u8),
        _ => EXIT_UNPROTECTED,
    }
}
