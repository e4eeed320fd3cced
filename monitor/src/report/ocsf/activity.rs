//! One event as an activity.

use monitor_common::action::Action;
use serde_json::{Map, Value, json};

use super::{Class, actor, attacks, base, file, object, outcome, process, severity, unmapped};
use crate::event::Event;
use crate::event::log::Run;
use crate::event::model::{Judgement, Thing, What};
use crate::report::phrase::{object_text, outcome_word, record_type, verb};

const SYSTEM: (u64, &str) = (1, "System Activity");
const NETWORK: (u64, &str) = (4, "Network Activity");
const FILE: (u64, &str) = (1001, "File System Activity");
const KERNEL: (u64, &str) = (1003, "Kernel Activity");
const PROCESS: (u64, &str) = (1007, "Process Activity");
const CONNECTION: (u64, &str) = (4001, "Network Activity");
const DNS: (u64, &str) = (4003, "DNS Activity");

/// Event to line.
pub(super) fn activity(run: &Run, event: &Event) -> Value {
    let mut members = match &event.what {
        What::Fork { child } => {
            let mut members = plain(run, event, (99, "Fork"));
            members.insert(
                "process".into(),
                json!({ "pid": child, "parent_process": process(&event.process, true) }),
            );
            members
        }
        What::Exec { script, new_scope } => {
            let mut members = plain(run, event, (1, "Launch"));
            members.insert("process".into(), process(&event.process, true));
            members.insert("actor".into(), json!({ "process": { "pid": event.process.ppid } }));
            let script = script.as_ref().map(ToString::to_string);
            more(&mut members, event, json!({ "script": script, "new_scope": new_scope }));
            members
        }
        What::Exit { code, signal } => {
            let mut members = plain(run, event, (2, "Terminate"));
            let mut ended = process(&event.process, true);
            ended["terminated_time"] = super::time(event.time);
            members.insert("process".into(), ended);
            if let Some(code) = code {
                members.insert("exit_code".into(), (*code).into());
            }
            more(&mut members, event, json!({ "signal": signal }));
            members
        }
        What::Orphaned => {
            let mut members = plain(run, event, (99, "Orphaned"));
            members.insert("process".into(), process(&event.process, true));
            members.insert("message".into(), "the watcher was dead, so the tree was ended".into());
            members
        }
        What::Verdict(judgement) => verdict(run, event, judgement),
        What::Act { action, object } => {
            let mut members = plain(run, event, (99, "Act"));
            members.insert("process".into(), process(&event.process, true));
            more(&mut members, event, json!({ "action": action.word(), "object": object }));
            members
        }
        What::Resolved { domain, address, ttl } => {
            let class = Class { category: NETWORK, class: DNS, activity: (2, "Response") };
            let mut members = base(run, &class, event.time, (1, "Informational"));
            members.insert("actor".into(), actor(&event.process, &[], &event.actor));
            let name = domain.to_string();
            members.insert("query".into(), json!({ "hostname": name, "opcode_id": 0 }));
            members.insert("answers".into(), json!([{ "rdata": address.to_string(), "ttl": ttl }]));
            members.insert("dst_endpoint".into(), json!({ "ip": address, "hostname": name }));
            members
        }
    };
    if !members.contains_key("unmapped") {
        more(&mut members, event, json!({}));
    }
    Value::Object(members)
}

