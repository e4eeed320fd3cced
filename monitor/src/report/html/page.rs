//! The part of the page that is read without its script.

use std::fmt::Write as _;
use std::io::{self, Write};

use monitor_common::verdict::Achieved;

use super::escape;
use crate::event::time::Timestamp;
use crate::finding::{Finding, PackageSummary, Summary};
use crate::report::allow;
use crate::report::phrase::{
    chain, counted, heading, notes, object_text, outcome_word, severity_word, sorted, verb,
};
use crate::report::trace::Trace;
use crate::rule::syntax::Severity;

/// The name of the window.
pub(super) fn title(summary: &Summary) -> String {
    let command: Vec<String> = summary.run.command.iter().map(ToString::to_string).collect();
    escape(&format!("{} – pkgwarden: {}", command.join(" "), headline(summary)))
}

fn headline(summary: &Summary) -> String {
    match summary.findings.len() as u64 {
        0 => "nothing found".to_owned(),
        count => counted(count, "finding", "findings"),
    }
}

/// Writes everything between `body` and the data.
pub(super) fn write(summary: &Summary, trace: &Trace, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(head(summary, trace).as_bytes())?;
    out.write_all(b"<main>\n")?;
    findings(summary, out)?;
    packages(summary, out)?;
    drawn(summary, trace, out)?;
    let run = &summary.run;
    write!(
        out,
        "</main>\n<footer>Written by pkgwarden {}. Linux {}, {}. {} rules from {}.</footer>\n",
        escape(&run.version),
        escape(&run.host.kernel),
        escape(&run.host.arch),
        run.rules.count,
        escape(&run.rules.sources.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    )
}

fn head(summary: &Summary, trace: &Trace) -> String {
    let run = &summary.run;
    let command: Vec<String> = run.command.iter().map(ToString::to_string).collect();
    let mut text = String::from("<header class=\"top\">\n<p class=\"mark\">pkgwarden</p>\n");
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(text, "<h1><code>{}</code></h1>", escape(&command.join(" ")));
    let _ = writeln!(text, "<p class=\"verdict\">{}</p>", sentence(summary));
    text.push_str("<dl class=\"facts\">\n");
    let mut fact = |name: &str, value: String| {
        let _ = writeln!(text, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    };
    fact("Started", escape(&minute(run.time)));
    if let Some(end) = &summary.end {
        fact("Took", seconds(end.time.0.saturating_sub(run.time.0)));
        fact("Exit code", end.exit_code.map_or_else(|| "unknown".to_owned(), |code| code.to_string()));
    }
    fact("Mode", format!("{}, {} tier", run.mode.word(), run.tier.word()));
    if !run.started_by.is_empty() {
        let names: Vec<String> = run.started_by.iter().map(ToString::to_string).collect();
        fact("Started by", escape(&names.join(", ")));
    }
    fact("Processes", summary.processes.to_string());
    fact("Scripts", summary.scopes.to_string());
    fact("Packages", summary.packages.len().to_string());
    text.push_str("</dl>\n");
    for warning in warnings(summary, trace) {
        let _ = writeln!(text, "<p class=\"warning\">{}</p>", escape(&warning));
    }
    text.push_str(
        "</header>\n<nav aria-label=\"Sections\"><a href=\"#findings\">Findings</a><a href=\"#packages\">Packages</a>\
         <a href=\"#timeline\">Timeline</a><a href=\"#network\">Network</a><a href=\"#processes\">Processes</a></nav>\n",
    );
    text
}

/// What a person wants to know first.
fn sentence(summary: &Summary) -> String {
    let findings = &summary.findings;
    if findings.is_empty() {
        return "Nothing was found.".to_owned();
    }
    let went_on = findings.iter().filter(|finding| finding.achieved == Achieved::Missed).count() as u64;
    let observed = findings.iter().filter(|finding| finding.achieved == Achieved::Observed).count() as u64;
    let stopped = findings
        .iter()
        .filter(|finding| matches!(finding.achieved, Achieved::Denied | Achieved::Killed))
        .count() as u64;
    let with = summary.packages.iter().filter(|known| !known.findings.is_empty()).count() as u64;
    let mut text = counted(findings.len() as u64, "finding", "findings");
    if with > 0 {
        let _ = write!(text, " in {}", counted(with, "package", "packages"));
    }
    let mut parts = Vec::new();
    for (count, words, class) in [
        (went_on, "not stopped", "bad"),
        (observed, "would have been stopped in block mode", "bad"),
        (stopped, "stopped", "good"),
    ] {
        if count > 0 {
            parts.push(format!("<span class=\"{class}\">{count} {words}</span>"));
        }
    }
    if !parts.is_empty() {
        let _ = write!(text, ": {}", parts.join(", "));
    }
    text.push('.');
    text
}

fn warnings(summary: &Summary, trace: &Trace) -> Vec<String> {
    let mut warnings = Vec::new();
    match &summary.end {
        None => {
            warnings.push("The record of this run breaks off, so this is not all that happened.".to_owned());
        }
        Some(end) if !end.lost.is_empty() => {
            let lost: Vec<String> = end.lost.iter().map(|(name, count)| format!("{name} {count}")).collect();
            warnings.push(format!("Not everything could be watched or recorded: {}.", lost.join(", ")));
        }
        Some(_) => {}
    }
    if summary.left_out > 0 {
        let verdicts = counted(summary.left_out, "verdict or package is", "verdicts or packages are");
        warnings.push(format!("{verdicts} left out, there were too many."));
    }
    if trace.left_out > 0 {
        let events = counted(trace.left_out, "process or verdict is", "processes or verdicts are");
        warnings.push(format!("{events} not drawn, there were too many."));
    }
    warnings
}

fn findings(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(
        b"<section id=\"findings\" aria-labelledby=\"h-findings\">\n<h2 id=\"h-findings\">Findings</h2>\n",
    )?;
    if summary.findings.is_empty() {
        out.write_all(b"<p class=\"empty\">No rule had anything to say about this run.</p>\n")?;
    }
    for finding in sorted(&summary.findings) {
        out.write_all(article(finding, summary.run.time).as_bytes())?;
    }
    out.write_all(b"</section>\n")
}

/// How an outcome is coloured; the word stands beside it.
fn class(achieved: Achieved) -> &'static str {
    match achieved {
        Achieved::Missed | Achieved::Observed => "bad",
        Achieved::Alerted | Achieved::Allowed => "fair",
        Achieved::Denied | Achieved::Killed => "good",
    }
}

fn article(finding: &Finding, begun: Timestamp) -> String {
    let severity = severity_word(finding.severity);
    let mut text = format!("<article class=\"finding {severity}\" id=\"{}\">\n", escape(&finding.id));
    let _ = writeln!(
        text,
        "<p class=\"labels\"><span class=\"severity\">{severity}</span> <span class=\"outcome {}\">{}</span></p>",
        class(finding.achieved),
        escape(outcome_word(finding.achieved)),
    );
    let _ = writeln!(
        text,
        "<h3><bdi>{}</bdi> <span class=\"verb\">{}</span> <code>{}</code></h3>",
        escape(&heading(finding)),
        escape(verb(finding.action, &finding.object)),
        escape(&object_text(&finding.object)),
    );
    let times = if finding.count > 1 { format!(", {} times", finding.count) } else { String::new() };
    let _ = writeln!(
        text,
        "<p class=\"rule\"><code>{}</code> <bdi>{}</bdi> · after {}{times} · finding <code>{}</code></p>",
        escape(&finding.rule),
        escape(&finding.title),
        seconds(finding.time.0.saturating_sub(begun.0)),
        escape(&finding.key),
    );
    let _ = writeln!(text, "<p class=\"chain\"><code>{}</code></p>", escape(&chain(finding)));
    if !finding.why.is_empty() {
        let _ = writeln!(
            text,
            "<p class=\"why\"><bdi>{}</bdi></p>",
            escape(&finding.why.split_whitespace().collect::<Vec<_>>().join(" "))
        );
    }
    for note in notes(finding) {
        let _ = writeln!(text, "<p class=\"note\">{}</p>", escape(&note));
    }
    let others: Vec<_> = finding.samples.iter().filter(|sample| **sample != finding.object).collect();
    if !others.is_empty() {
        text.push_str("<ul class=\"also\">\n");
        for other in others {
            let _ = writeln!(text, "<li>also <code>{}</code></li>", escape(&object_text(other)));
        }
        text.push_str("</ul>\n");
    }
    if let Some(rule) = allow::rule(finding) {
        let lines: Vec<String> = rule.lines().map(escape).collect();
        let _ = writeln!(
            text,
            "<details class=\"allow\"><summary>The rule that would allow it</summary>\n\
             <p>Put this into a folder and add <code>--rules FOLDER</code>.</p>\n<pre tabindex=\"0\">{}</pre></details>",
            lines.join("\n"),
        );
    }
    text.push_str("</article>\n");
    text
}

fn packages(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(
        b"<section id=\"packages\" aria-labelledby=\"h-packages\">\n<h2 id=\"h-packages\">Packages</h2>\n",
    )?;
    if summary.packages.is_empty() {
        out.write_all(b"<p class=\"empty\">No package ran anything of its own.</p>\n</section>\n")?;
        return Ok(());
    }
    out.write_all(
        b"<div class=\"tools\" id=\"package-tools\"></div>\n<div class=\"scroll\"><table id=\"package-table\">\n<thead><tr>\
          <th scope=\"col\" data-sort=\"text\">Package</th><th scope=\"col\" data-sort=\"text\">Version</th>\
          <th scope=\"col\" data-sort=\"text\">Ecosystem</th><th scope=\"col\" data-sort=\"text\">First script</th>\
          <th scope=\"col\" data-sort=\"text\">Confidence</th><th scope=\"col\" data-sort=\"number\">Scripts</th>\
          <th scope=\"col\" data-sort=\"number\">Programs</th><th scope=\"col\" data-sort=\"number\">Findings</th>\
          </tr></thead>\n<tbody>\n",
    )?;
    for known in &summary.packages {
        out.write_all(row(known, summary).as_bytes())?;
    }
    out.write_all(b"</tbody></table></div>\n</section>\n")
}

fn row(known: &PackageSummary, summary: &Summary) -> String {
    let PackageSummary { package, scopes, programs, findings } = known;
    let of = |id: &String| summary.findings.iter().find(|finding| finding.id == *id);
    let worst: Option<Severity> = findings.iter().filter_map(of).map(|finding| finding.severity).max();
    let mut links = String::new();
    for id in findings.iter().take(3) {
        let id = escape(id);
        let _ = write!(links, "<a href=\"#{id}\">{id}</a> ");
    }
    if findings.len() > 3 {
        let _ = write!(links, "and {} more", findings.len() - 3);
    }
    let optional = |text: &Option<crate::event::text::Text>| {
        text.as_ref().map(|text| escape(&text.to_string())).unwrap_or_default()
    };
    let confidence = serde_json::to_value(package.confidence).unwrap_or_default();
    format!(
        "<tr{}><th scope=\"row\"><bdi>{}</bdi></th><td data-label=\"Version\"><bdi>{}</bdi></td>\
         <td data-label=\"Ecosystem\">{}</td><td data-label=\"First script\"><bdi>{}</bdi></td>\
         <td data-label=\"Confidence\" title=\"{}\">{}</td><td data-label=\"Scripts\">{scopes}</td>\
         <td data-label=\"Programs\">{programs}</td><td data-label=\"Findings\" data-value=\"{}\">{links}</td></tr>\n",
        worst.map(|worst| format!(" class=\"{}\"", severity_word(worst))).unwrap_or_default(),
        escape(&package.name.to_string()),
        optional(&package.version),
        escape(&package.ecosystem),
        optional(&package.script),
        escape(&package.source),
        escape(confidence.as_str().unwrap_or_default()),
        findings.len(),
    )
}

/// Sections that the script draws.
fn drawn(summary: &Summary, trace: &Trace, out: &mut dyn Write) -> io::Result<()> {
    let flows = summary.end.as_ref().map_or(0, |end| end.traffic.len());
    let flows = match flows.checked_sub(super::data::MOST_FLOWS) {
        None | Some(0) => String::new(),
        Some(more) => format!("; {more} more destinations with few bytes are not shown"),
    };
    let nothing = "<noscript><p class=\"empty\">This part needs the script of the page.</p></noscript>";
    write!(
        out,
        "<section id=\"timeline\" aria-labelledby=\"h-timeline\">\n<h2 id=\"h-timeline\">Timeline</h2>\n{nothing}\
         <div id=\"timeline-chart\"></div>\n</section>\n\
         <section id=\"network\" aria-labelledby=\"h-network\">\n<h2 id=\"h-network\">Network</h2>\n\
         <p class=\"hint\">Connections that a rule spoke about, and what was sent where{flows}.</p>\n{nothing}\
         <div id=\"network-map\"></div>\n</section>\n\
         <section id=\"processes\" aria-labelledby=\"h-processes\">\n<h2 id=\"h-processes\">Processes</h2>\n\
         <p class=\"hint\">{} recorded. Those that lead to a finding are open.</p>\n{nothing}\
         <div id=\"process-tree\"></div>\n</section>\n",
        counted((trace.processes.len() as u64).max(summary.processes), "process", "processes"),
    )
}

/// `2026-11-20 12:00:05 UTC`.
fn minute(time: Timestamp) -> String {
    let text = time.to_string();
    format!("{} {} UTC", &text[..10], &text[11..19])
}

/// A length of time, from nanoseconds.
fn seconds(nanoseconds: u64) -> String {
    let milliseconds = nanoseconds / 1_000_000;
    match milliseconds {
        0..=999 => format!("{milliseconds} ms"),
        1000..=59_999 => format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100),
        _ => format!("{} min {} s", milliseconds / 60_000, milliseconds / 1000 % 60),
    }
}
