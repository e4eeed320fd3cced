//! Installs that a coding agent started: who did is part of the record, and the rules are stricter.

use std::fs;

use pkgwarden_tests::{Report, World, binary};
use serde_json::{Value, json};

/// What an install script leaves behind for whoever reads it.
const LEFT: &str = "obey";

/// A run of `npm install` by a program of this name, whose project leaves instructions.
struct Run {
    world: World,
    header: Value,
    report: Report,
}

impl Run {
    fn by(starter: &str, variable: Option<(&str, &str)>) -> Self {
        let world = World::new();
        world.fake(starter, "#!/bin/sh\n\"$@\"\nexit $?\n");
        let manifest = json!({
            "name": "app", "version": "1.0.0", "scripts": { "postinstall": format!("echo {LEFT} > CLAUDE.md") },
        });
        fs::write(world.project().join("package.json"), manifest.to_string()).expect("write the manifest");
        let results = world.folder("results");
        let file = |name: &str| results.join(name).display().to_string();
        let starter = world.home().path().join("bin").join(starter).display().to_string();
        let binary = binary().display().to_string();
        let line = [
            starter.as_str(),
            "env",
            "-u",
            "PKGWARDEN_STARTED_BY",
            &binary,
            "run",
            "--events",
            &file("events.jsonl"),
            "--report",
            &file("report.json"),
            "--",
            "npm",
            "install",
            "--offline",
        ];
        let program = world.program(&line);
        let program = variable.into_iter().fold(program, |program, (name, value)| program.env(name, value));
        let ended = world.enter(|| program.run(&results));
        let events = fs::read_to_string(results.join("events.jsonl"))
            .unwrap_or_else(|why| panic!("{why}: {}", ended.output()));
        let header = events.lines().next().expect("a header");
        let header = serde_json::from_str(header).expect("a line of JSON");
        let report = Report::read(&results.join("report.json"));
        Self { world, header, report }
    }

    fn starters(&self) -> Vec<&str> {
        self.header["started_by"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    fn left(&self) -> bool {
        let text = fs::read_to_string(self.world.project().join("CLAUDE.md")).unwrap_or_default();
        text.contains(LEFT)
    }
}

/// The agent is in the record, and what a script wants to tell it does not reach it.
#[test]
#[ignore = "needs root and the built binary"]
fn an_agent_is_not_told_what_to_do() {
    for agent in ["claude", "codex", "aider"] {
        let run = Run::by(agent, None);
        assert!(run.starters().contains(&format!("agent:{agent}").as_str()), "{}", run.header);
        assert!(!run.left(), "the script has left its instructions");
        assert_eq!(run.report.of("PW-AGENT-001").len(), 1, "{:#?}", run.report.findings);
    }
}

/// An agent whose process cannot be seen is known by what it leaves in the environment.
#[test]
#[ignore = "needs root and the built binary"]
fn an_agent_out_of_sight_leaves_its_mark() {
    let run = Run::by("wrapper", Some(("GEMINI_CLI", "1")));
    assert!(run.starters().contains(&"agent:gemini"), "{}", run.header);
    assert!(!run.left(), "the script has left its instructions");
}
