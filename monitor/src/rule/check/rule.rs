//! Rules: every word means something, and every condition can hold.

use std::collections::{BTreeMap, BTreeSet};

use monitor_common::action::Action;
use monitor_common::label::{MAX_MARKS, MAX_SECRETS, SCOPE_COUNTERS};
use monitor_common::object::KernelObject;

use super::{kernel_objects, meant};
use crate::policy::domain;
use crate::rule::problem::Problem;
use crate::rule::selector::is_known;
use crate::rule::set::RuleSet;
use crate::rule::syntax::{Given, Object, OneOrMany, Rule};

pub(super) fn check(set: &RuleSet, actors: &[String], found: &mut Vec<Problem>) {
    let marks: BTreeSet<&str> = set.rules.iter().filter_map(|rule| rule.mark.as_deref()).collect();
    if marks.len() > MAX_MARKS {
        let message = format!("there are {} marks, and only {MAX_MARKS} fit", marks.len());
        found.push(Problem::new(message, "let rules about the same thing set the same mark", &[]));
    }
    let secrets: BTreeSet<&str> =
        set.objects.values().filter_map(|object| object.secret.as_deref()).collect();
    if secrets.len() > MAX_SECRETS {
        let message = format!("there are {} classes of secrets, and only {MAX_SECRETS} fit", secrets.len());
        found.push(Problem::new(message, "let objects of the same kind share the word under `secret`", &[]));
    }
    let counting = set.rules.iter().filter(|rule| rule.when.after > 0).count();
    if counting > SCOPE_COUNTERS {
        let message = format!("{counting} rules have `after`, and only {SCOPE_COUNTERS} can be counted");
        found.push(Problem::new(message, "put rules that count the same together", &[]));
    }
    let mut ids = BTreeMap::new();
    for (index, rule) in set.rules.iter().enumerate() {
        let number = index.to_string();
        let mut checker =
            Checker { set, actors, marks: &marks, secrets: secrets.len(), rule, number: &number, found };
        checker.texts();
        if let Some(first) = ids.insert(rule.id.as_str(), index) {
            let file =
                set.source(&["rules".to_owned(), first.to_string()]).map(|(source, _)| source.name.as_str());
            let file = file.unwrap_or("another file");
            let message = format!("the rule `{}` is defined twice", rule.id);
            checker.problem(message, &format!("the other one is in {file}; choose another id"), &["id"]);
        }
        checker.conditions();
        for (index, test) in rule.tests.iter().enumerate() {
            for given in test.acts() {
                checker.given(&given, &index.to_string());
            }
        }
    }
}

struct Checker<'a> {
    set: &'a RuleSet,
    actors: &'a [String],
    marks: &'a BTreeSet<&'a str>,
    /// Classes of secrets.
    secrets: usize,
    rule: &'a Rule,
    number: &'a str,
    found: &'a mut Vec<Problem>,
}

