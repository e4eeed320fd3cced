//! The summary on the terminal: which package, what it tried, what became of it, and what to do next.
//!
//! ```text
//! evil 1.2.3 (npm, postinstall)
//! └─ read /home/u/.npmrc                        killed  PW-CRED-014 high
//!    npm > sh > node install.js
//! ```

use std::io::{self, Write};

use monitor_common::verdict::{Achieved, Tier, Verdict};

use super::layout::{Screen, Style, plain, shorten, width, wrap};
use super::{Report, allow};
use crate::event::model::{Ancestor, Confidence, Object, Package, Thing};
use crate::event::text::Text;
use crate::finding::{Finding, Summary, badness};
use crate::rule::syntax::Severity;

/// The most rules that are explained at the end; the rest is in the other formats.
const MAX_EXPLAINED: usize = 5;
/// The most programs of a chain that are shown.
const MAX_CHAIN: usize = 6;

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
    fn render(&self, summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
        self.headline(summary, out)?;
        for group in groups(&summary.findings) {
            let title = shorten(&plain(&group.title, self.screen), self.screen.width, self.screen);
            writeln!(out, "\n{}", Style::Bold.paint(&title))?;
            for (index, finding) in group.findings.iter().enumerate() {
                self.finding(finding, index + 1 == group.findings.len(), out)?;
            }
        }
        self.explanations(&summary.findings, out)?;
        self.losses(summary, out)
    }
}

impl Human {
    fn headline(&self, summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
        let protection = format!(
            "{} tier, {} mode",
            summary.run.tier.word(),
            summary.run.mode.word()
        );
        let watched = format!(
            "{}, {}, {} watched",
            counted(summary.processes, "process", "processes"),
            counted(summary.scopes, "script", "scripts"),
            counted(summary.packages.len() as u64, "package", "packages"),
        );
        let count = summary.findings.len() as u64;
        if count == 0 {
            let line = format!("pkgwarden: nothing found ({watched}; {protection})");
            return self.paragraph(&line, Style::Dim, "", out);
        }
        let line = format!(
            "pkgwarden: {} ({watched}; {protection})",
            counted(count, "finding", "findings")
        );
        self.paragraph(&line, Style::Bold, "", out)
    }

