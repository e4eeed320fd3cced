//! Under watch a command behaves as it does alone: exit code, signals, standard input, terminal.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use pkgwarden_tests::deadline::{SOON, until};
use pkgwarden_tests::{Ended, Install, Program, World, binary, loaded_programs};

/// How long processes may live on after pkgwarden was killed.
const ORPHANED: Duration = Duration::from_secs(2);

fn watched(world: &World, command: &[&str]) -> Program {
    let binary = binary().display().to_string();
    let line: Vec<&str> = [binary.as_str(), "run", "--"].into_iter().chain(command.iter().copied()).collect();
    world.program(&line).within(SOON * 3)
}

fn run(world: &World, program: Program) -> Ended {
    world.namespace().enter(|| program.run(&world.folder("results")))
}

#[test]
#[ignore = "needs root and the built binary"]
fn exit_code() {
    let world = World::new();
    for code in [0, 1, 7, 255] {
        let ended = run(&world, watched(&world, &["sh", "-c", &format!("exit {code}")]));
        assert_eq!(ended.code(), code, "{}", ended.output());
    }
}

#[test]
#[ignore = "needs root and the built binary"]
fn death_by_signal() {
    let world = World::new();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGSEGV, Signal::SIGKILL] {
        let number = signal as i32;
        let ended = run(&world, watched(&world, &["sh", "-c", &format!("kill -{number} $$")]));
        assert_eq!(ended.code(), 128 + number, "{}", ended.output());
    }
}

#[test]
#[ignore = "needs root and the built binary"]
fn command_that_does_not_exist() {
    let world = World::new();
    let ended = run(&world, watched(&world, &["no-such-program"]));
    assert_eq!(ended.code(), 127, "{}", ended.output());
    assert!(String::from_utf8_lossy(&ended.stderr).contains("no-such-program"), "{}", ended.output());
}

#[test]
#[ignore = "needs root and the built binary"]
fn standard_streams() {
    let world = World::new();
    let program = watched(&world, &["sh", "-c", "cat; echo aside >&2"]).stdin(Stdio::piped());
    let mut running = world.namespace().enter(|| program.start(&world.folder("results")));
    let mut input = running.stdin().expect("a pipe");
    input.write_all(b"one\ntwo\n").expect("write to the command");
    drop(input);
    let ended = running.wait();
    assert_eq!(ended.code(), 0, "{}", ended.output());
    assert_eq!(ended.stdout, b"one\ntwo\n", "nothing but the command's own output belongs on stdout");
    assert!(String::from_utf8_lossy(&ended.stderr).contains("aside\n"), "{}", ended.output());
}

/// A signal to pkgwarden is a signal to the command, which decides what follows.
#[test]
#[ignore = "needs root and the built binary"]
fn signals_are_handed_on() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let world = World::new();
        let script = format!("trap 'exit 9' {}; echo up; read line", signal as i32);
        let program = watched(&world, &["sh", "-c", &script]).stdin(Stdio::piped());
        let mut running = world.namespace().enter(|| program.start(&world.folder("results")));
        let held = running.stdin();
        assert!(until(SOON, || running.stdout().contains("up\n")), "the command did not start");
        kill(running.pid(), signal).expect("signal pkgwarden");
        let ended = running.wait();
        drop(held);
        assert_eq!(ended.code(), 9, "{signal}: {}", ended.output());
    }
}

/// `script` gives its command a terminal.
fn on_terminal(world: &World, command: &str) -> Program {
    let line = format!("exec {} run -- sh -c '{command}'", binary().display());
    world.program(&["script", "-qefc", &line, "/dev/null"]).within(SOON * 3).stdin(Stdio::piped())
}

#[test]
#[ignore = "needs root and the built binary"]
fn prompts_on_a_terminal() {
    let world = World::new();
    let command =
        "test -t 0 && test -t 1 && test -t 2 && printf \"name? \" && read name && echo \"hello $name\"";
    let program = on_terminal(&world, command);
    let mut running = world.namespace().enter(|| program.start(&world.folder("results")));
    assert!(until(SOON, || running.stdout().contains("name? ")), "no prompt: {}", running.stdout());
    let mut input = running.stdin().expect("a pipe");
    input.write_all(b"world\n").expect("answer");
    let ended = running.wait();
    assert_eq!(ended.code(), 0, "{}", ended.output());
    assert!(String::from_utf8_lossy(&ended.stdout).contains("hello world"), "{}", ended.output());
}

#[test]
#[ignore = "needs root and the built binary"]
fn control_c_on_a_terminal() {
    let world = World::new();
    let program = on_terminal(&world, "trap \"exit 9\" INT; echo up; read line");
    let mut running = world.namespace().enter(|| program.start(&world.folder("results")));
    assert!(
        until(SOON, || running.stdout().contains("up")),
        "the command did not start: {}",
        running.stdout()
    );
    let mut input = running.stdin().expect("a pipe");
    input.write_all(b"\x03").expect("press control and c");
    let ended = running.wait();
    assert_eq!(ended.code(), 9, "{}", ended.output());
}

/// Without its guard the tree must not go on, and the kernel must not keep what the guard put there.
#[test]
#[ignore = "needs root and the built binary"]
fn death_of_the_guard() {
    let mut world = World::new();
    let install = Install::Npm("slow-neighbour").lay_out(&mut world);
    let install: Vec<&str> = install.iter().map(String::as_str).collect();
    let before = loaded_programs();
    let program = watched(&world, &install);
    let running = world.namespace().enter(|| program.start(&world.folder("results")));
    assert!(
        until(SOON, || world.marker().exists()),
        "the install script did not start: {}",
        running.stdout()
    );
    let during: Vec<u32> = loaded_programs().difference(&before).copied().collect();
    assert!(!during.is_empty(), "a guard without programs in the kernel guards nothing");
    kill(running.pid(), Signal::SIGKILL).expect("kill pkgwarden");
    let ended = running.wait();
    assert_eq!(ended.code(), 128 + Signal::SIGKILL as i32, "{}", ended.output());
    let alone = until(ORPHANED, || world.namespace().members().is_empty());
    assert!(alone, "running without a guard: {:?}", world.namespace().members());
    // Programs of tests that run at the same time are among them; they end too.
    let clean = until(SOON * 12, || during.iter().all(|id| !loaded_programs().contains(id)));
    assert!(clean, "still loaded: {:?}", loaded_programs().difference(&before));
}
