//! What `record`, `check` and `diff` have in common: where the lockfile is, and where the events come from.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::rules::print_json;
use super::run::{Ended, Recording, RunOptions, execute};
use crate::event::log::Reader;
use crate::event::text::Text;
use crate::lock::Lock;
use crate::lock::recorder::{Recorded, Recorder};
use crate::lock::store::Store;
use crate::report::redact;
use crate::rule::Problems;
use crate::run::{EXIT_FINDINGS, EXIT_USAGE};

/// Where the lockfile is, and what happens.
#[derive(Debug, Args)]
pub(super) struct LockOptions {
    /// The lockfile
    #[arg(long, value_name = "FILE", default_value = "pkgwarden.lock", env = "PKGWARDEN_LOCK")]
    pub(super) lock: PathBuf,
    /// Read the events of a recorded run instead of running a command; needs no root; `-` is standard input
    #[arg(long, value_name = "EVENTS", conflicts_with = "command", env = "PKGWARDEN_FROM")]
    from: Option<PathBuf>,
    /// Write the JSON Schema of a lockfile to standard output, and do nothing else
    #[arg(long, conflicts_with_all = ["from", "command"])]
    schema: bool,
    #[command(flatten)]
    options: RunOptions,
    /// The command
    #[arg(last = true, required_unless_present_any = ["from", "schema"], value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl LockOptions {
    /// What was done, if only the schema was asked for.
    pub(super) fn schema(&self) -> Option<anyhow::Result<ExitCode>> {
        self.schema.then(|| print_json(&schemars::schema_for!(Lock)))
    }

    /// The lockfile, or what to exit with if it cannot be used.
    pub(super) fn open(&self) -> Result<Store, ExitCode> {
        Store::open(&self.lock).map_err(|problems| refuse(&problems))
    }

    /// Watches the command, or reads the events: what was recorded, and the code of the run, 0 for one that is over; or what
    /// to exit with if nothing was watched.
    pub(super) fn record(&self, store: &Store) -> anyhow::Result<Result<(Recorded, u8), ExitCode>> {
        let mut recorder = Recorder::new();
        let code = if let Some(from) = &self.from {
            events(from, &mut recorder)?;
            0
        } else {
            let recording = Recording { recorder: &mut recorder, file: store.path() };
            match execute(&self.options, &self.command, Some(recording))? {
                Ended::Unwatched(code) => return Ok(Err(code)),
                Ended::Watched(code) => code,
            }
        };
        let recorded = recorder.finish();
        warn(&recorded);
        Ok(Ok((recorded, code)))
    }
}

/// Reads the events of a run that is over.
fn events(from: &Path, recorder: &mut Recorder) -> anyhow::Result<()> {
    if from.as_os_str() == "-" {
        return read(recorder, std::io::stdin().lock()).context("standard input");
    }
    let name = Text::from(from);
    let file = File::open(from).with_context(|| {
        format!("{name} cannot be opened; give a file that `pkgwarden record --events` wrote")
    })?;
    read(recorder, BufReader::new(file)).with_context(|| name.to_string())
}

fn read(recorder: &mut Recorder, input: impl BufRead) -> anyhow::Result<()> {
    let mut reader = Reader::new(input);
    while let Some(mut entry) = reader.next_entry()? {
        redact::entry(&mut entry);
        recorder.entry(&entry);
    }
    Ok(())
}

/// Says how far what was recorded can be relied upon.
fn warn(recorded: &Recorded) {
    if !recorded.observed {
        anstream::eprintln!(
            "pkgwarden: these are the events of `pkgwarden run`, which tells only of what a rule is about; record with \
             `pkgwarden record --events FILE` to have all"
        );
    }
    if recorded.lost > 0 {
        anstream::eprintln!(
            "pkgwarden: {} acts or calls could not be followed, so what packages did may not be all here",
            recorded.lost
        );
    }
    if recorded.left_out > 0 {
        anstream::eprintln!(
            "pkgwarden: {} acts were left out, because one script did too many different things",
            recorded.left_out
        );
    }
}

/// What is added where the command failed.
pub(super) fn unfinished(code: u8) -> &'static str {
    if code == 0 || code == EXIT_FINDINGS { "" } else { "; the command failed, so there may be more to come" }
}

/// Shows what is wrong with a lockfile.
pub(super) fn refuse(problems: &Problems) -> ExitCode {
    anstream::eprint!("{}", problems.render(std::io::stderr().is_terminal()));
    ExitCode::from(EXIT_USAGE)
}
