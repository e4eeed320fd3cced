//! `pkgwarden rules`: check, test, list and explain the rules.

mod allow;
mod check;
mod coverage;
mod explain;
mod given;
mod list;
mod test;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};

use super::{variables, with_registries};
use crate::policy::{Environment, Policy};
use crate::rule::syntax::{Network, RuleFile};
use crate::rule::{Problems, RuleSet, load};

/// What a wrong rule set ends with, as wrong usage does.
const RULE_ERROR: u8 = 2;

/// Arguments of `pkgwarden rules`.
#[derive(Debug, Args)]
pub struct RulesArgs {
    #[command(subcommand)]
    command: Command,
    /// Folder with more rules, added to the built-in ones; may be repeated
    #[arg(long = "rules", value_name = "DIR", env = "PKGWARDEN_RULES", global = true)]
    folders: Vec<PathBuf>,
    /// How far scripts may reach; without it what the rules say, else audit
    #[arg(long, value_enum, value_name = "REACH", env = "PKGWARDEN_NETWORK", global = true)]
    network: Option<Network>,
    /// Write JSON to standard output
    #[arg(long, env = "PKGWARDEN_JSON", global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read and compile the rules, and say how large they are
    Check,
    /// Run the tests inside the rule files
    Test(test::TestArgs),
    /// Show every rule on a line
    List,
    /// Say what a rule means, or what the rules say to an act
    Explain(Box<explain::ExplainArgs>),
    /// Make the narrowest exception for a finding, or a test of its rule
    Allow(allow::AllowArgs),
    /// Write the JSON Schema of a rule file
    Schema,
}

/// Runs `pkgwarden rules`.
///
/// # Errors
/// When output cannot be written or a question is malformed. Wrong rules are shown and end with exit code 2.
pub fn run(args: &RulesArgs) -> anyhow::Result<ExitCode> {
    let done = match &args.command {
        Command::Schema => return schema(),
        Command::Check => check::run(args),
        Command::Test(own) => test::run(args, own),
        Command::List => list::run(args),
        Command::Allow(own) => allow::run(args, own),
        Command::Explain(question) => explain::run(args, question),
    };
    match done {
        Ok(code) => Ok(code),
        Err(error) => match error.downcast::<Problems>() {
            Ok(problems) => {
                anstream::eprint!("{}", problems.render(true));
                Ok(ExitCode::from(RULE_ERROR))
            }
            Err(error) => Err(error),
        },
    }
}

impl RulesArgs {
    fn load(&self) -> Result<RuleSet, Problems> {
        load(&self.folders)
    }

    /// How far scripts may reach.
    fn network(&self, set: &RuleSet) -> Network {
        self.network.or(set.network).unwrap_or_default()
    }

    fn compile_here(&self, set: &RuleSet) -> anyhow::Result<Policy> {
        Ok(Policy::compile(set, &Environment { network: self.network(set), ..here()? })?)
    }
}

/// What patterns mean for whoever asks.
fn here() -> anyhow::Result<Environment> {
    let project = std::env::current_dir()
        .context("the working directory cannot be named; change to one that exists")?;
    Ok(with_registries(Environment::of_machine(&project, variables())))
}

fn schema() -> anyhow::Result<ExitCode> {
    print_json(&schemars::schema_for!(RuleFile))
}

/// Writes a value for programs; a reader that stops reading is no error.
pub(super) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<ExitCode> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    print(&text)
}

/// Writes to standard output; a reader that stops reading is no error.
pub(super) fn print(text: &str) -> anyhow::Result<ExitCode> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output cannot be written")
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// The word of a value as rules write it.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
