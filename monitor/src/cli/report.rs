//! `pkgwarden report`: a recorded run, told again in another format.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use crate::event::log::{Entry, LogError, Reader};
use crate::finding::{Findings, Summary};
use crate::report::Report;
use crate::report::human::Human;
use crate::report::json::Json;
use crate::report::layout::Screen;

/// Render the events of a recorded run.
#[derive(Clone, Debug, clap::Args)]
pub struct ReportArgs {
    /// File that `pkgwarden run --events` wrote; `-` is standard input.
    pub events: PathBuf,
    /// What to write.
    #[arg(long, value_enum, default_value_t = Format::Human, env = "PKGWARDEN_FORMAT")]
    pub format: Format,
}

/// Formats of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Text for people.
    Human,
    /// One JSON object, `pkgwarden.report/1`.
    Json,
}

impl Format {
    /// The format that a file's name asks for: JSON unless it ends in `.txt`.
    #[must_use]
    pub fn of_file(path: &Path) -> Self {
        let text = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("txt"));
        if text { Self::Human } else { Self::Json }
    }

    /// The writer of this format.
    #[must_use]
    pub fn report(self, screen: Screen) -> Box<dyn Report> {
        match self {
            Self::Human => Box::new(Human { screen }),
            Self::Json => Box::new(Json),
        }
    }
}

/// Runs the subcommand.
///
/// # Errors
/// When the file cannot be read or is no log of ours, naming file and line.
pub fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let shown = args.events.display().to_string().escape_debug().to_string();
    let summary = if args.events.as_os_str() == "-" {
        summarise(io::stdin().lock()).context("standard input")
    } else {
        let file = File::open(&args.events).with_context(|| {
            format!("{shown} cannot be opened; give a file that `pkgwarden run --events` wrote")
        })?;
        summarise(BufReader::new(file)).context(shown)
    }?;
    match write(&summary, args.format) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        result => result.context("standard output cannot be written").map(|()| ExitCode::SUCCESS),
    }
}

fn write(summary: &Summary, format: Format) -> io::Result<()> {
    // The stream drops colour where it is not wanted.
    let mut out = BufWriter::new(anstream::stdout());
    format.report(Screen::stdout()).render(summary, &mut out)?;
    out.flush()
}

/// Reads a whole log.
///
/// # Errors
/// Naming the first line that is not one of ours.
pub fn summarise(input: impl BufRead) -> Result<Summary, LogError> {
    let mut reader = Reader::new(input);
    let mut findings = Findings::new();
    let (mut run, mut end) = (None, None);
    while let Some(entry) = reader.next_entry()? {
        match entry {
            Entry::Run(header) => run = Some(header),
            Entry::Event(event) => {
                findings.push(&event);
            }
            Entry::End(footer) => end = Some(footer),
        }
    }
    Ok(findings.summary(run.ok_or(LogError::Empty)?, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = r#"{"schema":"pkgwarden.event/1","kind":"run","time":"2026-11-20T00:00:00Z","tier":"kill","mode":"block","command":["npm","i"]}"#;
    const EXIT: &str = r#"{"schema":"pkgwarden.event/1","time":"2026-11-20T00:00:01Z","tree":7,"actor":"script:npm","process":{"pid":9,"start":"2026-11-20T00:00:00Z","ppid":7,"uid":0},"kind":"exit","code":0}"#;
    const END: &str = r#"{"schema":"pkgwarden.event/1","kind":"end","time":"2026-11-20T00:00:02Z","exit_code":0,"lost":{}}"#;

    fn error(lines: &[&str]) -> String {
        match summarise(lines.join("\n").as_bytes()) {
            Ok(_) => "none".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_log_is_read_to_its_end() {
        let summary = summarise([RUN, EXIT, "", END].join("\n").as_bytes()).unwrap();
        assert_eq!(summary.run.command, ["npm".into(), "i".into()]);
        assert_eq!(summary.end.unwrap().exit_code, Some(0));
        let cut = summarise([RUN, EXIT].join("\n").as_bytes()).unwrap();
        assert_eq!(cut.end, None);
    }

    #[test]
    fn what_is_no_log_is_refused_by_line() {
        for (lines, expected) in [
            (&[][..], "the file is empty"),
            (&["x"], "line 1 is not an event: expected value (column 1)"),
            (&[EXIT], "line 1 comes before the line of kind `run`"),
            (&[RUN, RUN], "line 2 begins a second run"),
            (&[RUN, "{}"], "line 2 has the schema `` where `pkgwarden.event/1` is expected"),
            (&[RUN, EXIT, "{\"schema\":\"pkgwarden.event/9\"}"], "line 3 has the schema `pkgwarden.event/9`"),
            (&[RUN, &EXIT.replace("exit", "leave")], "line 2 is not an event: unknown variant `leave`"),
            (&[&RUN.replace("kill", "nuke")], "line 1 is not an event: `nuke` is none of kill, deny"),
            (&[RUN, &EXIT[..80]], "line 2 is not an event: EOF while parsing"),
            (
                &[RUN, &EXIT.replace("2026-11-20T00:00:01Z", "now")],
                "line 2 is not an event: `now` is no time",
            ),
        ] {
            let error = error(lines);
            assert!(error.starts_with(expected), "{error}");
        }
        assert!(summarise(&b"\xff\n"[..]).unwrap_err().to_string().starts_with("line 1 is not an event"));
        let long = vec![b' '; 5 << 20];
        assert!(summarise(&long[..]).unwrap_err().to_string().starts_with("line 1 is longer than"));
    }

    #[test]
    fn missing_files_are_named() {
        let args = ReportArgs { events: "/nonexistent/events.jsonl".into(), format: Format::Human };
        let error = format!("{:#}", run(&args).unwrap_err());
        assert!(error.starts_with("/nonexistent/events.jsonl cannot be opened"), "{error}");
    }
}
