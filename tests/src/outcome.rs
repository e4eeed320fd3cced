//! What came of a run, and what it has to be.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::deadline;
use crate::harm::Before;
use crate::install::VERSION;
use crate::program::Ended;
use crate::report::{Finding, Report};
use crate::scenario::{Scenario, Watch};
use crate::world::World;

/// Exit code when the command succeeded and something was found.
pub const FOUND: i32 = 120;

/// The world after a run, and what the run left.
#[derive(Debug)]
pub struct Outcome {
    scenario: Scenario,
    watch: Watch,
    world: World,
    ended: Ended,
    before: Vec<Before>,
    report: Option<Report>,
    events: String,
}

impl Outcome {
    pub(crate) fn new(
        scenario: Scenario,
        watch: Watch,
        world: World,
        ended: Ended,
        before: Vec<Before>,
    ) -> Self {
        let results = world.folder("results");
        let (mut report, mut events) = (None, String::new());
        if watch != Watch::Bare {
            assert!(results.join("report.json").is_file(), "there is no report\n{}", ended.output());
            report = Some(Report::read(&results.join("report.json")));
            events = fs::read_to_string(results.join("events.jsonl")).expect("read the events");
        }
        Self { scenario, watch, world, ended, before, report, events }
    }

    /// The world after the run.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// How the command, or pkgwarden, ended.
    #[must_use]
    pub fn ended(&self) -> &Ended {
        &self.ended
    }

    /// The report of a watched run.
    ///
    /// # Panics
    /// After a bare run.
    #[must_use]
    pub fn report(&self) -> &Report {
        self.report.as_ref().expect("a bare run has no report")
    }

    /// The events of a watched run, one to a line.
    #[must_use]
    pub fn events(&self) -> &str {
        &self.events
    }

    /// The package did what it came for.
    pub fn assert_harm(&self) -> &Self {
        for before in &self.before {
            // A detached process may still be at it.
            let happened = deadline::until_ok(deadline::SOON, || before.happened(&self.world));
            if let Err(why) = happened {
                panic!("{:?}: {why}\n{}", self.watch, self.story());
            }
        }
        self
    }

    /// The package did nothing of what it came for.
    pub fn assert_no_harm(&self) -> &Self {
        self.world.settle();
        for before in &self.before {
            if let Err(why) = before.prevented(&self.world) {
                panic!("{:?}: {why}\n{}", self.watch, self.story());
            }
        }
        self
    }

    /// No process of the run is left.
    pub fn assert_nobody_left(&self) -> &Self {
        let alone = deadline::until(deadline::SOON, || self.world.namespace().members().is_empty());
        assert!(alone, "still there: {:?}\n{}", self.world.namespace().members(), self.story());
        self
    }

    /// The exit code is the command's own, and 120 when it would hide that something was found.
    pub fn assert_exit(&self) -> &Self {
        let Some(report) = &self.report else {
            assert_eq!(self.ended.code(), self.scenario.exit, "{}", self.story());
            return self;
        };
        let code = self.ended.code();
        assert_eq!(report.exit_code, code, "the report says another exit code\n{}", self.story());
        if self.watch == Watch::Block && !self.scenario.spares_command {
            assert_ne!(code, 0, "what was stopped must not look like a success\n{}", self.story());
            return self;
        }
        let hides = self.scenario.exit == 0 && !report.at_least("high").is_empty();
        let expected = if hides { FOUND } else { self.scenario.exit };
        assert_eq!(code, expected, "the command was disturbed\n{}", self.story());
        self
    }

    /// The expected rules found it, each once, and named the package and the way to it; nothing tells a secret.
    pub fn assert_found(&self) -> &Self {
        for prefix in self.expected_rules() {
            let findings = self.report().of(prefix);
            assert!(!findings.is_empty(), "no finding of {prefix}\n{}", self.story());
            for finding in findings {
                self.assert_finding(finding);
            }
        }
        self.assert_grouped();
        self.assert_discreet();
        self
    }

    fn expected_rules(&self) -> Vec<&'static str> {
        let later = if self.watch == Watch::Audit { self.scenario.later_rules.as_slice() } else { &[] };
        self.scenario.rules.iter().chain(later).copied().collect()
    }

    fn assert_finding(&self, finding: &Finding) {
        let told = || format!("{}\n{}", finding.line(), self.story());
        let package = finding.package.as_ref();
        match self.scenario.install.subject() {
            None => {}
            Some(subject) => {
                let package = package.unwrap_or_else(|| panic!("no package is named: {}", told()));
                assert_eq!(package.name, subject.name, "{}", told());
                assert_eq!(package.version.as_deref(), Some(VERSION), "{}", told());
                assert_eq!(package.ecosystem, subject.ecosystem, "{}", told());
            }
        }
        if let Some(script) = self.scenario.script {
            assert_eq!(package.and_then(|package| package.script.as_deref()), Some(script), "{}", told());
        }
        let mut wanted = self.scenario.ancestors.iter().peekable();
        for process in &finding.ancestry {
            // By either name: `sh` is a link to some shell.
            let called = process.argv.first().map_or("", |name| base_name(name));
            wanted.next_if(|wanted| {
                [base_name(&process.exe), called].iter().any(|name| name.starts_with(**wanted))
            });
        }
        assert_eq!(wanted.next(), None, "the ancestry lacks it: {:?}\n{}", finding.ancestry, told());
        match self.watch {
            Watch::Audit => {
                assert!(["observed", "alerted"].contains(&finding.achieved.as_str()), "{}", told());
            }
            Watch::Block if ["deny", "kill"].contains(&finding.asked.as_str()) => {
                assert!(["denied", "killed"].contains(&finding.achieved.as_str()), "{}", told());
            }
            Watch::Block | Watch::Bare => {}
        }
    }

    /// One rule speaks once about one kind of thing.
    fn assert_grouped(&self) {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for finding in &self.report().findings {
            *seen.entry(format!("{} {} {}", finding.rule, finding.action, finding.object)).or_default() += 1;
        }
        let repeated: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
        assert!(repeated.is_empty(), "told more than once: {repeated:?}\n{}", self.story());
    }

    /// Reports go to places that secrets must not.
    fn assert_discreet(&self) {
        let results = self.world.folder("results");
        let report = fs::read(results.join("report.json")).expect("read the report");
        for (name, bytes) in [("report", report.as_slice()), ("events", self.events.as_bytes())] {
            let found = self.world.home().secrets().find_in(bytes);
            assert_eq!(found, None, "the {name} tells a secret");
        }
        for line in self.events.lines() {
            let event: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why} in {line}"));
            assert_eq!(event["schema"], "pkgwarden.event/1", "{line}");
        }
    }

    /// What happened, for a message.
    #[must_use]
    pub fn story(&self) -> String {
        let findings: Vec<String> =
            self.report.iter().flat_map(|report| &report.findings).map(Finding::line).collect();
        format!("--- findings\n{}\n{}", findings.join("\n"), self.ended.output())
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
