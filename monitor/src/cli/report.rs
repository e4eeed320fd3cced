//! `pkgwarden report`: a recorded run, told again in another format.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use super::format::Format;
use crate::event::Event;
use crate::event::log::{Entry, LogError, Reader};
use crate::finding::{Findings, Summary};
use crate::report::layout::Screen;
use crate::report::redact;

/// Render the events of a recorded run.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pkgwarden report events.jsonl
  pkgwarden report events.jsonl --format html > report.html
  pkgwarden report events.jsonl --format md >> \"$GITHUB_STEP_SUMMARY\"

The same events give the same bytes. `sarif` also looks for the lockfiles of the project where it was when the events
were recorded; run it there.")]
pub struct ReportArgs {
    /// File that `pkgwarden run --events` wrote; `-` is standard input.
    pub events: PathBuf,
    /// What to write.
    #[arg(long, value_enum, default_value_t = Format::Human, env = "PKGWARDEN_FORMAT")]
    pub format: Format,
}

/// Runs the subcommand.
///
/// # Errors
/// When the file cannot be read or is no log of ours, naming file and line.
pub fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let (mut file, shown) = open(&args.events)?;
    let summary = summarise(BufReader::new(&file)).context(shown)?;
    file.rewind()?;
    match write(&summary, file, args.format) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        result => result.context("standard output cannot be written").map(|()| ExitCode::SUCCESS),
    }
}

/// Opens a log that will be read more than once, and says what to call it; `-` is standard input.
pub(super) fn open(events: &Path) -> anyhow::Result<(File, String)> {
    if events.as_os_str() == "-" {
        let file = keep(&mut io::stdin().lock());
        let file = file.context("standard input cannot be kept in a temporary file")?;
        return Ok((file, "standard input".to_owned()));
    }
    let shown = events.display().to_string().escape_debug().to_string();
    let mut file = File::open(events).with_context(|| {
        format!("{shown} cannot be opened; give a file that `pkgwarden run --events` wrote")
    })?;
    // A pipe can be read only once.
    let file = match file.stream_position() {
        Ok(_) => file,
        Err(_) => keep(&mut file).with_context(|| format!("{shown} cannot be kept in a temporary file"))?,
    };
    Ok((file, shown))
}

/// A copy without a name.
fn keep(input: &mut dyn io::Read) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(input, &mut file)?;
    file.rewind()?;
    Ok(file)
}

fn write(summary: &Summary, events: File, format: Format) -> io::Result<()> {
    // The stream drops colour where it is not wanted.
    let mut out = BufWriter::new(anstream::stdout());
    format.report(Screen::stdout()).render(summary, &mut events_of(events), &mut out)?;
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
            Entry::Run(mut header) => {
                redact::run(&mut header);
                run = Some(header);
            }
            Entry::Event(mut event) => {
                redact::event(&mut event);
                findings.push(&event);
            }
            Entry::End(mut footer) => {
                redact::end(&mut footer);
                end = Some(footer);
            }
        }
    }
    Ok(findings.summary(run.ok_or(LogError::Empty)?, end))
}

/// The events of a log, up to the first line that is none: what was written last can be cut where a disk was full.
pub fn events_of(log: File) -> impl Iterator<Item = Event> {
    let mut reader = Reader::new(BufReader::new(log));
    std::iter::from_fn(move || {
        loop {
            match reader.next_entry() {
                Ok(Some(Entry::Event(mut event))) => {
                    redact::event(&mut event);
                    return Some(*event);
                }
                Ok(Some(Entry::Run(_) | Entry::End(_))) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    })
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
