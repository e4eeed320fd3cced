//! A world in which managers are run under watch, one after another.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use pkgwarden_tests::online::place::Family;
use pkgwarden_tests::{Ended, World, binary, run, servers, words};
use serde_json::Value;

use crate::way::Way;

/// The world.
pub(crate) struct Bench {
    pub(crate) world: World,
    runs: AtomicU32,
}

/// A command line, where it is run, and what is in its environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Job {
    pub(crate) line: Vec<String>,
    pub(crate) cwd: PathBuf,
    pub(crate) environment: Vec<(&'static str, OsString)>,
}

/// What was said of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Told {
    pub(crate) ecosystem: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) script: String,
    pub(crate) confidence: String,
    pub(crate) source: String,
}

/// A run that was watched.
pub(crate) struct Watched {
    pub(crate) ended: Ended,
    pub(crate) events: Vec<Value>,
}

impl Bench {
    /// A world with an internet, and a decoy for each way.
    pub(crate) fn new() -> Self {
        let world = World::online(Family::V4);
        for way in Way::ALL {
            write(&world.home().path().join(way.decoy()), "a decoy\n");
        }
        Self { world, runs: AtomicU32::new(0) }
    }

    /// A directory beside the home.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.world.folder(name)
    }

    /// Puts a manager that was fetched for the tests where an owner would install it, instead of the last one.
    pub(crate) fn install(&self, manager: &str, place: &str) -> PathBuf {
        let target = self.world.home().path().join(place);
        if target.exists() {
            fs::remove_dir_all(&target).expect("remove the last manager");
        }
        fs::create_dir_all(&target).expect("make a directory for a manager");
        run(Command::new("cp").arg("-R").arg(servers().join(manager).join(".")).arg(&target));
        target
    }

    /// Runs something that must succeed, watched in audit mode: what is installed is as it would be without a watch.
    pub(crate) fn watch(&self, job: &Job) -> Watched {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let results = self.folder(&format!("results/{number}"));
        let events = results.join("events.jsonl");
        let mut line = vec![binary().display().to_string()];
        line.extend(
            ["run", "--mode", "audit", "--linger", "0", "--survivors", "detach", "--events"]
                .map(str::to_owned),
        );
        line.extend([events.display().to_string(), "--".to_owned()]);
        line.extend(job.line.iter().cloned());
        let ended = self.start(&line, job, &results);
        let text = fs::read_to_string(&events).expect("read the events");
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
        Watched { ended, events: text.lines().map(parse).collect() }
    }

    /// Runs something unwatched that must succeed.
    pub(crate) fn prepare(&self, job: &Job) {
        let ended = self.start(&job.line, job, &self.folder("results"));
        assert_eq!(ended.code(), 0, "{:?}: {}", job.line, ended.output());
    }

    fn start(&self, line: &[String], job: &Job, results: &Path) -> Ended {
        let program = self.world.program_in(&job.cwd, line);
        let program = job.environment.iter().fold(program, |program, (name, value)| program.env(name, value));
        self.world.enter(|| program.run(results))
    }
}

impl Watched {
    /// Everything that was said of those who read this file of the home.
    pub(crate) fn told(&self, decoy: &str) -> BTreeSet<Told> {
        let ending = format!("/home/{decoy}");
        let about = |event: &&Value| {
            event["kind"] == "verdict"
                && event["object"]["path"].as_str().is_some_and(|path| path.ends_with(&ending))
        };
        self.events.iter().filter(about).map(|event| Told::of(&event["package"])).collect()
    }
}

impl Told {
    fn of(package: &Value) -> Self {
        let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
        Self {
            ecosystem: text("ecosystem"),
            name: text("name"),
            version: text("version"),
            script: text("script"),
            confidence: text("confidence"),
            source: text("source"),
        }
    }
}

/// Writes a file, and its directory.
pub(crate) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a file in a directory")).expect("make a directory");
    fs::write(path, text).unwrap_or_else(|why| panic!("write {}: {why}", path.display()));
}

/// Makes a repository of a directory.
pub(crate) fn commit(repository: &Path) {
    for line in ["init --quiet", "add .", "-c user.name=x -c user.email=x@decoy.invalid commit --quiet -m x"]
    {
        let path = std::env::var_os("PATH").unwrap_or_default();
        run(Command::new("git").args(words(line)).current_dir(repository).env_clear().env("PATH", path));
    }
}
