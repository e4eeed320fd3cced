//! Names of environment variables.

use crate::rule::problem::Problem;
use crate::rule::set::RuleSet;
use crate::rule::variable::Pattern;

/// Everything that is wrong with them.
pub(super) fn check(set: &RuleSet, found: &mut Vec<Problem>) {
    for (index, text) in set.environment.iter().enumerate() {
        let name = text.strip_prefix('!').unwrap_or(text);
        one(name, &["environment", &index.to_string()], found);
    }
    for (manager, known) in &set.managers {
        for (index, text) in known.environment.variables.iter().enumerate() {
            let place = ["managers", manager, "environment", "variables", &index.to_string()];
            one(text, &place, found);
        }
    }
}

fn one(text: &str, place: &[&str], found: &mut Vec<Problem>) {
    if let Err(hint) = Pattern::parse(text) {
        let message = format!("`{text}` is no name of an environment variable");
        found.push(Problem::new(message, hint, place));
    }
}