impl Checker<'_> {
    fn problem(&mut self, message: String, hint: &str, place: &[&str]) {
        let place = [&["rules", self.number], place].concat();
        self.found.push(Problem::new(message, hint, &place));
    }

    fn texts(&mut self) {
        let Rule { id, title, why, .. } = self.rule;
        if id.is_empty()
            || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        {
            self.problem(
                format!("`{id}` is no id for a rule"),
                "use letters, digits and dashes: `PW-CRED-001`",
                &["id"],
            );
        }
        if title.trim().is_empty() {
            self.problem(
                format!("the rule `{id}` has no title"),
                "say in one line what happened",
                &["title"],
            );
        }
        if why.trim().is_empty() {
            let hint = "say why no install needs this, and what to do if one does";
            self.problem(format!("the rule `{id}` does not say why"), hint, &["why"]);
        }
    }

    /// Reports unknown words of a list, and a list without any.
    fn words<'w>(
        &mut self,
        key: &str,
        list: &'w OneOrMany,
        what: &str,
        known: &[&str],
        is_known: impl Fn(&str) -> bool,
    ) -> Vec<&'w str> {
        if list.words().is_empty() {
            self.problem(
                format!("`{key}` is an empty list, so the rule never matches"),
                "add a word",
                &["when", key],
            );
        }
        let mut good = Vec::new();
        for (index, word) in list.words().iter().enumerate() {
            if is_known(word) {
                good.push(word.as_str());
                continue;
            }
            let hint = meant(word, known.iter().copied(), &format!("the {what}s are"));
            let index = index.to_string();
            let place: &[&str] = match list {
                OneOrMany::One(_) => &["when", key],
                OneOrMany::Many(_) => &["when", key, &index],
            };
            self.problem(format!("there is no {what} `{word}`"), &hint, place);
        }
        good
    }

    fn conditions(&mut self) {
        let when = &self.rule.when;
        let selectors = ["any", "script", "manager:*", "script:*", "tool:*"];
        let actors = self.actors;
        let known: Vec<&str> = selectors.into_iter().chain(actors.iter().map(String::as_str)).collect();
        self.words("actor", &when.actor, "actor", &known, |word| is_known(word, actors));
        let known: Vec<&str> = Action::ALL.iter().map(|action| action.word()).collect();
        let actions =
            self.words("does", &when.does, "action", &known, |word| Action::from_word(word).is_some());
        let actions: Vec<Action> = actions.into_iter().filter_map(Action::from_word).collect();
        let set = self.set;
        let known: Vec<&str> = set.objects.keys().map(String::as_str).chain(kernel_objects()).collect();
        let objects = self.words("object", &when.object, "object", &known, |word| known.contains(&word));
        self.kinds(&actions, &objects);
        for (index, mark) in when.marks.iter().enumerate() {
            if !self.marks.contains(mark.as_str()) {
                let hint = meant(
                    mark,
                    self.marks.iter().copied(),
                    "some rule must set it with `mark:`; the marks are",
                );
                let place = ["when", "marks", &index.to_string()];
                self.problem(format!("no rule sets the mark `{mark}`"), &hint, &place);
            }
        }
        if usize::from(when.secrets) > self.secrets {
            self.problem(
                format!(
                    "the rule `{}` never matches: there are {} classes of secrets",
                    self.rule.id, self.secrets
                ),
                "ask for fewer, or give objects a `secret`",
                &["when", "secrets"],
            );
        }
        if when.after > 0 && !actions.iter().all(|action| is_about_files(*action)) {
            self.problem(
                format!("the rule `{}` counts acts that are not about files", self.rule.id),
                "`after` goes with read, write, create, link, rename and remove only",
                &["when", "after"],
            );
        }
    }

    /// Every object can be acted upon in some way the rule names, and every action has an object.
    fn kinds(&mut self, actions: &[Action], objects: &[&str]) {
        let fits = |action: Action, name: &str| match self.set.objects.get(name) {
            Some(object) => has_kind(object, action),
            None => KernelObject::from_word(name).is_some(),
        };
        let mut bad = Vec::new();
        for name in objects {
            if !actions.is_empty() && !actions.iter().any(|action| fits(*action, name)) {
                let hint = format!("`{}` needs {}", actions[0].word(), needs(actions[0]));
                bad.push((
                    format!("the object `{name}` holds nothing that this action is about"),
                    hint,
                    "object",
                ));
            }
        }
        for action in actions {
            if bad.is_empty() && !objects.is_empty() && !objects.iter().any(|name| fits(*action, name)) {
                let hint = format!("it needs {}", needs(*action));
                bad.push((format!("no object of this rule can be met by `{}`", action.word()), hint, "does"));
            }
        }
        for (message, hint, key) in bad {
            self.problem(message, &hint, &["when", key]);
        }
    }

    /// A test names one act.
    fn given(&mut self, given: &Given, index: &str) {
        let here = |key: &'static str| ["tests", index, "given", key];
        if !self.actors.contains(&given.actor) || given.actor.is_empty() {
            let hint = meant(&given.actor, self.actors.iter().map(String::as_str), "the actors are");
            self.problem(
                format!("a test needs one exact actor, not `{}`", given.actor),
                &hint,
                &here("actor"),
            );
        }
        let Some(action) = Action::from_word(&given.does) else {
            let hint = meant(&given.does, Action::ALL.iter().map(|action| action.word()), "the actions are");
            self.problem(format!("there is no action `{}`", given.does), &hint, &here("does"));
            return;
        };
        let Given { path, command, address, domain, port, socket, object, .. } = given;
        let fits = match action {
            Action::Exec => path.is_some() || command.is_some(),
            action if is_about_files(action) => path.is_some(),
            Action::Resolve => domain.is_some(),
            action if is_about_addresses(action) => address.is_some() || (domain.is_some() && port.is_some()),
            Action::UnixConnect => socket.is_some(),
            _ => false,
        };
        if !fits && object.is_none() {
            let hint = format!("it needs {}", given_needs(action));
            self.problem(
                format!("the test does not say what `{}` is done to", given.does),
                &hint,
                &here("does"),
            );
        }
        if let Some(word) = object.as_deref().filter(|word| KernelObject::from_word(word).is_none()) {
            let hint = meant(word, kernel_objects(), "`object` is for what only the kernel recognises:");
            self.problem(format!("there is no kernel object `{word}`"), &hint, &here("object"));
        }
        if let Some(text) = path.as_deref().filter(|text| !text.starts_with(['/', '~', '$'])) {
            self.problem(format!("the path `{text}` is relative"), "write an absolute path", &here("path"));
        }
        if let Some(text) = address.as_deref().filter(|text| text.parse::<std::net::SocketAddr>().is_err()) {
            let hint = "write `203.0.113.7:443` or `[2001:db8::1]:443`";
            self.problem(format!("`{text}` is no address with a port"), hint, &here("address"));
        }
        if let Some((text, error)) =
            domain.as_deref().and_then(|text| Some((text, domain::parse_name(text).err()?)))
        {
            let message = format!("`{text}` is no name of a host: {}", error.message);
            self.problem(message, &error.hint, &here("domain"));
        }
        for mark in given.marks.iter().filter(|mark| !self.marks.contains(mark.as_str())).collect::<Vec<_>>()
        {
            let hint = meant(mark, self.marks.iter().copied(), "the marks are");
            self.problem(format!("no rule sets the mark `{mark}`"), &hint, &here("marks"));
        }
    }
}

