//! The JSON Lines file of `--events`: one line that says what ran, one line an event, one line that says how it ended.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _, Write};

use monitor_common::verdict::{Mode, Tier};
use serde::{Deserialize, Serialize};

use super::model::{Event, word};
use super::text::{Text, visible_json};
use super::time::Timestamp;
use super::traffic::Traffic;
use crate::report::redact;

/// Name and version of the format.
pub const SCHEMA: &str = "pkgwarden.event/1";
/// The longest line that is read, bytes: a record with all its bytes escaped, and its ancestry, is far below.
pub const MAX_LINE: u64 = 4 << 20;

/// The first line: what ran, and under which protection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// When the command was started.
    pub time: Timestamp,
    /// What this kernel let us do.
    #[serde(with = "word")]
    pub tier: Tier,
    /// What findings lead to.
    #[serde(with = "word")]
    pub mode: Mode,
    /// The command, secrets removed.
    pub command: Vec<Text>,
    /// Who started it, the nearest first: `agent:claude`, `terminal:ssh`; names of the rules' `starters`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub started_by: Vec<Text>,
    /// The rules.
    #[serde(default)]
    pub rules: Rules,
    /// The machine.
    #[serde(default)]
    pub host: Host,
    /// Version of pkgwarden.
    #[serde(default)]
    pub version: String,
    /// Where the run took place.
    #[serde(default, skip_serializing_if = "Places::is_empty")]
    pub places: Places,
    /// Whether acts that no rule is about are told too: by `record` and `check`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub observed: bool,
}

/// Directories that mean the same on another machine, as the kernel names them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Places {
    /// Where the command was started.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub project: Text,
    /// Home of the invoking user.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub home: Text,
    /// For temporary files, beside those that every machine has.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub temporary: Text,
}

impl Places {
    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Run {
    /// The coding agent that started it, if one did.
    #[must_use]
    pub fn agent(&self) -> Option<&Text> {
        self.started_by.iter().find(|name| name.as_bytes().starts_with(b"agent:"))
    }

    /// A run that begins now, on this machine.
    #[must_use]
    pub fn begin<B: AsRef<[u8]>>(tier: Tier, mode: Mode, command: &[B], rules: Rules) -> Self {
        Self {
            time: Timestamp::now(),
            tier,
            mode,
            command: redact::arguments(command),
            started_by: Vec::new(),
            rules,
            host: Host::current(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            places: Places::default(),
            observed: false,
        }
    }
}

/// Which rules were loaded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// How many.
    pub count: usize,
    /// Where from: `built-in` or folders.
    pub sources: Vec<Text>,
}

/// Facts of the machine that a verdict depends on. Not its name: a log may be shown to others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Kernel release.
    pub kernel: String,
    /// Architecture.
    pub arch: String,
}

impl Host {
    /// This machine.
    #[must_use]
    pub fn current() -> Self {
        let Ok(names) = nix::sys::utsname::uname() else {
            return Self::default();
        };
        Self {
            kernel: names.release().to_string_lossy().into_owned(),
            arch: names.machine().to_string_lossy().into_owned(),
        }
    }
}

/// The last line: how it ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// When the last member of the tree had ended.
    pub time: Timestamp,
    /// Exit code of `pkgwarden run`.
    pub exit_code: Option<u8>,
    /// What the kernel side and this program could not do, by counter; zeros are left out.
    #[serde(default)]
    pub lost: BTreeMap<String, u64>,
    /// What was sent where, the most bytes first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traffic: Vec<Traffic>,
}

/// Writes the file. Each line is one write, so that a reader of a growing file sees whole lines.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    line: Vec<u8>,
}

#[derive(Serialize)]
struct Line<'a, T> {
    schema: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(flatten)]
    body: &'a T,
}

impl<W: Write> Writer<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out, line: Vec::new() }
    }

    /// Writes the first line.
    ///
    /// # Errors
    /// Those of the file.
    pub fn run(&mut self, run: &Run) -> io::Result<()> {
        self.write(Some("run"), run)
    }

    /// Writes an event.
    ///
    /// # Errors
    /// Those of the file.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        self.write(None, event)
    }

    /// Writes the last line and flushes.
    ///
    /// # Errors
    /// Those of the file.
    pub fn end(&mut self, end: &End) -> io::Result<()> {
        self.write(Some("end"), end)?;
        self.out.flush()
    }

    /// What was written to.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn write<T: Serialize>(&mut self, kind: Option<&'static str>, body: &T) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, &Line { schema: SCHEMA, kind, body })?;
        self.line = visible_json(std::mem::take(&mut self.line));
        self.line.push(b'\n');
        self.out.write_all(&self.line)
    }
}

