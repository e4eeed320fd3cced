//! `pkgwarden diff`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::check::{Difference, SCHEMA};
use super::lockfile::refuse;
use super::rules::{print, print_json};
use crate::lock::compare::diff;
use crate::lock::store::read;
use crate::lock::words;

/// Tell what differs between two lockfiles
///
/// What a version does now that the one before did not, and what it does no longer.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pkgwarden diff old.lock pkgwarden.lock
  git show main:pkgwarden.lock > main.lock && pkgwarden diff main.lock pkgwarden.lock --json

Exit code: 0, whether there are differences or not; 2 if a file cannot be read.")]
pub struct DiffArgs {
    /// The lockfile before
    before: PathBuf,
    /// The lockfile after
    after: PathBuf,
    /// Write JSON to standard output
    #[arg(long, env = "PKGWARDEN_JSON")]
    json: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// If standard output cannot be written.
pub fn run(args: &DiffArgs) -> anyhow::Result<ExitCode> {
    let both = read(&args.before).and_then(|(before, _)| Ok((before, read(&args.after)?.0)));
    let (before, after) = match both {
        Ok(both) => both,
        Err(problems) => return Ok(refuse(&problems)),
    };
    let changes = diff(&before, &after);
    if args.json {
        return print_json(&Difference { schema: SCHEMA, changes: &changes });
    }
    print(&words::differences(&changes))
}
