//! `rules test`: the tests inside the rule files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, ValueEnum as _};
use serde::Serialize;

use super::coverage::{Coverage, Covered, Wanted};
use super::{RULE_ERROR, RulesArgs, print, print_json, word};
use crate::policy::evaluate::verdict;
use crate::policy::{Environment, Judgement, Policy, QuestionError};
use crate::rule::syntax::{Given, Network, Rule, Test};
use crate::rule::{Problems, RuleSet};

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
    /// Tests of built-in rules to which a rule of an added folder gives another answer: that is what it is for.
    overridden: Vec<Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coverage: Option<Covered>,
}

/// Arguments of `rules test`.
#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// Say which rules, and which of their actions and objects, no test has seen at work; `require` makes that an error
    #[arg(long, value_enum, value_name = "WHAT", num_args = 0..=1, require_equals = true, default_missing_value = "show")]
    coverage: Option<Wanted>,
}

pub(super) fn run(args: &RulesArgs, own: &TestArgs) -> anyhow::Result<ExitCode> {
    let set = args.load()?;
    let modes: Vec<Network> = match args.network {
        Some(network) => vec![network],
        None => Network::value_variants().to_vec(),
    };
    let policies = policies(&set, &modes)?;
    let mut summary = summary(&set, &policies);
    let full = summary.coverage.as_ref().is_some_and(Covered::is_full);
    if own.coverage.is_none() {
        summary.coverage = None;
    }
    if args.json {
        print_json(&summary)?;
    } else {
        print(&text(&summary))?;
    }
    let good = summary.failures.is_empty() && (full || own.coverage != Some(Wanted::Require));
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(RULE_ERROR) })
}

/// The rules as they are in each case that tests are about: those that ask who started the run are tried where somebody of
/// that kind did, all others where nobody did.
fn policies(set: &RuleSet, modes: &[Network]) -> Result<BTreeMap<Case, Policy>, Problems> {
    let environment = Environment::for_tests(set);
    let mut policies = BTreeMap::new();
    for &network in modes {
        let asked = set.rules.iter().filter(|rule| modes_of(rule).contains(&network));
        let everybody: BTreeSet<Vec<String>> = asked.map(starters).chain([Vec::new()]).collect();
        for started_by in everybody {
            let environment = Environment { network, started_by: started_by.clone(), ..environment.clone() };
            policies.insert((network, started_by), Policy::compile(set, &environment)?);
        }
    }
    Ok(policies)
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
    let (mut failures, mut overridden) = (Vec::new(), Vec::new());
    let mut coverage = Coverage::new(set);
    let mut tests = 0;
    for (index, rule) in set.rules.iter().enumerate() {
        for (number, test) in rule.tests.iter().enumerate() {
            let networks = modes(rule, test);
            let case = |network: &Network| (*network, starters(rule));
            for given in test.acts() {
                tests += usize::from(networks.iter().any(|network| policies.contains_key(&case(network))));
                for network in &networks {
                    let Some(policy) = policies.get(&case(network)) else { continue };
                    let answer = policy.judge(&given);
                    if let Ok(judgement) = &answer {
                        coverage.note(policy, index, &given, judgement);
                    }
                    let Some((got, because, by_added)) = failed(policy, test, answer) else { continue };
                    let place =
                        ["rules".to_owned(), index.to_string(), "tests".to_owned(), number.to_string()];
                    let file = set.position(&place);
                    let meant = by_added && is_built_in(&file);
                    let list = if meant { &mut overridden } else { &mut failures };
                    list.push(Failure {
                        rule: rule.id.clone(),
                        test: number + 1,
                        file,
                        network: *network,
                        given: given.clone(),
                        expected: word(&test.expect),
                        got,
                        because,
                    });
                }
            }
        }
    }
    let untested = |rule: &&Rule| rule.tests.is_empty();
    Summary {
        rules: set.rules.len(),
        tests,
        untested: set.rules.iter().filter(untested).map(|rule| rule.id.clone()).collect(),
        failures,
        overridden,
        coverage: Some(coverage.told(set)),
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

fn is_built_in(file: &str) -> bool {
    file.starts_with("built-in/")
}

/// What was said instead, because of what, and whether that is a rule of an added folder.
fn failed(
    policy: &Policy,
    test: &Test,
    answer: Result<Judgement, QuestionError>,
) -> Option<(String, String, bool)> {
    match answer {
        Ok(judgement) if verdict(&judgement.decision) == test.expect => None,
        Ok(judgement) => {
            let decided = policy.deciding(&judgement.decision);
            let because = match decided {
                Some(rule) => format!("{} decided: {}", rule.id, rule.title),
                None => "no rule matched".to_owned(),
            };
            let by_added = decided.is_some_and(|rule| !is_built_in(&rule.file));
            Some((word(&verdict(&judgement.decision)), because, by_added))
        }
        Err(error) => Some(("no answer".to_owned(), error.to_string(), false)),
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
    let Summary { rules, tests, untested, failures, overridden, coverage } = summary;
    for Failure { rule, test, given, expected, got, because, .. } in overridden {
        let _ = writeln!(
            text,
            "overridden: {rule} test {test}: {}\n  {got}, not {expected}: {because}",
            describe(given)
        );
    }
    if let Some(coverage) = coverage {
        text.push_str(&coverage.text());
    }
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

#[cfg(test)]
mod unit {
    use super::*;
    use crate::rule::load::load;

    #[test]
    fn the_built_in_rules_are_tested_in_every_word() {
        let set = load(&[]).unwrap();
        let mut policies = policies(&set, Network::value_variants()).unwrap();
        let told = summary(&set, &policies);
        assert_eq!(text(&Summary { coverage: None, ..told }).lines().count(), 1);
        let told = summary(&set, &policies).coverage.unwrap();
        assert!(told.is_full(), "{}", told.text());
        // With half of the tests not run, it is seen.
        policies.retain(|(network, _), _| *network == Network::Deny);
        let told = summary(&set, &policies).coverage.unwrap();
        assert!(told.text().contains("rule never fired in any test"), "{}", told.text());
    }
}