    fn paragraph(&self, text: &str, style: Style, indent: &str, out: &mut dyn Write) -> io::Result<()> {
        let text = plain(text, self.screen);
        for line in wrap(&text, self.screen.width.saturating_sub(indent.len())) {
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
        let tail = format!("{outcome}  {} {}", finding.rule, severity_word(finding.severity));
        let times = if finding.count > 1 {
            format!(" ({} times)", finding.count)
        } else {
            String::new()
        };
        let verb = finding.action.word();
        let room = self
            .screen
            .width
            .saturating_sub(3 + width(verb) + 1 + width(&times) + 2 + width(&tail));
        let object = plain(&object_text(&finding.object), self.screen);
        let tail = format!(
            "{}  {} {}",
            style.paint(&outcome),
            finding.rule,
            severity(finding.severity)
        );
        if room >= width(&object).min(24) {
            let object = shorten(&object, room, self.screen);
            let gap = " ".repeat(room.saturating_sub(width(&object)) + 2);
            writeln!(out, "{branch}{verb} {object}{times}{gap}{tail}")?;
        } else {
            // Too narrow for one line: what was done, then what became of it.
            let room = self.screen.width.saturating_sub(4 + width(verb) + width(&times));
            writeln!(
                out,
                "{branch}{verb} {}{times}",
                shorten(&object, room, self.screen)
            )?;
            writeln!(out, "{below}{tail}")?;
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
            for line in wrap(&note, self.screen.width.saturating_sub(3)) {
                writeln!(out, "{below}{}", Style::Yellow.paint(&line))?;
            }
        }
        Ok(())
    }

    /// For what was stopped: which rule, why, and what would allow it.
    fn explanations(&self, findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
        let mut stopped: Vec<&Finding> = Vec::new();
        for finding in sorted(findings) {
            let was_stopped = matches!(finding.achieved, Achieved::Denied | Achieved::Killed)
                || finding
                    .outcomes
                    .keys()
                    .any(|outcome| outcome == "denied" || outcome == "killed");
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

    fn losses(&self, summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
        let mut lines = Vec::new();
        match &summary.end {
            None => lines.push(
                "warning: the record of this run breaks off, so this is not all that happened".to_owned(),
            ),
            Some(end) if !end.lost.is_empty() => {
                let lost: Vec<String> = end
                    .lost
                    .iter()
                    .map(|(name, count)| format!("{name} {count}"))
                    .collect();
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

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Findings by package, the worst first.
fn groups(findings: &[Finding]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for finding in sorted(findings) {
        let title = heading(finding);
        match groups.iter_mut().find(|group| group.title == title) {
            Some(group) => group.findings.push(finding),
            None => groups.push(Group {
                title,
                findings: vec![finding],
            }),
        }
    }
    groups
}

/// The worst severity first, then what was not stopped, then the order of time.
fn sorted(findings: &[Finding]) -> Vec<&Finding> {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| {
        std::cmp::Reverse((
            finding.severity,
            badness(finding.achieved) >= badness(Achieved::Observed),
        ))
    });
    sorted
}

fn heading(finding: &Finding) -> String {
    match &finding.package {
        Some(package) => package_heading(package),
        None => match finding.actor.split_once(':') {
            Some(("manager", name)) => format!("{name} itself"),
            Some(("script", "command")) => "the command itself".to_owned(),
            Some(("script", name)) => format!("a script run by {name} (package unknown)"),
            Some(("tool", name)) => format!("{name} (package unknown)"),
            _ => finding.actor.clone(),
        },
    }
}

fn package_heading(package: &Package) -> String {
    let version = package
        .version
        .as_ref()
        .map(|version| format!(" {version}"))
        .unwrap_or_default();
    let script = package
        .script
        .as_ref()
        .map(|script| format!(", {script}"))
        .unwrap_or_default();
    let doubt = match package.confidence {
        Confidence::Exact => "",
        Confidence::Likely => ", likely",
        Confidence::None => ", unsure",
    };
    format!("{}{version} ({}{script}{doubt})", package.name, package.ecosystem)
}

/// The worst that happened, and how it looks.
fn outcome(finding: &Finding) -> (String, Style) {
    let style = match finding.achieved {
        Achieved::Missed | Achieved::Observed => Style::Red,
        Achieved::Alerted | Achieved::Allowed => Style::Yellow,
        Achieved::Denied | Achieved::Killed => Style::Green,
    };
    let word = match finding.achieved {
        Achieved::Missed => "NOT STOPPED",
        other => other.word(),
    };
    (word.to_owned(), style)
}

fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

fn severity(severity: Severity) -> String {
    let style = match severity {
        Severity::High | Severity::Critical => Style::Red,
        Severity::Medium => Style::Yellow,
        Severity::Info | Severity::Low => Style::Dim,
    };
    style.paint(severity_word(severity))
}

fn object_text(object: &Object) -> String {
    let named = |text: &Text| {
        if text.is_empty() {
            "(no path)".to_owned()
        } else {
            text.to_string()
        }
    };
    match &object.what {
        Thing::File { path } => named(path),
        Thing::Program { path, argv } => {
            let arguments: Vec<String> = argv.iter().skip(1).map(ToString::to_string).collect();
            format!("{} {}", named(path), arguments.join(" "))
                .trim_end()
                .to_owned()
        }
        Thing::Address {
            address,
            port,
            protocol,
        } => {
            let endpoint = std::net::SocketAddr::new(*address, *port);
            if *protocol == 17 {
                format!("{endpoint} (udp)")
            } else {
                endpoint.to_string()
            }
        }
        Thing::Socket { socket } => named(socket),
        Thing::Process { pid } => format!("process {pid}"),
        Thing::Kernel { kernel, .. } if !kernel.is_empty() => kernel.clone(),
        Thing::Kernel { .. } | Thing::None => object.title.clone(),
    }
}

/// What became of it that one word does not say.
fn notes(finding: &Finding) -> Vec<String> {
    let mut notes = Vec::new();
    if finding.outcomes.len() > 1 {
        let all: Vec<String> = finding
            .outcomes
            .iter()
            .map(|(outcome, count)| format!("{outcome} {count}"))
            .collect();
        notes.push(format!("outcomes: {}", all.join(", ")));
    }
    match (finding.asked, finding.achieved) {
        (asked, Achieved::Missed) => notes.push(format!(
            "the rule asks for {}, the kernel could not",
            asked.word()
        )),
        (asked, Achieved::Observed) => {
            notes.push(format!("audit mode: block mode would {} it", asked.word()))
        }
        (Verdict::Deny, Achieved::Killed) if finding.tier == Tier::Kill => {
            notes.push("this tier cannot make a call fail, so the process was killed".to_owned());
        }
        _ => {}
    }
    let doubts: Vec<&str> = finding
        .flags
        .iter()
        .filter_map(|flag| match flag.as_str() {
            "path-too-deep" | "path-too-long" => Some("the beginning of the path is missing"),
            "unresolved" => Some("the path is as the program wrote it"),
            "after-the-fact" => Some("judged after the call was carried out"),
            "arguments-cut" => Some("arguments were too long to be read in full"),
            "compat" => Some("a 32-bit call"),
            _ => None,
        })
        .collect();
    if !doubts.is_empty() {
        notes.push(format!("note: {}", doubts.join("; ")));
    }
    notes
}

/// `npm > sh > node install.js`: the programs from the root to the one that acted, which has its arguments.
fn chain(finding: &Finding) -> String {
    let mut names: Vec<String> = finding.ancestry.iter().rev().map(program).collect();
    // A fork that ran nothing else is no step.
    names.dedup();
    let last = command(&finding.process.exe, &finding.process.argv);
    let own = short_name(&finding.process.exe, &finding.process.argv);
    if names.last() == Some(&own) {
        names.pop();
    }
    if names.len() > MAX_CHAIN {
        names.splice(2..names.len() - (MAX_CHAIN - 3), ["...".to_owned()]);
    }
    names.push(last);
    names.join(" > ")
}

fn program(ancestor: &Ancestor) -> String {
    match ancestor.actor.split_once(':') {
        Some(("manager", name)) => name.to_owned(),
        _ => short_name(&ancestor.exe, &ancestor.argv),
    }
}

fn short_name(exe: &Option<Text>, argv: &[Text]) -> String {
    // A shell is called by its name rather than by what it is a link to.
    let name = argv.first().filter(|name| !name.is_empty()).or(exe.as_ref());
    name.map_or_else(|| "?".to_owned(), |name| name.base_name().to_string())
}

fn command(exe: &Option<Text>, argv: &[Text]) -> String {
    let mut words = vec![short_name(exe, argv)];
    words.extend(argv.iter().skip(1).map(|word| {
        let text = word.to_string();
        if text.is_empty() || text.contains(char::is_whitespace) {
            format!("'{text}'")
        } else {
            text
        }
    }));
    let text = words.join(" ");
    const LONGEST: usize = 160;
    if width(&text) <= LONGEST {
        text
    } else {
        text.chars().take(LONGEST).chain("...".chars()).collect()
    }
}

/// Up to the first full stop that ends a sentence.
fn first_sentence(text: &str) -> &str {
    let text = text.trim();
    text.find(". ")
        .or_else(|| text.find(".\n"))
        .map_or(text, |stop| &text[..=stop])
}
