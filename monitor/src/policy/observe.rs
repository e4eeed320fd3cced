//! Policies that also tell what nobody objects to: the behaviour lockfile needs it, and the kernel side reports verdicts
//! only.
//!
//! Observing adds outcomes to the verdict table and nothing else. It must not change what the rules say:
//!
//! - an *observer* is the last outcome of a cell, below every rule, sets no marks and counts nothing;
//! - the *twin* of an outcome that allows has its rank and its marks, and tells of the act. What is allowed sets only the
//!   marks of the outcome that allows it, what is told sets all; so there are twins only where nothing else sets a mark.
//!
//! Nothing observes `read`, `attach` and the like: of a file that is opened for reading and writing, the kernel side judges
//! the reading, and the writing only if there was nothing to say. What is started is told anyway.

use std::collections::HashMap;

use monitor_common::action::{ACTIONS, Action};
use monitor_common::label::SCRIPT_SCOPE;
use monitor_common::policy::decide::{Outcome, row};
use monitor_common::policy::{MAX_CHAIN, MAX_OUTCOMES};
use monitor_common::verdict::Verdict as Asked;

use super::{Environment, Policy, RuleInfo};
use crate::rule::syntax::{Object, Severity, Verdict};
use crate::rule::{Problem, Problems, RuleSet};

/// Below every rank that a rule can have.
const LOWEST: u32 = 1;
/// No name in a rule file can begin so.
const PREFIX: char = '(';
/// Where files lie that belong to packages, inside a project.
const INSTALLED: &str = "$PROJECT/**/{node_modules,site-packages}/**";
/// Where anybody may write, and nothing stays.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];
/// What package managers keep, and devices that keep nothing.
const KEPT: [&str; 8] = [
    "!~/{.npm,.pnpm-store,go/pkg,.yarn/berry/cache,.bun/install/cache,.local/share/pnpm/store}/**",
    "!~/.cargo/{registry,git}/**",
    "!~/.cargo/.{package-cache,package-cache-mutate,global-cache}",
    "!~/.cache/{node-gyp,pip,uv,yarn,pnpm,pypoetry,composer,go-build}/**",
    "!~/{.bundle,.composer}/cache/**",
    "!/dev/{null,zero,full,tty,ptmx}",
    "!/dev/{pts,shm,fd}/**",
    "!/proc/**",
];

/// What is observed: an object that every rule file lacks, and the actions.
struct Watched {
    name: &'static str,
    actions: &'static [Action],
    object: Object,
}

impl Policy {
    /// As [`Policy::compile`], and tells of what scripts change, reach and ask for that no rule is about.
    ///
    /// # Errors
    /// As [`Policy::compile`].
    pub fn compile_observing(set: &RuleSet, environment: &Environment) -> Result<Self, Problems> {
        let watched = watched(environment);
        let mut whole = set.clone();
        whole.objects.extend(watched.iter().map(|what| (what.name.to_owned(), what.object.clone())));
        let mut policy = Self::compile(&whole, environment)?;
        policy.observe(&watched).map_err(|problem| set.explain(vec![problem]))?;
        Ok(policy)
    }

    fn observe(&mut self, watched: &[Watched]) -> Result<(), Problem> {
        let rule = u16::try_from(self.names.rules.len()).unwrap_or(u16::MAX);
        self.names.rules.push(observer());
        self.names.observer = Some(rule);
        let groups = self.layout.groups as usize;
        let mut columns: HashMap<&str, Vec<usize>> = HashMap::new();
        for what in watched {
            let holds = |group: &usize| self.names.groups[*group].iter().any(|name| name == what.name);
            columns.insert(what.name, (0..self.names.groups.len()).filter(holds).collect());
        }
        // Nobody else may see them: what is known of a group is asked by the names of its objects.
        for names in &mut self.names.groups {
            names.retain(|name| !name.starts_with(PREFIX));
        }
        self.names.objects.retain(|name, _| !name.starts_with(PREFIX));
        for actor in 0..self.names.actors.len() {
            let may_twin = !self.names.actors[actor].starts_with("manager:");
            for what in watched {
                for action in what.actions {
                    let from = row(actor as u8, *action) as usize * groups;
                    let Some(cells) = self.cells.get(from..from + groups) else { continue };
                    let marks =
                        cells.iter().any(|first| chain(&self.outcomes, *first).any(|one| one.sets != 0));
                    let mut observing = Observing { rule, twins: may_twin && !marks, made: HashMap::new() };
                    for group in &columns[what.name] {
                        let cell = from + group;
                        self.cells[cell] = observing.head(&mut self.outcomes, self.cells[cell])?;
                    }
                }
            }
        }
        debug_assert!(self.cells.len() <= self.names.actors.len().max(1) * ACTIONS as usize * groups.max(1));
        Ok(())
    }
}

/// What is told with an act that no rule is about. No report shows it.
fn observer() -> RuleInfo {
    RuleInfo {
        id: "(observer)".to_owned(),
        title: "an act that no rule is about".to_owned(),
        severity: Severity::Info,
        verdict: Verdict::Alert,
        attack: Vec::new(),
        why: String::new(),
        mark: None,
        objects: Vec::new(),
        file: String::new(),
    }
}

