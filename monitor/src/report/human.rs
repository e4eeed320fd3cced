//! The summary on the terminal: which package, what it tried, what became of it, and what to do next.
//!
//! ```text
//! evil 1.2.3 (npm, postinstall)
//! └─ read /home/u/.npmrc                        killed  PW-CRED-014 high
//!    npm > sh > node install.js
//! ```

use std::io::{self, Write};

use monitor_common::verdict::Achieved;

use super::layout::{Screen, Style, plain, shorten, width, wrap};
use super::phrase::{
    chain, counted, first_sentence, heading, notes, object_text, outcome_word, severity_word, sorted, verb,
};
use super::{Report, allow, network};
use crate::event::model::{Event, Judgement};
use crate::finding::{Finding, Summary};
use crate::rule::syntax::Severity;

/// The most rules that are explained at the end; the rest is in the other formats.
const MAX_EXPLAINED: usize = 5;

/// The most packages whose hosts are listed, and the most hosts of each.
const MAX_SPEAKERS: usize = 10;
const MAX_PEERS: usize = 10;

/// The most columns that the id of a rule takes beside what it is about.
const MAX_RULE: usize = 20;

/// Text for people.
#[derive(Clone, Copy, Debug, Default)]
pub struct Human {
    /// Where it is shown.
    pub screen: Screen,
}

/// Findings of one package, or of one actor that works for none.
struct Group<'a> {
    title: String,
    findings: Vec<&'a Finding>,
}

impl Report for Human {
    fn render(
        &self,
        summary: &Summary,
        _: &mut dyn Iterator<Item = Event>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let (notes, findings): (Vec<&Finding>, Vec<&Finding>) =
            sorted(&summary.findings).into_iter().partition(|finding| finding.severity == Severity::Info);
        self.headline(summary, findings.len(), out)?;
        for group in groups(&findings) {
            let title = shorten(&plain(&group.title, self.screen), self.screen.width, self.screen);
            writeln!(out, "\n{}", Style::Bold.paint(&title))?;
            for (index, finding) in group.findings.iter().enumerate() {
                self.finding(finding, index + 1 == group.findings.len(), out)?;
            }
        }
        self.explanations(&findings, out)?;
        self.notes(&notes, out)?;
        self.network(summary, out)?;
        self.losses(summary, out)
    }
}

impl Human {
    fn headline(&self, summary: &Summary, count: usize, out: &mut dyn Write) -> io::Result<()> {
        let mut protection = format!("{} tier, {} mode", summary.run.tier.word(), summary.run.mode.word());
        if let Some(agent) = summary.run.agent() {
            protection += &format!(", started by {agent}");
        }
        let watched = format!(
            "{}, {}, {} watched",
            counted(summary.processes, "process", "processes"),
            counted(summary.scopes, "script", "scripts"),
            counted(summary.packages.len() as u64, "package", "packages"),
        );
        let count = count as u64;
        if count == 0 {
            let line = format!("pkgwarden: nothing found ({watched}; {protection})");
            return self.paragraph(&line, Style::Dim, "", out);
        }
        let line = format!("pkgwarden: {} ({watched}; {protection})", counted(count, "finding", "findings"));
        self.paragraph(&line, Style::Bold, "", out)
    }

    fn paragraph(&self, text: &str, style: Style, indent: &str, out: &mut dyn Write) -> io::Result<()> {
        let text: Vec<String> = text.split_whitespace().map(|word| plain(word, self.screen)).collect();
        for line in wrap(&text.join(" "), self.screen.width.saturating_sub(indent.len())) {
            writeln!(out, "{indent}{}", style.paint(&line))?;
        }
        Ok(())
    }

