//! A real install: what a person waits for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::sample::Measured;
use super::watch::{Bench, pairs, wall};

/// Direct dependencies whose closure is large, as ordinary projects have them.
const DEPENDENCIES: &[(&str, &str)] = &[
    ("@babel/core", "7.26.0"),
    ("@babel/preset-env", "7.26.0"),
    ("eslint", "8.57.1"),
    ("express", "4.21.2"),
    ("jest", "29.7.0"),
    ("mocha", "10.8.2"),
    ("webpack", "5.97.1"),
    ("webpack-cli", "5.1.4"),
    ("webpack-dev-server", "5.2.0"),
];
/// Newer releases of indirect dependencies are not taken, so that everybody measures the same closure.
const BEFORE: &str = "2025-06-01";
const FEWEST: usize = 500;
/// Pairs: an install takes seconds.
const ROUNDS: usize = 7;
const STRACE_ROUNDS: usize = 2;

pub(super) fn npm_ci(bench: &Bench) -> Result<Measured> {
    let project = Project { directory: bench.directory.join("npm-ci") };
    let packages = project.prepare()?;
    let bare = || project.install(Command::new("npm"));
    let watched = || {
        let mut command = bench.run(None, &bench.mode);
        command.args(["--", "npm"]);
        project.install(command)
    };
    let traced = || {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "--", "npm"]);
        project.install(command)
    };
    let ratio = pairs(ROUNDS.min(bench.rounds), bare, watched)?;
    let strace = pairs(STRACE_ROUNDS, bare, traced)?;
    let mut measured = Measured::ratio(&ratio, Some(&strace), Some(1.03));
    measured.result += &format!(", {packages} packages");
    Ok(measured)
}

/// A project with a lock file and a warm cache.
struct Project {
    directory: PathBuf,
}

impl Project {
    /// Writes the project, resolves it once, fills the cache once; after that no network is needed.
    fn prepare(&self) -> Result<usize> {
        fs::create_dir_all(&self.directory)
            .with_context(|| format!("cannot make {}", self.directory.display()))?;
        let manifest = manifest();
        let (path, lock) = (self.directory.join("package.json"), self.directory.join("package-lock.json"));
        if fs::read_to_string(&path).is_ok_and(|old| old != manifest) {
            remove(&lock)?;
        }
        fs::write(&path, &manifest).with_context(|| format!("cannot write {}", path.display()))?;
        if !lock.exists() {
            eprintln!("xtask: resolving the packages of the measured install, once");
            wall(self.npm(Command::new("npm")).args(["install", "--package-lock-only", "--before", BEFORE]))?;
        }
        let packages =
            locked_packages(&fs::read_to_string(&lock).context("npm wrote no package-lock.json")?)?;
        ensure!(packages >= FEWEST, "the measured project has {packages} packages only, {FEWEST} are needed");
        if self.install(Command::new("npm")).is_err() {
            eprintln!("xtask: filling npm's cache for the measured install, once");
            wall(self.npm(Command::new("npm")).arg("ci"))?;
        }
        Ok(packages)
    }

    /// Wall time of an install from nothing but the cache. `npm` is a command that ends in the word `npm`.
    fn install(&self, npm: Command) -> Result<f64> {
        remove(&self.directory.join("node_modules"))?;
        let mut command = npm;
        wall(self.npm_words(&mut command).args(["ci", "--offline"]))
    }

    fn npm(&self, mut npm: Command) -> Command {
        self.npm_words(&mut npm);
        npm
    }

    fn npm_words<'a>(&self, npm: &'a mut Command) -> &'a mut Command {
        npm.current_dir(&self.directory).arg("--cache").arg(self.directory.join("cache"));
        npm.args(["--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"])
    }
}

fn manifest() -> String {
    let dependencies: serde_json::Map<_, _> =
        DEPENDENCIES.iter().map(|(name, version)| ((*name).to_owned(), (*version).into())).collect();
    serde_json::json!({ "name": "measured", "version": "1.0.0", "private": true, "dependencies": dependencies }).to_string()
}

/// Entries of a lock file that are installed on this machine or another, the project itself left out.
fn locked_packages(lock: &str) -> Result<usize> {
    let lock: serde_json::Value = serde_json::from_str(lock).context("cannot read package-lock.json")?;
    let packages = lock["packages"].as_object().context("package-lock.json lists no packages")?;
    Ok(packages.keys().filter(|path| !path.is_empty()).count())
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{locked_packages, manifest};

    #[test]
    fn counts_locked_packages() {
        assert_eq!(
            locked_packages(r#"{"packages":{"":{},"node_modules/a":{},"node_modules/b":{}}}"#).unwrap(),
            2
        );
        assert!(locked_packages("{}").is_err());
        assert!(manifest().contains(r#""webpack":"5."#));
    }
}
