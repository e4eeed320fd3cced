//! From the first event to the last member's end: the loop of a run.

use std::fs::File;
use std::io::BufWriter;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use monitor_common::verdict::{Achieved, Verdict};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::sync::mpsc::Receiver;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use super::appearing::Appearing;
use super::cut;
use super::guard::Guard;
use super::signals::{self, Arrived, Signals};
use crate::bpf::ring::Ring;
use crate::bpf::tree::Members;
use crate::event::log::Writer;
use crate::event::model::{Event, What};
use crate::finding::pipeline::Pipeline;

/// After a `kill` the whole tree is gone within this time, or the run says who is left.
const TREE_END: Duration = Duration::from_millis(100);
/// How often it is asked whether members are left: their ends are also events, but an event can be lost.
const ROUND: Duration = Duration::from_millis(50);

/// The file of `--events`.
pub type EventFile = Writer<BufWriter<File>>;

/// What is told while the command runs.
pub trait Listener {
    /// An event, in the order of the ring.
    fn event(&mut self, event: &Event);
}

/// Everything the loop needs.
pub struct Watch<'a, L: Listener> {
    /// Events of the kernel.
    pub ring: Ring,
    /// Records of calls that the gate refused.
    pub refused: Receiver<Vec<u8>>,
    /// Labelled processes.
    pub members: &'a Members,
    /// Signals to this process.
    pub signals: Signals,
    /// The process that ends the tree if this one dies.
    pub guard: &'a Guard,
    /// Where secrets could appear, if that can be watched.
    pub appearing: Option<Appearing>,
    /// Root of the tree.
    pub command: Pid,
    /// Decodes, enriches, groups.
    pub pipeline: &'a mut Pipeline,
    /// Where events are written.
    pub events: Option<EventFile>,
    /// Who is told.
    pub listener: L,
    /// How long members may outlive the command.
    pub linger: Duration,
}

/// How it ended.
#[derive(Debug)]
pub struct Outcome {
    /// Of the command.
    pub status: WaitStatus,
    /// Members that were still there when the time was over.
    pub survivors: Vec<u32>,
    /// Records that could not be decoded.
    pub undecoded: u64,
    /// Whether the guard died before its time; the tree was ended then.
    pub guard_lost: bool,
    /// Why the file of events is incomplete.
    pub events_error: Option<std::io::Error>,
}

