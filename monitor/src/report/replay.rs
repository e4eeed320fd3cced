//! What other rules would have said to a recorded run: text for people, JSON for programs.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::layout::{Screen, Style, plain, shorten, wrap};
use super::phrase::{counted, object_text, severity_word, verb};
use crate::event::log::{End, Run};
use crate::event::text::{Text, visible_json};
use crate::replay::{Answer, Change, Doubt, Said};
use crate::rule::syntax::{Network, Severity, Verdict};

/// Name and version of the JSON format.
pub const SCHEMA: &str = "pkgwarden.replay/1";
/// The most different acts that are kept. More are counted.
const MAX_ACTS: usize = 5000;

/// What was said to acts that are alike.
#[derive(Debug, Serialize)]
struct Act {
    /// The first of them.
    #[serde(flatten)]
    said: Said,
    /// How many.
    count: u64,
}

/// All acts of a run.
#[derive(Debug, Default)]
pub struct Comparison {
    acts: Vec<Act>,
    counts: BTreeMap<Change, u64>,
    worst: Option<Severity>,
    left_out: u64,
}

impl Comparison {
    /// Takes one act.
    pub fn add(&mut self, said: Said) {
        *self.counts.entry(said.change).or_default() += 1;
        if said.now.verdict != Verdict::Allow {
            self.worst = self.worst.max(said.now.severity);
        }
        let alike = |act: &Act| {
            let other = &act.said;
            (&other.then, &other.now, &other.actor, other.action)
                == (&said.then, &said.now, &said.actor, said.action)
                && other.object.what == said.object.what
                && other.package == said.package
        };
        match self.acts.iter().position(alike) {
            Some(known) => self.acts[known].count += 1,
            None if self.acts.len() >= MAX_ACTS => self.left_out += 1,
            None => self.acts.push(Act { said, count: 1 }),
        }
    }

    /// The worst severity of what these rules say.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.worst
    }
}

/// A run that was judged again.
#[derive(Debug)]
pub struct Replayed<'a> {
    /// What ran.
    pub run: &'a Run,
    /// How it ended, if that is recorded.
    pub end: Option<&'a End>,
    /// Lines that could not be read.
    pub unreadable: usize,
    /// How many rules there are now.
    pub rules: usize,
    /// How far scripts may reach now.
    pub network: Network,
    /// The acts.
    pub comparison: &'a Comparison,
    /// What is uncertain, and how often.
    pub doubts: &'a BTreeMap<Doubt, u64>,
}

#[derive(Serialize)]
struct Root<'a> {
    schema: &'static str,
    version: &'static str,
    recorded: Recorded<'a>,
    rules: usize,
    network: Network,
    worst: Option<Severity>,
    counts: BTreeMap<&'static str, u64>,
    acts: &'a [Act],
    left_out: u64,
    unreadable_lines: usize,
    doubts: &'a BTreeMap<Doubt, u64>,
    limits: Vec<String>,
}

#[derive(Serialize)]
struct Recorded<'a> {
    version: &'a str,
    tier: &'static str,
    mode: &'static str,
    command: &'a [Text],
    rules: usize,
    complete: bool,
}

impl Replayed<'_> {
    /// One JSON object, indented.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        let Comparison { acts, counts, worst, left_out } = self.comparison;
        let every = ALL.map(|change| (change.word(), counts.get(&change).copied().unwrap_or(0)));
        let root = Root {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            recorded: Recorded {
                version: &self.run.version,
                tier: self.run.tier.word(),
                mode: self.run.mode.word(),
                command: &self.run.command,
                rules: self.run.rules.count,
                complete: self.end.is_some_and(|end| end.lost.is_empty()) && self.unreadable == 0,
            },
            rules: self.rules,
            network: self.network,
            worst: *worst,
            counts: every.into(),
            acts,
            left_out: *left_out,
            unreadable_lines: self.unreadable,
            doubts: self.doubts,
            limits: self.limits(),
        };
        let mut json = visible_json(serde_json::to_vec_pretty(&root)?);
        json.push(b'\n');
        out.write_all(&json)
    }

    /// Text for people; with `all` also the acts to which the same is said.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn human(&self, screen: Screen, all: bool, out: &mut dyn Write) -> io::Result<()> {
        let command: Vec<String> = self.run.command.iter().map(ToString::to_string).collect();
        let headline = format!(
            "replay of {} ({} tier, {} mode): {} rules then, {} now",
            command.join(" "),
            self.run.tier.word(),
            self.run.mode.word(),
            self.run.rules.count,
            self.rules
        );
        paragraph(&headline, Style::Bold, "", screen, out)?;
        for change in ALL.into_iter().filter(|change| all || *change != Change::Same) {
            let acts: Vec<&Act> =
                self.comparison.acts.iter().filter(|act| act.said.change == change).collect();
            if acts.is_empty() {
                continue;
            }
            writeln!(out, "\n{}", Style::Bold.paint(change.heading()))?;
            for act in acts {
                self.act(act, screen, out)?;
            }
        }
        writeln!(out)?;
        paragraph(&self.summary(), Style::Bold, "", screen, out)?;
        for limit in self.limits() {
            paragraph(&limit, Style::Dim, "  ", screen, out)?;
        }
        Ok(())
    }

    fn act(&self, act: &Act, screen: Screen, out: &mut dyn Write) -> io::Result<()> {
        let said = &act.said;
        let who = said.package.as_ref().map_or_else(String::new, |package| {
            let version = package.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
            format!("{}{version}: ", package.name)
        });
        let times = if act.count > 1 { format!(" ({} times)", act.count) } else { String::new() };
        let line = format!(
            "{who}{} {} {}{times}",
            said.actor,
            verb(said.action, &said.object),
            object_text(&said.object)
        );
        // A command line can be long; two lines of it say enough.
        let line = shorten(&plain(&line, screen), screen.width.saturating_sub(2) * 2, screen);
        paragraph(&line, Style::Plain, "  ", screen, out)?;
        let class = if said.by_class { "; recognised by its recorded class" } else { "" };
        let line = format!("then {}, now {}{class}", answer(&said.then), answer(&said.now));
        paragraph(&line, Style::Dim, "    ", screen, out)
    }

    fn summary(&self) -> String {
        let counts = &self.comparison.counts;
        let total: u64 = counts.values().sum();
        if total == 0 {
            return "nothing was said then, and nothing would be said now".to_owned();
        }
        let parts: Vec<String> = ALL
            .into_iter()
            .filter_map(|change| Some(format!("{} {}", counts.get(&change)?, change.short())))
            .collect();
        format!("{}: {}", counted(total, "act", "acts"), parts.join(", "))
    }

    /// What this replay cannot say.
    fn limits(&self) -> Vec<String> {
        let mut limits = vec![
            "not replayed: acts to which no rule said anything then. Recorded are, besides verdicts, only the start of \
             programs and names that were answered"
                .to_owned(),
        ];
        for (doubt, count) in self.doubts {
            let (one, many, text) = doubt.words();
            limits.push(format!("{}: {text}", counted(*count, one, many)));
        }
        match self.end {
            None => limits.push("the recording breaks off: its last line is missing".to_owned()),
            Some(end) if !end.lost.is_empty() => {
                let lost: Vec<String> =
                    end.lost.iter().map(|(name, count)| format!("{name} {count}")).collect();
                limits.push(format!("not everything was recorded ({})", lost.join(", ")));
            }
            Some(_) => {}
        }
        if self.unreadable > 0 {
            limits.push(format!("{} could not be read", counted(self.unreadable as u64, "line", "lines")));
        }
        if self.comparison.left_out > 0 {
            limits.push(format!("{} more acts are counted and not shown", self.comparison.left_out));
        }
        limits
    }
}

