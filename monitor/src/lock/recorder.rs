//! From the events of a run to a lockfile.

use std::collections::{BTreeMap, HashMap};

use super::act;
use super::format::{Behaviour, Lock};
use super::place::Places;
use crate::enrich::package;
use crate::event::Event;
use crate::event::log::{Entry, Run};
use crate::event::model::{Scope, What};
use crate::event::text::Text;

/// The most acts of one script that are kept.
const MAX_ACTS: usize = 4096;
/// The most scripts that are kept, and the most scopes that are told apart.
const MAX_SCRIPTS: usize = 20_000;
/// Actor of the command itself, where it is no package manager.
const COMMAND: &str = "script:command";
/// What stands for a name, a version or a script that could not be told. No package can be called so.
const UNKNOWN: &str = "(unknown)";

/// Takes events, in their order, and puts together what each script did.
#[derive(Debug, Default)]
pub struct Recorder {
    places: Places,
    project: Text,
    observed: bool,
    scopes: HashMap<Scope, Script>,
    lock: Lock,
    scripts: usize,
    left_out: u64,
    lost: u64,
}

/// Whose script a scope is.
#[derive(Debug)]
struct Script {
    key: [Text; 4],
    places: Places,
    /// It has done so much that only what is known is taken.
    full: bool,
}

/// What was recorded, and how far it can be relied upon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// By package and script.
    pub lock: Lock,
    /// Acts that were left out because there were too many.
    pub left_out: u64,
    /// Events that the kernel side could not deliver.
    pub lost: u64,
    /// Whether acts that no rule is about were told.
    pub observed: bool,
}

impl Recorder {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is known of the run when it begins.
    pub fn begin(&mut self, run: &Run) {
        self.places = Places::of(&run.places);
        self.project = run.places.project.clone();
        self.observed = run.observed;
    }

    /// What could not be done, by counter.
    pub fn end(&mut self, lost: &BTreeMap<String, u64>) {
        self.lost = lost.values().sum();
    }

    /// Takes a line of a recorded run.
    pub fn entry(&mut self, entry: &Entry) {
        match entry {
            Entry::Run(run) => self.begin(run),
            Entry::Event(event) => self.event(event),
            Entry::End(end) => self.end(&end.lost),
        }
    }

    /// Takes an event. What managers do for themselves is no script's.
    pub fn event(&mut self, event: &Event) {
        let Some(scope) = event.scope else { return };
        let begins = matches!(event.what, What::Exec { new_scope: true, .. });
        if begins || !self.scopes.contains_key(&scope) {
            if self.scopes.len() >= MAX_SCRIPTS {
                self.left_out += 1;
                return;
            }
            let script = self.script(event);
            self.scopes.insert(scope, script);
        }
        let Some(Script { key, places, full }) = self.scopes.get_mut(&scope) else { return };
        let [ecosystem, name, version, script] = key;
        // A manager that the command has started installs packages; that is not what the command does.
        let is_program = matches!(event.what, What::Exec { .. });
        if ecosystem.as_bytes() == b"command" && event.actor.starts_with("manager:") && !is_program {
            return;
        }
        let acts = act::acts(event, places);
        if acts.is_empty() && !begins {
            return;
        }
        let is_known = self.lock.packages.get(ecosystem).is_some_and(|packages| packages.contains_key(name));
        if !is_known && self.scripts >= MAX_SCRIPTS {
            self.left_out += acts.len() as u64;
            return;
        }
        let before = self.lock.entry(ecosystem, name, version, script);
        self.scripts += usize::from(before.is_empty());
        for act in acts {
            if !*full && before.len() >= MAX_ACTS {
                // Once: to do it for each act of a flood would take longer than the flood.
                before.fold();
                *full = before.len() >= MAX_ACTS;
            }
            if !*full || before.covers(&act) {
                before.add(act);
            } else {
                self.left_out += 1;
            }
        }
    }

    /// What was recorded.
    #[must_use]
    pub fn finish(self) -> Recorded {
        let mut lock = Lock::default();
        lock.merge(&self.lock);
        Recorded { lock, left_out: self.left_out, lost: self.lost, observed: self.observed }
    }

    /// Whose script the scope is that this event is of.
    fn script(&self, event: &Event) -> Script {
        let unknown = || Text::from(UNKNOWN);
        if event.actor == COMMAND {
            let script = match &event.what {
                What::Exec { script, .. } => script.as_ref(),
                _ => None,
            };
            let program = script.or(event.process.exe.as_ref()).map(Text::base_name).unwrap_or_else(unknown);
            let key = [Text::from("command"), program, unknown(), Text::from("command")];
            return Script { key, places: self.places.clone(), full: false };
        }
        let cwd = event.process.cwd.as_ref().map_or(&[][..], Text::as_bytes);
        let Some(package) = &event.package else {
            let manager = event.actor.split_once(':').map_or("unknown", |(_, manager)| manager);
            let key = [Text::from(manager), unknown(), unknown(), unknown()];
            return Script { key, places: self.places.clone(), full: false };
        };
        let key = [
            Text::from(package.ecosystem.as_str()),
            package.name.clone(),
            package.version.clone().unwrap_or_else(unknown),
            package.script.clone().unwrap_or_else(unknown),
        ];
        let directory = package::directory(cwd).unwrap_or(cwd);
        Script { key, places: self.places.with_package(directory), full: false }
    }
}

/// What one script did, of a lock that may not have it.
pub(super) fn nothing() -> &'static Behaviour {
    static NOTHING: std::sync::LazyLock<Behaviour> = std::sync::LazyLock::new(Behaviour::default);
    &NOTHING
}
