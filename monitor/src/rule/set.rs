//! All rule files together, checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::check;
use super::locate::locate;
use super::problem::{Finding, Place, Problem, Problems};
use super::syntax::{Manager, Network, Object, Rule, RuleFile, Starter, Tool};

/// A rule file: its name for people, and its text.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path as given, or `built-in/..`.
    pub name: String,
    /// The whole file.
    pub text: Arc<str>,
}

/// One rule set. Everything in it is known to be sound: names are unique and defined, patterns can match.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// Objects by name.
    pub objects: BTreeMap<String, Object>,
    /// Tools by name (`tool:git`).
    pub tools: BTreeMap<String, Tool>,
    /// Managers by name (`npm`).
    pub managers: BTreeMap<String, Manager>,
    /// Who starts installs, by name (`agent:claude`).
    pub starters: BTreeMap<String, Starter>,
    /// Programs whose subject is a script among their arguments.
    pub interpreters: Vec<String>,
    /// Programs of many names.
    pub multicall: Vec<String>,
    /// Programs that only start another one.
    pub trampolines: Vec<String>,
    /// Names of environment variables that hold secrets, and with `!` of those that do not.
    pub environment: Vec<String>,
    /// What scripts may reach, if a file says so.
    pub network: Option<Network>,
    /// The rules, in the order of the files.
    pub rules: Vec<Rule>,
    sources: Vec<Source>,
    /// Source of each named entry (`objects/x`), and where a counted list of a source begins (`rules`).
    named: BTreeMap<(&'static str, String), usize>,
    counted: BTreeMap<&'static str, Vec<(usize, usize)>>,
}

impl RuleSet {
    /// Puts files together and checks the whole.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn build(files: Vec<(Source, RuleFile)>) -> Result<Self, Problems> {
        let mut set = Self::default();
        let mut problems = Problems::default();
        for (source, file) in files {
            set.sources.push(source);
            set.add(file, &mut problems);
        }
        for problem in check::check(&set) {
            problems.push(set.find(problem));
        }
        if problems.is_empty() { Ok(set) } else { Err(problems) }
    }

    fn add(&mut self, file: RuleFile, problems: &mut Problems) {
        let number = self.sources.len() - 1;
        for (kind, length) in [
            ("rules", self.rules.len()),
            ("interpreters", self.interpreters.len()),
            ("multicall", self.multicall.len()),
            ("trampolines", self.trampolines.len()),
            ("environment", self.environment.len()),
        ] {
            self.counted.entry(kind).or_default().push((length, number));
        }
        if file.network.is_some() && self.claim("network", "key", "network", number, problems) {
            self.network = file.network;
        }
        for (name, object) in file.objects {
            if self.claim("objects", "object", &name, number, problems) {
                self.objects.insert(name, object);
            }
        }
        for (name, tool) in file.actors {
            if self.claim("actors", "actor", &name, number, problems) {
                self.tools.insert(name, tool);
            }
        }
        for (name, manager) in file.managers {
            if self.claim("managers", "manager", &name, number, problems) {
                self.managers.insert(name, manager);
            }
        }
        for (name, starter) in file.starters {
            if self.claim("starters", "starter", &name, number, problems) {
                self.starters.insert(name, starter);
            }
        }
        self.interpreters.extend(file.interpreters);
        self.multicall.extend(file.multicall);
        self.trampolines.extend(file.trampolines);
        self.environment.extend(file.environment);
        self.rules.extend(file.rules);
    }

    /// Notes which file a name comes from; false when another had it.
    fn claim(
        &mut self,
        kind: &'static str,
        word: &str,
        name: &str,
        source: usize,
        problems: &mut Problems,
    ) -> bool {
        let Some(first) = self.named.get(&(kind, name.to_owned())).copied() else {
            self.named.insert((kind, name.to_owned()), source);
            return true;
        };
        let path = [kind, name];
        let path: Vec<String> =
            path[..if kind == name { 1 } else { 2 }].iter().map(|step| (*step).to_owned()).collect();
        let Source { name: file, text } = &self.sources[source];
        let hint = format!("the other one is in {}; rename or remove one of them", self.sources[first].name);
        let message = format!("the {word} `{name}` is defined twice");
        problems.push(Finding::at(message, Some(hint), file, text, locate(text, &path)));
        false
    }

    /// The file that a place is in, and the place as that file counts.
    #[must_use]
    pub fn source(&self, place: &[String]) -> Option<(&Source, Place)> {
        let [kind, rest @ ..] = place else { return None };
        let mut local = place.to_vec();
        let number = if let Some((kind, starts)) = self.counted.get_key_value(kind.as_str()) {
            let index = rest.first()?.parse::<usize>().ok()?;
            let (start, number) = starts.iter().rev().find(|(start, _)| *start <= index)?;
            local = [vec![(*kind).to_owned(), (index - start).to_string()], rest[1..].to_vec()].concat();
            *number
        } else {
            let kind = ["objects", "actors", "managers"].into_iter().find(|known| known == kind)?;
            *self.named.get(&(kind, rest.first()?.clone()))?
        };
        Some((&self.sources[number], local))
    }

    /// File and line of a place, for people.
    #[must_use]
    pub fn position(&self, place: &[String]) -> String {
        let Some((source, local)) = self.source(place) else {
            return String::new();
        };
        let offset = locate(&source.text, &local).map_or(0, |span| span.0);
        let line = source.text.get(..offset).unwrap_or("").matches('\n').count() + 1;
        format!("{}:{line}", source.name)
    }

    /// Shows problems at their place in the files.
    #[must_use]
    pub fn explain(&self, found: Vec<Problem>) -> Problems {
        let mut problems = Problems::default();
        for problem in found {
            problems.push(self.find(problem));
        }
        problems
    }

    fn find(&self, problem: Problem) -> Finding {
        let Problem { message, hint, place } = problem;
        match self.source(&place) {
            Some((Source { name, text }, local)) => {
                Finding::at(message, hint, name, text, locate(text, &local))
            }
            None => Finding::plain(message, hint.unwrap_or_default()),
        }
    }
}
