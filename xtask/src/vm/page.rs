//! docs/evasions.md: the part between two markers says what became of each technique, on each kernel, in each tier.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result, bail};

use super::kernel::KERNELS;
use super::suite::{Outcome, Suite};
use crate::generated;

const PART: &str = "evasions";
/// What the machine's own kernel is called.
pub(crate) const NATIVE: &str = "native";
/// The tiers, strongest first.
pub(crate) const TIERS: [&str; 2] = ["deny", "kill"];
const FACTS: &str = "| kernel | tier | release | stopped | noticed | missed | impossible |";
const COUNTED: [Outcome; 4] = [Outcome::Stopped, Outcome::Noticed, Outcome::Missed, Outcome::Impossible];
const FIRST: [&str; 3] = ["row", "technique", "deed"];
const WHY: &str = "### Why not more";
/// The place of a reason that holds in every tier: why a deed may be impossible.
const ANY_TIER: &str = "impossible";

/// A column: a kernel and a tier.
type Column = (String, String);

/// What the page says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// By deed.
    rows: BTreeMap<String, Row>,
    /// Releases of the kernels in columns.
    releases: BTreeMap<Column, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Row {
    rows: String,
    technique: String,
    /// Why noticing is all in a tier, or why it may be impossible.
    why: BTreeMap<String, String>,
    cells: BTreeMap<Column, Outcome>,
}

/// A suite that ran, and where.
pub(crate) struct Ran<'a> {
    /// The kernel's name.
    pub(crate) kernel: &'a str,
    /// The tiers that were asked for.
    pub(crate) tiers: &'a [String],
    /// Whether every deed was done, not a chosen few.
    pub(crate) whole: bool,
    /// What it said.
    pub(crate) suite: &'a Suite,
}

impl Page {
    /// The page with what this run says in the place of what it said before of the same kernel and tiers.
    pub(crate) fn with(&self, ran: &Ran<'_>) -> Self {
        let mut page = self.clone();
        let columns: Vec<Column> =
            ran.tiers.iter().map(|tier| (ran.kernel.to_owned(), tier.clone())).collect();
        if ran.whole {
            for row in page.rows.values_mut() {
                row.cells.retain(|column, _| !columns.contains(column));
            }
        }
        for done in &ran.suite.done {
            let row = page.rows.entry(done.deed.clone()).or_default();
            row.rows = done.rows.join(", ");
            row.technique.clone_from(&done.technique);
            let place = if done.outcome == Outcome::Impossible { ANY_TIER } else { &done.run };
            if let Some(why) = &done.why {
                row.why.insert(place.to_owned(), why.replace('\n', " "));
            }
        }
        for ((deed, tier), outcome) in ran.suite.outcomes(ran.tiers) {
            if let Some(row) = page.rows.get_mut(&deed) {
                row.cells.insert((ran.kernel.to_owned(), tier), outcome);
            }
        }
        page.rows.retain(|_, row| !row.cells.is_empty());
        if let Some(end) = &ran.suite.end {
            page.releases.extend(columns.into_iter().map(|column| (column, end.kernel.clone())));
        }
        page
    }

