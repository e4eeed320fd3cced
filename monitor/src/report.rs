//! What people and programs are told: one format a file, all behind [`Report`].

use std::io::{self, Write};

use crate::finding::Summary;

pub mod allow;
pub mod human;
pub mod json;
pub mod layout;
pub mod redact;

#[cfg(test)]
pub(crate) mod tests;

/// A format.
pub trait Report {
    /// Writes the whole report.
    ///
    /// # Errors
    /// Those of `out`.
    fn render(&self, summary: &Summary, out: &mut dyn Write) -> io::Result<()>;
}
