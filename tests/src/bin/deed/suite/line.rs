//! What the suite says: JSON Lines on the standard output.

use std::io::{self, Write};

use serde::Serialize;

use super::findings::Finding;
use crate::deeds::{Deed, Promise};

/// What became of a deed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// Bare: it was done.
    Harm,
    /// Bare: this machine cannot do it.
    Impossible,
    /// Bare: it was not done, and nobody knows why.
    NoHarm,
    /// Watched: it was not done, and there is a finding.
    Stopped,
    /// Watched: it was done, and there is a finding that nobody overlooks.
    Noticed,
    /// Watched: it was done, and there is none.
    Missed,
    /// Watched: it was not done, and there is no finding either.
    Unproven,
    /// The suite could not try it.
    Broken,
}

/// One line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) outcome: Outcome,
    detail: String,
    kept: bool,
    promise: Option<Promise>,
    finding: Option<Finding>,
}

#[derive(Serialize)]
struct Written<'a> {
    deed: &'a str,
    rows: &'a [&'a str],
    technique: &'a str,
    run: &'a str,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    achieved: Option<&'a str>,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    promised: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    luck: bool,
    kept: bool,
}

impl Line {
    /// A line of a promise that was not kept, until [`Line::kept`] says otherwise.
    pub(super) fn new(outcome: Outcome, detail: &str) -> Self {
        Self { outcome, detail: detail.to_owned(), kept: false, promise: None, finding: None }
    }

    /// A run that the suite could not make.
    pub(super) fn broken(why: &crate::Failure) -> Self {
        Self::new(Outcome::Broken, &format!("the suite itself failed: {why}"))
    }

    pub(super) fn kept(mut self, kept: bool) -> Self {
        self.kept = kept;
        self
    }

    pub(super) fn promised(mut self, promise: Promise) -> Self {
        self.promise = Some(promise);
        self
    }

    pub(super) fn by(mut self, finding: &Finding) -> Self {
        self.finding = Some(finding.clone());
        self
    }

    pub(super) fn is_kept(&self) -> bool {
        self.kept
    }

    pub(super) fn write(&self, deed: &Deed, run: &str) -> io::Result<()> {
        let (promised, why) = match self.promise {
            None => (None, None),
            Some(Promise::Stopped) => (Some("stopped"), None),
            Some(Promise::Noticed(why)) => (Some("noticed"), Some(why)),
            Some(Promise::Nothing(why)) => (Some("missed"), Some(why)),
        };
        let unless = Some(deed.unless).filter(|_| self.outcome == Outcome::Impossible);
        print(&Written {
            deed: deed.name,
            rows: deed.rows,
            technique: deed.technique,
            run,
            outcome: self.outcome,
            rule: self.finding.as_ref().map(|finding| finding.rule.as_str()),
            achieved: self.finding.as_ref().map(|finding| finding.achieved.as_str()),
            detail: &self.detail,
            promised,
            why: why.or(unless).filter(|why| !why.is_empty()),
            luck: deed.luck,
            kept: self.kept,
        })
    }
}

/// Says that a tier cannot be had here.
pub(super) fn unprotected(tier: &str, detail: &str) -> io::Result<()> {
    #[derive(Serialize)]
    struct Tier<'a> {
        suite: &'a str,
        tier: &'a str,
        outcome: &'a str,
        detail: &'a str,
    }
    print(&Tier { suite: "tier", tier, outcome: "unprotected", detail })
}

/// Says that this was all.
pub(super) fn end(deeds: usize, failed: usize) -> io::Result<()> {
    #[derive(Serialize)]
    struct End<'a> {
        suite: &'a str,
        kernel: &'a str,
        arch: &'a str,
        deeds: usize,
        failed: usize,
    }
    let names = nix::sys::utsname::uname()?;
    let (kernel, arch) = (names.release().to_string_lossy(), names.machine().to_string_lossy());
    print(&End { suite: "end", kernel: &kernel, arch: &arch, deeds, failed })
}

fn print(line: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&text)?;
    out.flush()
}
