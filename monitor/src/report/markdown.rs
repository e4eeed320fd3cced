//! Markdown for the job summary of a CI service: what was found, by whom, and what would allow it.
//!
//! Text that a stranger chose stands in `<code>`, with every character that could mean something written as a character
//! reference. References are text only after the structure of a page is known (CommonMark 0.31, section 2.5), so nothing
//! in them begins a link, a table cell, a tag or a mention.

use std::fmt::Write as _;
use std::io::{self, Write};

use monitor_common::verdict::Achieved;

use super::layout::{Screen, plain, shorten};
use super::network::{self, Network, Peer, Speaker, Talk};
use super::phrase::{chain, counted, heading, notes, object_text, outcome_word, severity_word, sorted, verb};
use super::{Report, allow};
use crate::event::Event;
use crate::finding::{Finding, PackageSummary, Summary};

/// The most bytes of a page: half of the 1 MiB that the job summary of GitHub Actions takes for one step, for what else
/// the step has to say.
pub const MOST: usize = 512 << 10;
/// The most columns of one piece of strange text.
const LONG: usize = 200;

/// A page of Markdown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Markdown;

/// A page that grows by whole blocks until it is full.
struct Page(String);

impl Page {
    /// Says whether the block fitted.
    fn add(&mut self, block: &str) -> bool {
        let fits = self.0.len() + block.len() <= MOST;
        if fits {
            self.0.push_str(block);
        }
        fits
    }
}

impl Report for Markdown {
    fn render(
        &self,
        summary: &Summary,
        _: &mut dyn Iterator<Item = Event>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let mut page = Page(head(summary));
        let findings = sorted(&summary.findings);
        if !findings.is_empty() {
            page.add("\n| severity | outcome | who | did what | rule |\n|---|---|---|---|---|\n");
            fill(&mut page, &findings, row, "findings are not in this table");
            page.add("\n#### Why, and what would allow it\n\n");
            fill(&mut page, &findings, detail, "findings are not explained here");
        }
        if !summary.packages.is_empty() {
            packages(&mut page, &summary.packages);
        }
        hosts(&mut page, &network::network(summary));
        out.write_all(page.0.as_bytes())
    }
}

/// Adds a block for each of `items` while they fit, and then says how many did not. Some room is kept for what follows.
fn fill<T: Copy>(page: &mut Page, items: &[T], block: impl Fn(T) -> String, rest: &str) {
    let room = MOST - (MOST - page.0.len()) / 3;
    let mut shown = 0;
    for item in items {
        let block = block(*item);
        if page.0.len() + block.len() > room {
            break;
        }
        page.0.push_str(&block);
        shown += 1;
    }
    if shown < items.len() {
        page.add(&format!("\n{} more {rest}; the other formats have them.\n", items.len() - shown));
    }
}

fn head(summary: &Summary) -> String {
    let mut text = String::from("### pkgwarden: ");
    let count = summary.findings.len() as u64;
    if count == 0 {
        text.push_str("nothing found\n\n");
    } else {
        text.push_str(&counted(count, "finding", "findings"));
        let open =
            summary.findings.iter().filter(|finding| finding.achieved == Achieved::Missed).count() as u64;
        if open > 0 {
            // Writing to a string cannot fail, here and below.
            let _ = write!(text, ", {open} **not stopped**");
        }
        text.push_str("\n\n");
    }
    let command: Vec<String> = summary.run.command.iter().map(ToString::to_string).collect();
    let _ = write!(text, "{} · ", code(&command.join(" ")));
    let _ = write!(
        text,
        "{}, {}, {} watched · {} tier, {} mode",
        counted(summary.processes, "process", "processes"),
        counted(summary.scopes, "script", "scripts"),
        counted(summary.packages.len() as u64, "package", "packages"),
        summary.run.tier.word(),
        summary.run.mode.word(),
    );
    if let Some(agent) = summary.run.agent() {
        let _ = write!(text, " · started by {}", code(&agent.to_string()));
    }
    if let Some(exit) = summary.end.as_ref().and_then(|end| end.exit_code) {
        let _ = write!(text, " · exit code {exit}");
    }
    text.push_str("\n\n");
    match &summary.end {
        None => text
            .push_str("> **Warning:** the record of this run breaks off; this is not all that happened.\n\n"),
        Some(end) if !end.lost.is_empty() => {
            let lost: Vec<String> = end.lost.iter().map(|(name, count)| format!("{name} {count}")).collect();
            let lost = code(&lost.join(", "));
            let _ = writeln!(text, "> **Warning:** not everything could be watched or recorded: {lost}\n");
        }
        Some(_) => {}
    }
    if summary.left_out > 0 {
        let left_out = counted(summary.left_out, "verdict is", "verdicts are");
        let _ = writeln!(text, "> **Warning:** {left_out} left out, there were too many.\n");
    }
    text
}

/// A word for a table: what was not stopped stands out without colour.
fn outcome(finding: &Finding) -> String {
    let word = plain(outcome_word(finding.achieved), Screen::default());
    if finding.achieved == Achieved::Missed { format!("**{word}**") } else { word }
}

