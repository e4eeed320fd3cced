//! `rules test`: the tests inside the rule files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::ExitCode;

use clap::ValueEnum as _;
use serde::Serialize;

use super::{RULE_ERROR, RulesArgs, print, print_json, word};
use crate::policy::evaluate::verdict;
use crate::policy::{Environment, Policy};
use crate::rule::RuleSet;
use crate::rule::syntax::{Given, Network, Rule, Test};

/// A test that failed.
#[derive(Debug, Serialize)]
struct Failure {
    rule: String,
    test: usize,
    file: String,
    network: Network,
    given: Given,
    expected: String,
    got: String,
    /// Rule that decided, or why there was no answer.
    because: String,
}

#[derive(Debug, Serialize)]
struct Summary {
    rules: usize,
    tests: usize,
    untested: Vec<String>,
    failures: Vec<Failure>,
}

pub(super) fn run(args: &RulesArgs) -> anyhow::Result<ExitCode> {
    let set = args.load()?;
    let modes: Vec<Network> = match args.network {
        Some(network) => vec![network],
        None => Network::value_variants().to_vec(),
    };
    let environment = Environment::for_tests(&set);
    let mut policies = BTreeMap::new();
    for network in modes {
        // Rules that ask who started the run are tried where somebody of that kind did, all others where nobody did.
        let asked = set.rules.iter().filter(|rule| modes_of(rule).contains(&network));
        let everybody: BTreeSet<Vec<String>> = asked.map(starters).chain([Vec::new()]).collect();
        for started_by in everybody {
            let environment = Environment { network, started_by: started_by.clone(), ..environment.clone() };
            policies.insert((network, started_by), Policy::compile(&set, &environment)?);
        }
    }
    let summary = summary(&set, &policies);
    if args.json {
        print_json(&summary)?;
    } else {
        print(&text(&summary))?;
    }
    Ok(if summary.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(RULE_ERROR) })
}

/// How far scripts may reach, and who started the run.
type Case = (Network, Vec<String>);

/// Somebody that a rule asks for; of a whole kind, one that is nobody in particular.
fn starters(rule: &Rule) -> Vec<String> {
    rule.started_by.iter().take(1).map(|selector| selector.replace('*', "any")).collect()
}

/// All modes that the tests of a rule are run in.
fn modes_of(rule: &Rule) -> Vec<Network> {
    rule.tests.iter().flat_map(|test| modes(rule, test)).collect()
}

fn summary(set: &RuleSet, policies: &BTreeMap<Case, Policy>) -> Summary {
    let mut failures = Vec::new();
    let mut tests = 0;
    for (index, rule) in set.rules.iter().enumerate() {
        for (number, test) in rule.tests.iter().enumerate() {
            let case = |network: &Network| (*network, starters(rule));
            tests +=
                usize::from(modes(rule, test).iter().any(|network| policies.contains_key(&case(network))));
            for network in modes(rule, test) {
                let policy = policies.get(&case(&network));
                let Some((got, because)) = policy.and_then(|policy| failed(policy, test)) else {
                    continue;
                };
                let place = ["rules".to_owned(), index.to_string(), "tests".to_owned(), number.to_string()];
                failures.push(Failure {
                    rule: rule.id.clone(),
                    test: number + 1,
                    file: set.position(&place),
                    network,
                    given: test.given.clone(),
                    expected: word(&test.expect),
                    got,
                    because,
                });
            }
        }
    }
    let untested = |rule: &&Rule| rule.tests.is_empty();
    Summary {
        rules: set.rules.len(),
        tests,
        untested: set.rules.iter().filter(untested).map(|rule| rule.id.clone()).collect(),
        failures,
    }
}

/// How far scripts may reach in a test: what it says, else where its rule exists, else as by default.
fn modes(rule: &Rule, test: &Test) -> Vec<Network> {
    match (test.network.is_empty(), rule.network.is_empty()) {
        (false, _) => test.network.clone(),
        (true, false) => rule.network.clone(),
        (true, true) => vec![Network::default()],
    }
}

/// What was said instead, and because of what.
fn failed(policy: &Policy, test: &Test) -> Option<(String, String)> {
    match policy.judge(&test.given) {
        Ok(judgement) if verdict(&judgement.decision) == test.expect => None,
        Ok(judgement) => {
            let because = match policy.deciding(&judgement.decision) {
                Some(rule) => format!("{} decided: {}", rule.id, rule.title),
                None => "no rule matched".to_owned(),
            };
            Some((word(&verdict(&judgement.decision)), because))
        }
        Err(error) => Some(("no answer".to_owned(), error.to_string())),
    }
}

fn text(summary: &Summary) -> String {
    let mut text = String::new();
    for failure in &summary.failures {
        let Failure { rule, test, file, network, given, expected, got, because } = failure;
        let network = word(network);
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{rule} test {test} ({file}), --network {network}\n  given     {}",
            describe(given)
        );
        let _ = writeln!(text, "  expected  {expected}\n  got       {got}: {because}\n");
    }
    let Summary { rules, tests, untested, failures } = summary;
    let _ = writeln!(text, "{tests} tests of {rules} rules, {} failed", failures.len());
    if !untested.is_empty() {
        let _ = writeln!(text, "{} rules have no test: {}", untested.len(), untested.join(", "));
    }
    text
}

/// An act in one line.
pub(super) fn describe(given: &Given) -> String {
    let Given { actor, does, path, command, address, domain, port, socket, object, .. } = given;
    let Given { marks, secrets, scope, before, .. } = given;
    let mut text = format!("{actor} {does}");
    for part in [path, command, domain, address, socket, object].into_iter().flatten() {
        let _ = write!(text, " {part}");
    }
    if let Some(port) = port {
        let _ = write!(text, " port {port}");
    }
    if !marks.is_empty() {
        let _ = write!(text, " with marks {}", marks.join(", "));
    }
    if *secrets > 0 {
        let _ = write!(text, " after secrets of {secrets} classes");
    }
    if let Some(scope) = scope {
        let _ = write!(text, " in the scope of a {}", word(scope));
    }
    if *before > 0 {
        let _ = write!(text, " after {before} times");
    }
    text
}
