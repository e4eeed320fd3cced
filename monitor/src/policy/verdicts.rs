//! Rules into the verdict table: one chain of outcomes for each actor, action and group.

use std::collections::{BTreeSet, HashMap};

use monitor_common::action::{ACTIONS, Action};
use monitor_common::label::{ActorId, SCRIPT_SCOPE};
use monitor_common::policy::decide::{Outcome, row};
use monitor_common::policy::{MAX_CELLS, MAX_CHAIN, MAX_OUTCOMES};
use monitor_common::verdict::Verdict as Asked;

use super::{Environment, Names};
use crate::rule::selector::selects;
use crate::rule::syntax::{Rule, Severity, Verdict, Within};
use crate::rule::{Problem, RuleSet};

/// The verdict table.
#[derive(Debug)]
pub(super) struct Cells {
    pub(super) cells: Vec<u16>,
    pub(super) outcomes: Vec<Outcome>,
}

/// Builds the table. `groups` are sets of object numbers, `objects` the names by number.
pub(super) fn cells(
    set: &RuleSet,
    environment: &Environment,
    names: &Names,
    objects: &HashMap<&str, u32>,
    groups: &[Vec<u32>],
) -> Result<Cells, Problem> {
    let size = names.actors.len() * ACTIONS as usize * groups.len();
    if size > MAX_CELLS as usize {
        return Err(Problem::new(
            format!(
                "{} actors and {} groups of objects do not fit into one table",
                names.actors.len(),
                groups.len()
            ),
            "let fewer objects overlap, or remove actors that no rule mentions",
            &[],
        ));
    }
    let mut chains = Chains::new(templates(set, names));
    let touching = touching(set, objects, groups);
    let mut cells = vec![0; size];
    // Most actors are judged alike: each kind of row is made once.
    let mut made: HashMap<Vec<bool>, Vec<u16>> = HashMap::new();
    for (actor, name) in names.actors.iter().enumerate() {
        for action in Action::ALL {
            let about: Vec<bool> =
                set.rules.iter().map(|rule| is_about(rule, environment, name, *action)).collect();
            if !about.contains(&true) {
                continue;
            }
            let columns = match made.get(&about) {
                Some(columns) => columns,
                None => {
                    let mut columns = Vec::with_capacity(groups.len());
                    for rules in &touching {
                        let rules = rules.iter().copied().filter(|rule| about[usize::from(*rule)]);
                        columns.push(chains.head(set, rules.collect())?);
                    }
                    made.entry(about).or_insert(columns)
                }
            };
            let from = row(actor as ActorId, *action) as usize * groups.len();
            cells[from..from + groups.len()].copy_from_slice(columns);
        }
    }
    Ok(Cells { cells, outcomes: chains.outcomes })
}

fn is_about(rule: &Rule, environment: &Environment, actor: &str, action: Action) -> bool {
    rule.holds_in(environment.network)
        && rule.holds_for(&environment.started_by)
        && rule.when.does.words().iter().any(|word| word == action.word())
        && rule.when.actor.words().iter().any(|selector| selects(selector, actor))
}

/// Rules about any object of each group.
fn touching(set: &RuleSet, objects: &HashMap<&str, u32>, groups: &[Vec<u32>]) -> Vec<Vec<u16>> {
    let mut by_object: HashMap<u32, Vec<u16>> = HashMap::new();
    for (index, rule) in set.rules.iter().enumerate() {
        for object in rule.when.object.words().iter().filter_map(|name| objects.get(name.as_str())) {
            by_object.entry(*object).or_default().push(index as u16);
        }
    }
    let rules = |group: &Vec<u32>| -> BTreeSet<u16> {
        group.iter().filter_map(|object| by_object.get(object)).flatten().copied().collect()
    };
    groups.iter().map(|group| rules(group).into_iter().collect()).collect()
}