    fn finding(&self, finding: &Finding, last: bool, out: &mut dyn Write) -> io::Result<()> {
        let (branch, below) = match (self.screen.unicode, last) {
            (true, false) => ("\u{251c}\u{2500} ", "\u{2502}  "),
            (true, true) => ("\u{2514}\u{2500} ", "   "),
            (false, false) => ("|- ", "|  "),
            (false, true) => ("`- ", "   "),
        };
        let (outcome, style) = outcome(finding);
        let rule = shorten(&plain(&finding.rule, self.screen), MAX_RULE, self.screen);
        // What `pkgwarden rules allow` is given.
        let key = &finding.key;
        let plain_tail = format!("{outcome}  {rule} {} {key}", severity_word(finding.severity));
        let times = if finding.count > 1 { format!(" ({} times)", finding.count) } else { String::new() };
        let verb = verb(finding.action, &finding.object);
        let room =
            self.screen.width.saturating_sub(3 + width(verb) + 1 + width(&times) + 2 + width(&plain_tail));
        let object = plain(&object_text(&finding.object), self.screen);
        let tail = format!(
            "{}  {rule} {} {}",
            style.paint(&outcome),
            severity(finding.severity),
            Style::Dim.paint(key)
        );
        if room >= width(&object).min(24) {
            let object = shorten(&object, room, self.screen);
            let gap = " ".repeat(room.saturating_sub(width(&object)) + 2);
            writeln!(out, "{branch}{verb} {object}{times}{gap}{tail}")?;
        } else {
            // Too narrow for one line: what was done, then what became of it.
            let room = self.screen.width.saturating_sub(4 + width(verb) + width(&times));
            writeln!(out, "{branch}{verb} {}{times}", shorten(&object, room, self.screen))?;
            if 3 + width(&plain_tail) <= self.screen.width {
                writeln!(out, "{below}{tail}")?;
            } else {
                let tail = format!("{}  {rule} {}", style.paint(&outcome), severity(finding.severity));
                writeln!(out, "{below}{tail}\n{below}finding {}", Style::Dim.paint(key))?;
            }
        }
        for other in finding.samples.iter().filter(|sample| **sample != finding.object) {
            let other = plain(&object_text(other), self.screen);
            let other = shorten(&other, self.screen.width.saturating_sub(8), self.screen);
            writeln!(out, "{below}{}", Style::Dim.paint(&format!("also {other}")))?;
        }
        let chain = plain(&chain(finding), self.screen);
        for line in wrap(&chain, self.screen.width.saturating_sub(3)) {
            writeln!(out, "{below}{}", Style::Dim.paint(&line))?;
        }
        for note in notes(finding) {
            for line in wrap(&plain(&note, self.screen), self.screen.width.saturating_sub(3)) {
                writeln!(out, "{below}{}", Style::Yellow.paint(&line))?;
            }
        }
        Ok(())
    }

    /// For what was stopped: which rule, why, and what would allow it.
    fn explanations(&self, findings: &[&Finding], out: &mut dyn Write) -> io::Result<()> {
        let mut stopped: Vec<&Finding> = Vec::new();
        for &finding in findings {
            let was_stopped = matches!(finding.achieved, Achieved::Denied | Achieved::Killed)
                || finding.outcomes.keys().any(|outcome| outcome == "denied" || outcome == "killed");
            if was_stopped && !stopped.iter().any(|other| other.rule == finding.rule) {
                stopped.push(finding);
            }
        }
        for finding in stopped.iter().take(MAX_EXPLAINED) {
            writeln!(out)?;
            let title = format!("{}: {}", finding.rule, finding.title);
            self.paragraph(&title, Style::Bold, "", out)?;
            if !finding.why.is_empty() {
                self.paragraph(first_sentence(&finding.why), Style::Plain, "  ", out)?;
            }
            if let Some(rule) = allow::rule(finding) {
                self.paragraph(
                    "To allow it, put this into a folder and add --rules FOLDER:",
                    Style::Plain,
                    "  ",
                    out,
                )?;
                for line in rule.lines() {
                    // Not wrapped: it is there to be copied.
                    writeln!(out, "    {}", plain(line, self.screen))?;
                }
            }
        }
        if stopped.len() > MAX_EXPLAINED {
            let more = stopped.len() - MAX_EXPLAINED;
            let text =
                format!("{more} more rules stopped something; `pkgwarden rules explain RULE` says why.");
            writeln!(out)?;
            self.paragraph(&text, Style::Plain, "", out)?;
        }
        Ok(())
    }

    /// What nobody has to look at: a line for each rule. The other formats have all of it.
    fn notes(&self, notes: &[&Finding], out: &mut dyn Write) -> io::Result<()> {
        let mut counts: Vec<(&Finding, u64)> = Vec::new();
        for &note in notes {
            match counts.iter_mut().find(|(known, _)| known.rule == note.rule) {
                Some((_, count)) => *count += note.count,
                None => counts.push((note, note.count)),
            }
        }
        for (note, count) in counts {
            let text = format!("note: {} ({}, {})", note.title, counted(count, "time", "times"), note.rule);
            self.paragraph(&text, Style::Dim, "", out)?;
        }
        Ok(())
    }

