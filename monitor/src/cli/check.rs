//! `pkgwarden check`.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::lockfile::{LockOptions, unfinished};
use super::rules::print_json;
use crate::event::text::Text;
use crate::lock::compare::{Change, added, check, unknown_versions};
use crate::lock::words;
use crate::run::{EXIT_FINDINGS, EXIT_USAGE};

/// Hold packages to what pkgwarden.lock says of them
///
/// Runs a command as `run` does, and fails if a package's scripts do anything that the lockfile does not have. A new
/// version that does the same as those before passes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo pkgwarden check -- npm ci
  pkgwarden check --from events.jsonl --json
  pkgwarden check --schema > pkgwarden.lock.schema.json

Exit code: the command's own; 120 if it succeeded but there is something new, or findings as for `run`; 2 if the lockfile
is not there or cannot be read (nothing was run then).")]
pub struct CheckArgs {
    #[command(flatten)]
    lockfile: LockOptions,
    /// Write the difference to standard output, as JSON
    #[arg(long, env = "PKGWARDEN_JSON")]
    json: bool,
}

/// What `check` and `diff` write for programs.
#[derive(Serialize)]
pub(super) struct Difference<'a> {
    pub(super) schema: &'static str,
    pub(super) changes: &'a [Change],
}

/// Name and version of that.
pub(super) const SCHEMA: &str = "pkgwarden.difference/1";

/// Runs the subcommand.
///
/// # Errors
/// As those of `run`; and if standard output cannot be written.
pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    if let Some(done) = args.lockfile.schema() {
        return done;
    }
    let store = match args.lockfile.open() {
        Ok(store) => store,
        Err(code) => return Ok(code),
    };
    if !store.is_there() {
        let file = Text::from(args.lockfile.lock.as_path());
        anstream::eprintln!(
            "pkgwarden: there is no lockfile {file}; `pkgwarden record -- COMMAND` writes one; nothing was run"
        );
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    let (recorded, code) = match args.lockfile.record(&store)? {
        Ok(recorded) => recorded,
        Err(code) => return Ok(code),
    };
    let news = check(&store.lock, &recorded.lock);
    for [ecosystem, name, version] in unknown_versions(&store.lock, &recorded.lock) {
        anstream::eprintln!(
            "pkgwarden: {name} {version} ({ecosystem}) is not in the lockfile, and does nothing that another version of \
             it did not"
        );
    }
    if args.json {
        print_json(&Difference { schema: SCHEMA, changes: &news })?;
    }
    if news.is_empty() {
        let acts = recorded.lock.acts();
        let end = unfinished(code);
        anstream::eprintln!("pkgwarden: nothing new: all {acts} acts are in the lockfile{end}");
        return Ok(ExitCode::from(code));
    }
    anstream::eprint!("{}", words::news(&news));
    anstream::eprintln!(
        "pkgwarden: {} of {} acts are not in the lockfile; if they are honest, `pkgwarden record` adds them",
        added(&news),
        recorded.lock.acts()
    );
    Ok(ExitCode::from(if code == 0 { EXIT_FINDINGS } else { code }))
}
