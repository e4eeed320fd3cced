//! `run --decoys`: who reads a made-up credential is found, and nothing of it is left, whatever happens.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pkgwarden_tests::deadline::{SOON, until};
use pkgwarden_tests::{Ended, Install, Report, World, binary};

/// A world whose owner has no keys of a cloud.
fn world() -> World {
    let world = World::new();
    fs::remove_dir_all(world.home().path().join(".aws")).expect("take the keys away");
    world
}

/// `pkgwarden run OPTIONS -- COMMAND`.
fn line(world: &World, options: &[&str], command: &[String]) -> Vec<String> {
    let report = world.folder("results").join("report.json").display().to_string();
    let own = [&binary().display().to_string(), "run", "--report", &report].map(str::to_owned);
    let options = options.iter().map(|word| (*word).to_owned());
    own.into_iter().chain(options).chain(["--".to_owned()]).chain(command.iter().cloned()).collect()
}

fn run(world: &mut World, options: Option<&[&str]>) -> Ended {
    let command = Install::Npm("evil-collector").lay_out(world);
    let line = options.map_or_else(|| command.clone(), |options| line(world, options, &command));
    let program = world.program(&line);
    let ended = world.enter(|| program.run(&world.folder("results")));
    world.settle();
    ended
}

/// What the sink got that looks like keys.
fn stolen(world: &World) -> bool {
    let keys = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("aws_access_key_id = AKIA");
    world.sink().received().iter().any(|delivery| keys(&delivery.bytes))
}

/// Every file of the home outside the project and what npm keeps, with its content.
fn files(world: &World) -> Vec<(PathBuf, Vec<u8>)> {
    let home = world.home().path();
    let mut left = vec![home.to_owned()];
    let mut files = Vec::new();
    while let Some(path) = left.pop() {
        if [".npm", "project", ".node-gyp"].iter().any(|name| path == home.join(name)) {
            continue;
        }
        if path.is_dir() {
            left.extend(
                fs::read_dir(&path).expect("a directory").map(|entry| entry.expect("an entry").path()),
            );
            files.push((path, Vec::new()));
        } else {
            let content = fs::read(&path).unwrap_or_default();
            files.push((path, content));
        }
    }
    files.sort();
    files
}

#[test]
#[ignore = "needs npm"]
fn bare() {
    let mut world = world();
    let ended = run(&mut world, None);
    assert_eq!(ended.code(), 0, "{}", ended.output());
    assert!(!stolen(&world), "there was nothing to be stolen");
}

#[test]
#[ignore = "needs root and the built binary"]
fn watched_without() {
    let mut world = world();
    let ended = run(&mut world, Some(&[]));
    let report = Report::read(&world.folder("results").join("report.json"));
    assert!(report.at_least("high").is_empty(), "{}", ended.output());
}

/// In audit mode the package gets away with it: they look real, and it is found all the same.
#[test]
#[ignore = "needs root and the built binary"]
fn told() {
    let mut world = world();
    let before = files(&world);
    let ended = run(&mut world, Some(&["--mode", "audit", "--decoys"]));
    assert!(stolen(&world), "the decoy does not look like keys\n{}", ended.output());
    assert_found(&world, &ended, "observed");
    assert_eq!(before, files(&world), "{}", ended.output());
}

#[test]
#[ignore = "needs root and the built binary"]
fn stopped() {
    let mut world = world();
    let before = files(&world);
    let ended = run(&mut world, Some(&["--decoys"]));
    assert!(!stolen(&world), "{}", ended.output());
    assert_found(&world, &ended, "killed");
    assert_eq!(before, files(&world), "{}", ended.output());
}

fn assert_found(world: &World, ended: &Ended, achieved: &str) {
    let report = Report::read(&world.folder("results").join("report.json"));
    let found: Vec<_> = report.findings.iter().filter(|finding| finding.rule == "PW-DECOY-001").collect();
    assert_eq!(found.len(), 1, "{}", ended.output());
    assert_eq!((found[0].severity.as_str(), found[0].achieved.as_str()), ("critical", achieved));
    let package = found[0].package.as_ref().expect("whose it is");
    assert_eq!(package.name, "evil-collector", "{}", ended.output());
}

/// An honest install does not see them.
#[test]
#[ignore = "needs root and the built binary"]
fn honest() {
    let mut world = world();
    let before = files(&world);
    let command = Install::Npm("good-neighbour").lay_out(&mut world);
    let program = world.program(&line(&world, &["--decoys"], &command));
    let ended = world.enter(|| program.run(&world.folder("results")));
    assert_eq!(ended.code(), 0, "{}", ended.output());
    let report = Report::read(&world.folder("results").join("report.json"));
    assert!(report.at_least("medium").is_empty(), "{}", ended.output());
    assert_eq!(before, files(&world), "{}", ended.output());
}

/// A run that has planted and waits; its decoy is there.
fn waiting(world: &World) -> (pkgwarden_tests::Running, PathBuf) {
    let command = ["sh", "-c", "echo up; read line"].map(str::to_owned);
    let program = world.program(&line(world, &["--decoys"], &command)).stdin(Stdio::piped());
    let running = world.enter(|| program.start(&world.folder("results")));
    assert!(until(SOON, || running.stdout().contains("up\n")), "the command did not start");
    let decoy = world.home().path().join(".aws/credentials");
    assert!(decoy.is_file(), "nothing was planted");
    (running, decoy)
}

#[test]
#[ignore = "needs root and the built binary"]
fn death_of_pkgwarden() {
    let world = world();
    let before = files(&world);
    let (mut running, _) = waiting(&world);
    let held = running.stdin();
    kill(running.pid(), Signal::SIGKILL).expect("kill pkgwarden");
    let ended = running.wait();
    drop(held);
    assert!(until(SOON, || files(&world) == before), "the guard left something\n{}", ended.output());
}

#[test]
#[ignore = "needs root and the built binary"]
fn death_of_both() {
    let world = world();
    let before = files(&world);
    let (mut running, decoy) = waiting(&world);
    let held = running.stdin();
    let guard = guard_of(running.pid());
    // The one that would end the other at once must not see it happen.
    kill(running.pid(), Signal::SIGSTOP).expect("stop pkgwarden");
    kill(guard, Signal::SIGKILL).expect("kill the guard");
    kill(running.pid(), Signal::SIGKILL).expect("kill pkgwarden");
    let ended = running.wait();
    drop(held);
    assert!(ended.code() != 0, "{}", ended.output());
    let program = world.program(&[&binary().display().to_string(), "run", "--", "true"]);
    let next = world.enter(|| program.run(&world.folder("next")));
    assert_eq!(next.code(), 0, "{}", next.output());
    // A run of another test can be at it.
    assert!(until(SOON, || files(&world) == before), "{} is left\n{}", decoy.display(), next.output());
}

fn guard_of(pkgwarden: Pid) -> Pid {
    let children = format!("/proc/{pkgwarden}/task/{pkgwarden}/children");
    let children = fs::read_to_string(children).expect("the children of pkgwarden");
    let is_guard = |pid: &&str| {
        let name = fs::read_to_string(Path::new("/proc").join(pid).join("comm")).unwrap_or_default();
        name.trim() == "pkgwarden-guard"
    };
    let guard = children.split_ascii_whitespace().find(is_guard).expect("a guard");
    Pid::from_raw(guard.parse().expect("a number"))
}