/// The loop cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A descriptor could not be waited for.
    #[error("cannot wait for the kernel's events")]
    Wait(#[source] std::io::Error),
    /// Signals could not be read.
    #[error("cannot read signals")]
    Signals(#[source] nix::Error),
}

impl<L: Listener> Watch<'_, L> {
    /// Runs until the command has ended and its tree with it, or `linger` is over.
    ///
    /// # Errors
    /// If the kernel's events or signals cannot be waited for; the caller ends the tree.
    pub async fn until_over(mut self) -> Result<(Outcome, Option<EventFile>), Error> {
        let ring_ready = waitable(&self.ring)?;
        let signal_ready = waitable(&self.signals)?;
        let appearing_ready = self.appearing.as_ref().map(waitable).transpose()?;
        let mut round = interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut outcome = Outcome {
            status: WaitStatus::StillAlive,
            survivors: Vec::new(),
            undecoded: 0,
            guard_lost: false,
            events_error: None,
        };
        let mut deadline: Option<Instant> = None;
        loop {
            let end = deadline.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                ready = ring_ready.readable() => {
                    ready.map_err(Error::Wait)?.clear_ready();
                    self.drain(&mut outcome);
                }
                ready = signal_ready.readable() => {
                    ready.map_err(Error::Wait)?.clear_ready();
                    self.take_signals(&mut outcome)?;
                }
                Some(ready) = readable(appearing_ready.as_ref()) => {
                    ready.map_err(Error::Wait)?.clear_ready();
                    if let Some(appearing) = &mut self.appearing {
                        appearing.take_note();
                    }
                }
                // Without a gate there is no sender, and this never holds.
                Some(record) = self.refused.recv() => {
                    // What its process is stands in records that came before.
                    self.drain(&mut outcome);
                    self.take(&mut outcome, &record);
                }
                // While the command runs its end is a signal; only behind it are the others' ends asked for.
                _ = round.tick(), if outcome.status != WaitStatus::StillAlive => self.drain(&mut outcome),
                () = sleep_until(end.into()) => {}
            }
            if outcome.status == WaitStatus::StillAlive {
                continue;
            }
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + self.linger);
            if self.members.is_empty() {
                break;
            }
            if Instant::now() >= deadline {
                outcome.survivors = self.members.of(None);
                break;
            }
        }
        self.drain(&mut outcome);
        while let Ok(record) = self.refused.try_recv() {
            self.take(&mut outcome, &record);
        }
        Ok((outcome, self.events))
    }

    /// Takes every waiting record, and ends the tree if one of them says so.
    fn drain(&mut self, outcome: &mut Outcome) {
        let Self { ring, pipeline, events, listener, .. } = self;
        let mut end_tree = false;
        ring.drain(|bytes| end_tree |= take(bytes, pipeline, events, listener, outcome));
        self.end_tree(end_tree);
    }

    /// Takes a record of the gate.
    fn take(&mut self, outcome: &mut Outcome, record: &[u8]) {
        let end_tree = take(record, self.pipeline, &mut self.events, &mut self.listener, outcome);
        self.end_tree(end_tree);
    }

    fn end_tree(&self, asked: bool) {
        if asked {
            let left = self.members.kill_all(None, TREE_END);
            if !left.is_empty() {
                tracing::warn!(
                    "processes still there {} ms after the tree was ended: {left:?}",
                    TREE_END.as_millis()
                );
            }
        }
    }

    fn take_signals(&self, outcome: &mut Outcome) -> Result<(), Error> {
        while let Some(arrived) = self.signals.next().map_err(Error::Signals)? {
            match arrived {
                Arrived::Terminal => {}
                Arrived::Pass(signal) => signals::pass(signal, self.command),
                Arrived::Child => self.reap(outcome),
            }
        }
        Ok(())
    }

    /// Notes the end of the command and of the guard.
    fn reap(&self, outcome: &mut Outcome) {
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            match status.pid() {
                None => break,
                Some(pid) if pid == self.command => outcome.status = status,
                Some(pid) if pid == self.guard.pid() => {
                    outcome.guard_lost = true;
                    let _ = self.members.kill_all(None, TREE_END);
                }
                Some(_) => {}
            }
        }
    }
}

/// Takes one record to everybody who wants to know. Whether it ends the tree.
fn take(
    bytes: &[u8],
    pipeline: &mut Pipeline,
    events: &mut Option<EventFile>,
    listener: &mut impl Listener,
    outcome: &mut Outcome,
) -> bool {
    match pipeline.push(bytes) {
        Ok(event) => {
            let more = std::iter::from_fn(|| pipeline.more());
            for event in std::iter::once(&event).chain(&more.collect::<Vec<_>>()) {
                listener.event(event);
                cut::after(event);
                if let Some(file) = &mut *events
                    && let Err(error) = file.event(event)
                {
                    outcome.events_error.get_or_insert(error);
                }
            }
            ends_tree(&event)
        }
        Err(error) => {
            outcome.undecoded += 1;
            tracing::warn!("a record of the kernel was not understood: {error}");
            false
        }
    }
}

/// Something to wait for, by its descriptor.
fn waitable(source: &impl AsRawFd) -> Result<AsyncFd<RawFd>, Error> {
    // SAFETY: the sources are fields of the `Watch` that the loop owns: they stay open until it returns, and what this
    // gives is dropped there too.
    unsafe { AsyncFd::register(source.as_raw_fd()) }.map_err(|error| Error::Wait(error.into()))
}

/// Waits for something that may not be there: then there is nothing to wait for.
async fn readable(source: Option<&AsyncFd<RawFd>>) -> Option<std::io::Result<AsyncFdReadyGuard<'_, RawFd>>> {
    match source {
        Some(source) => Some(source.readable().await),
        None => None,
    }
}

/// Whether the kernel side has ended the tree.
fn ends_tree(event: &Event) -> bool {
    matches!(&event.what, What::Verdict(judgement)
        if judgement.asked == Verdict::Kill && matches!(judgement.achieved, Achieved::Killed | Achieved::Denied))
}
