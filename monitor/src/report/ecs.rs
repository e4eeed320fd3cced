//! Elastic Common Schema 9.4 as JSON Lines: every event, then every finding as an alert.
//!
//! What the schema has no field for is under `pkgwarden`, as in `pkgwarden.event/1`.

use std::io::{self, Write};
use std::net::IpAddr;

use monitor_common::action::Action;
use monitor_common::verdict::Achieved;
use serde_json::{Map, Value, json};

use super::phrase::{heading, object_text, outcome_word, record_type, verb};
use super::{Report, write_line};
use crate::event::Event;
use crate::event::log::Run;
use crate::event::model::{Ancestor, Object, Package, Process, Thing, What};
use crate::event::text::Text;
use crate::event::time::Timestamp;
use crate::finding::{Finding, Summary};
use crate::rule::syntax::Severity;

/// Version of the schema.
pub const VERSION: &str = "9.4.0";

/// ECS, one event a line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ecs;

impl Report for Ecs {
    fn render(
        &self,
        summary: &Summary,
        events: &mut dyn Iterator<Item = Event>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        for event in events {
            write_line(line(&summary.run, &event), out)?;
        }
        for finding in &summary.findings {
            write_line(alert(&summary.run, finding), out)?;
        }
        Ok(())
    }
}

/// A document whose members are set by path.
struct Document(Map<String, Value>);

impl Document {
    fn new(run: &Run, time: Timestamp, kind: &str, dataset: &str) -> Self {
        let mut document = Self(Map::new());
        document.set("@timestamp", time);
        document.set("ecs.version", VERSION);
        document.set("event.kind", kind);
        document.set("event.module", "pkgwarden");
        document.set("event.dataset", dataset);
        document.set("observer.vendor", "pkgwarden");
        document.set("observer.product", "pkgwarden");
        document.set("observer.type", "sensor");
        document.text("observer.version", &run.version);
        document.text("host.architecture", &run.host.arch);
        document.set("host.os.type", "linux");
        document.text("host.os.kernel", &run.host.kernel);
        document
    }

