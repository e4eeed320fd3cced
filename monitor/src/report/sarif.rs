//! SARIF 2.1.0 (OASIS, 2020): one result for each finding, at the line that brought the package in.
//!
//! Lockfiles and manifests are looked for where the project was when the events were recorded. Where they are not, a
//! result is at the manifest that a project of its ecosystem has, without a line.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;

use monitor_common::verdict::Achieved;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use self::place::{Place, Places};
use super::markdown;
use super::phrase::{chain, heading, notes, object_text, outcome_word, severity_word, verb};
use super::{Report, allow, clean};
use crate::event::Event;
use crate::event::text::visible_json;
use crate::finding::{Finding, Summary};
use crate::rule::syntax::Severity;

mod entry;
mod json;
mod place;

/// Where the schema of the format is to be found.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// What relative places are relative to.
const ROOT: &str = "SRCROOT";

/// One SARIF log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sarif;

impl Report for Sarif {
    fn render(
        &self,
        summary: &Summary,
        events: &mut dyn Iterator<Item = Event>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let mut places = Places::follow(events);
        let mut rules: Vec<&Finding> = Vec::new();
        let mut met: HashMap<String, u64> = HashMap::new();
        let mut results = Vec::new();
        for finding in &summary.findings {
            let rule = rules.iter().position(|known| known.rule == finding.rule).unwrap_or_else(|| {
                rules.push(finding);
                rules.len() - 1
            });
            let fingerprint = fingerprint(finding);
            let number = met.entry(fingerprint.clone()).or_default();
            *number += 1;
            let place = places.of(finding);
            results.push(result(finding, rule, place, &format!("{fingerprint}:{number}")));
        }
        let mut run = json!({
            "tool": { "driver": {
                "name": "pkgwarden",
                "version": summary.run.version,
                "semanticVersion": summary.run.version,
                "rules": rules.iter().map(|finding| rule(finding)).collect::<Vec<_>>(),
            }},
            "invocations": [invocation(summary)],
            "columnKind": "utf16CodeUnits",
            "results": results,
        });
        if let Some(root) = places.root() {
            let uri =
                format!("file://{}/", place::encoded(root.as_os_str().as_bytes()).trim_end_matches('/'));
            run["originalUriBaseIds"] = json!({ ROOT: { "uri": uri } });
        }
        let mut log = json!({ "$schema": SCHEMA, "version": "2.1.0", "runs": [run] });
        clean(&mut log);
        let mut json = visible_json(serde_json::to_vec_pretty(&log)?);
        json.push(b'\n');
        out.write_all(&json)
    }
}

/// A message. Braces would be places to fill, and brackets in front of a parenthesis a link (sections 3.11.5 and 3.11.6).
fn message(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}").replace("](", "] (")
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    }
}

/// As code scanning of GitHub sorts alerts: above 9 critical, from 7 high, from 4 medium, below low; 0 is none.
fn security_severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
        Severity::Info => "0.0",
    }
}

fn rule(finding: &Finding) -> Value {
    let allowed = allow::rule(finding);
    let mut text = finding.why.trim().to_owned();
    let mut marked = markdown::escape(&text);
    if let Some(rule) = &allowed {
        text.push_str("\n\nTo allow it, put this into a folder and add --rules FOLDER:\n\n");
        text.push_str(rule);
        marked.push_str("\n\nTo allow it, put this into a folder and add `--rules FOLDER`:\n\n<pre>");
        marked.push_str(&markdown::lines(rule));
        marked.push_str("</pre>");
    }
    let attack = finding.attack.iter().map(|technique| format!("attack/{technique}"));
    let tags: Vec<String> =
        ["security", "supply-chain"].map(str::to_owned).into_iter().chain(attack).collect();
    let full = if finding.why.trim().is_empty() { &finding.title } else { &finding.why };
    json!({
        "id": finding.rule,
        "shortDescription": { "text": message(&finding.title) },
        "fullDescription": { "text": message(full.trim()) },
        "help": { "text": message(if text.is_empty() { &finding.title } else { &text }), "markdown": marked },
        "defaultConfiguration": { "level": level(finding.severity) },
        "properties": {
            "tags": tags,
            "precision": "high",
            "security-severity": security_severity(finding.severity),
            "problem.severity": if finding.severity >= Severity::High { "error" } else { "warning" },
        },
    })
}

