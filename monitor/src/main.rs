//! `pkgwarden`: parse, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser;
use monitor::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().dispatch()
}