    /// What another page says differently; the releases of kernels may differ, they change every week.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        let empty = Row::default();
        let mut names: Vec<&String> = self.rows.keys().chain(other.rows.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let (old, new) = (self.rows.get(name).unwrap_or(&empty), other.rows.get(name).unwrap_or(&empty));
            let mut columns: Vec<&Column> = old.cells.keys().chain(new.cells.keys()).collect();
            columns.sort_unstable();
            columns.dedup();
            let word = |cell: Option<&Outcome>| cell.map_or("nothing".to_owned(), ToString::to_string);
            for column in columns {
                let (before, now) = (old.cells.get(column), new.cells.get(column));
                if before != now {
                    let (kernel, tier) = column;
                    differences.push(format!(
                        "{name} on {kernel}, {tier}: {} became {}",
                        word(before),
                        word(now)
                    ));
                }
            }
            if !old.cells.is_empty() && !new.cells.is_empty() && old.texts() != new.texts() {
                differences.push(format!("{name}: its description or its reason has changed"));
            }
        }
        differences
    }

    fn columns(&self) -> Vec<Column> {
        let kernels = KERNELS.iter().map(|kernel| kernel.name).chain([NATIVE]);
        kernels
            .flat_map(|kernel| TIERS.map(|tier| (kernel.to_owned(), tier.to_owned())))
            .filter(|column| self.rows.values().any(|row| row.cells.contains_key(column)))
            .collect()
    }

    fn render(&self) -> String {
        let columns = self.columns();
        let mut text = format!("{FACTS}\n|---|---|---|---|---|---|---|\n");
        for column in &columns {
            let counts = COUNTED.map(|which| {
                self.rows.values().filter(|row| row.cells.get(column) == Some(&which)).count().to_string()
            });
            let release = self.releases.get(column).map_or("", String::as_str);
            // Writing to a string cannot fail; nor can it below.
            let _ = writeln!(text, "| {} | {} | {release} | {} |", column.0, column.1, counts.join(" | "));
        }
        let heads: Vec<String> = columns.iter().map(|(kernel, tier)| format!("{kernel} {tier}")).collect();
        let _ = writeln!(text, "\n| {} | {} |", FIRST.join(" | "), heads.join(" | "));
        let _ = writeln!(text, "|{}", "---|".repeat(FIRST.len() + columns.len()));
        let mut rows: Vec<(&String, &Row)> = self.rows.iter().collect();
        rows.sort_by_cached_key(|(name, row)| (order(&row.rows), (*name).clone()));
        for (name, row) in &rows {
            let cells: Vec<&str> =
                columns.iter().map(|column| row.cells.get(column).map_or("", |cell| sign(*cell))).collect();
            let _ = writeln!(
                text,
                "| {} | {} | `{name}` | {} |",
                row.rows,
                row.technique.replace('|', "/"),
                cells.join(" | ")
            );
        }
        let argued: Vec<String> = rows
            .iter()
            .flat_map(|(name, row)| {
                row.reasons().map(move |(place, why)| format!("- `{name}`, {place}: {why}"))
            })
            .collect();
        if !argued.is_empty() {
            let _ = writeln!(text, "\n{WHY}\n{}", argued.join("\n"));
        }
        text
    }

    fn read(text: &str) -> Result<Self> {
        let mut page = Self::default();
        let mut columns: Option<Vec<Column>> = None;
        for line in text.lines() {
            if let Some((name, reason)) = line.strip_prefix("- `").and_then(|rest| rest.split_once("`, ")) {
                let (place, why) =
                    reason.split_once(": ").with_context(|| format!("no reason in: {line}"))?;
                page.rows.entry(name.to_owned()).or_default().why.insert(place.to_owned(), why.to_owned());
                continue;
            }
            let Some(cells) = line.strip_prefix("| ").and_then(|rest| rest.strip_suffix(" |")) else {
                continue;
            };
            if line == FACTS {
                continue;
            }
            let cells: Vec<&str> = cells.split(" | ").map(str::trim).collect();
            if cells.starts_with(&FIRST) {
                let split = |head: &&str| {
                    head.rsplit_once(' ').map(|(kernel, tier)| (kernel.to_owned(), tier.to_owned()))
                };
                let read: Option<Vec<Column>> = cells[FIRST.len()..].iter().map(split).collect();
                columns = Some(read.with_context(|| format!("a column without a tier in: {line}"))?);
                continue;
            }
            match &columns {
                None => {
                    let [kernel, tier, release, ..] = cells[..] else {
                        bail!("a line with too few cells: {line}")
                    };
                    page.releases.insert((kernel.into(), tier.into()), release.into());
                }
                Some(columns) => page.read_row(&cells, columns)?,
            }
        }
        // A reason is only shown beside a row.
        page.rows.retain(|_, row| !row.cells.is_empty());
        Ok(page)
    }

    fn read_row(&mut self, cells: &[&str], columns: &[Column]) -> Result<()> {
        let [rows, technique, deed, outcomes @ ..] = cells else { bail!("a row with too few cells") };
        let row = self.rows.entry(deed.trim_matches('`').to_owned()).or_default();
        (row.rows, row.technique) = ((*rows).to_owned(), (*technique).to_owned());
        for (column, cell) in columns.iter().zip(outcomes) {
            let outcome = Outcome::WATCHED.into_iter().find(|which| sign(*which) == *cell);
            row.cells.extend(outcome.map(|outcome| (column.clone(), outcome)));
        }
        Ok(())
    }
}

