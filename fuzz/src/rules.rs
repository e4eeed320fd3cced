//! Rule files that somebody else wrote: read, checked, compiled and asked, or refused with words that can be shown.

use std::sync::Arc;

use monitor::policy::{Environment, Policy};
use monitor::rule::load::{from_texts, load_only};
use monitor::rule::{Problems, RuleSet, Source};
use monitor_common::policy::MAX_CHAIN;

use crate::visible::assert_visible;

/// Words of automata: enough for small rules, and soon too few for large ones.
const BUDGET: usize = 1 << 14;

/// Reads `bytes` as rule files with NUL between them, and does with them what `pkgwarden rules test` does.
pub fn run(bytes: &[u8]) {
    let set = match read(bytes) {
        Ok(set) => set,
        Err(problems) => return refused(&problems),
    };
    let environment = Environment::for_tests(&set);
    let policy = match Policy::compile_within(&set, &environment, BUDGET) {
        Ok(policy) => policy,
        Err(problems) => return refused(&problems),
    };
    assert_sound(&policy);
    for (index, rule) in set.rules.iter().enumerate() {
        let place = ["rules".to_owned(), index.to_string()];
        assert!(set.position(&place).starts_with("file"), "a rule without a place");
        for test in &rule.tests {
            match policy.judge(&test.given) {
                Ok(judgement) => {
                    assert!(judgement.decision.rank == 0 || policy.deciding(&judgement.decision).is_some());
                }
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
}

fn read(bytes: &[u8]) -> Result<RuleSet, Problems> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let source =
            |(index, text): (usize, &str)| Source { name: format!("file{index}"), text: Arc::from(text) };
        return from_texts(text.split('\0').enumerate().map(source).collect());
    }
    // What is no text never gets past the reader of files.
    let folder = tempfile::tempdir().expect("a folder for a rule file");
    std::fs::write(folder.path().join("x.yaml"), bytes).expect("a rule file");
    load_only(&[folder.path().to_path_buf()])
}

/// Every way to show what is wrong.
fn refused(problems: &Problems) {
    assert!(!problems.is_empty());
    assert_visible("problems", problems.to_string().as_bytes());
    assert_visible("rendered problems", problems.render(false).as_bytes());
    assert!(!problems.render(true).is_empty());
    for problem in problems.iter() {
        assert!(!problem.message().is_empty());
        assert!(problem.line().is_none_or(|(_, line)| line > 0));
    }
}

/// What the compiler writes leads nowhere outside its tables, and chains end.
fn assert_sound(policy: &Policy) {
    assert!(policy.words.len() <= BUDGET, "{} words", policy.words.len());
    let within = |index: u32| (index as usize) < policy.words.len().max(1);
    let layout = &policy.layout;
    for start in
        [layout.file_start, layout.exec_start, layout.command_start, layout.socket_start, layout.domain_start]
    {
        assert!(within(start as u32) && within((start >> 32) as u32), "a start outside the table");
    }
    let groups = layout.groups as usize;
    assert_eq!(policy.names.groups.len(), groups);
    let numbers =
        policy.net_groups.iter().chain(&policy.domain_groups).chain(&layout.kernel_objects).copied();
    for group in numbers.chain(policy.exec_classes.iter().map(|class| class.group)) {
        assert!(usize::from(group) < groups.max(1), "a group outside the table");
    }
    for head in &policy.cells {
        let mut next = *head;
        let mut length = 0;
        while next != 0 {
            next = policy.outcomes[usize::from(next)].next;
            length += 1;
            assert!(length <= MAX_CHAIN, "a chain that does not end");
        }
    }
    for outcome in &policy.outcomes[1..] {
        assert!(policy.names.rule(outcome.rule).is_some(), "an outcome without a rule");
    }
}
