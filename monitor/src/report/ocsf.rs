//! OCSF 1.8 as JSON Lines: every event as an activity of its class, then every finding as a Detection Finding.
//!
//! | event | class |
//! |---|---|
//! | fork, exec, exit | Process Activity 1007 |
//! | verdict on a file or a unix socket | File System Activity 1001 |
//! | verdict on a program or a process | Process Activity 1007 |
//! | verdict on an address | Network Activity 4001 |
//! | verdict on the resolution of a name | DNS Activity 4003 |
//! | verdict on something of the kernel | Kernel Activity 1003 |
//! | finding | Detection Finding 2004 |
//!
//! Numbers and names are those of the schema 1.8.0; `tests` hold every line against it. What it has no field for is in
//! `unmapped`, as in `pkgwarden.event/1`.

use std::io::{self, Write};

use monitor_common::verdict::Achieved;
use serde_json::{Map, Value, json};

use self::activity::activity;
use super::phrase::{heading, object_text, outcome_word, verb};
use super::{Report, write_line};
use crate::event::Event;
use crate::event::log::Run;
use crate::event::model::{Ancestor, Confidence, Object, Package, Process, Thing};
use crate::event::text::Text;
use crate::event::time::Timestamp;
use crate::finding::{Finding, Summary};
use crate::rule::syntax::Severity;

mod activity;

/// Version of the schema.
pub const VERSION: &str = "1.8.0";

/// OCSF, one event a line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ocsf;

impl Report for Ocsf {
    fn render(
        &self,
        summary: &Summary,
        events: &mut dyn Iterator<Item = Event>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        for event in events {
            write_line(activity(&summary.run, &event), out)?;
        }
        for finding in &summary.findings {
            write_line(detection(&summary.run, finding), out)?;
        }
        Ok(())
    }
}

/// An object that leaves out what is not known: the schema knows no null.
fn object(members: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    let known = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(known.collect())
}

/// A text, unless it is empty.
fn text(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| text.into())
}

fn shown(text: &Option<Text>) -> Option<Value> {
    text.as_ref().map(|text| text.to_string().into())
}

/// Milliseconds since 1970.
fn time(time: Timestamp) -> Value {
    (time.0 / 1_000_000).into()
}

