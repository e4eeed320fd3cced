//! Every known way round: each is done bare, where it must work, and watched, where it must be stopped or at least
//! noticed. The same suite runs in virtual machines on other kernels; here it runs on this one, in the `kill` tier.

use std::process::{Command, Stdio};

use pkgwarden_tests::{binary, deed};
use serde_json::Value;

/// Every promise is kept; the lines say which one was not.
#[test]
#[ignore = "needs root and the built binary"]
fn every_deed_is_stopped_or_noticed() {
    // The suite has a limit for each run, so it ends.
    let output = Command::new(deed())
        .args(["suite", "--tiers", "kill", "--pkgwarden"])
        .arg(binary())
        .stderr(Stdio::inherit())
        .output()
        .expect("start the suite");
    let text = String::from_utf8(output.stdout).expect("lines of text");
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let broken: Vec<&Value> = lines.iter().filter(|line| line["kept"] == false).collect();
    let list: Vec<String> = broken.iter().map(|line| format!("{line}\n")).collect();
    assert!(broken.is_empty(), "{} promises were not kept:\n{}", broken.len(), list.concat());
    let end = lines.last().expect("the suite says something");
    assert_eq!(end["suite"], "end", "the suite breaks off");
    assert_eq!(end["failed"], 0);
    assert!(output.status.success(), "the suite failed, and no line says why");
    let watched = lines.iter().filter(|line| line["run"] == "kill").count();
    assert!(watched > 200, "only {watched} deeds were watched");
}
