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
        fs::write(
            world.home().path().join(".ssh").join(OsStr::from_bytes(name)),
            "decoy\n",
        )
        .expect("write a decoy");
    }
}

fn outcome(watch: Watch) -> Outcome {
    Scenario::npm("evil-names")
        .prepare(furnish)
        .harm(Harm::Marker)
        .run(watch)
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
    assert!(
        !summary.iter().any(control),
        "a control character on the terminal: {:?}",
        outcome.story()
    );
    let text = str::from_utf8(summary).unwrap_or_else(|why| panic!("{why}: {:?}", outcome.story()));
    assert!(
        !text.contains(['\u{202e}', '\u{9b}']),
        "a control character on the terminal: {text:?}"
    );
    assert!(
        !text.lines().any(|line| line.starts_with("{\"schema\"")),
        "a forged line: {text}"
    );
    let events: Vec<Value> = outcome
        .events()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")))
        .collect();
    assert!(
        events
            .iter()
            .all(|event| event["schema"] == "pkgwarden.event/1" && event.get("time").is_some())
    );
}

#[test]
#[ignore = "needs root and the built binary"]
fn none_is_missed() {
    let outcome = outcome(Watch::Audit);
    let findings = outcome.report().of("PW-CRED-");
    let about = |part: &str| {
        findings
            .iter()
            .any(|finding| finding.object.to_string().contains(part))
    };
    for part in ["owned", "forged", "id_odd_", "$(true)", "31m"] {
        assert!(about(part), "no finding about {part}\n{}", outcome.story());
    }
    let odd: u64 = findings
        .iter()
        .filter(|finding| finding.object.to_string().contains("id_odd_"))
        .map(|f| f.count)
        .sum();
    assert!(
        odd >= NAMES.len() as u64,
        "{odd} findings about odd names\n{}",
        outcome.story()
    );
    // What is too deep or too long to be told is told as such.
    let events = outcome.events();
    for flag in ["too-deep", "too-long"] {
        assert!(
            events.contains(flag),
            "no event is flagged {flag}\n{}",
            outcome.story()
        );
    }
}

#[test]
#[ignore = "needs root and the built binary"]
fn each_is_stopped() {
    let outcome = outcome(Watch::Block);
    outcome.assert_nobody_left().assert_no_harm().assert_exit();
}
