//! What the suite in a VM says: one line of JSON for each deed and way to run it.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// How a deed ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// No harm, and a finding.
    Stopped,
    /// Harm, and a finding.
    Noticed,
    /// Harm, and no finding.
    Missed,
    /// This kernel or machine cannot do it.
    Impossible,
    /// Bare: it was done.
    Harm,
    /// Bare: it was not done, and nobody knows why.
    NoHarm,
    /// No harm, and no finding: that proves nothing.
    Unproven,
    /// The suite could not try it.
    Broken,
}

impl Outcome {
    /// Those that a watched deed can have, in the order in which they are counted.
    pub(crate) const WATCHED: [Self; 6] =
        [Self::Stopped, Self::Noticed, Self::Missed, Self::Impossible, Self::Unproven, Self::Broken];
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "stopped",
            Self::Noticed => "noticed",
            Self::Missed => "missed",
            Self::Impossible => "impossible",
            Self::Harm => "harm",
            Self::NoHarm => "no harm",
            Self::Unproven => "unproven",
            Self::Broken => "broken",
        })
    }
}

/// One deed, done in one way.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Done {
    /// Its name.
    pub(crate) deed: String,
    /// Rows of the list of techniques it belongs to.
    #[serde(default)]
    pub(crate) rows: Vec<String>,
    /// What it does, for people.
    pub(crate) technique: String,
    /// `bare`, or the tier.
    pub(crate) run: String,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// Whether that is what its entry in the suite's table promises.
    pub(crate) kept: bool,
    /// What is promised of it, where it is watched.
    #[serde(default)]
    pub(crate) promised: Option<Outcome>,
    /// The rule that noticed it.
    #[serde(default)]
    pub(crate) rule: Option<String>,
    /// What was seen.
    #[serde(default)]
    pub(crate) detail: Option<String>,
    /// Why noticing it is all that makes sense, or why it may be impossible.
    #[serde(default)]
    pub(crate) why: Option<String>,
    /// Whether it is luck that decides between what is promised and better.
    #[serde(default)]
    luck: bool,
}

impl Done {
    /// A line of a table of what did not end as promised.
    pub(crate) fn row(&self, kernel: &str) -> String {
        let text = |text: &Option<String>| in_cell(text.as_deref().unwrap_or("–"));
        format!(
            "| {kernel} | {} | {} | {} | {} | {} | {} |",
            self.run,
            self.deed,
            self.outcome,
            self.promised.map_or("–".into(), |promised| promised.to_string()),
            text(&self.rule),
            text(&self.detail)
        )
    }

    /// What the page says: of what luck decides, only what is promised.
    fn told(&self) -> Outcome {
        match self.promised {
            Some(promised) if self.luck && self.kept && self.outcome < promised => promised,
            _ => self.outcome,
        }
    }
}

/// A text that neither a bar nor a line's end may break.
pub(crate) fn in_cell(text: &str) -> String {
    text.replace('|', "/").replace('\n', " ")
}

/// How a deed is called that nobody watches.
pub(crate) const BARE: &str = "bare";

/// The last line of a suite that came to its end.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct End {
    /// The kernel's release.
    pub(crate) kernel: String,
    /// How many did not end as promised.
    pub(crate) failed: u32,
}

/// A suite that ran on one kernel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Suite {
    /// Every deed, in every way.
    pub(crate) done: Vec<Done>,
    /// Tiers that the kernel turned out not to have, and why.
    pub(crate) unprotected: Vec<(String, String)>,
    /// The last line.
    pub(crate) end: Option<End>,
}

