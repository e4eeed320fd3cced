//! Names that are traps for those who print them, and places deeper than a path can say.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use pkgwarden_tests::{Harm, Outcome, Scenario, Watch, World};
use serde_json::Value;

/// Read by the package; each begins like a private key.
const NAMES: [&[u8]; 5] = [
    b"id_odd_\x1b]0;owned\x07\x1b[31m",
    b"id_odd_\n{\"schema\":\"forged\"}\r",
    b"id_odd_\xff\xfe\x80",
    b"id_odd_\" ' \\ \t $(true) `true`",
    "id_odd_\u{202e}\u{9b}31m".as_bytes(),
];

fn furnish(world: &mut World) {
    for name in NAMES {
        fs::write(world.home().path().join(".ssh").join(OsStr::from_bytes(name)), "decoy\n")
            .expect("write a decoy");
    }
}

fn outcome(watch: Watch) -> Outcome {
    Scenario::npm("evil-names").prepare(furnish).harm(Harm::Marker).run(watch)
}

fn events(outcome: &Outcome) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
    outcome.events().lines().map(parse).collect()
}

fn verdicts(outcome: &Outcome) -> Vec<Value> {
    events(outcome).into_iter().filter(|event| event["kind"] == "verdict").collect()
}

/// The bytes that a name in an event stands for: `\\` is a backslash, `\xNN` a byte.
fn bytes_of(written: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = written;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        if let Some(after) = escape.strip_prefix('\\') {
            bytes.push(b'\\');
            rest = after;
        } else {
            bytes.push(u8::from_str_radix(&escape[1..3], 16).expect("two hexadecimal digits"));
            rest = &escape[3..];
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

#[test]
#[ignore = "needs root and the built binary"]
fn bare() {
    outcome(Watch::Bare).assert_harm().assert_exit();
}

#[test]
#[ignore = "needs root and the built binary"]
fn none_corrupts_the_terminal_or_the_events() {
    let outcome = outcome(Watch::Audit);
    outcome.assert_harm().assert_exit();
    let summary = &outcome.ended().stderr;
    let control = |byte: &u8| byte.is_ascii_control() && !b"\n\t".contains(byte);
    assert!(!summary.iter().any(control), "a control character on the terminal: {:?}", outcome.story());
    let text = str::from_utf8(summary).unwrap_or_else(|why| panic!("{why}: {:?}", outcome.story()));
    assert!(!text.contains(['\u{202e}', '\u{9b}']), "a control character on the terminal: {text:?}");
    assert!(!text.lines().any(|line| line.starts_with("{\"schema\"")), "a forged line: {text}");
    let events: Vec<Value> = outcome
        .events()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")))
        .collect();
    assert!(events.iter().all(|event| event["schema"] == "pkgwarden.event/1" && event.get("time").is_some()));
}

#[test]
#[ignore = "needs root and the built binary"]
fn none_is_missed() {
    let outcome = outcome(Watch::Audit);
    let told: Vec<Vec<u8>> = verdicts(&outcome)
        .iter()
        .filter_map(|event| event["object"]["path"].as_str())
        .map(bytes_of)
        .collect();
    for name in NAMES {
        let wanted = [b"/.ssh/".as_slice(), name].concat();
        let found = told.iter().any(|path| path.ends_with(&wanted));
        assert!(found, "nothing about {:?}\n{}", String::from_utf8_lossy(name), outcome.story());
    }
    // What is too deep or too long to be told is told as such.
    let events = outcome.events();
    for flag in ["too-deep", "too-long"] {
        assert!(events.contains(flag), "no event is flagged {flag}\n{}", outcome.story());
    }
}

#[test]
#[ignore = "needs root and the built binary"]
fn each_is_stopped() {
    let outcome = outcome(Watch::Block);
    outcome.assert_nobody_left().assert_no_harm().assert_exit();
}
