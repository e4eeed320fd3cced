//! `cargo xtask fuzz`: libFuzzer over everything that reads what it did not write.
//!
//! The targets are functions of the crate `fuzz`, and its unit tests run them with the committed corpus, without any of
//! this. cargo-fuzz knows the flags; any compiler that builds the workspace will do. Where the compiler came with
//! AddressSanitizer's runtime, that watches too.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::{env, fs};

use anyhow::{Context, Result, bail};

use crate::apt::{self, Need, works};
use crate::compiler;
use crate::tally::Tally;
use crate::workspace::{self, Failed, Missing, ask, check};

/// The release of cargo-fuzz that was tried with this workspace.
const VERSION: &str = "0.13.2";
/// The targets, as in `fuzz/fuzz_targets`.
const TARGETS: [&str; 6] = ["records", "rules", "tables", "btf", "dns", "lock"];
/// How long each target runs in `cargo xtask test`.
const SECONDS: u64 = 60;
/// What an input may cost: more is a hang, or memory without bound.
const LIMITS: [&str; 4] = ["-timeout=20", "-rss_limit_mb=2048", "-malloc_limit_mb=256", "-max_len=8192"];
/// The most bytes that are committed for a target.
const KEPT: u64 = 200 << 10;

/// What to fuzz.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The targets; all of them without any.
    #[arg(value_parser = TARGETS)]
    targets: Vec<String>,
    /// How long each runs; 0 is until it is interrupted.
    #[arg(long, value_name = "N", default_value_t = SECONDS)]
    seconds: u64,
    /// Afterwards, replace the committed corpus by the smallest one that reaches the same code.
    #[arg(long)]
    keep: bool,
}

/// Fuzzes, and fails if a target did.
pub(crate) fn fuzz(arguments: &Arguments) -> Result<()> {
    let named =
        |target: &&str| arguments.targets.is_empty() || arguments.targets.iter().any(|name| name == target);
    let targets: Vec<&str> = TARGETS.into_iter().filter(named).collect();
    let fuzzer = Fuzzer::build()?;
    let tally = fuzzer.run_all(&targets, arguments.seconds);
    if tally.failed > 0 {
        return Err(Failed { what: "fuzzing".into(), code: 1 }.into());
    }
    if arguments.keep { targets.iter().try_for_each(|target| fuzzer.keep(target)) } else { Ok(()) }
}

/// The step of `cargo xtask test`: the targets whose name contains the filter.
pub(crate) fn step(filter: Option<&str>) -> Result<Tally> {
    let targets: Vec<&str> =
        TARGETS.into_iter().filter(|target| filter.is_none_or(|filter| target.contains(filter))).collect();
    if targets.is_empty() {
        return Ok(Tally::default());
    }
    Ok(Fuzzer::build()?.run_all(&targets, SECONDS))
}

/// Targets that are built.
struct Fuzzer {
    /// Where their programs are.
    programs: PathBuf,
    /// Where they work.
    directory: PathBuf,
}

impl Fuzzer {
    /// Builds every target, after what that needs.
    fn build() -> Result<Self> {
        let tool = ensure()?;
        let directory = workspace::target()?.join("fuzz");
        let host = compiler::host()?;
        let sanitizer = if has_address_sanitizer() {
            "address"
        } else {
            eprintln!("xtask: this compiler came without AddressSanitizer's runtime: fuzzing goes without");
            "none"
        };
        eprintln!("xtask: building the fuzz targets (sanitizer: {sanitizer})");
        let mut command = Command::new(tool);
        command.args(["build", "--features", "libfuzzer", "--sanitizer", sanitizer, "--target", &host]);
        // With the usual single unit they take longer to build than to run.
        command.args(["--codegen-units", "4", "--fuzz-dir"]).arg(workspace::root().join("fuzz"));
        command.arg("--target-dir").arg(&directory).current_dir(workspace::root());
        workspace::without_cargo_environment(&mut command);
        // It starts whatever cargo comes first.
        let mut path: Vec<PathBuf> =
            PathBuf::from(workspace::cargo()).parent().map(Path::to_path_buf).into_iter().collect();
        path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        let path = env::join_paths(path).context("PATH cannot be written")?;
        command.env("PATH", path).env("RUSTC", workspace::rustc());
        // A stable compiler must be told that `-Z sanitizer` is meant.
        command.env("RUSTC_BOOTSTRAP", "1");
        // Without symbols a crash has no names.
        command.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_STRIP", "none");
        command.env("CARGO_TERM_QUIET", "true").env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        check("building the fuzz targets", &mut command)?;
        Ok(Self { programs: directory.join(host).join("release"), directory })
    }

