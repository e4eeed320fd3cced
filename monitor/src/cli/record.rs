//! `pkgwarden record`.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::lockfile::{LockOptions, unfinished};
use crate::event::text::Text;
use crate::lock::compare::{added, check};
use crate::lock::{Lock, words};
use crate::report::phrase::counted;
use crate::run::user::Invoker;

/// Write down what the scripts of packages do, in pkgwarden.lock
///
/// Runs a command as `run` does, and adds what each package's scripts did to the lockfile: programs they started, secrets
/// they read, what they changed outside their own folder, whom they reached and asked for. Review the file as you review
/// code, commit it, and let `check` hold later installs to it. Several runs, also on other machines, add up.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo pkgwarden record -- npm ci
  sudo pkgwarden record --lock ci.lock --events events.jsonl -- cargo build
  pkgwarden record --from events.jsonl

Exit code: as that of `run`. A lockfile that cannot be read is never overwritten: 2, and nothing is run.")]
pub struct RecordArgs {
    #[command(flatten)]
    lockfile: LockOptions,
    /// Forget what the lockfile says, instead of adding to it
    #[arg(long, env = "PKGWARDEN_ANEW")]
    anew: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// As those of `run`; and if the lockfile cannot be written.
pub fn run(args: &RecordArgs) -> anyhow::Result<ExitCode> {
    if let Some(done) = args.lockfile.schema() {
        return done;
    }
    let mut store = match args.lockfile.open() {
        Ok(store) => store,
        Err(code) => return Ok(code),
    };
    let (recorded, code) = match args.lockfile.record(&store)? {
        Ok(recorded) => recorded,
        Err(code) => return Ok(code),
    };
    let was_there = store.is_there() && !args.anew;
    if args.anew {
        store.lock = Lock::default();
    }
    let news = check(&store.lock, &recorded.lock);
    store.lock.merge(&recorded.lock);
    let owner = Invoker::of_this_process().context("the owner of the lockfile")?;
    store.write((owner.uid.as_raw(), owner.gid.as_raw()))?;
    let file = Text::from(args.lockfile.lock.as_path());
    if was_there && !news.is_empty() {
        anstream::eprint!("{}", words::news(&news));
    }
    anstream::eprintln!(
        "pkgwarden: recorded {} of {} in {file}, {} of them new{}",
        counted(recorded.lock.acts() as u64, "act", "acts"),
        counted(recorded.lock.packages() as u64, "package", "packages"),
        added(&news),
        unfinished(code),
    );
    Ok(ExitCode::from(code))
}