/// Whether an action is judged by the path of a file.
#[must_use]
pub(super) fn is_about_files(action: Action) -> bool {
    use Action::{Create, Link, Read, Remove, Rename, Write};
    matches!(action, Read | Write | Create | Link | Rename | Remove)
}

fn is_about_addresses(action: Action) -> bool {
    matches!(action, Action::Connect | Action::Send | Action::Listen)
}

fn has_kind(object: &Object, action: Action) -> bool {
    match action {
        Action::Exec => !object.executables.is_empty() || !object.commands.is_empty(),
        Action::UnixConnect => !object.sockets.is_empty(),
        Action::Resolve => !object.domains.is_empty() || object.registries.is_some(),
        Action::Connect | Action::Send if !object.domains.is_empty() || object.registries.is_some() => true,
        action if is_about_files(action) => !object.files.is_empty(),
        action if is_about_addresses(action) => !object.addresses.is_empty() || !object.ports.is_empty(),
        _ => false,
    }
}

fn needs(action: Action) -> &'static str {
    match action {
        Action::Exec => {
            "an object with `executables` or `commands`, or one the kernel knows such as `dropped`"
        }
        Action::UnixConnect => "an object with `sockets`",
        Action::Resolve => "an object with `domains`, or one the kernel knows such as `odd-query`",
        Action::Connect | Action::Send => "an object with `addresses`, `domains` or `ports`",
        action if is_about_files(action) => "an object with `files`",
        action if is_about_addresses(action) => "an object with `addresses` or `ports`",
        _ => "an object the kernel knows, such as `bpf` or `foreign-memory`",
    }
}

fn given_needs(action: Action) -> &'static str {
    match action {
        Action::Exec => "`path`, `command` or `object`",
        Action::UnixConnect => "`socket`",
        Action::Resolve => "`domain` or `object`",
        Action::Connect | Action::Send => "`address`, or `domain` and `port`",
        action if is_about_files(action) => "`path` or `object`",
        action if is_about_addresses(action) => "`address`",
        _ => "`object`",
    }
}
