//! What people and programs are told: one format a file, all behind [`Report`].
//!
//! | module | format |
//! |---|---|
//! | [`human`], [`layout`] | text for a terminal |
//! | [`markdown`] | a page for the job summary of a CI service |
//! | [`html`] | one file for a browser |
//! | [`json`] | `pkgwarden.report/1` |
//! | [`sarif`] | SARIF 2.1.0, pointing at the line that brought the package in |
//! | [`ocsf`], [`ecs`] | JSON Lines for a SIEM: every event, then the findings |
//!
//! The same events give the same bytes: nothing is written that is not in them, but for the lines that SARIF points at.

use std::io::{self, Write};

use serde_json::Value;

use crate::event::Event;
use crate::event::text::visible_json;
use crate::finding::Summary;

pub mod allow;
pub mod ecs;
pub mod html;
pub mod human;
pub mod json;
pub mod layout;
pub mod markdown;
mod network;
pub mod ocsf;
mod phrase;
pub mod redact;
pub mod sarif;
pub mod trace;

#[cfg(test)]
pub(crate) mod tests;

/// A format.
pub trait Report {
    /// Writes the whole report. `events` are those that `summary` was made of, in their order; a format that tells
    /// findings only leaves them alone.
    ///
    /// # Errors
    /// Those of `out`.
    fn render(
        &self,
        summary: &Summary,
        events: &mut dyn Iterator<Item = Event>,
        out: &mut dyn Write,
    ) -> io::Result<()>;
}

/// Makes every string of `value` visible as it is: a program shows it to people later.
fn clean(value: &mut Value) {
    match value {
        Value::String(text) => {
            // What a stranger wrote has no line of its own by now, so these lines are ours.
            let lines: Vec<String> =
                text.split('\n').map(|line| layout::plain(line, layout::Screen::default())).collect();
            *text = lines.join("\n");
        }
        Value::Array(values) => values.iter_mut().for_each(clean),
        Value::Object(members) => members.values_mut().for_each(clean),
        _ => {}
    }
}

/// Writes `value` as one line of JSON Lines.
fn write_line(mut value: Value, out: &mut dyn Write) -> io::Result<()> {
    clean(&mut value);
    let mut line = visible_json(serde_json::to_vec(&value)?);
    line.push(b'\n');
    out.write_all(&line)
}
