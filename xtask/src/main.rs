//! `cargo xtask`: everything that is done with this repository, on a machine that has cargo and little else.
//!
//! | subcommand | what it does |
//! |---|---|
//! | `setup` | finds or installs the BPF toolchain |
//! | `build` | leaves one static program at `target/pkgwarden` |
//! | `run` | builds, then `pkgwarden run` as root in the caller's directory |
//! | `test` | unit tests, then the end-to-end tests as root, then fuzzing |
//! | `vm` | the evasion suite on other kernels, in virtual machines |
//! | `fuzz` | hostile input for whatever reads what it did not write |
//! | `bench` | measures the budgets, into docs/benchmarks.md |
//! | `lint` | format, clippy, licences, file length |
//!
//! What is missing is named before it is installed; what cannot be installed is one line and exit code 2.

mod apt;
mod bench;
mod build;
mod compiler;
mod fuzz;
mod generated;
mod licences;
mod linker;
mod lint;
mod privilege;
mod run;
mod servers;
mod setup;
mod tally;
mod test;
mod test_needs;
mod vm;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use workspace::{Failed, Missing};

/// Builds, runs, tests and measures pkgwarden.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Find or install what the kernel side is built with.
    Setup,
    /// Build one static program with the kernel object and the rules inside, at target/pkgwarden.
    Build,
    /// Build, then run a command under pkgwarden: `cargo xtask run [OPTIONS OF pkgwarden run] -- npm install left-pad`.
    ///
    /// The command runs in the current directory. From a directory outside this repository:
    /// `cargo run --quiet --manifest-path PATH/Cargo.toml --package xtask -- run -- npm install left-pad`.
    Run(run::Arguments),
    /// Run the unit tests, then the end-to-end tests as root, then each fuzz target for a minute.
    Test(test::Arguments),
    /// Try every known way round on other kernels, in virtual machines; docs/evasions.md says what came of it.
    Vm(vm::Arguments),
    /// Give hostile input to whatever reads what it did not write.
    Fuzz(fuzz::Arguments),
    /// Measure the budgets and write docs/benchmarks.md.
    Bench(bench::Arguments),
    /// Check format, clippy, licences and file length.
    Lint,
    /// The loops that `bench` measures; not for people.
    #[command(hide = true)]
    BenchWorker(bench::worker::Arguments),
    /// The part of `bench --vm` inside the virtual machine; prints one JSON object for each figure.
    #[command(hide = true)]
    BenchInside(bench::inside::Arguments),
    /// The part of `bench` that needs root; prints one JSON object for each row.
    #[command(hide = true)]
    BenchMeasure(bench::Arguments),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Setup => setup::setup(),
        Command::Build => build::build().map(|path| eprintln!("built {}", path.display())),
        Command::Run(arguments) => run::run(&arguments),
        Command::Test(arguments) => test::test(&arguments),
        Command::Vm(arguments) => vm::vm(&arguments),
        Command::Fuzz(arguments) => fuzz::fuzz(&arguments),
        Command::Bench(arguments) => bench::bench(&arguments),
        Command::Lint => lint::lint(),
        Command::BenchWorker(arguments) => bench::worker::work(&arguments),
        Command::BenchInside(arguments) => bench::inside::measure(&arguments),
        Command::BenchMeasure(arguments) => bench::measure(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            if error.is::<Missing>() {
                ExitCode::from(2)
            } else {
                error.downcast_ref::<Failed>().map_or(ExitCode::FAILURE, |failed| ExitCode::from(failed.code))
            }
        }
    }
}
