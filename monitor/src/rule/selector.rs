//! Actors of a rule set, and the words that select them.

use super::set::RuleSet;

/// The actor that `run` gives to a command that is no known manager.
pub const COMMAND: &str = "script:command";

/// Every actor by number. Number 0 is nobody.
#[must_use]
pub fn actors(set: &RuleSet) -> Vec<String> {
    let mut names = vec![String::new(), COMMAND.to_owned()];
    for manager in set.managers.keys() {
        names.push(format!("manager:{manager}"));
        names.push(format!("script:{manager}"));
    }
    names.extend(set.tools.keys().cloned());
    names
}

/// Whether the word `selector` means the actor `name`.
#[must_use]
pub fn selects(selector: &str, name: &str) -> bool {
    if name.is_empty() {
        return false;
    }
    match selector {
        "any" => true,
        "script" => name.starts_with("script:"),
        _ => match selector.strip_suffix('*') {
            Some(kind) if matches!(kind, "manager:" | "script:" | "tool:") => name.starts_with(kind),
            _ => selector == name,
        },
    }
}

/// Whether the word is a selector at all, given the actors.
#[must_use]
pub fn is_known(selector: &str, actors: &[String]) -> bool {
    matches!(selector, "any" | "script" | "manager:*" | "script:*" | "tool:*")
        || actors.iter().any(|name| selects(selector, name))
}
