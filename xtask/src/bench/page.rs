//! docs/benchmarks.md: the part between two markers is written here, the rest by people.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::sample::Measured;
use crate::generated;

const PART: &str = "bench";
const HEAD: &str =
    "| what | goal | measured: median (quartiles) | under `strace -f` | met? |\n|---|---|---|---|---|";

/// One row as the measuring process prints it.
pub(super) fn line(what: &str, goal: &str, measured: &Measured) -> String {
    let met = match measured.met {
        Some(true) => "yes",
        Some(false) => "no",
        None => "–",
    };
    json!([what, goal, measured.result, measured.strace.as_deref().unwrap_or("–"), met]).to_string()
}

/// Rows of the table from what the measuring process printed.
pub(super) fn rows(said: &str) -> Result<Vec<String>> {
    said.lines()
        .map(|line| {
            let cells: Vec<Value> = serde_json::from_str(line).context("cannot read what was measured")?;
            // A bar would end the cell.
            let cells = cells.iter().map(|cell| cell.as_str().unwrap_or_default().replace('|', "\\|"));
            Ok(format!("| {} |", cells.collect::<Vec<_>>().join(" | ")))
        })
        .collect()
}

/// The page with these facts and rows, in the order of their first cells; rows that were not measured this time stay.
pub(super) fn updated(page: &str, facts: &[String], new: &[String], order: &[&str]) -> Result<String> {
    let old = generated::part(page, PART)?;
    let mut rows: Vec<&str> =
        old.lines().filter(|line| line.starts_with("| ") && !HEAD.contains(line)).collect();
    for row in new {
        match rows.iter_mut().find(|old| what(old) == what(row)) {
            Some(old) => *old = row,
            None => rows.push(row),
        }
    }
    rows.sort_by_key(|row| order.iter().position(|first| what(row) == Some(first)));
    let facts: Vec<String> = facts.iter().map(|fact| format!("- {fact}")).collect();
    let text = format!("{}\n\n{HEAD}\n{}\n", facts.join("\n"), rows.join("\n"));
    generated::replaced(page, PART, &text)
}

/// The generated part.
pub(super) fn table(page: &str) -> Result<&str> {
    Ok(generated::part(page, PART)?.trim_start())
}

/// The first cell.
fn what(row: &str) -> Option<&str> {
    row.strip_prefix("| ")?.split(" | ").next()
}

#[cfg(test)]
mod tests {
    use super::{Measured, line, rows, updated};

    #[test]
    fn keeps_rows_that_were_not_measured_again() {
        let row = |what: &str, result: &str| {
            rows(&line(what, "≤ 1", &Measured { result: result.into(), strace: None, met: Some(true) }))
                .unwrap()
        };
        let page = "# Title\n<!-- bench:begin -->\n<!-- bench:end -->\ntext\n";
        let once =
            updated(page, &["kernel: 1".into()], &[row("b", "2"), row("a", "1")].concat(), &["a", "b"])
                .unwrap();
        let twice = updated(&once, &["kernel: 2".into()], &row("b", "3"), &["a", "b"]).unwrap();
        assert!(twice.starts_with("# Title\n<!-- bench:begin -->\n- kernel: 2\n\n| what "));
        assert!(
            twice
                .contains("| a | ≤ 1 | 1 | – | yes |\n| b | ≤ 1 | 3 | – | yes |\n<!-- bench:end -->\ntext\n")
        );
        assert!(updated("no markers", &[], &[], &[]).is_err());
    }

    #[test]
    fn keeps_a_bar_inside_its_cell() {
        assert_eq!(
            rows(&line("a", "–", &Measured::not("x | y"))).unwrap(),
            ["| a | – | not measured: x \\| y | – | – |"]
        );
    }
}
