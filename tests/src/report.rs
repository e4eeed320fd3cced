//! What pkgwarden says about a run.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

/// The JSON report.
#[derive(Clone, Debug, Deserialize)]
pub struct Report {
    /// Name and version of the format.
    pub schema: String,
    /// `kill` or `deny`.
    pub tier: String,
    /// `audit` or `block`.
    pub mode: String,
    /// The exit code of `pkgwarden run`.
    pub exit_code: i32,
    /// Whether the log of the run has an end.
    pub complete: bool,
    /// Processes that were watched.
    pub processes: u64,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// One finding.
#[derive(Clone, Debug, Deserialize)]
pub struct Finding {
    /// The rule.
    pub rule: String,
    /// `info` to `critical`.
    pub severity: String,
    /// The verdict the rule asks for.
    pub asked: String,
    /// What could be made of it.
    pub achieved: String,
    /// The verb.
    pub action: String,
    /// What it was done to.
    pub object: Value,
    /// Who did it.
    pub process: Process,
    /// Its ancestors, nearest first.
    pub ancestry: Vec<Process>,
    /// Who brought the code.
    pub package: Option<Package>,
    /// How often.
    pub count: u64,
    /// How far it can be relied upon.
    #[serde(default)]
    pub flags: Vec<String>,
}

/// A process in a finding.
#[derive(Clone, Debug, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its program, if known.
    #[serde(default)]
    pub exe: String,
    /// Its arguments.
    #[serde(default)]
    pub argv: Vec<String>,
}

/// The package in a finding.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Package {
    /// `npm`, `pypi`, `cargo`.
    pub ecosystem: String,
    /// Name.
    pub name: String,
    /// Version.
    pub version: Option<String>,
    /// The install script.
    pub script: Option<String>,
}

impl Report {
    /// Reads one.
    ///
    /// # Panics
    /// If there is none, or it is not what the format promises.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|why| panic!("read {}: {why}", path.display()));
        let report: Self =
            serde_json::from_str(&text).unwrap_or_else(|why| panic!("the report is wrong: {why}\n{text}"));
        assert_eq!(report.schema, "pkgwarden.report/1");
        assert!(report.complete, "the report breaks off\n{text}");
        report
    }

    /// Findings of rules whose name begins like this.
    #[must_use]
    pub fn of(&self, prefix: &str) -> Vec<&Finding> {
        self.findings.iter().filter(|finding| finding.rule.starts_with(prefix)).collect()
    }

    /// Findings at least this bad.
    #[must_use]
    pub fn at_least(&self, severity: &str) -> Vec<&Finding> {
        let limit = rank(severity);
        self.findings.iter().filter(|finding| rank(&finding.severity) >= limit).collect()
    }
}

impl Finding {
    /// One line for a message.
    #[must_use]
    pub fn line(&self) -> String {
        let package = self.package.as_ref().map_or_else(
            || "no package".to_owned(),
            |package| format!("{}@{}", package.name, package.version.as_deref().unwrap_or("?")),
        );
        let Self { rule, severity, asked, achieved, action, object, count, flags, .. } = self;
        format!("{rule} {severity} {asked}->{achieved} {action} {object} by {package} x{count} {flags:?}")
    }
}

fn rank(severity: &str) -> usize {
    let known = ["info", "low", "medium", "high", "critical"];
    known.iter().position(|word| *word == severity).unwrap_or_else(|| panic!("no severity {severity:?}"))
}
