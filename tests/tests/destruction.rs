//! Packages that destroy (E22), and how quickly a tree dies that must not live on.

use std::fs;

use pkgwarden_tests::{Harm, Scenario, Watch, emulate};

emulate! {
    /// E22 by removing.
    unlink => wipe("unlink");

    /// E22 by emptying.
    truncate => wipe("truncate");

    /// E22 by renaming, as extortionists do after they encrypted.
    rename => wipe("rename");

    /// By a process with many children.
    storm => Scenario::npm("evil-deed")
        .env("VARIANT", STORM)
        .harm(Harm::Destroyed("Documents"))
        .rule("PW-DEST-")
        .script("postinstall");
}

const STORM: &str = "storm beats ../../../Documents";

/// Longest time from the fatal act to the last sign of life of any process of the tree.
const AGONY: u64 = 100_000_000;

fn wipe(variant: &'static str) -> Scenario {
    let scenario = Scenario::npm("evil-wipe").env("VARIANT", variant).harm(Harm::Destroyed("Documents"));
    scenario.rule("PW-DEST-").script("postinstall")
}

/// The children write the time as long as they live; none writes much later than the act that cost their lives.
#[test]
#[ignore = "needs root and the built binary"]
fn a_killed_tree_is_gone_at_once() {
    let outcome =
        Scenario::npm("evil-deed").env("VARIANT", STORM).harm(Harm::Destroyed("Documents")).run(Watch::Block);
    outcome.assert_nobody_left().assert_no_harm();
    let beats = fs::read_to_string(outcome.world().project().join("node_modules/evil-deed/beats"));
    let beats = beats.unwrap_or_else(|why| panic!("read the beats: {why}\n{}", outcome.story()));
    let time = |line: &str, word: &str| line.strip_prefix(word)?.trim().parse::<u64>().ok();
    let fatal =
        beats.lines().filter_map(|line| time(line, "fatal ")).max().expect("the time of the fatal act");
    let last = beats.lines().filter_map(|line| time(line, "beat ")).max().expect("the children lived");
    let agony = last.saturating_sub(fatal);
    assert!(agony < AGONY, "a child was alive {} ms after the fatal act", agony / 1_000_000);
}