fn row(finding: &Finding) -> String {
    let times = if finding.count > 1 { format!(" ({} times)", finding.count) } else { String::new() };
    format!(
        "| {} | {} | {} | {} {}{times} | {} |\n",
        severity_word(finding.severity),
        outcome(finding),
        code(&heading(finding)),
        verb(finding.action, &finding.object),
        code(&object_text(&finding.object)),
        code(&finding.rule),
    )
}

fn detail(finding: &Finding) -> String {
    let mut text = format!(
        "<details><summary>{}: {} {} {} ({})</summary>\n\n",
        severity_word(finding.severity),
        code(&heading(finding)),
        verb(finding.action, &finding.object),
        code(&object_text(&finding.object)),
        outcome(finding).replace("**", ""),
    );
    let _ = writeln!(
        text,
        "{}: {} (finding {})\n",
        code(&finding.rule),
        code(&finding.title),
        code(&finding.key)
    );
    if !finding.why.is_empty() {
        let _ = writeln!(text, "{}\n", escape(&one_line(&finding.why)));
    }
    let _ = writeln!(text, "Started as {}\n", code(&chain(finding)));
    for note in notes(finding) {
        let _ = writeln!(text, "{}\n", escape(&note));
    }
    for other in finding.samples.iter().filter(|sample| **sample != finding.object) {
        let _ = writeln!(text, "Also {}\n", code(&object_text(other)));
    }
    if let Some(rule) = allow::rule(finding) {
        text.push_str("To allow it, put this into a folder and add `--rules FOLDER`:\n\n<pre>");
        text.push_str(&lines(&rule));
        text.push_str("</pre>\n\n");
    }
    text.push_str("</details>\n\n");
    text
}

fn packages(page: &mut Page, packages: &[PackageSummary]) {
    let count = counted(packages.len() as u64, "package", "packages");
    if !page.add(&format!("<details><summary>{count} that ran something</summary>\n\n")) {
        return;
    }
    page.add(
        "| package | version | ecosystem | scripts | programs | findings |\n|---|---|---|---|---|---|\n",
    );
    let packages: Vec<&PackageSummary> = packages.iter().collect();
    let row = |known: &PackageSummary| {
        let PackageSummary { package, scopes, programs, findings } = known;
        let version = package.version.as_ref().map(|version| code(&version.to_string())).unwrap_or_default();
        let (name, ecosystem) = (code(&package.name.to_string()), code(&package.ecosystem));
        format!("| {name} | {version} | {ecosystem} | {scopes} | {programs} | {} |\n", findings.len())
    };
    fill(page, &packages, row, "packages are not in this table");
    page.add("\n</details>\n");
}

/// Whom scripts and managers talked to.
fn hosts(page: &mut Page, network: &Network) {
    let told: Vec<_> = network
        .iter()
        .flat_map(|(speaker, peers)| peers.iter().map(move |(peer, talk)| (speaker, peer, talk)))
        .filter(|(_, peer, _)| !peer.is_resolver())
        .collect();
    let count = counted(told.len() as u64, "host", "hosts");
    if told.is_empty() || !page.add(&format!("<details><summary>{count} on the network</summary>\n\n")) {
        return;
    }
    page.add("| who | host | what |\n|---|---|---|\n");
    let row = |(speaker, peer, talk): (&Speaker, &Peer, &Talk)| {
        format!("| {} | {} | {} |\n", code(&speaker.title), code(&peer.text()), talk.text())
    };
    fill(page, &told, row, "hosts are not in this table");
    if let Some(rules) = network::allow_list(network) {
        let intro = "To let scripts reach these and nothing else, put this into a folder and add `--rules FOLDER --network deny`:";
        page.add(&format!("\n{intro}\n\n<pre>{}</pre>\n", lines(&rules)));
    }
    page.add("\n</details>\n");
}

/// Strange text, as it is and nothing else. Long text loses its middle.
fn code(text: &str) -> String {
    let text = shorten(&plain(&one_line(text), Screen::default()), LONG, Screen::default());
    format!("<code>{}</code>", escape(&text))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text in which no character means anything to Markdown or HTML.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut before = '\0';
    for character in plain(text, Screen::default()).chars() {
        let plain = match character {
            // Behind `www` it would make a link, behind a number a list.
            '.' => !before.eq_ignore_ascii_case(&'w') && !before.is_ascii_digit(),
            // At the beginning it would make a list or a line.
            '-' => before != '\0',
            '/' | ',' => true,
            _ => !character.is_ascii_punctuation(),
        };
        if !plain {
            let _ = write!(out, "&#{};", u32::from(character));
        } else {
            out.push(character);
        }
        before = character;
    }
    out
}

/// Lines that keep their indentation. An empty one would end the block in which they stand.
pub(super) fn lines(text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| escape(&plain(line, Screen::default())))
        .collect();
    lines.join("\n")
}
