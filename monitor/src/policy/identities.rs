//! Who a program becomes: actors, the ways to recognise them, and who may start whom.

use monitor_common::label::ActorId;
use monitor_common::policy::identity::ActorKind;
use monitor_common::policy::{Actor, Identity};

use super::Names;
use crate::rule::selector::{COMMAND, actors, selects};
use crate::rule::{Place, RuleSet};

/// One way to recognise an actor.
#[derive(Clone, Debug)]
pub(super) struct Way {
    actor: ActorId,
    /// Where it stands in the rules.
    pub(super) place: Place,
    pub(super) exe: Vec<String>,
    pub(super) script: Vec<String>,
    started_by: Vec<String>,
}

/// Tables about actors.
#[derive(Debug, Default)]
pub(super) struct Actors {
    pub(super) actors: Vec<Actor>,
    pub(super) identities: Vec<Identity>,
    pub(super) needs_exe: [u64; 2],
    pub(super) needs_script: [u64; 2],
}

/// Names the actors: their numbers, managers and ecosystems.
pub(super) fn name(set: &RuleSet, names: &mut Names) {
    names.actors = actors(set);
    names.command = names.actor(COMMAND).unwrap_or_default();
    for (name, manager) in &set.managers {
        for kind in ["manager", "script"] {
            if let Some(actor) = names.actor(&format!("{kind}:{name}")) {
                names.ecosystems.insert(actor, manager.ecosystem.clone());
                let title = if manager.title.is_empty() { name } else { &manager.title };
                names.managers.insert(actor, title.clone());
            }
        }
    }
}

/// Every way to recognise an actor, managers first: what is both is a manager.
pub(super) fn ways(set: &RuleSet, names: &Names) -> Vec<Way> {
    let mut ways = Vec::new();
    for (name, manager) in &set.managers {
        let Some(actor) = names.actor(&format!("manager:{name}")) else {
            continue;
        };
        for (index, way) in manager.recognise.iter().enumerate() {
            ways.push(Way {
                actor,
                place: ["managers", name, "recognise", &index.to_string()].map(str::to_owned).to_vec(),
                exe: way.exe.clone(),
                script: way.script.clone(),
                started_by: Vec::new(),
            });
        }
    }
    for (name, tool) in &set.tools {
        let Some(actor) = names.actor(name) else { continue };
        ways.push(Way {
            actor,
            place: ["actors", name].map(str::to_owned).to_vec(),
            exe: tool.exe.clone(),
            script: tool.script.clone(),
            started_by: tool.started_by.clone(),
        });
    }
    ways
}

/// Builds the tables.
pub(super) fn tables(set: &RuleSet, names: &Names, ways: &[Way]) -> Actors {
    let mut tables = Actors::default();
    for (number, way) in ways.iter().enumerate() {
        tables.identities.push(Identity { actor: way.actor, ..Identity::default() });
        // More ways than bits were refused when the rules were read.
        let (word, bit) = (number / 64 % 2, 1_u64 << (number % 64));
        if !way.exe.is_empty() {
            tables.needs_exe[word] |= bit;
        }
        if !way.script.is_empty() {
            tables.needs_script[word] |= bit;
        }
    }
    for (number, name) in names.actors.iter().enumerate() {
        let mut actor = Actor::default();
        if let Some(manager) = name.strip_prefix("manager:") {
            actor.kind = ActorKind::Manager as u8;
            actor.child = names.actor(&format!("script:{manager}")).unwrap_or_default();
            actor.trusted_writer = 1;
        } else if name.starts_with("script:") {
            actor.kind = ActorKind::Script as u8;
            actor.child = number as ActorId;
        } else if let Some(tool) = set.tools.get(name) {
            actor.kind = ActorKind::Tool as u8;
            actor.trusted_writer = u8::from(tool.trusted_writer);
        }
        for (bit, way) in ways.iter().enumerate() {
            if way.started_by.is_empty() || way.started_by.iter().any(|selector| selects(selector, name)) {
                actor.may_start[bit / 64 % 2] |= 1 << (bit % 64);
            }
        }
        tables.actors.push(actor);
    }
    tables
}
