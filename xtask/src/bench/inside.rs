//! The part of `bench --vm` that runs inside the virtual machine: loops bare, beside a watched tree, and in one.
//!
//! There a nanosecond is an instruction, so one loop after the other is as good as in turn.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::agent;
use super::sample::Sample;
use super::watch::{Bench, Held, said};
use super::worker;

/// What the machine is asked to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The tiers.
    #[arg(long, value_delimiter = ',')]
    tiers: Vec<String>,
    /// How often each loop is measured.
    #[arg(long)]
    rounds: u32,
    /// The mode of `pkgwarden run`.
    #[arg(long)]
    mode: String,
}

/// A number, as it comes out of the machine.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Figure {
    /// The loop, or what is asked of the agent.
    pub(super) what: String,
    /// The tier; `bare` without pkgwarden.
    pub(super) tier: String,
    /// `watched`, `unwatched` or `agent`.
    pub(super) who: String,
    /// Instructions for a step, MiB, or seconds; or why it could not be measured.
    pub(super) value: Result<f64, String>,
}

/// Without pkgwarden.
pub(super) const BARE: &str = "bare";
/// Without pkgwarden once more, at the end: what this machine cannot tell apart.
pub(super) const AGAIN: &str = "again";

/// What a machine still does after its start: caches fill, timers of the kernel end.
const SETTLE: Duration = Duration::from_secs(25);
const FILES: usize = 64;
const PROJECT: &str = "/tmp/proj/node_modules/some-package/lib/dist";

/// The hidden subcommand.
pub(crate) fn measure(arguments: &Arguments) -> Result<()> {
    let mut bench = Bench {
        program: "/bin/pkgwarden".into(),
        worker: std::env::current_exe().context("cannot find this program")?,
        directory: PathBuf::from("/tmp/bench"),
        mode: arguments.mode.clone(),
        tier: None,
        rounds: 1,
    };
    fs::create_dir_all(&bench.directory).context("cannot make the work directory")?;
    project()?;
    thread::sleep(SETTLE);
    let words = ["series".to_owned(), (arguments.rounds + 1).to_string(), PROJECT.to_owned()];
    loops(BARE, "", &said(&mut bench.bare(&words)));
    for tier in &arguments.tiers {
        bench.tier = Some(tier.clone());
        match held(&bench, tier) {
            Ok(_held) => loops(tier, "unwatched", &said(&mut bench.bare(&words))),
            Err(error) => loops(tier, "unwatched", &Err(error)),
        }
        loops(tier, "watched", &said(&mut bench.watched(None, &words)));
    }
    loops(AGAIN, "", &said(&mut bench.bare(&words)));
    Ok(())
}

/// Files as deep as those of packages are, larger than what is read of them.
fn project() -> Result<()> {
    fs::create_dir_all(PROJECT).with_context(|| format!("cannot make {PROJECT}"))?;
    for number in 0..FILES {
        let path = Path::new(PROJECT).join(format!("some-package-{number:02}.js"));
        fs::write(&path, "module.exports = 1;\n".repeat(400))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Starts a watched tree that does nothing, and tells what the agent takes.
fn held(bench: &Bench, tier: &str) -> Result<Held> {
    let words = ["hold".to_owned()];
    let bare = Held::start(bench, bench.bare(&words))?.started_in;
    let held = Held::start(bench, bench.watched(None, &words))?;
    tell("start", tier, "agent", Ok(held.started_in.saturating_sub(bare).as_secs_f64()));
    thread::sleep(Duration::from_secs(1));
    let (resident, peak) = agent::memory_of(held.pid())?;
    tell("resident", tier, "agent", Ok(resident));
    tell("peak", tier, "agent", Ok(peak));
    Ok(held)
}

/// Tells the median of each loop; the first round found cold caches.
fn loops(tier: &str, who: &str, said: &Result<String>) {
    for (name, _) in worker::SERIES {
        let value = said.as_ref().map_err(|error| format!("{error:#}")).and_then(|said| {
            let rounds = said.lines().filter_map(worker::read_in_series);
            let steps = rounds.filter(|(what, _)| *what == name).map(|(_, step)| step).skip(1).collect();
            Sample::new(steps).map(|sample| sample.median()).map_err(|error| error.to_string())
        });
        tell(name, tier, who, value);
    }
}

fn tell(what: &str, tier: &str, who: &str, value: Result<f64, String>) {
    let figure = Figure { what: what.into(), tier: tier.into(), who: who.into(), value };
    // A figure has nothing in it that JSON could not say.
    println!("{}", serde_json::to_string(&figure).unwrap_or_default());
}