    fn set(&mut self, path: &str, value: impl serde::Serialize) {
        let value = json!(value);
        if value.is_null() || value.as_array().is_some_and(Vec::is_empty) {
            return;
        }
        let mut members = &mut self.0;
        let mut parts = path.split('.').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                members.insert(part.to_owned(), value);
                return;
            }
            let below = members.entry(part).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(below) = below else { return };
            members = below;
        }
    }

    fn text(&mut self, path: &str, text: &str) {
        if !text.is_empty() {
            self.set(path, text);
        }
    }

    fn shown(&mut self, path: &str, text: &Option<Text>) {
        self.set(path, text.as_ref().map(ToString::to_string));
    }

    fn class(&mut self, category: &[&str], kind: &[&str], action: &str) {
        self.set("event.category", category);
        self.set("event.type", kind);
        self.set("event.action", action);
    }

    fn process(&mut self, process: &Process) {
        self.set("process.pid", process.pid);
        self.set("process.start", process.start);
        self.set("process.entity_id", format!("{}-{}", process.pid, process.start.0));
        self.set("user.id", process.uid.to_string());
        self.shown("process.executable", &process.exe);
        self.shown("process.name", &process.exe.as_ref().map(Text::base_name));
        self.command("process", &process.argv);
        self.shown("process.working_directory", &process.cwd);
        if process.ppid != 0 {
            self.set("process.parent.pid", process.ppid);
        }
    }

    fn command(&mut self, at: &str, argv: &[Text]) {
        if !argv.is_empty() {
            let words: Vec<String> = argv.iter().map(ToString::to_string).collect();
            self.set(&format!("{at}.args_count"), words.len());
            self.set(&format!("{at}.command_line"), words.join(" "));
            self.set(&format!("{at}.args"), words);
        }
    }

    /// The process that started this one, and the root of the tree.
    fn ancestry(&mut self, process: &Process, ancestry: &[Ancestor]) {
        // What the process itself was before is no parent.
        let above = ancestry.iter().find(|ancestor| ancestor.pid != process.pid);
        for (at, ancestor) in [("process.parent", above), ("process.entry_leader", ancestry.last())] {
            let Some(ancestor) = ancestor else { continue };
            self.set(&format!("{at}.pid"), ancestor.pid);
            self.set(&format!("{at}.start"), ancestor.start);
            self.shown(&format!("{at}.executable"), &ancestor.exe);
            self.shown(&format!("{at}.name"), &ancestor.exe.as_ref().map(Text::base_name));
            self.command(at, &ancestor.argv);
        }
    }

    fn package(&mut self, package: &Option<Package>) {
        let Some(package) = package else { return };
        self.set("package.name", package.name.to_string());
        self.shown("package.version", &package.version);
        self.text("package.type", &package.ecosystem);
        self.set("pkgwarden.package", package);
    }

    fn object(&mut self, object: &Object, action: Action) {
        match &object.what {
            Thing::File { path } | Thing::Socket { socket: path } => {
                self.set("file.path", path.to_string());
                self.set("file.name", path.base_name().to_string());
                if matches!(object.what, Thing::Socket { .. }) {
                    self.set("file.type", "socket");
                }
            }
            Thing::Program { path, argv } => {
                self.set("file.path", path.to_string());
                self.set("file.name", path.base_name().to_string());
                let words: Vec<String> = argv.iter().map(ToString::to_string).collect();
                self.set("pkgwarden.program.args", words);
            }
            Thing::Address { address, port, protocol, domain, server_name } => {
                self.endpoint(*address, *port, *protocol, action);
                self.shown("destination.domain", domain);
                self.shown("tls.client.server_name", server_name);
            }
            Thing::Name { domain, record, resolver, port, protocol } => {
                self.endpoint(*resolver, *port, *protocol, action);
                self.set("dns.type", "query");
                self.shown("dns.question.name", domain);
                self.set("dns.question.type", record_type(*record));
            }
            Thing::Process { pid } => self.set("pkgwarden.process.pid", pid),
            Thing::Kernel { .. } | Thing::None => {}
        }
        self.set("pkgwarden.object", object);
    }

    fn endpoint(&mut self, address: IpAddr, port: u16, protocol: u64, action: Action) {
        self.set("destination.address", address);
        self.set("destination.ip", address);
        self.set("destination.port", port);
        self.set("network.type", if address.is_ipv4() { "ipv4" } else { "ipv6" });
        self.set("network.direction", if action == Action::Listen { "ingress" } else { "egress" });
        if protocol != 0 {
            self.set("network.iana_number", protocol.to_string());
        }
        match protocol {
            6 => self.set("network.transport", "tcp"),
            17 => self.set("network.transport", "udp"),
            _ => {}
        }
    }

    fn rule(&mut self, rule: &str, title: &str, why: &str, attack: &[String]) {
        self.set("rule.id", rule);
        self.text("rule.name", title);
        self.text("rule.description", why);
        self.set("rule.ruleset", "pkgwarden");
        if !attack.is_empty() {
            self.set("threat.framework", "MITRE ATT&CK");
            let above = |technique: &String| technique.split('.').next().unwrap_or_default().to_owned();
            let mut techniques: Vec<String> = attack.iter().map(above).collect();
            techniques.dedup();
            self.set("threat.technique.id", techniques);
            let below: Vec<&String> = attack.iter().filter(|technique| technique.contains('.')).collect();
            self.set("threat.technique.subtechnique.id", below);
        }
    }
}

/// From 1, info, to 5, critical.
fn severity(severity: Severity) -> u8 {
    1 + severity as u8
}

fn stopped(achieved: Achieved) -> bool {
    matches!(achieved, Achieved::Denied | Achieved::Killed)
}

/// Category and type of an act, as far as the schema has words.
fn class(action: Action, object: &Object, achieved: Achieved) -> (&'static str, Vec<&'static str>) {
    let network = matches!(object.what, Thing::Address { .. })
        || matches!(action, Action::Connect | Action::Send | Action::Listen | Action::Resolve);
    let (category, kind) = match (&object.what, action) {
        _ if network && action == Action::Connect => ("network", "connection"),
        _ if network => ("network", "access"),
        (Thing::File { .. } | Thing::Socket { .. }, Action::Create) => ("file", "creation"),
        (Thing::File { .. } | Thing::Socket { .. }, Action::Remove) => ("file", "deletion"),
        (Thing::File { .. } | Thing::Socket { .. }, Action::Read | Action::UnixConnect) => ("file", "access"),
        (Thing::File { .. } | Thing::Socket { .. }, _) => ("file", "change"),
        (Thing::Program { .. }, _) => ("process", "start"),
        (Thing::Process { .. }, _) => ("process", "access"),
        (Thing::Address { .. } | Thing::Name { .. } | Thing::Kernel { .. } | Thing::None, _) => {
            ("process", "info")
        }
    };
    let mut kinds = vec![kind];
    // Of these categories, only networks have words for what was let through.
    if category == "network" {
        kinds.push(if stopped(achieved) { "denied" } else { "allowed" });
    }
    (category, kinds)
}

