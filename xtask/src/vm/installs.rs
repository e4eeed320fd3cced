//! The end-to-end tests with real package managers on another kernel: natively they run in the tier that this machine's
//! own kernel has.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::kernel::{Architecture, Kernel};
use super::prepare::{self, Workshop};
use super::root;
use crate::tally::{self, Tally};
use crate::workspace::{self, find};
use crate::{build, test};

/// Test programs that need no registry; the suite of deeds has a run of its own.
const PROGRAMS: [&str; 8] =
    ["autorun", "cargo", "destruction", "machinery", "memory", "network", "npm", "pip"];
/// Bytes of the disk with the tests.
const DISK: u64 = 1 << 30;
/// Emulated processors are slower by about this factor, and there may be other work.
const PATIENCE: u32 = 10;
/// Where the tests are started from, below the repository.
const SCRIPT: &str = "run-tests";

/// Runs the tests whose name contains one of these words in a tier of each kernel.
pub(crate) fn run(
    kernels: &[&'static Kernel],
    tier: &str,
    filters: &[String],
    limit: Duration,
) -> Result<Tally> {
    let mut fetched = Vec::new();
    for kernel in kernels {
        if Architecture::host() != Some(kernel.architecture) {
            bail!(
                "{} is not of this machine's architecture, and neither are its package managers",
                kernel.name
            );
        }
        fetched.push((*kernel, prepare::fetch(kernel)?));
    }
    let system = root::ensure()?;
    let tests = payload(tier, filters)?;
    let mut workshop = Workshop::new()?;
    let mut tally = Tally::default();
    for (kernel, unpacked) in fetched {
        let prepared = workshop.prepare(kernel, unpacked, &[])?;
        let mut machine = prepared.machine(limit, false);
        machine.disks = vec![system.clone(), tests.clone()];
        let place = workspace::root().display().to_string();
        let script = format!("{place}/{SCRIPT}");
        let words = ["--disk", "/dev/vda", "/dev/vdb", &place, "/bin/sh", &script].map(str::to_owned);
        eprintln!("xtask: {}: real installs, {tier} tier", kernel.name);
        let begin = Instant::now();
        let mut counted = Tally::default();
        let code = machine.run(&words, |line| {
            println!("{line}");
            if let Some(result) = tally::result_line(line) {
                counted.add(result);
            }
        });
        if !matches!(code, Ok(0)) && counted.failed == 0 {
            counted.failed = 1;
        }
        let seconds = begin.elapsed().as_secs();
        match code {
            Ok(_) => eprintln!("xtask: {:10} {counted} ({seconds} s)", kernel.name),
            Err(error) => eprintln!("xtask: {:10} FAILED after {seconds} s: {error:#}", kernel.name),
        }
        tally.add(counted);
    }
    Ok(tally)
}

/// A disk that is mounted where the repository is on this machine: the tests look for their things there.
fn payload(tier: &str, filters: &[String]) -> Result<PathBuf> {
    let target = workspace::target()?;
    let folder = target.join("vm/payload");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let program = build::build()?;
    let mut script = String::from("export CARGO_TERM_COLOR=never TERM=dumb\nfailed=0\n");
    // Writing to a string cannot fail; nor can it below.
    let _ = writeln!(script, "export PKGWARDEN_BIN={} PKGWARDEN_TIER={tier}", quoted(&program));
    let _ =
        writeln!(script, "export PKGWARDEN_TEST_PATIENCE={PATIENCE}\ncd {}/tests", quoted(workspace::root()));
    place(&folder, &program)?;
    let executables = test::end_to_end_programs()?;
    let wanted = executables.iter().filter(|path| PROGRAMS.contains(&name(path)));
    let filters: Vec<String> = filters.iter().map(|filter| quoted(Path::new(filter))).collect();
    for path in wanted {
        place(&folder, path)?;
        let _ = writeln!(
            script,
            "{} --include-ignored --test-threads=2 {} || failed=1",
            quoted(path),
            filters.join(" ")
        );
    }
    let deed = executables
        .first()
        .and_then(|path| Some(path.parent()?.parent()?.join("deed")))
        .context("there are no end-to-end tests")?;
    place(&folder, &deed)?;
    let packages = workspace::root().join("tests/packages");
    let mut copy = Command::new("cp");
    copy.arg("-r").arg(&packages).arg(below(&folder, &packages)?);
    workspace::check("cp", &mut copy)?;
    script.push_str("exit $failed\n");
    let path = folder.join(SCRIPT);
    fs::write(&path, script).with_context(|| format!("cannot write {}", path.display()))?;
    let image = target.join("vm/payload.ext4");
    root::disk(&folder, &image, DISK)?;
    Ok(image)
}

/// A test program's name without cargo's hash.
fn name(path: &Path) -> &str {
    let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    file.rsplit_once('-').map_or(file, |(name, _)| name)
}

/// Copies a program to the same place below the disk, without the symbols that nobody reads there.
fn place(folder: &Path, program: &Path) -> Result<()> {
    let to = below(folder, program)?;
    fs::copy(program, &to).with_context(|| format!("cannot copy {}", program.display()))?;
    match find("strip") {
        Some(strip) => workspace::check("strip", Command::new(strip).arg("--strip-debug").arg(&to)),
        None => Ok(()),
    }
}

/// Where a file of the repository is below the disk; its directory is made.
fn below(folder: &Path, path: &Path) -> Result<PathBuf> {
    let relative = path
        .strip_prefix(workspace::root())
        .with_context(|| format!("{} is not below the repository: unset CARGO_TARGET_DIR", path.display()))?;
    let to = folder.join(relative);
    let parent = to.parent().context("a file in no directory")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    Ok(to)
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{name, quoted};

    #[test]
    fn knows_a_test_by_its_name() {
        assert_eq!(name(Path::new("/x/target/debug/deps/bad_input-0123abc")), "bad_input");
        assert_eq!(quoted(Path::new("/it's")), r"'/it'\''s'");
    }
}
