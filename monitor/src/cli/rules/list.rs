//! `rules list`: one line for each rule.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::{RulesArgs, print, print_json, word};
use crate::rule::syntax::Rule;

pub(super) fn run(args: &RulesArgs) -> anyhow::Result<ExitCode> {
    let set = args.load()?;
    // Without the option it is a list of all there are.
    let there = |rule: &&Rule| args.network.is_none_or(|network| rule.holds_in(network));
    let rules: Vec<&Rule> = set.rules.iter().filter(there).collect();
    if args.json {
        return print_json(&rules);
    }
    let rows: Vec<[String; 4]> = rules.into_iter().map(row).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let mut text = String::new();
    for [id, severity, verdict, rest] in &rows {
        // Writing to a string does not fail.
        let _ =
            writeln!(text, "{id:0$}  {severity:1$}  {verdict:2$}  {rest}", widths[0], widths[1], widths[2]);
    }
    print(&text)
}

fn row(rule: &Rule) -> [String; 4] {
    let mut title = rule.title.clone();
    if !rule.network.is_empty() {
        let network: Vec<String> = rule.network.iter().map(word).collect();
        title += &format!(" (--network {})", network.join(", "));
    }
    if !rule.started_by.is_empty() {
        title += &format!(" (started by {})", rule.started_by.join(", "));
    }
    [rule.id.clone(), word(&rule.severity), word(&rule.then), title]
}
