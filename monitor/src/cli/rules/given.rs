//! A recorded act as the rule language says it.

use std::path::{Component, Path};

use monitor_common::action::Action;
use monitor_common::object::KernelObject;

use crate::event::model::Thing;
use crate::event::text::Text;
use crate::finding::Finding;
use crate::report::allow::{actor, quote};
use crate::rule::RuleSet;
use crate::rule::syntax::{Given, Within};

/// Every way to say the act, the most exact first. In tests there are other homes than on the machine of the finding, so
/// that a path is also tried as one below `~` and below the project.
pub(super) fn all(finding: &Finding, set: &RuleSet) -> Vec<Given> {
    let rule = set.rules.iter().find(|rule| rule.id == finding.rule);
    let known = |mark: &&String| set.rules.iter().any(|rule| rule.mark.as_ref() == Some(*mark));
    let base = Given {
        actor: actor(finding).to_owned(),
        does: finding.action.word().to_owned(),
        marks: finding.marks.iter().filter(known).cloned().collect(),
        secrets: rule.map_or(0, |rule| rule.when.secrets),
        scope: rule.and_then(|rule| rule.when.scope).filter(|_| finding.scope.is_some()),
        before: rule.map_or(0, |rule| rule.when.after),
        ..Given::default()
    };
    let object =
        finding.object.classes.iter().find(|class| KernelObject::from_word(class).is_some()).cloned();
    match &finding.object.what {
        Thing::File { path } => {
            let paths = paths(path).into_iter();
            let mut all: Vec<Given> = paths
                .map(|path| Given { path: Some(path), object: object.clone(), ..base.clone() })
                .collect();
            if object.is_some() {
                all.push(Given { object, ..base });
            }
            all
        }
        Thing::Program { path, argv } => {
            let words: Vec<String> =
                argv.iter().filter_map(|word| word.as_plain().map(str::to_owned)).collect();
            let command = (finding.action == Action::Exec && words.len() == argv.len() && !argv.is_empty())
                .then(|| words.join(" "));
            let paths = paths(path).into_iter();
            paths
                .map(|path| Given {
                    path: Some(path),
                    command: command.clone(),
                    object: object.clone(),
                    ..base.clone()
                })
                .collect()
        }
        Thing::Address { address, port, domain, server_name, .. } => {
            let name =
                server_name.as_ref().or(domain.as_ref()).and_then(|name| name.as_plain().map(str::to_owned));
            let address =
                server_name.is_none().then(|| std::net::SocketAddr::new(*address, *port).to_string());
            let port = address.is_none().then_some(*port);
            vec![Given { address, domain: name, port, object, ..base }]
        }
        Thing::Name { domain, .. } => {
            let domain = domain.as_ref().and_then(|name| name.as_plain().map(str::to_owned));
            vec![Given { domain, ..base.clone() }, Given { object, ..base }]
        }
        Thing::Socket { socket } => {
            let socket = socket.as_plain().map(str::to_owned);
            vec![Given { socket, object, ..base }]
        }
        Thing::Process { .. } | Thing::Kernel { .. } | Thing::None => vec![Given { object, ..base }],
    }
}

/// The path as it is, then with each of its first directories taken for a home, then for the project.
fn paths(path: &Text) -> Vec<String> {
    let Some(plain) = path.as_plain() else { return Vec::new() };
    let names: Vec<&str> = Path::new(plain)
        .components()
        .filter_map(|part| if let Component::Normal(name) = part { name.to_str() } else { None })
        .collect();
    let below = |place: &'static str| {
        let names = names.clone();
        (1..names.len()).map(move |from| format!("{place}/{}", names[from..].join("/")))
    };
    std::iter::once(plain.to_owned()).chain(below("~")).chain(below("$PROJECT")).collect()
}

/// The act in one line of YAML.
pub(super) fn flow(given: &Given) -> String {
    let mut parts = vec![format!("actor: {}", quote(&given.actor)), format!("does: {}", given.does)];
    for (key, value) in [
        ("path", &given.path),
        ("command", &given.command),
        ("domain", &given.domain),
        ("address", &given.address),
        ("socket", &given.socket),
        ("object", &given.object),
    ] {
        parts.extend(value.as_ref().map(|value| format!("{key}: {}", quote(value))));
    }
    parts.extend(given.port.map(|port| format!("port: {port}")));
    if !given.marks.is_empty() {
        let marks: Vec<String> = given.marks.iter().map(|mark| quote(mark)).collect();
        parts.push(format!("marks: [{}]", marks.join(", ")));
    }
    if given.secrets > 0 {
        parts.push(format!("secrets: {}", given.secrets));
    }
    if given.scope == Some(Within::Script) {
        parts.push("scope: script".to_owned());
    }
    if given.before > 0 {
        parts.push(format!("before: {}", given.before));
    }
    format!("{{ {} }}", parts.join(", "))
}
