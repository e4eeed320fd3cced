//! What pkgwarden said about a run: the verdicts in its events.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::run::Ended;

/// Severities, and what each counts.
const SEVERITIES: [&str; 5] = ["info", "low", "medium", "high", "critical"];
/// Findings of at least this severity are not overlooked.
const LOUD: usize = 2;
/// The log has no end: its writer was killed, which nobody overlooks either.
const BROKEN_OFF: &str = "(the log breaks off)";

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Finding {
    pub(super) rule: String,
    severity: String,
    pub(super) achieved: String,
    #[serde(default)]
    process: Process,
    #[serde(default)]
    ancestry: Vec<Process>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Process {
    #[serde(default)]
    pid: i32,
}

#[derive(Debug)]
pub(super) struct Findings {
    all: Vec<Finding>,
    lost: String,
    /// Whether the log has a beginning: protection was on.
    pub(super) began: bool,
}

impl Findings {
    /// Reads the events of a run.
    pub(super) fn read(events: &Path, ended: &Ended) -> Self {
        // An agent that was killed at once has written nothing.
        let text = fs::read(events).unwrap_or_default();
        let mut findings = Self { all: Vec::new(), lost: String::new(), began: false };
        let mut complete = false;
        for line in text.split(|byte| *byte == b'\n') {
            let Ok(event) = serde_json::from_slice::<serde_json::Value>(line) else { continue };
            match event["kind"].as_str() {
                Some("run") => findings.began = true,
                Some("verdict") => findings.all.extend(serde_json::from_value::<Finding>(event)),
                Some("end") => {
                    complete = true;
                    findings.lost = event["lost"].to_string();
                }
                _ => {}
            }
        }
        if !complete && ended.signal.is_some() && !ended.late {
            findings.all.push(Finding {
                rule: BROKEN_OFF.into(),
                severity: "critical".into(),
                achieved: "alerted".into(),
                ..Finding::default()
            });
        }
        findings
    }

    /// None at all.
    pub(super) fn none() -> Self {
        Self { all: Vec::new(), lost: String::new(), began: false }
    }

    /// Those about a process and its descendants.
    pub(super) fn of(&self, pid: i32) -> Self {
        let theirs = self.all.iter().filter(|finding| {
            finding.process.pid == pid || finding.ancestry.iter().any(|ancestor| ancestor.pid == pid)
        });
        Self { all: theirs.cloned().collect(), lost: self.lost.clone(), began: self.began }
    }

    /// The worst finding, by rules whose names begin like this.
    pub(super) fn about(&self, rule: &str) -> Option<&Finding> {
        // Of several, the first that is as bad: it was nearest to the cause.
        self.all
            .iter()
            .filter(|finding| finding.rule.starts_with(rule))
            .rev()
            .max_by_key(|finding| finding.rank())
    }

    /// All rules, for people.
    pub(super) fn describe(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        for Finding { rule, severity, achieved, .. } in &self.all {
            let word = format!("{rule} {severity} {achieved}");
            if !words.contains(&word) {
                words.push(word);
            }
        }
        let lost = Some(&self.lost).filter(|lost| !lost.is_empty() && *lost != "{}");
        words.extend(lost.map(|lost| format!("lost {lost}")));
        if words.is_empty() { "no finding".into() } else { words.join(", ") }
    }
}

impl Finding {
    pub(super) fn is_loud(&self) -> bool {
        self.rank() >= LOUD
    }

    fn rank(&self) -> usize {
        SEVERITIES.iter().position(|severity| *severity == self.severity).unwrap_or(0)
    }
}
