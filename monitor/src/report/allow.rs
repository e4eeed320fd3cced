//! The rule that would allow what a finding is about: the narrowest one, ready to be pasted.

mod command;
mod object;

use std::fmt::Write as _;

use monitor_common::action::Action;

pub use self::object::Way;
pub(super) use self::object::host;

use crate::event::model::Thing;
use crate::finding::Finding;

/// The class of what `run --decoys` plants.
const DECOYS: &str = "decoys";

/// How wide an exception is, where it is wider than the act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// A rule file.
    pub yaml: String,
    /// What else it allows, in sentences; empty if that is nothing.
    pub wider: Vec<&'static str>,
}

/// YAML that allows this actor this action on this object, and as little else as rules can say. None where no class is
/// known, or no rule is about it.
#[must_use]
pub fn rule(finding: &Finding) -> Option<String> {
    exception(finding, None, "say here who reviewed this, and why it is needed").map(|exception| {
        let wider: String = exception.wider.iter().map(|sentence| format!("# Wide: {sentence}\n")).collect();
        wider + &exception.yaml
    })
}

/// The exception for a finding, by this way of naming the object; the narrowest without one.
#[must_use]
pub fn exception(finding: &Finding, way: Option<Way>, why: &str) -> Option<Exception> {
    if finding.action == Action::Exec && matches!(finding.object.what, Thing::Process { .. }) {
        // A process that outlived the command: no rule is about that.
        return None;
    }
    // Who wants to read what was made up to be found reads it without.
    if finding.object.classes.first().is_some_and(|class| class == DECOYS) {
        return None;
    }
    // A report can come from anywhere; what is no word must not become a part of a rule.
    let is_word = |text: &String| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    if ![&finding.rule, &finding.key].into_iter().chain(&finding.object.classes).all(is_word) {
        return None;
    }
    let mut yaml = String::new();
    let suffix = finding.key.get(..6).unwrap_or_default();
    let id = format!("LOCAL-{}-{suffix}", finding.rule);
    let object::Named { object, title, definition, mut wider } = object::name(finding, way)?;
    if let Some((key, values, ports)) = definition {
        yaml.push_str("objects:\n");
        let words = if finding.object.title.is_empty() { "reviewed object" } else { &finding.object.title };
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(yaml, "  {object}:\n    title: {}", quote(words));
        for (key, values) in [(key, values), ("ports", ports)].iter().filter(|(_, values)| !values.is_empty())
        {
            let values: Vec<String> = values.iter().map(|value| quote(value)).collect();
            let _ = writeln!(yaml, "    {key}: [{}]", values.join(", "));
        }
    }
    let who = actor(finding);
    let title = format!("{who} may {} {title}", finding.action.word());
    yaml.push_str("rules:\n");
    let _ = writeln!(yaml, "  - id: {id}");
    let _ = writeln!(yaml, "    title: {}", quote(&title));
    yaml.push_str("    severity: info\n");
    // After a secret nothing goes out, whatever is allowed to others: the exception must ask for the same past.
    let (marks, nameless) = match finding.action {
        Action::Connect | Action::Send | Action::Resolve | Action::UnixConnect => past(&finding.marks),
        _ => (String::new(), false),
    };
    if nameless {
        wider.push("the scope had marks that have no name here, so that the rule cannot ask for them");
    }
    let action = finding.action.word();
    let _ = writeln!(yaml, "    when: {{ actor: {}, does: {action}, object: {object}{marks} }}", quote(who));
    let _ = writeln!(yaml, "    then: allow\n    why: {}", quote(why));
    Some(Exception { yaml, wider })
}

/// Who the rule is about: as what the process acted. A program is run by the one that starts it, unless it is the first of
/// a script, which it runs itself.
#[must_use]
pub fn actor(finding: &Finding) -> &str {
    let starts = finding.action == Action::Exec && matches!(finding.object.what, Thing::Program { .. });
    match finding.ancestry.first() {
        Some(starter)
            if starts
                && !starter.actor.is_empty()
                && !(starter.actor.starts_with("manager:") && finding.actor.starts_with("script:")) =>
        {
            &starter.actor
        }
        _ => &finding.actor,
    }
}

/// The condition on marks, if there are any whose names are known, and whether there are others.
fn past(marks: &[String]) -> (String, bool) {
    let nameless =
        |mark: &&String| mark.strip_prefix("mark-").is_some_and(|rest| rest.parse::<u32>().is_ok());
    let named: Vec<String> = marks.iter().filter(|mark| !nameless(mark)).map(|mark| quote(mark)).collect();
    let condition = if named.is_empty() { String::new() } else { format!(", marks: [{}]", named.join(", ")) };
    (condition, marks.iter().any(|mark| nameless(&mark)))
}

/// A YAML string in double quotes.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests;