/// The same for the same act of the same script in the next run, and after a new version: neither times, process ids
/// nor versions are in it.
fn fingerprint(finding: &Finding) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(finding.rule.as_bytes());
    part(finding.action.word().as_bytes());
    match &finding.package {
        Some(package) => {
            part(package.ecosystem.as_bytes());
            part(package.name.as_bytes());
            part(package.script.as_ref().map_or(&[], |script| script.as_bytes()));
        }
        None => part(finding.actor.as_bytes()),
    }
    for class in &finding.object.classes {
        part(class.as_bytes());
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn result(finding: &Finding, rule: usize, place: Option<Place>, fingerprint: &str) -> Value {
    let times = if finding.count > 1 { format!(" ({} times)", finding.count) } else { String::new() };
    let did = format!("{} {}", verb(finding.action, &finding.object), object_text(&finding.object));
    let outcome = outcome_word(finding.achieved);
    let mut text = format!("{}: {did}{times}: {outcome}. Started as {}.", heading(finding), chain(finding));
    for note in notes(finding) {
        text.push_str(&format!(" ({note})"));
    }
    let mut location = Map::new();
    if let Some(place) = place {
        let mut physical = json!({ "artifactLocation": { "uri": place.uri, "uriBaseId": ROOT } });
        if let Some(line) = place.line {
            physical["region"] = json!({ "startLine": line });
        }
        location.insert("physicalLocation".into(), physical);
    }
    if let Some(package) = &finding.package {
        let name = package.name.to_string();
        let full = package.purl.clone().unwrap_or_else(|| name.clone());
        let mut logical = vec![json!({ "name": name, "fullyQualifiedName": full, "kind": "package" })];
        if let Some(script) = &package.script {
            let full = format!("{full}#{script}");
            logical
                .push(json!({ "name": script.to_string(), "fullyQualifiedName": full, "kind": "function" }));
        }
        location.insert("logicalLocations".into(), logical.into());
    }
    let mut properties = json!({
        "finding": finding.id,
        "key": finding.key,
        "severity": severity_word(finding.severity),
        "action": finding.action.word(),
        "asked": finding.asked.word(),
        "achieved": finding.achieved.word(),
        "tier": finding.tier.word(),
        "actor": finding.actor,
        "object": finding.object,
        "time": finding.time,
        "flags": finding.flags,
        "marks": finding.marks,
    });
    if let Some(package) = &finding.package {
        properties["package"] = json!(package);
    }
    json!({
        "ruleId": finding.rule,
        "ruleIndex": rule,
        "level": level(finding.severity),
        "kind": "fail",
        "message": { "text": message(&text) },
        "locations": if location.is_empty() { json!([]) } else { json!([location]) },
        "partialFingerprints": { "pkgwardenFinding/v1": fingerprint, "primaryLocationLineHash": fingerprint },
        "occurrenceCount": finding.count,
        "properties": properties,
    })
}

fn invocation(summary: &Summary) -> Value {
    let command: Vec<String> = summary.run.command.iter().map(ToString::to_string).collect();
    let lost = summary.end.iter().flat_map(|end| &end.lost);
    let mut notifications: Vec<Value> = lost
        .map(|(counter, count)| {
            let text = format!("not everything could be watched or recorded: {counter} {count}");
            json!({ "level": "warning", "message": { "text": message(&text) } })
        })
        .collect();
    if summary.end.is_none() {
        notifications
            .push(json!({ "level": "warning", "message": { "text": "the record of this run breaks off" } }));
    }
    if summary.left_out > 0 {
        let text = format!("{} verdicts were left out, there were too many", summary.left_out);
        notifications.push(json!({ "level": "warning", "message": { "text": text } }));
    }
    let missed = summary.findings.iter().any(|finding| finding.achieved == Achieved::Missed);
    let mut invocation = json!({
        "commandLine": command.join(" "),
        "startTimeUtc": summary.run.time,
        // Of the tool, not of the command: whether everything was seen and what was asked for was done.
        "executionSuccessful": notifications.is_empty() && !missed,
        "toolExecutionNotifications": notifications,
        "properties": {
            "tier": summary.run.tier.word(), "mode": summary.run.mode.word(), "started_by": summary.run.started_by,
        },
    });
    if let Some(end) = &summary.end {
        invocation["endTimeUtc"] = json!(end.time);
        if let Some(code) = end.exit_code {
            invocation["exitCode"] = json!(code);
        }
    }
    invocation
}