/// The outcomes of a cell.
fn chain(outcomes: &[Outcome], first: u16) -> impl Iterator<Item = Outcome> + '_ {
    let outcome = |number: u16| outcomes.get(usize::from(number)).copied().filter(|_| number != 0);
    std::iter::successors(outcome(first), move |last| outcome(last.next)).take(MAX_CHAIN)
}

/// Cells of one row.
struct Observing {
    rule: u16,
    twins: bool,
    /// New first outcomes by old ones.
    made: HashMap<u16, u16>,
}

impl Observing {
    /// The first outcome of a cell that tells more than the one that began with `first`.
    fn head(&mut self, outcomes: &mut Vec<Outcome>, first: u16) -> Result<u16, Problem> {
        if let Some(made) = self.made.get(&first) {
            return Ok(*made);
        }
        let mut all: Vec<Outcome> = Vec::new();
        for outcome in chain(outcomes, first) {
            if self.twins && outcome.verdict == Asked::Allow as u8 && outcome.after == 0 {
                // Of two of one rank the first counts.
                all.push(Outcome {
                    verdict: Asked::Alert as u8,
                    rule: self.rule,
                    needs: outcome.needs | SCRIPT_SCOPE,
                    ..outcome
                });
            }
            all.push(outcome);
        }
        let settled = |one: &Outcome| one.needs & !SCRIPT_SCOPE == 0 && one.after == 0 && one.secrets == 0;
        if !all.iter().any(settled) {
            all.push(Outcome {
                rank: LOWEST,
                needs: SCRIPT_SCOPE,
                rule: self.rule,
                verdict: Asked::Alert as u8,
                ..Outcome::default()
            });
        }
        let known = chain(outcomes, first).count();
        // A cell that is full stays as it is: that it can be told is worth less than what it says.
        let head = if all.len() == known || all.len() > MAX_CHAIN { first } else { append(outcomes, &all)? };
        self.made.insert(first, head);
        Ok(head)
    }
}

/// Adds a chain; its first number.
fn append(outcomes: &mut Vec<Outcome>, chain: &[Outcome]) -> Result<u16, Problem> {
    if outcomes.len() + chain.len() > MAX_OUTCOMES as usize {
        return Err(Problem::new(
            format!("the rules meet in more than {MAX_OUTCOMES} ways, those that record counted"),
            "let fewer rules be about the same objects",
            &[],
        ));
    }
    let mut next = 0;
    for outcome in chain.iter().rev() {
        outcomes.push(Outcome { next, ..*outcome });
        next = (outcomes.len() - 1) as u16;
    }
    Ok(next)
}

fn watched(environment: &Environment) -> [Watched; 5] {
    const CHANGES: &[Action] = &[Action::Write, Action::Create, Action::Link, Action::Rename, Action::Remove];
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    [
        Watched {
            name: "(changed)",
            actions: CHANGES,
            object: Object { files: changed(environment), ..Object::default() },
        },
        Watched {
            name: "(installed)",
            actions: CHANGES,
            object: Object { files: words(&[INSTALLED]), ..Object::default() },
        },
        Watched {
            name: "(reached)",
            actions: &[Action::Connect, Action::Send, Action::Listen],
            object: Object { addresses: words(&["0.0.0.0/0", "::/0"]), ..Object::default() },
        },
        Watched {
            name: "(named)",
            actions: &[Action::Connect, Action::Send, Action::Resolve],
            object: Object { domains: words(&["*"]), ..Object::default() },
        },
        Watched {
            name: "(spoken to)",
            actions: &[Action::UnixConnect],
            object: Object {
                sockets: words(&["/**", "@*", "@*/*", "@*/*/*", "@*/*/*/*", "@*/*/*/*/*"]),
                ..Object::default()
            },
        },
    ]
}

/// Files whose change is told: all but those of the project, temporary ones and what managers keep.
fn changed(environment: &Environment) -> Vec<String> {
    let holds_a_home = |place: &str| environment.homes.iter().any(|home| home.starts_with(place));
    let mut files: Vec<String> = std::iter::once("/**").chain(KEPT).map(str::to_owned).collect();
    if environment.homes.iter().any(|home| home.starts_with(&environment.project)) {
        files.extend(["!$PROJECT/target/**", "!$PROJECT/**/node_modules/.cache/**"].map(str::to_owned));
    } else {
        files.push("!$PROJECT/**".to_owned());
    }
    files.extend(TEMPORARY.iter().filter(|place| !holds_a_home(place)).map(|place| format!("!{place}/**")));
    for name in ["TMPDIR", "CARGO_TARGET_DIR"] {
        let place = environment.directory(name);
        if place.is_some_and(|place| !environment.homes.iter().any(|home| home.starts_with(&place))) {
            files.push(format!("!${name}/**"));
        }
    }
    files
}

#[cfg(test)]
mod tests;
