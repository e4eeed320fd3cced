//! `cargo xtask test`: the unit tests without root, the end-to-end tests with it, the fuzz targets, and, if asked for, the
//! suite on other kernels in VMs.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};

use crate::apt::works;
use crate::tally::{self, Tally};
use crate::workspace::{self, Failed, output};
use crate::{build, fuzz, privilege, test_needs, vm};

/// The crate of end-to-end tests.
const END_TO_END: &str = "pkgwarden-tests";
/// sudo's variables would make pkgwarden run each test's command as the invoking user.
const SUDO: [&str; 8] = ["-u", "SUDO_UID", "-u", "SUDO_GID", "-u", "SUDO_USER", "-u", "SUDO_COMMAND"];

/// The test in monitor/tests that switches on by itself.
const HAND_OVER: &str = "handover";

const WHY_ROOT: &str = "the end-to-end tests watch real installs";

/// What to test.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only the tests that need no root.
    #[arg(long, conflicts_with_all = ["e2e", "fuzz", "vm"])]
    unit: bool,
    /// Only the end-to-end tests.
    #[arg(long, conflicts_with_all = ["fuzz", "vm"])]
    e2e: bool,
    /// Only the fuzz targets, a minute each.
    #[arg(long, conflicts_with = "vm")]
    fuzz: bool,
    /// Only the suite on three other kernels, in virtual machines.
    #[arg(long, conflicts_with = "filter")]
    vm: bool,
    /// How many end-to-end tests run at once; at most four unless given.
    #[arg(long, value_name = "N")]
    test_threads: Option<usize>,
    /// Only the tests whose name contains this.
    filter: Option<String>,
}

/// Runs the tests; the last line counts them.
pub(crate) fn test(arguments: &Arguments) -> Result<()> {
    let mut tally = Tally::default();
    let all = !(arguments.unit || arguments.e2e || arguments.fuzz || arguments.vm);
    if all || arguments.unit {
        tally.add(unit(arguments)?);
    }
    if all || arguments.e2e {
        privilege::ensure(WHY_ROOT)?;
        let servers = test_needs::ensure()?;
        let program = build::build()?;
        tally.add(end_to_end(&program, &servers, arguments)?);
        tally.add(hand_over(arguments)?);
        tally.add(rules(&program));
    }
    if all || arguments.fuzz {
        tally.add(fuzz::step(arguments.filter.as_deref())?);
    }
    if arguments.vm {
        eprintln!("xtask: the suite on other kernels, in virtual machines");
        tally.add(vm::few()?);
    }
    println!("{tally}");
    if tally.failed == 0 { Ok(()) } else { Err(Failed { what: "the tests".into(), code: 1 }.into()) }
}

fn unit(arguments: &Arguments) -> Result<Tally> {
    eprintln!("xtask: unit tests");
    let mut tally = Tally::default();
    // monitor-ebpf compiles for the kernel only; of the end-to-end crate, its own unit tests.
    let selections: [&[&str]; 2] = [
        &["--workspace", "--exclude", "monitor-ebpf", "--exclude", END_TO_END],
        &["--package", END_TO_END, "--lib"],
    ];
    for selection in selections {
        let mut command = workspace::cargo_command(&["test", "--quiet", "--no-fail-fast"]);
        command.args(selection).args(&arguments.filter);
        tally.add(tally::run(&mut command)?);
    }
    Ok(tally)
}

fn end_to_end(program: &Path, servers: &Path, arguments: &Arguments) -> Result<Tally> {
    let directory = workspace::root().join("tests");
    if !directory.join("tests").is_dir() {
        eprintln!("xtask: no end-to-end tests: there is no {}", directory.join("tests").display());
        return Ok(Tally::default());
    }
    let executables = end_to_end_programs()?;
    let threads = arguments
        .test_threads
        .unwrap_or_else(|| thread::available_parallelism().map_or(1, |n| n.get().min(4)));
    eprintln!("xtask: end-to-end tests, as root");
    let mut tally = Tally::default();
    for executable in executables {
        let mut command = privilege::as_root(OsStr::new("env"), WHY_ROOT)?;
        command.args(SUDO);
        for (name, path) in [("PKGWARDEN_BIN=", program), ("PKGWARDEN_SERVERS=", servers)] {
            let mut setting = OsString::from(name);
            setting.push(path);
            command.arg(setting);
        }
        command.arg(executable);
        // Those that need root are marked as ignored, to keep `cargo test` free of it.
        command.args(["--include-ignored", &format!("--test-threads={threads}")]).args(&arguments.filter);
        workspace::without_cargo_environment(&mut command);
        tally.add(tally::run(command.current_dir(&directory))?);
    }
    Ok(tally)
}

/// Built as the caller, so that nothing in the target directory belongs to root.
pub(crate) fn end_to_end_programs() -> Result<Vec<PathBuf>> {
    let arguments = ["test", "--quiet", "--package", END_TO_END, "--test", "*", "--no-run"];
    executables(&mut workspace::cargo_command(&arguments))
}

/// The hand-over needs the loader itself, with a kernel object inside.
fn hand_over(arguments: &Arguments) -> Result<Tally> {
    let mut command = workspace::cargo_command(&[
        "test",
        "--quiet",
        "--package",
        "pkgwarden",
        "--test",
        HAND_OVER,
        "--no-run",
    ]);
    command.env(build::OBJECT, build::object()?);
    let mut tally = Tally::default();
    for executable in executables(&mut command)? {
        let mut command = privilege::as_root(executable.as_os_str(), WHY_ROOT)?;
        command.arg("--include-ignored").args(&arguments.filter);
        tally.add(tally::run(&mut command)?);
    }
    Ok(tally)
}

/// Builds test programs and returns their paths.
fn executables(command: &mut Command) -> Result<Vec<PathBuf>> {
    let said = output(command.arg("--message-format=json-render-diagnostics"))?;
    let mut executables = Vec::new();
    for line in said.lines() {
        let message: serde_json::Value =
            serde_json::from_str(line).context("cannot read what cargo test printed")?;
        // Programs that the tests start are named too; they are no tests.
        if message["profile"]["test"] == true {
            executables.extend(message["executable"].as_str().map(PathBuf::from));
        }
    }
    Ok(executables)
}

/// The tests inside the rules, by the program that carries them.
fn rules(program: &Path) -> Tally {
    let mut tally = Tally::default();
    let Some(path) = program.to_str().filter(|path| works(path, &["rules", "--help"])) else {
        return tally;
    };
    if has_no_arguments(path) {
        return tally;
    }
    for what in ["check", "test"] {
        eprintln!("xtask: pkgwarden rules {what}");
        let passed =
            Command::new(program).args(["rules", what]).status().is_ok_and(|status| status.success());
        tally.add(Tally::one(passed));
    }
    tally
}

/// Whether the program takes no notice of what it is asked: then it has no rules either.
fn has_no_arguments(path: &str) -> bool {
    works(path, &["no-such-subcommand"])
}
