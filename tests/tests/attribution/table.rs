//! docs/attribution.md: one line and one section for each manager, renewed by the tests or held against them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use pkgwarden_tests::workspace;

use crate::bench::{Told, Watched};
use crate::way::{Truth, Way};

/// Below it, a section for each manager.
const HEADING: &str = "## Manager by manager\n";

/// What came out for one manager.
pub(crate) struct Row {
    manager: String,
    cells: Vec<Cell>,
}

struct Cell {
    truth: Truth,
    told: BTreeSet<Told>,
    story: String,
}

impl Row {
    /// Nothing yet.
    pub(crate) fn new(manager: impl Into<String>) -> Self {
        Self { manager: manager.into(), cells: Vec::new() }
    }

    /// Adds what was said of these packages.
    pub(crate) fn add(mut self, truths: &[Truth], watched: &Watched) -> Self {
        for truth in truths {
            let told = watched.told(&truth.way.decoy());
            self.cells.push(Cell { truth: *truth, told, story: watched.ended.output() });
        }
        self
    }

    fn wrong(&self) -> Vec<String> {
        let wrong = self.cells.iter().filter(|cell| !cell.is_right());
        wrong
            .map(|cell| {
                format!(
                    "{}, {}: {:#?}\nis really {:?}\n{}",
                    self.manager,
                    cell.truth.way.word(),
                    cell.told,
                    cell.truth,
                    cell.story
                )
            })
            .collect()
    }

    fn line(&self) -> String {
        let words = Way::ALL.map(|way| {
            let cell = self.cells.iter().find(|cell| cell.truth.way == way);
            cell.map_or_else(|| "-".to_owned(), Cell::word)
        });
        format!("| {} | {} |", self.manager, words.join(" | "))
    }

    fn section(&self) -> String {
        let mut text = format!("{}\n", self.manager);
        text.push_str("| way | package | script | confidence | learnt from |\n|---|---|---|---|---|\n");
        for cell in &self.cells {
            for told in &cell.told {
                let Told { name, version, script, confidence, source, .. } = told;
                // Writing to a string cannot fail.
                let _ = writeln!(
                    text,
                    "| {} | {name} {version} | {script} | {confidence} | {source} |",
                    cell.truth.way.word()
                );
            }
        }
        text
    }
}

impl Cell {
    fn is_right(&self) -> bool {
        let Truth { ecosystem, name, version, scripts, .. } = &self.truth;
        let scripts: BTreeSet<&str> = scripts.iter().copied().collect();
        let told: BTreeSet<&str> = self.told.iter().map(|told| told.script.as_str()).collect();
        let named =
            |told: &Told| told.ecosystem == *ecosystem && told.name == *name && told.version == *version;
        told == scripts && self.told.iter().all(named)
    }

    /// `exact`, or the weaker word if several were said.
    fn word(&self) -> String {
        if !self.is_right() {
            return "WRONG".to_owned();
        }
        let weakest = ["none", "likely", "exact"]
            .into_iter()
            .find(|word| self.told.iter().any(|told| told.confidence == *word));
        weakest.unwrap_or("WRONG").to_owned()
    }
}

/// Fails where a name, version or script is wrong, or where the page says something else.
pub(crate) fn check(rows: impl Iterator<Item = Row>) {
    let rows: Vec<Row> = rows.collect();
    let wrong: Vec<String> = rows.iter().flat_map(Row::wrong).collect();
    let differs = renew(&rows);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        !differs,
        "docs/attribution.md says something else: look at why, and write it anew with PKGWARDEN_WRITE=1"
    );
}

/// Whether the page says something else; with PKGWARDEN_WRITE it is written anew instead.
fn renew(rows: &[Row]) -> bool {
    static PAGE: Mutex<()> = Mutex::new(());
    let page = PAGE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let path: PathBuf = workspace().join("docs/attribution.md");
    let before = fs::read_to_string(&path).expect("read docs/attribution.md");
    let after = rows.iter().fold(before.clone(), |text, row| with(&text, row));
    let write = std::env::var_os("PKGWARDEN_WRITE").is_some();
    if write {
        fs::write(&path, &after).expect("write docs/attribution.md");
    }
    drop(page);
    !write && before != after
}

/// The page with another row: its line in the first table and its section stand where they stood, or at the end.
fn with(text: &str, row: &Row) -> String {
    let (head, sections) = text.split_once(HEADING).unwrap_or((text, ""));
    let start = format!("| {} |", row.manager);
    let mut lines: Vec<String> = head.trim_end().lines().map(str::to_owned).collect();
    match lines.iter().position(|line| line.starts_with(&start)) {
        Some(at) => lines[at] = row.line(),
        None => {
            let end = lines.iter().rposition(|line| line.starts_with('|')).map_or(lines.len(), |at| at + 1);
            lines.insert(end, row.line());
        }
    }
    let title = format!("{}\n", row.manager);
    let mut sections: Vec<String> =
        sections.split("### ").skip(1).map(|section| format!("{}\n", section.trim_end())).collect();
    match sections.iter().position(|section| section.starts_with(&title)) {
        Some(at) => sections[at] = row.section(),
        None => sections.push(row.section()),
    }
    format!("{}\n\n{HEADING}\n### {}", lines.join("\n"), sections.join("\n### "))
}