impl Suite {
    /// Takes one line of output.
    pub(crate) fn line(&mut self, text: &str) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let value: serde_json::Value = serde_json::from_str(text)
            .with_context(|| format!("the suite printed {text:?}, which is no JSON"))?;
        let unknown = || format!("the suite printed a line that is not understood: {text}");
        let word = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        match value["suite"].as_str() {
            Some("tier") => self.unprotected.push((word("tier"), word("detail"))),
            Some("end") => self.end = Some(serde_json::from_value(value).with_context(unknown)?),
            _ => self.done.push(serde_json::from_value(value).with_context(unknown)?),
        }
        Ok(())
    }

    /// Whether the suite ran to its end, with this exit code.
    pub(crate) fn check(&self, code: i32) -> Result<&End> {
        let end = self.end.as_ref().with_context(|| {
            format!("the suite broke off after {} results with exit code {code}", self.done.len())
        })?;
        ensure!(!self.done.is_empty(), "the suite did no deed: is its name right?");
        ensure!(
            code == 0 || end.failed > 0 || !self.is_kept(),
            "the suite ended with exit code {code}, although all was as promised"
        );
        Ok(end)
    }

    /// What did not end as promised.
    pub(crate) fn broken(&self) -> Vec<&Done> {
        self.done.iter().filter(|done| !done.kept).collect()
    }

    /// Whether every deed ended as promised, in every tier.
    pub(crate) fn is_kept(&self) -> bool {
        self.unprotected.is_empty() && self.broken().is_empty()
    }

    /// For people: whether all is as promised.
    pub(crate) fn verdict(&self) -> String {
        match (self.is_kept(), self.broken().len()) {
            (true, _) => "as promised".into(),
            (false, 0) => "a tier is MISSING".into(),
            (false, wrong) => format!("{wrong} NOT as promised"),
        }
    }

    /// How the deeds ended in each tier. One that cannot be done bare cannot be done watched.
    pub(crate) fn outcomes(&self, tiers: &[String]) -> BTreeMap<(String, String), Outcome> {
        let mut outcomes = BTreeMap::new();
        for done in &self.done {
            if done.run != BARE {
                outcomes.insert((done.deed.clone(), done.run.clone()), done.told());
            } else if done.outcome == Outcome::Impossible {
                let there = |tier: &&String| self.unprotected.iter().all(|(missing, _)| missing != *tier);
                for tier in tiers.iter().filter(there) {
                    outcomes.entry((done.deed.clone(), tier.clone())).or_insert(Outcome::Impossible);
                }
            }
        }
        outcomes
    }

    /// `12 stopped, 2 noticed`: what was counted so far.
    pub(crate) fn counts(&self, tiers: &[String]) -> String {
        let outcomes = self.outcomes(tiers);
        let counted =
            Outcome::WATCHED.map(|which| (outcomes.values().filter(|one| **one == which).count(), which));
        let words: Vec<String> = counted
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, which)| format!("{count} {which}"))
            .collect();
        if words.is_empty() { "nothing yet".into() } else { words.join(", ") }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Outcome, Suite};

    /// A suite that said these: deed, run, outcome.
    pub(in super::super) fn said(lines: &[(&str, &str, &str)]) -> Suite {
        let mut suite = Suite::default();
        for (deed, run, outcome) in lines {
            let kept = *outcome != "missed";
            suite
                .line(&format!(
                    r#"{{"deed":"{deed}","rows":["6.1"],"technique":"to {deed}","run":"{run}","outcome":"{outcome}","kept":{kept}}}"#
                ))
                .unwrap();
        }
        suite
    }

    #[test]
    fn what_is_impossible_bare_is_impossible_watched() {
        let tiers = ["deny".to_owned(), "kill".to_owned()];
        let suite = said(&[
            ("a", "bare", "harm"),
            ("a", "kill", "noticed"),
            ("a", "deny", "stopped"),
            ("b", "bare", "impossible"),
        ]);
        let outcomes = suite.outcomes(&tiers);
        assert_eq!(outcomes[&("a".into(), "kill".into())], Outcome::Noticed);
        assert_eq!(outcomes[&("b".into(), "deny".into())], Outcome::Impossible);
        assert_eq!(suite.counts(&tiers), "1 stopped, 1 noticed, 2 impossible");
    }

    #[test]
    fn a_suite_without_an_end_is_no_success() {
        let mut suite = said(&[("a", "bare", "no-harm"), ("a", "kill", "missed")]);
        assert!(suite.check(0).is_err());
        suite.line(r#"{"suite":"end","kernel":"6.12.1","arch":"x86_64","deeds":1,"failed":0}"#).unwrap();
        assert_eq!(suite.check(0).unwrap().kernel, "6.12.1");
        assert_eq!(suite.broken().len(), 1);
        assert!(suite.line("Segmentation fault").is_err());
        suite
            .line(r#"{"suite":"tier","tier":"deny","outcome":"unprotected","detail":"no trampolines"}"#)
            .unwrap();
        assert_eq!(suite.unprotected, [("deny".to_owned(), "no trampolines".to_owned())]);
        assert!(suite.check(1).is_ok() && !suite.is_kept());
    }

    #[test]
    fn an_exit_code_without_a_reason_is_a_failure() {
        let mut suite = said(&[("a", "bare", "harm")]);
        suite.line(r#"{"suite":"end","kernel":"6.12.1","arch":"x86_64","deeds":1,"failed":0}"#).unwrap();
        assert!(suite.check(0).is_ok());
        assert!(suite.check(139).is_err());
    }
}