/// The outcome of each rule, without what follows in a chain.
fn templates(set: &RuleSet, names: &Names) -> Vec<Outcome> {
    let bit = |mark: &String| names.marks.iter().position(|known| known == mark).map_or(0, |bit| 1 << bit);
    let scope = |rule: &Rule| if rule.when.scope == Some(Within::Script) { SCRIPT_SCOPE } else { 0 };
    let mut counters = 0..;
    let template = |(index, rule): (usize, &Rule)| Outcome {
        rank: rank(rule, index),
        needs: rule.when.marks.iter().map(bit).fold(scope(rule), |all, bit| all | bit),
        sets: rule.mark.as_ref().map_or(0, bit),
        rule: index as u16,
        next: 0,
        after: rule.when.after,
        counter: if rule.when.after > 0 { counters.next().unwrap_or(0) } else { 0 },
        verdict: asked(rule.then) as u8,
        secrets: rule.when.secrets,
        reserved: [0; 3],
    };
    set.rules.iter().enumerate().map(template).collect()
}

/// `allow` above `kill` above `deny` above `alert`, then the severity, then the earlier rule.
///
/// What is allowed, refused or killed because of what the scope did before stands above all that: an exception was
/// written for somebody who has not read a secret.
fn rank(rule: &Rule, index: usize) -> u32 {
    let verdict = match rule.then {
        Verdict::Alert => 1,
        Verdict::Deny => 2,
        Verdict::Kill => 3,
        Verdict::Allow => 4,
    };
    let verdict = if rule.asks_for_the_past() && rule.then != Verdict::Alert { verdict + 4 } else { verdict };
    let severity = match rule.severity {
        Severity::Info => 0,
        Severity::Low => 1,
        Severity::Medium => 2,
        Severity::High => 3,
        Severity::Critical => 4,
    };
    verdict << 24 | severity << 16 | (0xffff - index as u32)
}

fn asked(verdict: Verdict) -> Asked {
    match verdict {
        Verdict::Allow => Asked::Allow,
        Verdict::Alert => Asked::Alert,
        Verdict::Deny => Asked::Deny,
        Verdict::Kill => Asked::Kill,
    }
}

/// Chains that share their ends.
struct Chains {
    templates: Vec<Outcome>,
    outcomes: Vec<Outcome>,
    /// Outcome by rule and what follows it.
    numbers: HashMap<(u16, u16), u16>,
    heads: HashMap<Vec<u16>, u16>,
}

impl Chains {
    fn new(templates: Vec<Outcome>) -> Self {
        let outcomes = vec![Outcome::default()];
        Self { templates, outcomes, numbers: HashMap::new(), heads: HashMap::new() }
    }

    /// First outcome of the chain of these rules.
    fn head(&mut self, set: &RuleSet, mut rules: Vec<u16>) -> Result<u16, Problem> {
        if let Some(head) = self.heads.get(&rules) {
            return Ok(*head);
        }
        let key = rules.clone();
        rules.sort_unstable_by_key(|rule| std::cmp::Reverse(self.templates[usize::from(*rule)].rank));
        // Behind an outcome that always holds, only those matter that set marks or count.
        let mut settled = false;
        rules.retain(|rule| {
            let outcome = &self.templates[usize::from(*rule)];
            let kept = !settled || outcome.sets != 0 || outcome.after != 0;
            settled |= outcome.needs == 0 && outcome.after == 0 && outcome.secrets == 0;
            kept
        });
        if rules.len() > MAX_CHAIN {
            let id = |rule: &u16| set.rules[usize::from(*rule)].id.as_str();
            let ids: Vec<&str> = rules.iter().map(id).collect();
            return Err(Problem::new(
                format!("more than {MAX_CHAIN} rules are about the same act: {}", ids.join(", ")),
                "let some of them be about fewer objects, or put them together",
                &["rules", &rules[MAX_CHAIN].to_string()],
            ));
        }
        let mut next = 0;
        for rule in rules.iter().rev() {
            next = self.outcome(*rule, next)?;
        }
        self.heads.insert(key, next);
        Ok(next)
    }

    fn outcome(&mut self, rule: u16, next: u16) -> Result<u16, Problem> {
        if let Some(number) = self.numbers.get(&(rule, next)) {
            return Ok(*number);
        }
        if self.outcomes.len() >= MAX_OUTCOMES as usize {
            return Err(Problem::new(
                format!("the rules meet in more than {MAX_OUTCOMES} ways"),
                "let fewer rules be about the same objects",
                &["rules", &rule.to_string()],
            ));
        }
        let number = self.outcomes.len() as u16;
        self.outcomes.push(Outcome { next, ..self.templates[usize::from(rule)] });
        self.numbers.insert((rule, next), number);
        Ok(number)
    }
}