const ALL: [Change; 6] = [
    Change::NowKilled,
    Change::NowDenied,
    Change::NowAlerted,
    Change::NowAllowed,
    Change::OtherRule,
    Change::Same,
];

impl Change {
    fn word(self) -> &'static str {
        match self {
            Self::NowKilled => "now-killed",
            Self::NowDenied => "now-denied",
            Self::NowAlerted => "now-alerted",
            Self::NowAllowed => "now-allowed",
            Self::OtherRule => "other-rule",
            Self::Same => "same",
        }
    }

    fn short(self) -> &'static str {
        match self {
            Self::NowKilled => "now killed",
            Self::NowDenied => "now denied",
            Self::NowAlerted => "now alerted",
            Self::NowAllowed => "now allowed",
            Self::OtherRule => "by another rule",
            Self::Same => "the same",
        }
    }

    fn heading(self) -> &'static str {
        match self {
            Self::NowKilled => "now the whole tree would be killed",
            Self::NowDenied => "now denied",
            Self::NowAlerted => "now told, and going on",
            Self::NowAllowed => "now allowed",
            Self::OtherRule => "the same verdict by another rule",
            Self::Same => "the same",
        }
    }
}

impl Doubt {
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::NoAct => {
                ("finding", "findings", "about a process that outlived its command, which is no act")
            }
            Self::UnknownActor => ("act", "acts", "not replayed, because these rules have no such actor"),
            Self::UnknownObject => (
                "act",
                "acts",
                "not replayed, because these rules cannot recognise what is recorded of the object",
            ),
            Self::ByClass => (
                "act",
                "acts",
                "the object was recognised by its recorded classes: another name of a file, or a home of another machine \
                 (--home)",
            ),
            Self::CountAssumed => (
                "act",
                "acts",
                "of a rule that counts: as many matches as it asks for now are taken to have come before",
            ),
            Self::MarkAssumed => {
                ("act", "acts", "in a scope whose marks no recorded act explains; they are believed")
            }
            Self::UnknownSequel => {
                ("act", "acts", "stopped then and going on now: what would have followed was never recorded")
            }
            Self::UnlikelySequel => (
                "act",
                "acts",
                "going on then and stopped now: some of what was recorded later would not have happened",
            ),
            Self::OtherActor => ("program", "programs", "taken for another actor by these rules"),
        }
    }
}

fn answer(answer: &Answer) -> String {
    let verdict = match answer.verdict {
        Verdict::Allow if answer.rule.is_none() => return "nothing".to_owned(),
        Verdict::Allow => "allow",
        Verdict::Alert => "alert",
        Verdict::Deny => "deny",
        Verdict::Kill => "kill",
    };
    let rule = answer.rule.as_deref().unwrap_or("no rule");
    match answer.severity {
        Some(severity) if answer.verdict != Verdict::Allow => {
            format!("{verdict} by {rule} ({})", severity_word(severity))
        }
        _ => format!("{verdict} by {rule}"),
    }
}

fn paragraph(text: &str, style: Style, indent: &str, screen: Screen, out: &mut dyn Write) -> io::Result<()> {
    for line in wrap(&plain(text, screen), screen.width.saturating_sub(indent.len())) {
        writeln!(out, "{indent}{}", style.paint(&line))?;
    }
    Ok(())
}
