//! The kernel side, switched on; the command, watched to its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use monitor_common::verdict::{Achieved, Mode, Tier};

use super::ending::finish;
use super::files::{Files, Written, begin_events};
use super::{Ended, RunOptions, Survivors, Watched, refused};
use crate::bpf::load::{Kernel, Settings};
use crate::bpf::tree::Members;
use crate::cli::clock_offset;
use crate::event::Event;
use crate::event::log::{Places, Rules, Run};
use crate::event::text::Text;
use crate::finding::pipeline::Pipeline;
use crate::lock::Recorder;
use crate::policy::{Environment, Policy};
use crate::run::appearing::Appearing;
use crate::run::command;
use crate::run::decoys::Planted;
use crate::run::gate::{self, Extent, Gate, Known, Unread};
use crate::run::guard::Guard;
use crate::run::live::Live;
use crate::run::secrets;
use crate::run::signals::Signals;
use crate::run::user::Invoker;
use crate::run::watch::{EventFile, Listener, Outcome, Watch};

/// The kernel side, attached, and the guard that outlives us.
pub(super) struct Protection {
    kernel: Kernel,
    members: Arc<Members>,
    guard: Guard,
    appearing: Option<Appearing>,
}

impl Protection {
    pub(super) fn switch_on(
        policy: &Policy,
        secrets: &secrets::Found,
        settings: &Settings,
        decoys: Option<&Planted>,
    ) -> anyhow::Result<Self> {
        let mut kernel = Kernel::load(policy, settings)?;
        for (program, _) in kernel.blind() {
            anstream::eprintln!(
                "pkgwarden: this kernel refuses {}, so {} are not seen; `pkgwarden doctor` says why",
                program.name,
                program.sees
            );
        }
        let members = Arc::new(kernel.take_members()?);
        // Compiling and loading leave tens of megabytes of free memory behind; the run should not hold on to them.
        // SAFETY: gives free pages of the heap back to the kernel, nothing else.
        unsafe { libc::malloc_trim(0) };
        let guard = Guard::start(&members, decoys)?;
        let mut agents = kernel.take_agents()?;
        for process in [std::process::id(), guard.pid().as_raw().unsigned_abs()] {
            agents.add(process)?;
        }
        let appearing = Appearing::watch(secrets)
            .inspect_err(|error| tracing::warn!("secrets that appear are known by name only: {error}"))
            .ok();
        secrets::learn(secrets, &mut kernel.take_learning()?);
        Ok(Self { kernel, members, guard, appearing })
    }

