//! The files that a run writes: created before anything is switched on.

use std::fs::File;
use std::io::{self, BufWriter, Seek as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use anyhow::Context as _;

use super::RunOptions;
use crate::cli::format::{Format, ReportFile};
use crate::cli::report::events_of;
use crate::event::Event;
use crate::event::log::{Run, Writer};
use crate::finding::Summary;
use crate::report::layout::Screen;
use crate::run::watch::EventFile;

/// The files that the run writes.
pub(super) struct Files {
    pub(super) events: Option<File>,
    /// The same file, to be read when the run is over; only where a report tells events.
    pub(super) recorded: Option<File>,
    pub(super) reports: Vec<(ReportFile, File)>,
}

impl Files {
    pub(super) fn create(args: &RunOptions) -> anyhow::Result<Self> {
        let create = |what: &str, path: &PathBuf| {
            File::create(path).with_context(|| format!("cannot create the {what} {}", path.display()))
        };
        let mut events = args.events.as_ref().map(|path| create("events file", path)).transpose()?;
        let report = |report: &ReportFile| Ok((report.clone(), create("report", &report.path)?));
        let reports = args.report.iter().map(report).collect::<anyhow::Result<_>>()?;
        let recorded = if args.report.iter().any(|report| report.format.tells_events()) {
            if events.is_none() {
                events = Some(tempfile::tempfile().context("cannot keep the events in a temporary file")?);
            }
            events.as_ref().map(for_reading).transpose()?
        } else {
            None
        };
        Ok(Self { events, recorded, reports })
    }
}

/// The same file with a position of its own. By descriptor: its name can lead elsewhere by now.
fn for_reading(events: &File) -> anyhow::Result<File> {
    anyhow::ensure!(
        events.metadata()?.is_file(),
        "the report tells events, and what --events names cannot be read back; give it a regular file"
    );
    let path = format!("/proc/self/fd/{}", events.as_raw_fd());
    File::open(path).context("the events file cannot be read back")
}

/// The files of a run that is over.
pub(super) struct Written {
    pub(super) events: Option<EventFile>,
    pub(super) recorded: Option<File>,
    pub(super) reports: Vec<(ReportFile, File)>,
}

impl Written {
    /// Ends the events, then writes every report, and fails if one could not be written.
    pub(super) fn write(self, summary: &Summary) -> anyhow::Result<()> {
        if let (Some(mut file), Some(end)) = (self.events, &summary.end) {
            file.end(end).context("cannot finish the events file")?;
        }
        let mut result = Ok(());
        for (report, file) in self.reports {
            let written = write_report(summary, self.recorded.as_ref(), report.format, file)
                .with_context(|| format!("cannot write the report {}", report.path.display()));
            result = result.and(written);
        }
        result
    }
}

fn write_report(summary: &Summary, recorded: Option<&File>, format: Format, file: File) -> io::Result<()> {
    let mut file = BufWriter::new(file);
    let mut report = |events: &mut dyn Iterator<Item = Event>| {
        format.report(Screen::default()).render(summary, events, &mut file)
    };
    match recorded {
        Some(recorded) => {
            let mut recorded = recorded.try_clone()?;
            recorded.rewind()?;
            report(&mut events_of(recorded))?;
        }
        None => report(&mut std::iter::empty())?,
    }
    file.flush()
}

/// Begins the file of events with what is known of the run.
pub(super) fn begin_events(file: File, run: &Run) -> anyhow::Result<EventFile> {
    let mut writer = Writer::new(BufWriter::new(file));
    writer.run(run).context("cannot write the events file")?;
    Ok(writer)
}
