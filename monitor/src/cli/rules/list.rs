//! `rules list`: one line for each rule.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::{RulesArgs, json, print, word};
use crate::rule::syntax::Rule;

pub(super) fn run(args: &RulesArgs) -> anyhow::Result<ExitCode> {
    let set = args.load()?;
    if args.json {
        return json(&set.rules);
    }
    let rows: Vec<[String; 4]> = set.rules.iter().map(row).collect();
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
    [rule.id.clone(), word(&rule.severity), word(&rule.then), rule.title.clone()]
}
