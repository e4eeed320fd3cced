//! Reads the rules naively: every rule, every object, every pattern, one after the other, with the `globset` crate.

use std::net::IpAddr;

use globset::GlobBuilder;
use ipnet::IpNet;
use monitor::rule::syntax::{Object, Rule, RuleFile, Verdict};

use crate::random::{Act, Thing};
use crate::{HOMES, PROJECT};

/// What the rules say.
#[derive(Debug)]
pub(crate) struct Said {
    /// Index of the rule that decided.
    pub(crate) rule: Option<usize>,
    /// Marks of the scope afterwards, sorted.
    pub(crate) marks: Vec<String>,
    /// Classes of secrets it has read, sorted.
    pub(crate) secrets: Vec<String>,
}

/// One scope.
pub(crate) struct Reference<'a> {
    file: &'a RuleFile,
    marks: Vec<String>,
    secrets: Vec<String>,
    /// Matches of each rule.
    counts: Vec<u32>,
}

impl<'a> Reference<'a> {
    pub(crate) fn new(file: &'a RuleFile) -> Self {
        Self { file, marks: Vec::new(), secrets: Vec::new(), counts: vec![0; file.rules.len()] }
    }

    pub(crate) fn judge(&mut self, act: &Act) -> Said {
        let mut best: Option<usize> = None;
        let (mut marks, mut secrets) = (Vec::new(), Vec::new());
        for objects in self.parts(&act.thing) {
            for (index, rule) in self.file.rules.iter().enumerate() {
                let about = rule.when.actor.words().iter().any(|word| selects(word, &act.actor))
                    && rule.when.does.words().iter().any(|word| word == act.action.word())
                    && rule.when.object.words().iter().any(|word| objects.contains(&word.as_str()))
                    && rule.when.marks.iter().all(|mark| self.marks.contains(mark))
                    && self.secrets.len() >= usize::from(rule.when.secrets);
                if !about {
                    continue;
                }
                if rule.when.after > 0 {
                    self.counts[index] += 1;
                    if self.counts[index] <= u32::from(rule.when.after) {
                        continue;
                    }
                }
                if let Some(mark) = &rule.mark {
                    marks.push(mark.clone());
                    let classes =
                        objects.iter().filter_map(|name| self.file.objects.get(*name)?.secret.clone());
                    secrets.extend(classes);
                }
                if best.is_none_or(|best| key(rule, index) > key(&self.file.rules[best], best)) {
                    best = Some(index);
                }
            }
        }
        // Who is allowed to leaves no trace but his own.
        if let Some(rule) = best.map(|best| &self.file.rules[best]).filter(|rule| rule.then == Verdict::Allow)
        {
            marks = rule.mark.iter().cloned().collect();
            if marks.is_empty() {
                secrets.clear();
            }
        }
        for (all, new) in [(&mut self.marks, marks), (&mut self.secrets, secrets)] {
            all.extend(new);
            all.sort();
            all.dedup();
        }
        Said { rule: best, marks: self.marks.clone(), secrets: self.secrets.clone() }
    }

    /// Objects of each part of a thing: path, script, command line, what the kernel knows.
    fn parts(&self, thing: &Thing) -> Vec<Vec<&'a str>> {
        let objects = |belongs: &dyn Fn(&Object) -> bool| -> Vec<&'a str> {
            let found = self.file.objects.iter().filter(|(_, object)| belongs(object));
            found.map(|(name, _)| name.as_str()).collect()
        };
        match thing {
            Thing::File { path, dropped } => vec![
                objects(&|object| listed(&object.files, |pattern| glob(pattern, path))),
                if *dropped { vec!["dropped"] } else { Vec::new() },
            ],
            Thing::Program { path, script, command } => vec![
                objects(&|object| listed(&object.executables, |pattern| glob(pattern, path))),
                objects(&|object| {
                    script
                        .as_ref()
                        .is_some_and(|script| listed(&object.executables, |pattern| glob(pattern, script)))
                }),
                objects(&|object| listed(&object.commands, |pattern| line(pattern, command))),
            ],
            Thing::Socket(name) => {
                vec![objects(&|object| listed(&object.sockets, |pattern| glob(pattern, name)))]
            }
            Thing::Address(address, port, name) => vec![
                objects(&|object| endpoint(object, *address, *port)),
                objects(&|object| {
                    let name = name.as_ref().filter(|_| allows(&object.ports, *port));
                    name.is_some_and(|name| listed(&object.domains, |pattern| domain(pattern, name)))
                }),
            ],
            Thing::Name(name) => {
                vec![objects(&|object| listed(&object.domains, |pattern| domain(pattern, name)))]
            }
        }
    }

    /// What a program becomes; an empty name if nothing recognises it.
    pub(crate) fn becomes(&self, starter: &str, path: &str, script: Option<&str>) -> String {
        let fits = |exe: &[String], scripts: &[String]| {
            (exe.is_empty() || listed(exe, |pattern| glob(pattern, path)))
                && (scripts.is_empty()
                    || script.is_some_and(|script| listed(scripts, |pattern| glob(pattern, script))))
        };
        for (name, manager) in &self.file.managers {
            if manager.recognise.iter().any(|way| fits(&way.exe, &way.script)) {
                return format!("manager:{name}");
            }
        }
        for (name, tool) in &self.file.actors {
            let may = tool.started_by.is_empty() || tool.started_by.iter().any(|word| selects(word, starter));
            if may && fits(&tool.exe, &tool.script) {
                return name.clone();
            }
        }
        String::new()
    }
}

