//! The command line.

pub mod rules;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Watches what package installs do, in the kernel, and stops what they must not.
#[derive(Debug, Parser)]
#[command(name = "pkgwarden", version, about, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check, test, list and explain the rules.
    Rules(rules::RulesArgs),
}

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    /// When it cannot be done; the message names the thing and the next step.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.command {
            Command::Rules(args) => rules::run(args),
        }
    }
}