    /// Starts the command and watches it to its end.
    pub(super) fn run(
        mut self,
        watched: &Watched<'_>,
        mut policy: Policy,
        known: Known,
        files: Files,
        mut recorder: Option<&mut Recorder>,
    ) -> anyhow::Result<Ended> {
        let Watched { args, command, invoker } = watched;
        let names = Arc::new(std::mem::take(&mut policy.names));
        let rules = Rules {
            count: names.rules.len() - usize::from(names.observer.is_some()),
            sources: std::iter::once(Text::from(&b"built-in"[..]))
                .chain(args.rules.iter().map(|folder| Text::from(folder.as_path())))
                .collect(),
        };
        let words: Vec<&[u8]> = command.iter().map(|word| word.as_encoded_bytes()).collect();
        let run = Run {
            started_by: policy.environment.started_by.iter().map(|name| Text::from(name.as_str())).collect(),
            places: places(&policy.environment, invoker),
            observed: names.observer.is_some(),
            ..Run::begin(self.kernel.tier(), args.mode, &words, rules)
        };
        if let Some(recorder) = recorder.as_deref_mut() {
            recorder.begin(&run);
        }
        let Files { events, recorded, reports } = files;
        let events = events.map(|file| begin_events(file, &run)).transpose()?;
        let mut pipeline = Pipeline::new(names, run.tier, clock_offset());
        let signals = Signals::take_over()?;
        let ring = self.kernel.take_ring()?;

        let join = self.kernel.join();
        // Detached survivors would be left behind a gate without a keeper.
        let may_be =
            args.mode == Mode::Block && args.survivors == Survivors::Kill && gate::supported().is_ok();
        let extent = match run.tier {
            Tier::Kill => Some(Extent::Everything),
            Tier::Deny => self.kernel.has_unseen_rings().then_some(Extent::Rings),
        };
        let watchers = [std::process::id(), self.guard.pid().as_raw().unsigned_abs()];
        let gated = extent.filter(|_| may_be).map(|extent| (extent, watchers));
        let labelled = || !self.members.is_empty();
        let started = match command::start(command, invoker, Some(join), gated, labelled) {
            Ok(started) => started,
            Err(error) => {
                self.guard.dismiss();
                return Ok(Ended::Unwatched(refused(error)));
            }
        };
        let gate = match started
            .listener
            .map(|listener| Gate::open(listener, policy, self.members.clone(), known, watchers))
        {
            None => Gate::none(),
            Some(Ok(gate)) => gate,
            Some(Err(error)) => {
                let _ = self.members.kill_all(None, Duration::from_secs(5));
                self.guard.dismiss();
                return Err(anyhow::Error::new(error).context("cannot start the thread of the gate"));
            }
        };
        let Gate { refused: denials, unread } = gate;
        let watch = Watch {
            ring,
            refused: denials,
            members: &self.members,
            signals,
            guard: &self.guard,
            appearing: self.appearing.take(),
            command: started.pid,
            pipeline: &mut pipeline,
            events,
            listener: Told { live: Live::new(), recorder: recorder.as_deref_mut() },
            linger: Duration::from_secs(args.linger),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let watched = runtime.block_on(watch.until_over());
        drop(runtime);
        let (outcome, mut events) = match watched {
            Ok(over) => over,
            Err(error) => {
                // Nothing may run on unwatched.
                let _ = self.members.kill_all(None, Duration::from_secs(5));
                self.guard.dismiss();
                return Err(error.into());
            }
        };
        self.end_survivors(args, &outcome, &mut pipeline, &mut events)?;
        let lost = self.lost(&outcome, &unread);
        self.guard.dismiss();
        let files = Written { events, recorded, reports };
        if let Some(recorder) = recorder {
            recorder.end(&lost);
        }
        finish(args, &outcome, (lost, self.kernel.traffic()), run, &pipeline, files).map(Ended::Watched)
    }

    /// Processes that outlived the command are a finding; in block mode they end here.
    fn end_survivors(
        &self,
        args: &RunOptions,
        outcome: &Outcome,
        pipeline: &mut Pipeline,
        events: &mut Option<EventFile>,
    ) -> anyhow::Result<()> {
        if outcome.survivors.is_empty() {
            return Ok(());
        }
        let kill = args.mode == Mode::Block && args.survivors == Survivors::Kill;
        let achieved = if !kill {
            Achieved::Observed
        } else if self.members.kill_all(None, Duration::from_secs(5)).is_empty() {
            Achieved::Killed
        } else {
            Achieved::Missed
        };
        for pid in &outcome.survivors {
            let event = pipeline.survivor(*pid, achieved, args.linger);
            if let Some(file) = events {
                file.event(&event)?;
            }
        }
        Ok(())
    }

    /// What the kernel side and this program could not do.
    fn lost(&self, outcome: &Outcome, unread: &Unread) -> BTreeMap<String, u64> {
        let mut lost: BTreeMap<String, u64> = self
            .kernel
            .failures()
            .into_iter()
            .filter(|(counter, _)| !counter.is_told_otherwise())
            .map(|(counter, n)| (counter.word().to_owned(), n))
            .collect();
        if outcome.undecoded > 0 {
            lost.insert("undecoded".to_owned(), outcome.undecoded);
        }
        let left_out = self.kernel.left_out();
        if left_out > 0 {
            lost.insert("left-out".to_owned(), left_out);
        }
        if unread.count() > 0 {
            lost.insert("gate-unread".to_owned(), unread.count());
        }
        lost
    }
}

/// Who is told of events: the person at the terminal, and whoever takes down what packages do.
struct Told<'a> {
    live: Live,
    recorder: Option<&'a mut Recorder>,
}

impl Listener for Told<'_> {
    fn event(&mut self, event: &Event) {
        self.live.event(event);
        if let Some(recorder) = &mut self.recorder {
            recorder.event(event);
        }
    }
}

/// What is elsewhere on another machine.
fn places(environment: &Environment, invoker: &Invoker) -> Places {
    let home = std::fs::canonicalize(&invoker.home).unwrap_or_else(|_| invoker.home.clone());
    Places {
        project: Text::from(environment.project.as_path()),
        home: Text::from(home.as_path()),
        temporary: environment.directory("TMPDIR").as_deref().map(Text::from).unwrap_or_default(),
    }
}