    /// Whom scripts talked to, and the rules that let them reach just these; of managers a line.
    fn network(&self, summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
        let network = network::network(summary);
        let (managers, scripts): (Vec<_>, Vec<_>) =
            network.iter().partition(|(speaker, _)| speaker.is_manager());
        for (manager, peers) in managers {
            let hosts: Vec<&str> =
                peers.keys().filter(|peer| !peer.is_resolver()).map(|peer| peer.host.as_str()).collect();
            if let Some(text) = few(&hosts) {
                let sent = network::bytes(peers.values().map(|talk| talk.sent).sum());
                let text = format!("network: {} sent {sent} to {text}", manager.title);
                self.paragraph(&text, Style::Dim, "", out)?;
            }
        }
        if scripts.iter().all(|(_, peers)| peers.keys().all(network::Peer::is_resolver)) {
            return Ok(());
        }
        writeln!(out, "\n{}", Style::Bold.paint("Network"))?;
        for (speaker, peers) in scripts.iter().take(MAX_SPEAKERS) {
            self.paragraph(&speaker.title, Style::Plain, "  ", out)?;
            let told = || peers.iter().filter(|(peer, _)| !peer.is_resolver());
            for (peer, talk) in told().take(MAX_PEERS) {
                let style = if talk.is_refused() { Style::Green } else { Style::Plain };
                let room = self.screen.width.saturating_sub(4 + 2 + 24);
                let text = shorten(&plain(&peer.text(), self.screen), room, self.screen);
                let gap = " ".repeat(room.saturating_sub(width(&text)) + 2);
                writeln!(out, "    {text}{gap}{}", style.paint(&talk.text()))?;
            }
            if let Some(more) = told().count().checked_sub(MAX_PEERS).filter(|more| *more > 0) {
                writeln!(
                    out,
                    "    {}",
                    Style::Dim.paint(&format!("and {}", counted(more as u64, "host", "hosts")))
                )?;
            }
        }
        if scripts.len() > MAX_SPEAKERS {
            writeln!(out, "  {}", Style::Dim.paint(&format!("and {} more", scripts.len() - MAX_SPEAKERS)))?;
        }
        if let Some(rules) = network::allow_list(&network) {
            let text = "To let scripts reach these and nothing else, put this into a folder and add --rules FOLDER --network deny:";
            self.paragraph(text, Style::Plain, "  ", out)?;
            for line in rules.lines() {
                // Not wrapped: it is there to be copied.
                writeln!(out, "    {}", plain(line, self.screen))?;
            }
        }
        Ok(())
    }

    fn losses(&self, summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
        let mut lines = Vec::new();
        match &summary.end {
            None => lines.push(
                "warning: the record of this run breaks off, so this is not all that happened".to_owned(),
            ),
            Some(end) if !end.lost.is_empty() => {
                let lost: Vec<String> =
                    end.lost.iter().map(|(name, count)| format!("{name} {count}")).collect();
                let lost = lost.join(", ");
                lines.push(format!("warning: not everything could be watched or recorded ({lost}); `pkgwarden doctor` explains"));
            }
            Some(_) => {}
        }
        if summary.left_out > 0 {
            lines.push(format!(
                "warning: {} more verdicts are not shown, there were too many",
                summary.left_out
            ));
        }
        for line in lines {
            writeln!(out)?;
            self.paragraph(&line, Style::Yellow, "", out)?;
        }
        Ok(())
    }
}

/// The first of some hosts, and how many more there are; none if there are none.
fn few(hosts: &[&str]) -> Option<String> {
    let (first, rest) = hosts.split_first()?;
    Some(match rest.len() {
        0 => (*first).to_owned(),
        more => format!("{first} and {}", counted(more as u64, "other host", "other hosts")),
    })
}

/// One verdict in one line, for a person who watches the run: `killed: evil 1.2.3: read /home/u/.npmrc (PW-CRED-014)`.
#[must_use]
pub fn one_line(event: &Event, judgement: &Judgement) -> String {
    let who = event.package.as_ref().map_or_else(
        || event.actor.clone(),
        |package| {
            let version = package.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
            format!("{}{version}", package.name)
        },
    );
    let verb = verb(judgement.action, &judgement.object);
    let text = format!(
        "{}: {who}: {verb} {} ({})",
        outcome_word(judgement.achieved),
        object_text(&judgement.object),
        judgement.rule
    );
    plain(&text, Screen::default())
}

/// Findings by package, the worst first.
fn groups<'a>(findings: &[&'a Finding]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for &finding in findings {
        let title = heading(finding);
        match groups.iter_mut().find(|group| group.title == title) {
            Some(group) => group.findings.push(finding),
            None => groups.push(Group { title, findings: vec![finding] }),
        }
    }
    groups
}

/// The worst that happened, and how it looks.
fn outcome(finding: &Finding) -> (String, Style) {
    let style = match finding.achieved {
        Achieved::Missed | Achieved::Observed => Style::Red,
        Achieved::Alerted | Achieved::Allowed => Style::Yellow,
        Achieved::Denied | Achieved::Killed => Style::Green,
    };
    (outcome_word(finding.achieved).to_owned(), style)
}

fn severity(severity: Severity) -> String {
    let style = match severity {
        Severity::High | Severity::Critical => Style::Red,
        Severity::Medium => Style::Yellow,
        Severity::Info | Severity::Low => Style::Dim,
    };
    style.paint(severity_word(severity))
}