    /// Runs targets, as many at once as there are processors.
    fn run_all(&self, targets: &[&str], seconds: u64) -> Tally {
        let mut tally = Tally::default();
        let at_once = thread::available_parallelism().map_or(1, NonZero::get);
        for some in targets.chunks(at_once) {
            eprintln!("xtask: fuzzing {} for {seconds} s", some.join(", "));
            let outcomes: Vec<Result<String>> = thread::scope(|scope| {
                let running: Vec<_> =
                    some.iter().map(|target| scope.spawn(|| self.run(target, seconds))).collect();
                running
                    .into_iter()
                    .map(|run| run.join().unwrap_or_else(|_| bail!("the thread broke off")))
                    .collect()
            });
            for (target, outcome) in some.iter().zip(outcomes) {
                tally.add(Tally::one(outcome.is_ok()));
                match outcome {
                    Ok(line) => eprintln!("xtask: {target}: {line}"),
                    Err(error) => eprintln!("xtask: {target}: {error:#}"),
                }
            }
        }
        tally
    }

    /// Runs one target; returns what it says of itself at its end.
    fn run(&self, target: &str, seconds: u64) -> Result<String> {
        let found = self.make("corpus", target)?;
        let artifacts = self.make("artifacts", target)?;
        let log = self.directory.join(format!("{target}.log"));
        let mut command = self.program(target);
        // What is new goes to the first folder.
        command.arg(found).arg(committed(target)).args(LIMITS);
        command
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}/", artifacts.display()));
        let dictionary = workspace::root().join(format!("fuzz/dictionaries/{target}.dict"));
        if dictionary.is_file() {
            command.arg(format!("-dict={}", dictionary.display()));
        }
        command.stderr(fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?);
        let status = command.status().with_context(|| format!("cannot start the target {target}"))?;
        let said = fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
        let said = String::from_utf8_lossy(&said);
        if status.success() {
            return Ok(summary(&said).unwrap_or_else(|| format!("no summary, see {}", log.display())));
        }
        eprintln!("{}", failure(&said));
        bail!(
            "it failed; put the input named above into {} and run `cargo test -p pkgwarden-fuzz {target}` (log: {})",
            committed(target).display(),
            log.display()
        )
    }

    /// Replaces the committed corpus by the smallest one with the same coverage, as far as it fits.
    fn keep(&self, target: &str) -> Result<()> {
        let merged = self.make("merged", target)?;
        fs::remove_dir_all(&merged)
            .and_then(|()| fs::create_dir(&merged))
            .with_context(|| format!("cannot empty {}", merged.display()))?;
        let mut command = self.program(target);
        command.args(["-set_cover_merge=1", "-use_counters=0"]).args(LIMITS);
        command.arg(&merged).arg(committed(target)).arg(self.make("corpus", target)?);
        let log = self.directory.join(format!("{target}-merge.log"));
        command.stderr(fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?);
        check("merging the corpus", &mut command).with_context(|| format!("see {}", log.display()))?;
        let (files, bytes) = replace(&merged, &committed(target))
            .with_context(|| format!("cannot replace the corpus of {target}"))?;
        eprintln!("xtask: {target}: the corpus has {files} files of {bytes} bytes together");
        Ok(())
    }

    fn program(&self, target: &str) -> Command {
        let mut command = Command::new(self.programs.join(target));
        command.current_dir(&self.directory).stdin(Stdio::null()).stdout(Stdio::null());
        // Asking for leaks needs ptrace, which containers refuse.
        command.env("ASAN_OPTIONS", "detect_leaks=0:detect_odr_violation=0").env("RUST_BACKTRACE", "1");
        command
    }

    fn make(&self, what: &str, target: &str) -> Result<PathBuf> {
        let path = self.directory.join(what).join(target);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }
}

fn committed(target: &str) -> PathBuf {
    workspace::root().join("fuzz/corpus").join(target)
}

/// Copies the smallest files, up to the bound, in place of those that an earlier merge left. What a person has named
/// stays: seeds, and inputs that once broke something.
fn replace(from: &Path, to: &Path) -> std::io::Result<(usize, u64)> {
    let list = |folder: &Path| -> std::io::Result<Vec<(u64, PathBuf)>> {
        fs::read_dir(folder)?
            .map(|entry| entry.and_then(|entry| Ok((entry.metadata()?.len(), entry.path()))))
            .collect()
    };
    let mut new = list(from)?;
    new.sort();
    let mut bytes = 0;
    new.retain(|(length, _)| {
        bytes += length;
        bytes <= KEPT
    });
    for (_, old) in list(to)?.iter().filter(|(_, path)| is_merged(path)) {
        fs::remove_file(old)?;
    }
    for (_, path) in &new {
        fs::copy(path, to.join(path.file_name().unwrap_or_default()))?;
    }
    let all = list(to)?;
    Ok((all.len(), all.iter().map(|(length, _)| length).sum()))
}

