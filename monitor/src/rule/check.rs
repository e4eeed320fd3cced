//! What must hold for a rule set as a whole. Everything that is wrong is found in one go.

mod environment;
mod object;
mod rule;
mod starter;

use std::collections::BTreeSet;

use monitor_common::object::KernelObject;
use monitor_common::policy::{MAX_ACTORS, MAX_IDENTITIES};

use super::near::nearest;
use super::problem::Problem;
use super::selector::{actors, is_known, selects};
use super::set::RuleSet;
use crate::policy::glob::{self, GlobError, Subject};

/// Everything that is wrong with `set`.
pub(super) fn check(set: &RuleSet) -> Vec<Problem> {
    let mut found = Vec::new();
    let actors = actors(set);
    for (name, object) in &set.objects {
        object::check(name, object, &mut found);
    }
    tools(set, &actors, &mut found);
    managers(set, &mut found);
    patterns("interpreters", &[], &set.interpreters, &mut found);
    patterns("multicall", &[], &set.multicall, &mut found);
    patterns("trampolines", &[], &set.trampolines, &mut found);
    environment::check(set, &mut found);
    starter::check(set, &mut found);
    rule::check(set, &actors, &mut found);
    limits(set, &actors, &mut found);
    found
}

/// A hint that names the nearest known word, or all of them.
fn meant<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone, otherwise: &str) -> String {
    match nearest(word, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let all: Vec<&str> = known.into_iter().filter(|word| !word.is_empty()).take(24).collect();
            format!("{otherwise} {}", all.join(", "))
        }
    }
}

fn glob_problem(text: &str, error: GlobError, place: &[&str]) -> Problem {
    Problem::new(format!("the entry `{text}` cannot be used: {}", error.message), error.hint, place)
}

/// Patterns of programs, which have no exclusions of their own.
fn patterns(kind: &str, place: &[&str], list: &[String], found: &mut Vec<Problem>) {
    for (index, text) in list.iter().enumerate() {
        let index = index.to_string();
        let place = [&[kind], place, &[index.as_str()]].concat();
        if let Err(error) = glob::parse(text, Subject::Program) {
            found.push(glob_problem(text, error, &place));
        }
    }
}

fn name_is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn tools(set: &RuleSet, actors: &[String], found: &mut Vec<Problem>) {
    for (name, tool) in &set.tools {
        let here = ["actors", name.as_str()];
        if !name.strip_prefix("tool:").is_some_and(name_is_plain) {
            let message = format!("the actor `{name}` is not named like a tool");
            let hint = "name it `tool:` and lower-case letters, digits and dashes; package managers go under `managers`";
            found.push(Problem::new(message, hint, &here));
        }
        if tool.exe.is_empty() && tool.script.is_empty() {
            let message = format!("nothing tells how to recognise the actor `{name}`");
            found.push(Problem::new(message, "add `exe:` with the paths of the program", &here));
        }
        patterns("actors", &[name, "exe"], &tool.exe, found);
        patterns("actors", &[name, "script"], &tool.script, found);
        for (index, selector) in tool.started_by.iter().enumerate() {
            if !is_known(selector, actors) {
                let index = index.to_string();
                found.push(Problem::new(
                    format!("there is no actor `{selector}`"),
                    meant(selector, actors.iter().map(String::as_str), "the actors are"),
                    &["actors", name, "started-by", &index],
                ));
            }
        }
    }
    // Whoever can only be started by somebody who can only be started by them never runs.
    let mut able: BTreeSet<&str> =
        actors.iter().map(String::as_str).filter(|name| !name.starts_with("tool:")).collect();
    loop {
        let before = able.len();
        for (name, tool) in &set.tools {
            let starter = |selector: &String| able.iter().any(|actor| selects(selector, actor));
            if tool.started_by.is_empty() || tool.started_by.iter().any(starter) {
                able.insert(name);
            }
        }
        if able.len() == before {
            break;
        }
    }
    for (name, tool) in set.tools.iter().filter(|(name, _)| !able.contains(name.as_str())) {
        if tool.started_by.iter().all(|selector| is_known(selector, actors)) {
            found.push(Problem::new(
                format!("nobody can ever start `{name}`: those it must be started by wait for each other"),
                "add an actor to `started-by` that is not in the circle, such as `manager:*`",
                &["actors", name, "started-by"],
            ));
        }
    }
}

fn managers(set: &RuleSet, found: &mut Vec<Problem>) {
    for (name, manager) in &set.managers {
        let here = ["managers", name.as_str()];
        if !name_is_plain(name) || name == "command" {
            let message = format!("`{name}` is no name for a package manager");
            let hint = "use lower-case letters, digits and dashes; `command` is taken";
            found.push(Problem::new(message, hint, &here));
        }
        if manager.recognise.is_empty() {
            let message = format!("nothing tells how to recognise the manager `{name}`");
            found.push(Problem::new(message, "add `recognise:` with `exe` or `script` paths", &here));
        }
        for (index, way) in manager.recognise.iter().enumerate() {
            let index = index.to_string();
            if way.exe.is_empty() && way.script.is_empty() {
                found.push(Problem::new(
                    format!("this way to recognise `{name}` would recognise every program"),
                    "add `exe` or `script` paths",
                    &["managers", name, "recognise", &index],
                ));
            }
            patterns("managers", &[name, "recognise", &index, "exe"], &way.exe, found);
            patterns("managers", &[name, "recognise", &index, "script"], &way.script, found);
        }
    }
}

fn limits(set: &RuleSet, actors: &[String], found: &mut Vec<Problem>) {
    if actors.len() > MAX_ACTORS {
        found.push(Problem::new(
            format!("there are {} actors, and only {MAX_ACTORS} fit", actors.len()),
            "each manager is two; remove tools that no rule mentions",
            &[],
        ));
    }
    let ways = set.managers.values().map(|manager| manager.recognise.len()).sum::<usize>() + set.tools.len();
    if ways > MAX_IDENTITIES {
        found.push(Problem::new(
            format!("there are {ways} ways to recognise an actor, and only {MAX_IDENTITIES} fit"),
            "put paths that mean the same into one `recognise` entry",
            &[],
        ));
    }
    if set.rules.len() >= usize::from(u16::MAX) {
        found.push(Problem::new(
            format!("there are {} rules, and only {} fit", set.rules.len(), u16::MAX),
            "let one rule list several objects",
            &[],
        ));
    }
}

/// Names of the objects that only the kernel can recognise.
fn kernel_objects<'a>() -> impl Iterator<Item = &'a str> + Clone {
    KernelObject::ALL.iter().map(|object| -> &str { object.word() })
}