impl Row {
    /// The reasons that are shown: of a tier where something was merely noticed, of what is impossible somewhere.
    fn reasons(&self) -> impl Iterator<Item = (&String, &String)> {
        self.why.iter().filter(|(place, _)| {
            self.cells.iter().any(|((_, tier), cell)| match cell {
                Outcome::Noticed => tier == *place,
                Outcome::Impossible => *place == ANY_TIER,
                _ => false,
            })
        })
    }

    /// The texts, as they are compared: a bar cannot be in a table.
    fn texts(&self) -> (&str, String, Vec<(&String, &String)>) {
        (&self.rows, self.technique.replace('|', "/"), self.reasons().collect())
    }
}

/// The numbers of a row's first place, for sorting: 6.2 comes before 6.10.
fn order(rows: &str) -> Vec<u32> {
    rows.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

/// An outcome in a cell.
fn sign(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Stopped => "●",
        Outcome::Noticed => "◐",
        Outcome::Missed => "**○**",
        Outcome::Impossible => "–",
        Outcome::Unproven | Outcome::Broken | Outcome::Harm | Outcome::NoHarm => "**?**",
    }
}

/// What the generated part of a document says.
pub(crate) fn read(document: &str) -> Result<Page> {
    Page::read(generated::part(document, PART)?)
        .context("docs/evasions.md cannot be understood; write it again with --write")
}

/// The document with this in its generated part.
pub(crate) fn written(document: &str, page: &Page) -> Result<String> {
    generated::replaced(document, PART, &page.render())
}

#[cfg(test)]
mod tests {
    use super::super::suite::tests::said;
    use super::{Page, Ran, read, written};

    const EMPTY: &str = "# Title\n<!-- evasions:begin -->\n<!-- evasions:end -->\nend\n";

    fn ran(page: &Page, kernel: &str, whole: bool, lines: &[(&str, &str, &str)]) -> Page {
        let tiers = ["deny".to_owned(), "kill".to_owned()];
        let mut suite = said(lines);
        suite.line(r#"{"suite":"end","kernel":"9.9","arch":"x86_64","deeds":1,"failed":0}"#).unwrap();
        for done in &mut suite.done {
            done.why = (done.deed != "a").then(|| format!("{} is so", done.run));
        }
        page.with(&Ran { kernel, tiers: &tiers, whole, suite: &suite })
    }

    #[test]
    fn reads_what_it_writes() {
        let page = ran(
            &read(EMPTY).unwrap(),
            "6.12",
            true,
            &[("a", "deny", "stopped"), ("b", "kill", "noticed"), ("c", "bare", "impossible")],
        );
        let page = ran(&page, "5.10", true, &[("a", "deny", "missed")]);
        let text = written(EMPTY, &page).unwrap();
        assert!(text.contains("| row | technique | deed | 5.10 deny | 6.12 deny | 6.12 kill |\n"), "{text}");
        assert!(text.contains("| 6.1 | to a | `a` | **○** | ● |  |\n"), "{text}");
        assert!(text.contains("| 6.12 | deny | 9.9 | 1 | 0 | 0 | 1 |\n"), "{text}");
        let end = "- `b`, kill: kill is so\n- `c`, impossible: bare is so\n<!-- evasions:end -->\nend\n";
        assert!(text.ends_with(end), "{text}");
        let again = read(&text).unwrap();
        assert_eq!(again.differences(&page), Vec::<String>::new());
        assert_eq!(written(&text, &again).unwrap(), text);
    }

    #[test]
    fn shows_drift_and_keeps_other_kernels() {
        let old = ran(&Page::default(), "6.12", true, &[("a", "kill", "stopped"), ("b", "kill", "noticed")]);
        let old = ran(&old, "5.10", true, &[("a", "kill", "stopped")]);
        assert_eq!(
            old.differences(&ran(&old, "6.12", false, &[("a", "kill", "stopped")])),
            Vec::<String>::new()
        );
        assert_eq!(
            old.differences(&ran(&old, "6.12", true, &[("a", "kill", "missed")])),
            ["a on 6.12, kill: stopped became missed", "b on 6.12, kill: noticed became nothing"]
        );
    }
}
