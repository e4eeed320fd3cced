//! `pkgwarden`: see `monitor::cli`.

use std::process::ExitCode;

use clap::Parser;
use monitor::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            anstream::eprintln!("pkgwarden: {error:#}");
            ExitCode::from(2)
        }
    }
}
