//! The suite on this machine's own kernel.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result};

use super::kernel::Architecture;
use super::page::NATIVE;
use super::programs;
use super::run::{Report, Status, words};
use super::suite::Suite;
use crate::privilege;
use crate::workspace::without_cargo_environment;

const WHY_ROOT: &str = "pkgwarden loads programs into the kernel";

/// Runs it, as root.
pub(crate) fn run(tiers: &[String], only: &[String]) -> Result<Report> {
    privilege::ensure(WHY_ROOT)?;
    let host = Architecture::host().context("this machine is neither x86_64 nor aarch64")?;
    let programs = programs::build(host)?;
    let deed = programs.deed.to_str().context("the target directory's path is not UTF-8")?;
    let pkgwarden = programs.pkgwarden.to_str().context("the target directory's path is not UTF-8")?;

    let mut command = privilege::as_root(OsStr::new("env"), WHY_ROOT)?;
    // sudo's variables would make pkgwarden run the deeds as the invoking user.
    command.args(["-u", "SUDO_UID", "-u", "SUDO_GID", "-u", "SUDO_USER", "-u", "SUDO_COMMAND"]);
    command.args(words(deed, pkgwarden, tiers, only)).stdin(Stdio::null()).stdout(Stdio::piped());
    without_cargo_environment(&mut command);

    let begin = Instant::now();
    let status = Status::new();
    let mut child = command.spawn().context("cannot start the suite")?;
    let mut suite = Suite::default();
    let mut read = Ok(());
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            read = line
                .context("cannot read what the suite prints")
                .and_then(|line| suite.line(&line))
                .and(read);
            status.show(NATIVE, &suite.counts(tiers));
        }
    }
    let code = child.wait().context("cannot wait for the suite")?.code().unwrap_or(-1);
    let checked = read.and_then(|()| suite.check(code).map(drop));
    let seconds = begin.elapsed().as_secs();
    match &checked {
        Ok(()) => status.done(NATIVE, &format!("{}, {} ({seconds} s)", suite.counts(tiers), suite.verdict())),
        Err(error) => status.done(NATIVE, &format!("FAILED after {seconds} s: {error:#}")),
    }
    Ok(Report { kernel: NATIVE, suite: checked.map(|()| suite) })
}