/// libFuzzer names a file by the digest of what is in it.
fn is_merged(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The last lines that libFuzzer prints: how much code was reached, by how many runs.
fn summary(log: &str) -> Option<String> {
    let count = |line: &str, word: &str| -> Option<String> {
        let rest = line.split_once(word)?.1.split_whitespace().next()?;
        Some(rest.to_owned())
    };
    let done = log.lines().rev().find(|line| line.contains("DONE") && line.contains("cov: "))?;
    let (edges, features) = (count(done, "cov: ")?, count(done, "ft: ")?);
    let last = log.lines().rev().find(|line| line.starts_with("Done "))?;
    let words: Vec<&str> = last.split_whitespace().collect();
    let [_, runs, _, _, seconds, ..] = words[..] else { return None };
    Some(format!("{runs} runs in {seconds} s, {edges} edges and {features} features of the code reached"))
}

/// What is worth reading of a log that ends in a failure: from the panic or the report on.
fn failure(log: &str) -> String {
    const LINES: usize = 60;
    let lines: Vec<&str> = log.lines().collect();
    let begins =
        |line: &&str| line.contains("panicked at") || line.starts_with("==") || line.contains("ALARM");
    let first = lines.iter().position(begins).unwrap_or(lines.len().saturating_sub(LINES));
    let named = lines.iter().rev().find(|line| line.contains("Test unit written to"));
    let shown = lines[first..].iter().take(LINES).chain(named);
    shown.map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// Whether the compiler in use came with the runtime.
fn has_address_sanitizer() -> bool {
    let Some(libraries) = ask(Command::new(workspace::rustc()).args(["--print", "target-libdir"])) else {
        return false;
    };
    let names = fs::read_dir(libraries).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.into_iter().any(|name| name.to_string_lossy().ends_with("_rt.asan.a"))
}

/// cargo-fuzz, built first if it is not in the cache, and what libFuzzer is built with.
fn ensure() -> Result<PathBuf> {
    if !works("c++", &["--version"]) {
        apt::install(&[Need {
            what: "a C++ compiler (libFuzzer is built from C++)".into(),
            packages: vec!["g++".into()],
            elsewhere: "install a C++ compiler that is called c++".into(),
        }])?;
    }
    let home = workspace::cache("tools")?.join(format!("cargo-fuzz-{VERSION}"));
    let tool = home.join("bin/cargo-fuzz");
    if tool.to_str().is_some_and(|path| works(path, &["--version"])) {
        return Ok(tool);
    }
    eprintln!(
        "xtask: cargo-fuzz {VERSION} (builds the fuzz targets) is missing and will be built into {}; this takes a minute",
        home.display()
    );
    let mut command = workspace::cargo_command(&["install", "--quiet", "cargo-fuzz", "--locked", "--force"]);
    command.args(["--version", VERSION, "--root"]).arg(&home);
    command.env_remove("CARGO_TARGET_DIR").env_remove("CARGO_BUILD_TARGET").env_remove("RUSTFLAGS");
    command.current_dir(env::temp_dir()).stdin(Stdio::null());
    check("building cargo-fuzz", &mut command).map_err(|_| Missing {
        piece: format!("cargo-fuzz {VERSION} (it could not be built, see above)"),
        mend: format!("cargo install cargo-fuzz --version {VERSION} --locked --root {}", home.display()),
    })?;
    Ok(tool)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{TARGETS, failure, replace, summary};

    #[test]
    fn reads_what_libfuzzer_says_at_its_end() {
        let log = "#8\tINITED cov: 3 ft: 4 corp: 1/1b\n#4096\tDONE   cov: 512 ft: 2048 corp: 99/9Kb lim: 8 exec/s: 68\nDone 4096 runs in 60 second(s)\n";
        assert_eq!(
            summary(log).as_deref(),
            Some("4096 runs in 60 s, 512 edges and 2048 features of the code reached")
        );
        assert_eq!(summary("==1== ERROR"), None);
    }

    #[test]
    fn a_failure_is_shown_from_where_it_begins() {
        let log =
            "#1\tNEW\nthread '<unnamed>' panicked at src/x.rs:1:1:\nwhy\nTest unit written to x/crash-1\n";
        let shown = failure(log);
        assert!(shown.starts_with("  thread"), "{shown}");
        assert!(shown.ends_with("crash-1"), "{shown}");
        assert_eq!(failure(""), "");
    }

    #[test]
    fn what_a_person_has_named_stays_in_the_corpus() {
        let folder = std::env::temp_dir().join(format!("pkgwarden-corpus-{}", std::process::id()));
        let (from, to) = (folder.join("from"), folder.join("to"));
        fs::create_dir_all(&from).and_then(|()| fs::create_dir_all(&to)).unwrap();
        let (new, old) = ("a".repeat(40), "b".repeat(40));
        for file in [from.join(&new), to.join(&old), to.join("far-future")] {
            fs::write(file, "1234").unwrap();
        }
        assert_eq!(replace(&from, &to).unwrap(), (2, 8));
        assert!(to.join(&new).is_file() && to.join("far-future").is_file() && !to.join(&old).exists());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn every_program_is_a_target() {
        let folder = crate::workspace::root().join("fuzz/fuzz_targets");
        let mut programs: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        programs.sort();
        let mut targets = TARGETS.to_vec();
        targets.sort_unstable();
        assert_eq!(programs, targets);
    }
}