fn line(run: &Run, event: &Event) -> Value {
    let mut document = Document::new(run, event.time, "event", "pkgwarden.event");
    document.process(&event.process);
    document.package(&event.package);
    document.set("pkgwarden.tree", event.tree);
    document.set("pkgwarden.scope", event.scope);
    document.text("pkgwarden.actor", &event.actor);
    document.set("pkgwarden.flags", &event.flags);
    match &event.what {
        What::Fork { child } => {
            document.class(&["process"], &["start"], "fork");
            document.set("pkgwarden.child", child);
        }
        What::Exec { script, new_scope } => {
            document.class(&["process"], &["start"], "exec");
            document.set("pkgwarden.script", script.as_ref().map(ToString::to_string));
            document.set("pkgwarden.new_scope", new_scope);
        }
        What::Exit { code, signal } => {
            document.class(&["process"], &["end"], "exit");
            document.set("process.end", event.time);
            document.set("process.exit_code", code);
            document.set("pkgwarden.signal", signal);
        }
        What::Orphaned => document.class(&["process"], &["end"], "orphaned"),
        What::Act { action, object } => {
            let (category, kinds) = class(*action, object, Achieved::Allowed);
            document.class(&[category], &kinds, action.word());
            document.object(object, *action);
            document.set("event.outcome", "success");
            document.set("message", format!("{} {}", verb(*action, object), object_text(object)));
        }
        What::Resolved { domain, address, ttl } => {
            document.class(&["network"], &["protocol", "info"], "resolved");
            document.set("dns.type", "answer");
            document.set("dns.question.name", domain.to_string());
            document.set("dns.resolved_ip", [address]);
            document.set("pkgwarden.ttl", ttl);
        }
        What::Verdict(judgement) => {
            let (category, kinds) = class(judgement.action, &judgement.object, judgement.achieved);
            document.class(&[category], &kinds, judgement.action.word());
            document.ancestry(&event.process, &judgement.ancestry);
            document.object(&judgement.object, judgement.action);
            document.rule(&judgement.rule, &judgement.title, &judgement.why, &judgement.attack);
            document.set("event.severity", severity(judgement.severity));
            document.set("event.outcome", if stopped(judgement.achieved) { "failure" } else { "success" });
            document.set("pkgwarden.asked", judgement.asked.word());
            document.set("pkgwarden.achieved", judgement.achieved.word());
            document.set("pkgwarden.tier", judgement.tier.word());
            document.set("pkgwarden.marks", &judgement.marks);
            document.set("pkgwarden.syscall", judgement.syscall);
            let did =
                format!("{} {}", verb(judgement.action, &judgement.object), object_text(&judgement.object));
            let outcome = outcome_word(judgement.achieved);
            document.set("message", format!("{outcome}: {did} ({})", judgement.rule));
        }
    }
    Value::Object(document.0)
}

fn alert(run: &Run, finding: &Finding) -> Value {
    let mut document = Document::new(run, finding.time, "alert", "pkgwarden.finding");
    let (category, mut kinds) = class(finding.action, &finding.object, finding.achieved);
    if !kinds.contains(&"info") {
        kinds.push("info");
    }
    document.class(&["intrusion_detection", category], &kinds, finding.action.word());
    document.set("event.id", format!("{}-{}-{}", run.time.0, finding.tree, finding.id));
    document.set("event.code", &finding.rule);
    document.set("event.severity", severity(finding.severity));
    document.set("event.outcome", if stopped(finding.achieved) { "failure" } else { "success" });
    document.process(&finding.process);
    document.ancestry(&finding.process, &finding.ancestry);
    document.package(&finding.package);
    document.object(&finding.object, finding.action);
    document.rule(&finding.rule, &finding.title, &finding.why, &finding.attack);
    document.set("pkgwarden.tree", finding.tree);
    document.set("pkgwarden.scope", finding.scope);
    document.text("pkgwarden.actor", &finding.actor);
    document.set("pkgwarden.flags", &finding.flags);
    document.set("pkgwarden.marks", &finding.marks);
    document.set("pkgwarden.finding", &finding.id);
    document.set("pkgwarden.count", finding.count);
    document.set("pkgwarden.asked", finding.asked.word());
    document.set("pkgwarden.achieved", finding.achieved.word());
    document.set("pkgwarden.tier", finding.tier.word());
    let samples: Vec<String> = finding.samples.iter().map(object_text).collect();
    document.set("pkgwarden.samples", samples);
    document.set("pkgwarden.allow", super::allow::rule(finding));
    let did = format!("{} {}", verb(finding.action, &finding.object), object_text(&finding.object));
    document.set("message", format!("{}: {did}: {}", heading(finding), outcome_word(finding.achieved)));
    Value::Object(document.0)
}