/// An event about a process that no rule spoke about.
fn plain(run: &Run, event: &Event, activity: (u64, &'static str)) -> Map<String, Value> {
    let class = Class { category: SYSTEM, class: PROCESS, activity };
    let mut members = base(run, &class, event.time, (1, "Informational"));
    members.insert("actor".into(), actor(&event.process, &[], &event.actor));
    members
}

/// What has no field in the schema; what is not known is left out.
fn more(members: &mut Map<String, Value>, event: &Event, extra: Value) {
    let mut extra = extra;
    if let Some(extra) = extra.as_object_mut() {
        extra.retain(|_, value| !value.is_null());
        if let Some(package) = &event.package {
            extra.insert("package".into(), json!(package));
        }
        if !event.flags.is_empty() {
            extra.insert("flags".into(), json!(event.flags));
        }
        extra.insert("actor".into(), event.actor.clone().into());
    }
    members.insert("unmapped".into(), unmapped(event.scope, event.tree, extra));
}

fn verdict(run: &Run, event: &Event, judgement: &Judgement) -> Map<String, Value> {
    let class = class(judgement);
    let mut members = base(run, &class, event.time, severity(judgement.severity));
    outcome(&mut members, judgement.achieved, true);
    members.insert("actor".into(), actor(&event.process, &judgement.ancestry, &event.actor));
    let did = format!("{} {}", verb(judgement.action, &judgement.object), object_text(&judgement.object));
    let message = format!("{}: {did} ({})", outcome_word(judgement.achieved), judgement.rule);
    members.insert("message".into(), message.into());
    if let Some(attacks) = attacks(&judgement.attack) {
        members.insert("attacks".into(), attacks);
    }
    let rule = json!({ "uid": judgement.rule, "name": judgement.title });
    members.insert("policy".into(), rule);
    match class.class {
        FILE => {
            let file = match &judgement.object.what {
                Thing::Socket { socket } => file(socket, (5, "Local Socket")),
                Thing::File { path } => file(path, (0, "Unknown")),
                _ => file(&"".into(), (0, "Unknown")),
            };
            members.insert("file".into(), file);
        }
        KERNEL => {
            let name = match &judgement.object.what {
                Thing::Kernel { kernel, .. } if !kernel.is_empty() => kernel.clone(),
                _ => judgement.object.title.clone(),
            };
            let name = if name.is_empty() { judgement.action.word().to_owned() } else { name };
            members.insert("kernel".into(), json!({ "name": name, "type_id": 2, "type": "System Call" }));
        }
        PROCESS => {
            members.insert("process".into(), subject(event, judgement));
        }
        _ => endpoint(&mut members, judgement),
    }
    let extra = json!({
        "asked": judgement.asked.word(),
        "achieved": judgement.achieved.word(),
        "tier": judgement.tier.word(),
        "classes": judgement.object.classes,
        "marks": judgement.marks,
        "syscall": judgement.syscall,
    });
    more(&mut members, event, extra);
    members
}

/// The process that a verdict is about.
fn subject(event: &Event, judgement: &Judgement) -> Value {
    match &judgement.object.what {
        Thing::Process { pid } => json!({ "pid": pid }),
        Thing::Program { path, argv } => {
            let command: Vec<String> = argv.iter().map(ToString::to_string).collect();
            object([
                ("pid", Some(event.process.pid.into())),
                ("path", Some(path.to_string().into())),
                ("name", Some(path.base_name().to_string().into())),
                ("file", Some(file(path, (8, "Executable File")))),
                ("cmd_line", (!command.is_empty()).then(|| command.join(" ").into())),
            ])
        }
        _ => process(&event.process, true),
    }
}

fn endpoint(members: &mut Map<String, Value>, judgement: &Judgement) {
    let (address, protocol) = match &judgement.object.what {
        Thing::Address { address, port, protocol, domain, .. } => {
            let hostname = domain.as_ref().map(ToString::to_string);
            let endpoint = object([
                ("ip", Some(json!(address))),
                ("port", Some(json!(port))),
                ("hostname", hostname.map(Value::from)),
            ]);
            members.insert("dst_endpoint".into(), endpoint);
            (address, protocol)
        }
        Thing::Name { domain, record, resolver, port, protocol } => {
            members.insert("dst_endpoint".into(), json!({ "ip": resolver, "port": port }));
            let query = object([
                ("hostname", Some(domain.as_ref().map(ToString::to_string).unwrap_or_default().into())),
                ("opcode_id", Some(0.into())),
                ("type", Some(record_type(*record).into())),
            ]);
            members.insert("query".into(), query);
            (resolver, protocol)
        }
        _ => {
            // A socket of another kind.
            members.insert("dst_endpoint".into(), json!({ "name": object_text(&judgement.object) }));
            return;
        }
    };
    let version = if address.is_ipv4() { 4 } else { 6 };
    let mut info = json!({ "direction_id": 2, "direction": "Outbound", "protocol_ver_id": version });
    if *protocol != 0 {
        info["protocol_num"] = json!(protocol);
    }
    if judgement.action == Action::Listen {
        (info["direction_id"], info["direction"]) = (1.into(), "Inbound".into());
    }
    match protocol {
        6 => info["protocol_name"] = "tcp".into(),
        17 => info["protocol_name"] = "udp".into(),
        _ => {}
    }
    members.insert("connection_info".into(), info);
}

fn class(judgement: &Judgement) -> Class {
    let (category, class) = match (&judgement.object.what, judgement.action) {
        (Thing::Name { .. }, _) | (_, Action::Resolve) => (NETWORK, DNS),
        (Thing::Address { .. }, _) | (_, Action::Connect | Action::Send | Action::Listen) => {
            (NETWORK, CONNECTION)
        }
        (Thing::File { .. } | Thing::Socket { .. }, _) => (SYSTEM, FILE),
        (Thing::Program { .. } | Thing::Process { .. }, _) => (SYSTEM, PROCESS),
        (Thing::Kernel { .. }, _) => (SYSTEM, KERNEL),
        (Thing::None, Action::Attach | Action::Signal | Action::Exec) => (SYSTEM, PROCESS),
        (Thing::None, Action::Load) => (SYSTEM, KERNEL),
        (Thing::None, _) => (SYSTEM, FILE),
    };
    let activity = match (class, judgement.action) {
        (FILE, Action::Read) => (2, "Read"),
        (FILE, Action::Write) => (3, "Update"),
        (FILE, Action::Create) => (1, "Create"),
        (FILE, Action::Rename) => (5, "Rename"),
        (FILE, Action::Remove) => (4, "Delete"),
        (FILE, Action::UnixConnect) => (14, "Open"),
        (PROCESS, Action::Exec) => (1, "Launch"),
        (PROCESS, Action::Attach) => (3, "Open"),
        (KERNEL, Action::Create) => (1, "Create"),
        (KERNEL, _) => (4, "Invoke"),
        (CONNECTION, Action::Connect | Action::UnixConnect) => (1, "Open"),
        (CONNECTION, Action::Send) => (6, "Traffic"),
        (CONNECTION, Action::Listen) => (7, "Listen"),
        (DNS, _) => (1, "Query"),
        // The schema has no word for it: ours stands in `activity_name`.
        (_, action) => (99, action.word()),
    };
    Class { category, class, activity }
}
