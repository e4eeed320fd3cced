//! Who starts installs: names of a known kind, with a way to recognise each, and rules that ask for somebody there.

use super::{meant, name_is_plain};
use crate::rule::problem::Problem;
use crate::rule::set::RuleSet;

/// What a starter can be.
const KINDS: [&str; 4] = ["agent", "ci", "editor", "terminal"];

pub(super) fn check(set: &RuleSet, found: &mut Vec<Problem>) {
    for (name, starter) in &set.starters {
        let plain =
            name.split_once(':').is_some_and(|(kind, name)| KINDS.contains(&kind) && name_is_plain(name));
        if !plain {
            let hint = format!(
                "begin it with `{}:`, and go on with letters, digits and dashes",
                KINDS.join(":`, `")
            );
            found.push(Problem::new(format!("`{name}` is no name for a starter"), hint, &["starters", name]));
        }
        let ways = [&starter.programs, &starter.scripts, &starter.variables];
        if ways.iter().all(|list| list.is_empty()) {
            let message = format!("the starter `{name}` cannot be recognised");
            found.push(Problem::new(
                message,
                "add `programs`, `scripts` or `variables`",
                &["starters", name],
            ));
        }
        for (key, list) in ["programs", "scripts", "variables"].into_iter().zip(ways) {
            if let Some(index) = list.iter().position(String::is_empty) {
                let place = ["starters", name, key, &index.to_string()];
                found.push(Problem::new("an empty word names nothing".to_owned(), "remove it", &place));
            }
        }
    }
    let groups = KINDS.map(|kind| format!("{kind}:*"));
    let known: Vec<&str> = groups.iter().chain(set.starters.keys()).map(String::as_str).collect();
    for (number, rule) in set.rules.iter().enumerate() {
        for (index, word) in rule.started_by.iter().enumerate() {
            if !known.contains(&word.as_str()) {
                let hint = meant(word, known.iter().copied(), "the starters are");
                let place = ["rules", &number.to_string(), "started-by", &index.to_string()];
                found.push(Problem::new(format!("there is no starter `{word}`"), hint, &place));
            }
        }
    }
}
