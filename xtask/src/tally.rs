//! Counts what test programs say of themselves.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// Passed, failed and skipped tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Tests that passed.
    pub(crate) passed: u32,
    /// Tests that failed, and programs that broke off.
    pub(crate) failed: u32,
    /// Tests that were not run.
    pub(crate) skipped: u32,
}

impl Tally {
    /// Adds another count.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// One check outside a test program.
    pub(crate) fn one(passed: bool) -> Self {
        Self { passed: passed.into(), failed: (!passed).into(), skipped: 0 }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Runs test programs (or a cargo that runs them), shows what they print and counts it.
pub(crate) fn run(command: &mut Command) -> Result<Tally> {
    run_showing(command, &mut std::io::stdout().lock())
}

fn run_showing(command: &mut Command, shown: &mut dyn Write) -> Result<Tally> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let mut tally = Tally::default();
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).context("cannot read what the tests print")? > 0 {
            shown.write_all(&line).and_then(|()| shown.flush()).context("cannot write to standard output")?;
            if let Some(result) = result_line(&String::from_utf8_lossy(&line)) {
                tally.add(result);
            }
            line.clear();
        }
    }
    let status = child.wait().with_context(|| format!("cannot wait for {program}"))?;
    // A program that aborts prints no result, and one that does not compile neither.
    if !status.success() && tally.failed == 0 {
        tally.failed = 1;
    }
    Ok(tally)
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.01s`
pub(crate) fn result_line(line: &str) -> Option<Tally> {
    let counts = line.trim().strip_prefix("test result: ")?.split_once(". ")?.1;
    let count = |word: &str| {
        counts.split("; ").find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok()).unwrap_or(0)
    };
    Some(Tally { passed: count("passed"), failed: count("failed"), skipped: count("ignored") })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{Tally, result_line, run_showing};

    #[test]
    fn reads_a_result_line() {
        let line = "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.01s\n";
        assert_eq!(result_line(line), Some(Tally { passed: 3, failed: 2, skipped: 1 }));
        assert_eq!(result_line("test a::b ... ok"), None);
    }

    #[test]
    fn counts_every_program_and_a_broken_one() {
        let two = "echo 'test result: ok. 1 passed; 0 failed; 0 ignored'; echo 'test result: ok. 2 passed; 0 failed; 4 ignored'";
        // Shown nowhere: the run that this test is part of counts what it sees.
        let tally =
            |script: &str| run_showing(Command::new("sh").args(["-c", script]), &mut Vec::new()).unwrap();
        assert_eq!(tally(two), Tally { passed: 3, failed: 0, skipped: 4 });
        assert_eq!(tally("exit 101"), Tally { passed: 0, failed: 1, skipped: 0 });
        assert_eq!(tally(two).to_string(), "3 passed, 0 failed, 4 skipped");
    }
}