/// A class of the schema, and what an event of it does.
struct Class {
    category: (u64, &'static str),
    class: (u64, &'static str),
    activity: (u64, &'static str),
}

/// What every event of every class has.
fn base(run: &Run, class: &Class, at: Timestamp, severity: (u64, &str)) -> Map<String, Value> {
    let Class { category, class, activity } = class;
    let members = json!({
        "category_uid": category.0,
        "category_name": category.1,
        "class_uid": class.0,
        "class_name": class.1,
        "activity_id": activity.0,
        "activity_name": activity.1,
        "type_uid": class.0 * 100 + activity.0,
        "type_name": format!("{}: {}", class.1, activity.1),
        "time": time(at),
        "severity_id": severity.0,
        "severity": severity.1,
        "metadata": {
            "version": VERSION,
            "product": { "name": "pkgwarden", "vendor_name": "pkgwarden", "version": run.version },
            "profiles": ["host", "security_control"],
            "log_name": "pkgwarden.event/1",
            "original_time": at,
        },
        "device": device(run),
    });
    match members {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// The machine. A log never has its name, and the schema wants one.
fn device(run: &Run) -> Value {
    let os = object([
        ("name", Some("Linux".into())),
        ("type_id", Some(200.into())),
        ("type", Some("Linux".into())),
        ("kernel_release", text(&run.host.kernel)),
    ]);
    let hardware = text(&run.host.arch).map(|arch| json!({ "cpu_architecture": arch }));
    object([
        ("name", Some("not recorded".into())),
        ("type_id", Some(0.into())),
        ("type", Some("Unknown".into())),
        ("os", Some(os)),
        ("hw_info", hardware),
    ])
}

fn severity(severity: Severity) -> (u64, &'static str) {
    match severity {
        Severity::Info => (1, "Informational"),
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
        Severity::Critical => (5, "Critical"),
    }
}

/// What became of an act: action, disposition, status.
fn outcome(members: &mut Map<String, Value>, achieved: Achieved, status: bool) {
    let (action, disposition) = match achieved {
        Achieved::Denied | Achieved::Killed => ((2, "Denied"), (2, "Blocked")),
        Achieved::Alerted => ((3, "Observed"), (19, "Alert")),
        Achieved::Observed => ((3, "Observed"), (15, "Detected")),
        Achieved::Missed => ((1, "Allowed"), (13, "Uncorrected")),
        Achieved::Allowed => ((1, "Allowed"), (1, "Allowed")),
    };
    members.insert("action_id".into(), action.0.into());
    members.insert("action".into(), action.1.into());
    members.insert("disposition_id".into(), disposition.0.into());
    members.insert("disposition".into(), disposition.1.into());
    if status {
        let status = if action.0 == 2 { (2, "Failure") } else { (1, "Success") };
        members.insert("status_id".into(), status.0.into());
        members.insert("status".into(), status.1.into());
        members.insert("status_detail".into(), outcome_word(achieved).into());
    }
}

/// A process of the log. Its `uid` is its id and start, which no other process has.
fn process(process: &Process, parent: bool) -> Value {
    let command: Vec<String> = process.argv.iter().map(ToString::to_string).collect();
    let name = process.exe.as_ref().map(Text::base_name);
    let above = parent && process.ppid != 0;
    object([
        ("pid", Some(process.pid.into())),
        ("uid", Some(format!("{}-{}", process.pid, process.start.0).into())),
        ("created_time", Some(time(process.start))),
        ("name", shown(&name)),
        ("path", shown(&process.exe)),
        ("file", process.exe.as_ref().map(|exe| file(exe, (8, "Executable File")))),
        ("cmd_line", text(&command.join(" "))),
        ("working_directory", shown(&process.cwd)),
        ("user", Some(json!({ "uid": process.uid.to_string() }))),
        ("parent_process", above.then(|| json!({ "pid": process.ppid }))),
    ])
}

fn ancestor(ancestor: &Ancestor) -> Value {
    let command: Vec<String> = ancestor.argv.iter().map(ToString::to_string).collect();
    object([
        ("pid", Some(ancestor.pid.into())),
        ("created_time", ancestor.start.map(time)),
        ("name", shown(&ancestor.exe.as_ref().map(Text::base_name))),
        ("path", shown(&ancestor.exe)),
        ("cmd_line", text(&command.join(" "))),
    ])
}

fn actor(who: &Process, ancestry: &[Ancestor], name: &str) -> Value {
    let mut process = process(who, true);
    if !ancestry.is_empty() {
        process["ancestry"] = ancestry.iter().map(ancestor).collect();
    }
    object([("process", Some(process)), ("app_name", text(name))])
}

fn file(path: &Text, kind: (u64, &str)) -> Value {
    let name = path.base_name();
    let name = if name.is_empty() { path.clone() } else { name };
    let name = if name.is_empty() { "(no path)".to_owned() } else { name.to_string() };
    object([
        ("name", Some(name.into())),
        ("path", text(&path.to_string())),
        ("type_id", Some(kind.0.into())),
        ("type", Some(kind.1.into())),
    ])
}

/// What has no field in the schema.
fn unmapped(scope: Option<crate::event::model::Scope>, tree: u32, more: Value) -> Value {
    let mut members = match more {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    members.insert("tree".into(), tree.into());
    if let Some(scope) = scope {
        members.insert("scope".into(), scope.to_string().into());
    }
    Value::Object(members)
}

/// ATT&CK techniques.
fn attacks(techniques: &[String]) -> Option<Value> {
    let one = |technique: &String| {
        let (above, below) = technique
            .split_once('.')
            .map_or((&technique[..], None), |(above, _)| (above, Some(json!({ "uid": technique }))));
        object([("technique", Some(json!({ "uid": above }))), ("sub_technique", below)])
    };
    (!techniques.is_empty()).then(|| techniques.iter().map(one).collect())
}

/// The package as a resource of a finding.
fn resource(package: &Package) -> Value {
    object([
        ("type", Some("package".into())),
        ("name", text(&package.name.to_string())),
        ("uid", Some(package.purl.clone().unwrap_or_else(|| package.name.to_string()).into())),
        ("version", shown(&package.version)),
        ("namespace", text(&package.ecosystem)),
        ("role_id", Some(2.into())),
        ("role", Some("Actor".into())),
    ])
}

/// What was acted upon, as evidence.
fn evidence(finding: &Finding, sample: &Object) -> Value {
    let mut members = object([
        ("name", text(&object_text(sample))),
        ("actor", Some(actor(&finding.process, &finding.ancestry, &finding.actor))),
        ("data", Some(json!({ "action": finding.action.word(), "object": sample }))),
    ]);
    match &sample.what {
        Thing::File { path } => members["file"] = file(path, (0, "Unknown")),
        Thing::Socket { socket } => members["file"] = file(socket, (5, "Local Socket")),
        Thing::Program { path, .. } => members["file"] = file(path, (8, "Executable File")),
        Thing::Address { address, port, .. } => {
            members["dst_endpoint"] = json!({ "ip": address, "port": port });
        }
        Thing::Name { domain, resolver, port, .. } => {
            members["dst_endpoint"] = json!({ "ip": resolver, "port": port });
            if let Some(domain) = domain {
                members["query"] = json!({ "hostname": domain.to_string() });
            }
        }
        Thing::Process { pid } => members["process"] = json!({ "pid": pid }),
        Thing::Kernel { .. } | Thing::None => {}
    }
    members
}

fn detection(run: &Run, finding: &Finding) -> Value {
    let class =
        Class { category: (2, "Findings"), class: (2004, "Detection Finding"), activity: (1, "Create") };
    let mut members = base(run, &class, finding.time, severity(finding.severity));
    outcome(&mut members, finding.achieved, false);
    let did = format!("{} {}", verb(finding.action, &finding.object), object_text(&finding.object));
    let message = format!("{}: {did}: {}", heading(finding), outcome_word(finding.achieved));
    let info = object([
        ("uid", Some(format!("{}-{}-{}", run.time.0, finding.tree, finding.id).into())),
        ("title", Some(finding.title.clone().into())),
        ("desc", text(finding.why.trim())),
        ("created_time", Some(time(finding.time))),
        ("first_seen_time", Some(time(finding.time))),
        ("types", Some(finding.object.classes.clone().into())),
        ("attacks", attacks(&finding.attack)),
        ("related_events_count", Some(finding.count.into())),
        (
            "analytic",
            Some(json!({ "type_id": 1, "type": "Rule", "uid": finding.rule, "name": finding.title })),
        ),
    ]);
    let confidence = finding.package.as_ref().map(|package| match package.confidence {
        Confidence::Exact => (3, "High"),
        Confidence::Likely => (2, "Medium"),
        Confidence::None => (1, "Low"),
    });
    let more = json!({
        "key": finding.key,
        "asked": finding.asked.word(),
        "achieved": finding.achieved.word(),
        "outcomes": finding.outcomes.iter().map(|(word, count)| format!("{word} {count}")).collect::<Vec<_>>(),
        "tier": finding.tier.word(),
        "package": finding.package,
        "flags": finding.flags,
        "marks": finding.marks,
    });
    let known = object([
        ("message", Some(message.into())),
        ("status_id", Some(1.into())),
        ("status", Some("New".into())),
        ("is_alert", Some(true.into())),
        ("count", Some(finding.count.into())),
        ("finding_info", Some(info)),
        ("evidences", Some(finding.samples.iter().map(|sample| evidence(finding, sample)).collect())),
        ("resources", finding.package.as_ref().map(|package| json!([resource(package)]))),
        ("confidence_id", confidence.map(|(number, _)| number.into())),
        ("confidence", confidence.map(|(_, word)| word.into())),
        ("attacks", attacks(&finding.attack)),
        (
            "remediation",
            super::allow::rule(finding)
                .map(|rule| json!({ "desc": format!("To allow it, add --rules FOLDER with: {rule}") })),
        ),
        ("unmapped", Some(unmapped(finding.scope, finding.tree, more))),
    ]);
    if let Value::Object(known) = known {
        members.extend(known);
    }
    Value::Object(members)
}
