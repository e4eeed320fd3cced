//! Many patterns, and patterns that are too much.

use std::collections::BTreeMap;
use std::time::Instant;

use monitor::policy::{Policy, WORD_BUDGET};
use monitor::rule::syntax::{Object, OneOrMany, Rule, RuleFile, Severity, Verdict, When};

use crate::{build, environment};

fn about(objects: BTreeMap<String, Object>) -> RuleFile {
    let rule = Rule {
        id: "R-1".to_owned(),
        title: "a title".to_owned(),
        severity: Severity::High,
        when: When {
            actor: OneOrMany::One("script".to_owned()),
            does: OneOrMany::One("read".to_owned()),
            object: OneOrMany::Many(objects.keys().cloned().collect()),
            marks: Vec::new(),
            secrets: 0,
            scope: None,
            after: 0,
        },
        then: Verdict::Deny,
        network: Vec::new(),
        started_by: Vec::new(),
        mark: None,
        attack: Vec::new(),
        why: "a reason".to_owned(),
        tests: Vec::new(),
    };
    RuleFile { objects, rules: vec![rule], ..RuleFile::default() }
}

/// A name that looks like one somebody would choose; a fixed sequence, so that a failure can be looked into.
fn name(seed: &mut u64) -> String {
    let mut name = String::new();
    for _ in 0..3 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let syllables =
            ["con", "fig", "key", "ring", "tok", "en", "vault", "-", "_", "se", "cret", "auth", "db", "x"];
        name.push_str(syllables[(*seed >> 33) as usize % syllables.len()]);
    }
    name
}

#[test]
fn ten_thousand_patterns_fit() {
    let mut objects = BTreeMap::new();
    let mut seed = 1;
    for object in 0..100 {
        let mut files = Vec::new();
        for entry in 0..100 {
            let (one, two) = (name(&mut seed), name(&mut seed));
            files.push(match entry {
                0 => format!("~/.{one}{object}/**"),
                1 if object % 5 == 0 => format!("**/.{one}{object}.json"),
                2 => format!("!~/.{one}{object}/public/**"),
                3..8 => format!("~/.config/{one}/*/{two}{object}"),
                8..12 => format!("/etc/{one}/{two}.d/*.{object}"),
                _ => format!("~/.{one}/{two}-{object}-{entry}.conf"),
            });
        }
        objects.insert(format!("o{object}"), Object { files, ..Object::default() });
    }
    let set = build(&about(objects));
    let start = Instant::now();
    let policy = Policy::compile(&set, &environment()).unwrap_or_else(|problems| panic!("{problems}"));
    println!(
        "{} patterns: {} states, {} words, {} groups in {} ms",
        policy.patterns,
        policy.states,
        policy.words.len(),
        policy.names.groups.len(),
        start.elapsed().as_millis()
    );
    assert_eq!(policy.patterns, 10_000);
    assert!(policy.states < 200_000, "{} states", policy.states);
    assert!(policy.words.len() <= WORD_BUDGET, "{} words", policy.words.len());
}

#[test]
fn ten_thousand_domains_fit() {
    let mut objects = BTreeMap::new();
    let mut seed = 1;
    for object in 0..100 {
        let tld = ["com", "org", "io", "example"][object % 4];
        let entry = |entry: usize| {
            let (one, two) = (name(&mut seed).replace('_', "x"), name(&mut seed).replace('_', "y"));
            match entry {
                0..30 => format!("*.{one}{object}{entry}.{tld}"),
                30..35 => format!("!api.{one}{object}.{tld}"),
                _ => format!("{two}{entry}.{one}{object}.{tld}"),
            }
            .replace("-.", "-x.")
        };
        let domains = (0..100).map(entry).collect();
        objects.insert(format!("o{object}"), Object { domains, ..Object::default() });
    }
    let mut file = about(objects);
    file.rules[0].when.does = OneOrMany::Many(vec!["connect".to_owned(), "resolve".to_owned()]);
    let set = build(&file);
    let start = Instant::now();
    let policy = Policy::compile(&set, &environment()).unwrap_or_else(|problems| panic!("{problems}"));
    println!(
        "{} names: {} states, {} words, {} groups in {} ms",
        policy.patterns,
        policy.states,
        policy.words.len(),
        policy.names.groups.len(),
        start.elapsed().as_millis()
    );
    assert_eq!(policy.patterns, 10_000);
    assert!(policy.words.len() <= WORD_BUDGET, "{} words", policy.words.len());
}

#[test]
fn what_does_not_fit_names_the_pattern() {
    // Every "is there such a directory somewhere" is a flag, and flags double the states.
    let mut objects = BTreeMap::new();
    for index in 0..20 {
        let files = vec![format!("**/d{index}/**/f"), format!("/etc/plain{index}")];
        objects.insert(format!("o{index}"), Object { files, ..Object::default() });
    }
    let problems = Policy::compile(&build(&about(objects)), &environment()).expect_err("this cannot fit");
    let message = problems.to_string();
    assert!(message.contains("do not fit") && message.contains("/**/f`"), "{message}");
}