/// One line that was read.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// The first.
    Run(Run),
    /// An event.
    Event(Box<Event>),
    /// The last.
    End(End),
}

/// Why a file is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file could not be read.
    #[error("line {line} could not be read")]
    Read {
        /// Counted from 1.
        line: usize,
        /// Why.
        source: io::Error,
    },
    /// A line is longer than any line of ours.
    #[error(
        "line {line} is longer than {MAX_LINE} bytes, so this is no file that `pkgwarden run --events` wrote"
    )]
    Long {
        /// Counted from 1.
        line: usize,
    },
    /// A line is no JSON, or lacks a field, or has a wrong one.
    #[error("line {line} is not an event: {reason}")]
    Json {
        /// Counted from 1.
        line: usize,
        /// Why.
        reason: String,
    },
    /// Another format, or another version.
    #[error(
        "line {line} has the schema `{schema}` where `{SCHEMA}` is expected; use the pkgwarden that wrote it"
    )]
    Schema {
        /// Counted from 1.
        line: usize,
        /// What it has.
        schema: Text,
    },
    /// The first line does not say what ran.
    #[error("line {line} comes before the line of kind `run`; the beginning of the file is missing")]
    Headless {
        /// Counted from 1.
        line: usize,
    },
    /// The file is empty.
    #[error("the file is empty; give a file that `pkgwarden run --events` wrote")]
    Empty,
    /// More than one run in a file.
    #[error("line {line} begins a second run; give one run at a time")]
    Second {
        /// Counted from 1.
        line: usize,
    },
}

impl LogError {
    /// Whether only this line is lost, and the next one can be read.
    #[must_use]
    pub fn spares_the_rest(&self) -> bool {
        matches!(self, Self::Json { .. } | Self::Schema { .. })
    }
}

/// Reads the lines of a log, one at a time.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    line: usize,
    begun: bool,
    buffer: Vec<u8>,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    schema: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    kind: std::borrow::Cow<'a, str>,
}

impl<R: BufRead> Reader<R> {
    /// Reads from `input`.
    pub fn new(input: R) -> Self {
        Self { input, line: 0, begun: false, buffer: Vec::new() }
    }

    /// Number of the line that was read last, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// The next entry; blank lines are passed over.
    ///
    /// # Errors
    /// Naming the line, when it is not one of ours.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, LogError> {
        loop {
            self.line += 1;
            let line = self.line;
            self.buffer.clear();
            let read = self.input.by_ref().take(MAX_LINE).read_until(b'\n', &mut self.buffer);
            let read = read.map_err(|source| LogError::Read { line, source })?;
            if read == 0 {
                return if self.begun { Ok(None) } else { Err(LogError::Empty) };
            }
            if read as u64 == MAX_LINE && self.buffer.last() != Some(&b'\n') {
                return Err(LogError::Long { line });
            }
            if !self.buffer.trim_ascii().is_empty() {
                return self.parse().map(Some);
            }
        }
    }

    fn parse(&mut self) -> Result<Entry, LogError> {
        let line = self.line;
        let json = |error: serde_json::Error| {
            // It counts lines from the one it was given.
            let (reason, column) = (error.to_string(), error.column());
            let place = format!(" at line {} column {column}", error.line());
            let reason = reason.strip_suffix(&place).unwrap_or(&reason);
            LogError::Json { line, reason: format!("{} (column {column})", Text::from(reason)) }
        };
        let head: Head<'_> = serde_json::from_slice(&self.buffer).map_err(json)?;
        if head.schema != SCHEMA {
            return Err(LogError::Schema { line, schema: Text::from(head.schema.as_ref()) });
        }
        match (head.kind.as_ref(), self.begun) {
            ("run", true) => Err(LogError::Second { line }),
            ("run", false) => {
                self.begun = true;
                Ok(Entry::Run(serde_json::from_slice(&self.buffer).map_err(json)?))
            }
            (_, false) => Err(LogError::Headless { line }),
            ("end", true) => Ok(Entry::End(serde_json::from_slice(&self.buffer).map_err(json)?)),
            (_, true) => Ok(Entry::Event(serde_json::from_slice(&self.buffer).map_err(json)?)),
        }
    }
}
