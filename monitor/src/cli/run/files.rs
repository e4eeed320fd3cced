//! The files that a run writes: created before anything is switched on.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use anyhow::Context as _;

use super::RunArgs;
use crate::event::log::{Run, Writer};
use crate::run::watch::EventFile;

/// The files that the run writes.
pub(super) struct Files {
    pub(super) events: Option<File>,
    pub(super) reports: Vec<(PathBuf, File)>,
}

impl Files {
    pub(super) fn create(args: &RunArgs) -> anyhow::Result<Self> {
        let create = |what: &str, path: &PathBuf| {
            File::create(path).with_context(|| format!("cannot create the {what} {}", path.display()))
        };
        let events = args.events.as_ref().map(|path| create("events file", path)).transpose()?;
        let report = |path: &PathBuf| Ok((path.clone(), create("report", path)?));
        let reports = args.report.iter().map(report).collect::<anyhow::Result<_>>()?;
        Ok(Self { events, reports })
    }
}

/// Begins the file of events with what is known of the run.
pub(super) fn begin_events(file: File, run: &Run) -> anyhow::Result<EventFile> {
    let mut writer = Writer::new(BufWriter::new(file));
    writer.run(run).context("cannot write the events file")?;
    Ok(writer)
}
