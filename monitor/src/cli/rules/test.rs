//! `rules test`: the tests inside the rule files.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use super::{RULE_ERROR, RulesArgs, json, print, word};
use crate::policy::evaluate::verdict;
use crate::policy::{Environment, Policy};
use crate::rule::RuleSet;
use crate::rule::syntax::{Given, Rule, Test};

/// A test that failed.
#[derive(Debug, Serialize)]
struct Failure {
    rule: String,
    test: usize,
    file: String,
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
    let policy = Policy::compile(&set, &Environment::for_tests(&set))?;
    let summary = summary(&set, &policy);
    if args.json {
        json(&summary)?;
    } else {
        print(&text(&summary))?;
    }
    Ok(if summary.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(RULE_ERROR) })
}

fn summary(set: &RuleSet, policy: &Policy) -> Summary {
    let mut failures = Vec::new();
    for (index, rule) in set.rules.iter().enumerate() {
        for (number, test) in rule.tests.iter().enumerate() {
            if let Some((got, because)) = failed(policy, test) {
                let place = ["rules".to_owned(), index.to_string(), "tests".to_owned(), number.to_string()];
                failures.push(Failure {
                    rule: rule.id.clone(),
                    test: number + 1,
                    file: set.position(&place),
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
        tests: set.rules.iter().map(|rule| rule.tests.len()).sum(),
        untested: set.rules.iter().filter(untested).map(|rule| rule.id.clone()).collect(),
        failures,
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
        let Failure { rule, test, file, given, expected, got, because } = failure;
        // Writing to a string does not fail.
        let _ = writeln!(text, "{rule} test {test} ({file})\n  given     {}", describe(given));
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
    let Given { actor, does, path, command, address, domain, port, socket, object, marks, before } = given;
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
    if *before > 0 {
        let _ = write!(text, " after {before} times");
    }
    text
}
