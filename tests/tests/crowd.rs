//! Tens of thousands of processes at once: who is judged stays right, memory stays bounded, and nothing is lost in silence.

use std::fs;
use std::path::Path;

use pkgwarden_tests::{Harm, Scenario, Watch};

/// How many, and what the last one steals. The table of labels has room for 65,536.
const VARIANT: &str = "crowd 50000 ../../../.npmrc";
/// Ids that so many need.
const IDS: u32 = 131_072;
/// The most memory that the agent may take, KiB: two KiB for each process, and what it has without any.
const MOST_MEMORY: u64 = 100_000 + 48_000;

/// The machine with room for so many process ids; as it was, when this is dropped.
struct Room {
    before: String,
}

const PID_MAX: &str = "/proc/sys/kernel/pid_max";

impl Room {
    fn make() -> Self {
        let before = fs::read_to_string(PID_MAX).expect("read pid_max");
        if before.trim().parse::<u32>().expect("pid_max is a number") < IDS {
            fs::write(PID_MAX, IDS.to_string()).expect("raise pid_max");
        }
        Self { before }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // A failed test says why; this would only hide it.
        let _ = fs::write(PID_MAX, &self.before);
    }
}

fn crowd() -> Scenario {
    Scenario::npm("evil-deed")
        .env("VARIANT", VARIANT)
        .harm(Harm::Leak)
        .rule("PW-CRED-040")
        .script("postinstall")
}

#[test]
#[ignore = "needs root and the built binary"]
fn one_of_fifty_thousand_is_stopped() {
    let _room = Room::make();
    crowd().run(Watch::Bare).assert_harm();
    let outcome = crowd().run(Watch::Block);
    outcome.assert_no_harm().assert_nobody_left();
    let memory = memory(&outcome.world().project());
    assert!(memory < MOST_MEMORY, "the agent took {memory} KiB");
    let report = outcome.report();
    assert!(
        report.processes >= 50_000 || !report.complete,
        "{} processes were seen, and nothing was said of others",
        report.processes
    );
}

fn memory(project: &Path) -> u64 {
    let text = fs::read_to_string(project.join("agent-memory")).expect("what the deed says of the agent");
    text.trim().parse().expect("a number of KiB")
}
