//! The loops that are measured. They run in a process of their own, bare or watched, and time themselves, so that the
//! start of pkgwarden is no part of a step.

use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What a held loop prints once it runs.
pub(super) const READY: &str = "ready";
const RESULT: &str = "bench-worker: nanoseconds per step: ";
/// The smallest program every machine has.
const SMALL_PROGRAM: &str = "/bin/true";

/// Which loop.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    job: Job,
}

#[derive(clap::Subcommand)]
enum Job {
    /// Opens and closes a file.
    Open { steps: u32, path: PathBuf },
    /// Starts a small program and waits for its end.
    Spawn { steps: u32 },
    /// Connects to itself and hangs up.
    Connect { steps: u32 },
    /// Says that it runs, then waits for the end of its input.
    Hold,
    /// Opens a file at a steady rate and says how often it did.
    Flood { rate: u64, seconds: u64, path: PathBuf },
}

/// The hidden subcommand.
pub(crate) fn work(arguments: &Arguments) -> Result<()> {
    match &arguments.job {
        Job::Open { steps, path } => timed(*steps, || {
            black_box(File::open(path).with_context(|| format!("cannot open {}", path.display()))?);
            Ok(())
        }),
        Job::Spawn { steps } => timed(*steps, || {
            let mut command = Command::new(SMALL_PROGRAM);
            command
                .stdin(Stdio::null())
                .status()
                .map(drop)
                .with_context(|| format!("cannot start {SMALL_PROGRAM}"))
        }),
        Job::Connect { steps } => connect(*steps),
        Job::Hold => hold(),
        Job::Flood { rate, seconds, path } => flood(*rate, Duration::from_secs(*seconds), path),
    }
}

/// What one step took, from a line of [`timed`].
pub(super) fn read_result(line: &str) -> Option<f64> {
    line.strip_prefix(RESULT)?.trim().parse().ok()
}

fn timed(steps: u32, mut step: impl FnMut() -> Result<()>) -> Result<()> {
    // Caches and lazily bound symbols are not what is measured.
    for _ in 0..steps.min(10) {
        step()?;
    }
    let begin = Instant::now();
    for _ in 0..steps {
        step()?;
    }
    let each = begin.elapsed().as_secs_f64() * 1e9 / f64::from(steps.max(1));
    println!("{RESULT}{each:.1}");
    Ok(())
}

fn connect(steps: u32) -> Result<()> {
    // Each process takes a loopback address of its own: ended connections of earlier ones keep their ports for a while.
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, 77, high, low.clamp(1, 254));
    let listener = TcpListener::bind((address, 0)).with_context(|| format!("cannot listen on {address}"))?;
    let peer = listener.local_addr().context("cannot ask for the port")?;
    thread::spawn(move || {
        for stream in listener.incoming() {
            drop(stream);
        }
    });
    timed(steps, || {
        black_box(TcpStream::connect(peer).with_context(|| format!("cannot connect to {peer}"))?);
        Ok(())
    })
}

fn hold() -> Result<()> {
    println!("{READY}");
    std::io::stdout().flush().context("cannot write to standard output")?;
    std::io::stdin().read_to_end(&mut Vec::new()).context("cannot read standard input")?;
    Ok(())
}

fn flood(rate: u64, length: Duration, path: &PathBuf) -> Result<()> {
    let threads = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let share = rate / threads;
    let begin = Instant::now();
    let done: Result<u64> = thread::scope(|scope| {
        let opening = || -> Result<u64> {
            let mut done = 0;
            loop {
                let elapsed = begin.elapsed();
                if elapsed >= length {
                    return Ok(done);
                }
                // In bursts of what is due by now: looking at the clock for each open would cost as much as the open.
                let due = (elapsed.as_secs_f64() * share as f64) as u64;
                if due <= done {
                    thread::sleep(Duration::from_micros(100));
                }
                for _ in done..due {
                    File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
                }
                done = done.max(due);
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(opening)).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?)
            .sum()
    });
    println!("{FLOODED}{}", done?);
    Ok(())
}

const FLOODED: &str = "bench-worker: opened: ";

/// How often a flood opened its file.
pub(super) fn read_flooded(line: &str) -> Option<u64> {
    line.strip_prefix(FLOODED)?.trim().parse().ok()
}