/// Allow before kill before deny before alert, then the severity, then the earlier rule; but first what is more than an
/// alert and asks for the past.
fn key(rule: &Rule, index: usize) -> (bool, u8, u8, usize) {
    let past = rule.then != Verdict::Alert && (rule.when.secrets > 0 || !rule.when.marks.is_empty());
    let verdict = match rule.then {
        Verdict::Allow => 3,
        Verdict::Kill => 2,
        Verdict::Deny => 1,
        Verdict::Alert => 0,
    };
    (past, verdict, rule.severity as u8, usize::MAX - index)
}

fn selects(word: &str, actor: &str) -> bool {
    let (kind, _) = actor.split_once(':').unwrap();
    word == "any" || word == actor || word == format!("{kind}:*") || (word == "script" && kind == "script")
}

/// Whether a pattern of the list matches and no exclusion does.
fn listed(list: &[String], matches: impl Fn(&str) -> bool) -> bool {
    list.iter().any(|text| !text.starts_with('!') && matches(text))
        && !list.iter().any(|text| text.strip_prefix('!').is_some_and(&matches))
}

fn glob(pattern: &str, path: &str) -> bool {
    // Modules (`-m a`) and abstract sockets (`@a`) are no paths, at no depth.
    if path.starts_with('/') == pattern.starts_with(['-', '@']) {
        return false;
    }
    let mut spelled = Vec::new();
    if let Some(rest) = pattern.strip_prefix('~') {
        spelled.extend(HOMES.iter().map(|home| format!("{home}{rest}")));
    } else if let Some(rest) = pattern.strip_prefix("$PROJECT") {
        spelled.push(format!("{PROJECT}{rest}"));
    } else if let Some(rest) = pattern.strip_prefix("$SET") {
        spelled.push(format!("/h/b{rest}"));
    } else if !pattern.starts_with('$') {
        spelled.push(pattern.to_owned());
    }
    spelled.iter().any(|pattern| {
        // No component of a path is empty, which `globset` does not know.
        let proper = |part| if part == "*" { "?*" } else { part };
        let pattern = pattern.split('/').map(proper).collect::<Vec<_>>().join("/");
        let glob = GlobBuilder::new(&pattern).literal_separator(true).empty_alternates(true).build().unwrap();
        glob.compile_matcher().is_match(path)
    })
}

/// A command line: the words of the pattern, then any.
fn line(pattern: &str, command: &[String]) -> bool {
    let pattern: Vec<&str> = pattern.split_whitespace().collect();
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    words(&pattern, &command)
}

fn words(pattern: &[&str], command: &[&str]) -> bool {
    match (pattern, command) {
        ([], _) => true,
        (["**", rest @ ..], _) => {
            words(rest, command) || (!command.is_empty() && words(pattern, &command[1..]))
        }
        ([first, rest @ ..], [word, others @ ..]) => {
            let glob = GlobBuilder::new(first).empty_alternates(true).build().unwrap();
            glob.compile_matcher().is_match(word) && words(rest, others)
        }
        (_, []) => false,
    }
}

fn endpoint(object: &Object, address: IpAddr, port: u16) -> bool {
    if object.addresses.is_empty() && (object.ports.is_empty() || !object.domains.is_empty()) {
        return false;
    }
    let mut inside = object.addresses.iter().all(|text| text.starts_with('!'));
    let mut longest = -1;
    for text in &object.addresses {
        let bare = text.trim_start_matches('!');
        let network: IpNet = bare.parse().unwrap_or_else(|_| IpNet::from(bare.parse::<IpAddr>().unwrap()));
        let length = i32::from(network.prefix_len());
        // Of two equal entries the exclusion counts.
        if network.contains(&address) && (length > longest || (length == longest && text.starts_with('!'))) {
            longest = length;
            inside = !text.starts_with('!');
        }
    }
    inside && allows(&object.ports, port)
}

/// Whether a port is one of a list.
fn allows(ports: &[String], port: u16) -> bool {
    let within = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        (first.parse::<u16>().unwrap()..=last.parse::<u16>().unwrap()).contains(&port)
    };
    let only_exclusions = ports.iter().all(|text| text.starts_with('!'));
    listed(ports, within) || (only_exclusions && !ports.iter().any(|text| within(&text[1..])))
}

/// Whether a name is what the pattern says, label by label.
fn domain(pattern: &str, name: &str) -> bool {
    let pattern = pattern.to_lowercase().replace('é', "xn--9ca").replace("xn--9ca-", "xn--");
    let pattern: Vec<&str> = pattern.trim_end_matches('.').split('.').collect();
    let name: Vec<&str> = name.split('.').collect();
    match pattern.as_slice() {
        ["*", rest @ ..] => name.len() > rest.len() && name.ends_with(rest),
        exact => name == exact,
    }
}
