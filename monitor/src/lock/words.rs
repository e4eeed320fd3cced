//! Differences in words. Everything that a stranger chose is a [`Text`] and shows itself harmlessly.

use std::fmt::Write as _;

use monitor_common::action::Action;

use super::compare::{Change, State};
use super::format::Act;
use crate::event::text::Text;

/// The most acts of one script that are told.
const MOST: usize = 40;

/// What is new to a lockfile, script by script.
#[must_use]
pub fn news(changes: &[Change]) -> String {
    let mut text = String::new();
    for change in changes {
        let script = &change.script;
        let what = match change.state {
            State::NewPackage => "is not in the lockfile".to_owned(),
            State::NewScript => format!("runs `{script}`, which is not in the lockfile"),
            _ if change.from == change.to => "does what is not in the lockfile".to_owned(),
            _ => format!("does what {} did not", list(&change.from)),
        };
        head(&mut text, &format!("{} {}", change.name, list(&change.to)), change, &what);
        acts(&mut text, "", &change.added);
    }
    text
}

/// What differs between two lockfiles, script by script.
#[must_use]
pub fn differences(changes: &[Change]) -> String {
    let mut text = String::new();
    for change in changes {
        let versions = match change.state {
            State::NewPackage => list(&change.to),
            State::GonePackage => list(&change.from),
            _ if change.from == change.to => list(&change.to),
            _ => format!("{} -> {}", list(&change.from), list(&change.to)),
        };
        let what = match change.state {
            State::NewPackage => "is new",
            State::NewScript => "is a new script",
            State::GoneScript | State::GonePackage => "is gone",
            State::Changed if change.added.is_empty() => "does less",
            State::Changed => "does something new",
        };
        head(&mut text, &format!("{} {versions}", change.name), change, what);
        acts(&mut text, "now ", &change.added);
        acts(&mut text, "no longer ", &change.removed);
    }
    text
}

fn head(text: &mut String, package: &str, change: &Change, what: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{package} ({}, {}) {what}", change.ecosystem, change.script);
}

fn acts(text: &mut String, word: &str, acts: &[Act]) {
    for act in acts.iter().take(MOST) {
        let classes: Vec<&str> = act.classes.iter().map(String::as_str).collect();
        let classes = if classes.is_empty() { String::new() } else { format!(" ({})", classes.join(", ")) };
        let _ = writeln!(text, "  {word}{} {}{}", verb(act.action), act.object, Text::from(classes));
    }
    if acts.len() > MOST {
        let _ = writeln!(text, "  and {} more; --json tells all", acts.len() - MOST);
    }
}

fn list(versions: &[Text]) -> String {
    let words: Vec<String> = versions.iter().map(ToString::to_string).collect();
    words.join(", ")
}

fn verb(action: Action) -> &'static str {
    match action {
        Action::Exec => "runs",
        Action::Read => "reads",
        Action::Write => "writes",
        Action::Create => "creates",
        Action::Link => "links",
        Action::Rename => "renames",
        Action::Remove => "removes",
        Action::Connect | Action::UnixConnect => "connects to",
        Action::Send => "sends to",
        Action::Resolve => "asks for the name",
        Action::Listen => "listens at",
        Action::Attach => "reaches into",
        Action::Load => "asks the kernel for",
        Action::Signal => "signals",
    }
}
