//! Formats of a report, and the one that a file's name asks for.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use clap::ValueEnum as _;

use crate::report::Report;
use crate::report::ecs::Ecs;
use crate::report::html::Html;
use crate::report::human::Human;
use crate::report::json::Json;
use crate::report::layout::Screen;
use crate::report::markdown::Markdown;
use crate::report::ocsf::Ocsf;
use crate::report::sarif::Sarif;

/// Formats of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Text for people.
    Human,
    /// A page in one file, for a browser.
    Html,
    /// Markdown, for the job summary of a CI service.
    Md,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// One JSON object, `pkgwarden.report/1`.
    Json,
    /// OCSF 1.8 as JSON Lines: every event, then the findings.
    Ocsf,
    /// Elastic Common Schema 9.4 as JSON Lines: every event, then the findings.
    Ecs,
}

/// Endings of file names, in lower case; the first that fits decides.
const ENDINGS: [(&str, Format); 13] = [
    (".txt", Format::Human),
    (".html", Format::Html),
    (".htm", Format::Html),
    (".md", Format::Md),
    (".markdown", Format::Md),
    (".sarif", Format::Sarif),
    (".sarif.json", Format::Sarif),
    (".ocsf.jsonl", Format::Ocsf),
    (".ocsf.ndjson", Format::Ocsf),
    (".ocsf.json", Format::Ocsf),
    (".ecs.jsonl", Format::Ecs),
    (".ecs.ndjson", Format::Ecs),
    (".ecs.json", Format::Ecs),
];

impl Format {
    /// The format that a file's name asks for: JSON where its ending is none of [`ENDINGS`].
    #[must_use]
    pub fn of_file(path: &Path) -> Self {
        let name = path.as_os_str().as_bytes().to_ascii_lowercase();
        let ending = ENDINGS.iter().find(|(ending, _)| name.ends_with(ending.as_bytes()));
        ending.map_or(Self::Json, |(_, format)| *format)
    }

    /// Whether the format tells events, and not findings only.
    #[must_use]
    pub fn tells_events(self) -> bool {
        match self {
            Self::Human | Self::Md | Self::Json => false,
            Self::Html | Self::Sarif | Self::Ocsf | Self::Ecs => true,
        }
    }

    /// The writer of this format.
    #[must_use]
    pub fn report(self, screen: Screen) -> Box<dyn Report> {
        match self {
            Self::Human => Box::new(Human { screen }),
            Self::Html => Box::new(Html),
            Self::Md => Box::new(Markdown),
            Self::Sarif => Box::new(Sarif),
            Self::Json => Box::new(Json),
            Self::Ocsf => Box::new(Ocsf),
            Self::Ecs => Box::new(Ecs),
        }
    }
}

/// A report that a run writes: `FILE`, or `FORMAT=FILE` where the ending does not tell the format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportFile {
    /// In which format.
    pub format: Format,
    /// Where to.
    pub path: PathBuf,
}

impl From<OsString> for ReportFile {
    fn from(text: OsString) -> Self {
        let bytes = text.as_bytes();
        let named = bytes.iter().position(|byte| *byte == b'=').and_then(|equals| {
            let format = Format::from_str(std::str::from_utf8(&bytes[..equals]).ok()?, false).ok()?;
            let path = OsString::from_vec(bytes[equals + 1..].to_vec());
            (!path.is_empty()).then(|| Self { format, path: path.into() })
        });
        named.unwrap_or_else(|| Self {
            format: Format::of_file(Path::new(OsStr::new(&text))),
            path: text.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_of_a_file_chooses_its_format() {
        for (name, expected) in [
            ("report.txt", Format::Human),
            ("a/REPORT.HTML", Format::Html),
            ("x.htm", Format::Html),
            ("summary.md", Format::Md),
            ("pkgwarden.sarif", Format::Sarif),
            ("pkgwarden.sarif.json", Format::Sarif),
            ("x.ocsf.jsonl", Format::Ocsf),
            ("x.ecs.ndjson", Format::Ecs),
            ("x.json", Format::Json),
            ("md", Format::Json),
            ("/dev/stdout", Format::Json),
        ] {
            assert_eq!(Format::of_file(Path::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn a_name_without_an_ending_can_be_given_a_format() {
        for (text, format, path) in [
            ("md=/tmp/step_summary_1", Format::Md, "/tmp/step_summary_1"),
            ("html=x.json", Format::Html, "x.json"),
            ("./md=x.sarif", Format::Sarif, "./md=x.sarif"),
            ("odd=x.md", Format::Md, "odd=x.md"),
            ("md=", Format::Json, "md="),
        ] {
            let expected = ReportFile { format, path: path.into() };
            assert_eq!(ReportFile::from(OsString::from(text)), expected, "{text}");
        }
    }
}
