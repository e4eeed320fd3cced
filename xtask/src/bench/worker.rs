//! The loops that are measured. They run in a process of their own, bare or watched, and time themselves, so that the
//! start of pkgwarden is no part of a step. What they take is processor time, their children's included: the kernel side
//! works inside the watched process, and a neighbour that takes the processor away must not look like it.

use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

/// What a held loop prints once it runs.
pub(super) const READY: &str = "ready";
const RESULT: &str = "bench-worker: nanoseconds per step, processor and wall: ";
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

/// What one step took, nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    /// On a processor.
    pub(super) processor: f64,
    /// By the clock on the wall.
    pub(super) wall: f64,
}

/// What one step took, from a line of [`timed`].
pub(super) fn read_result(line: &str) -> Option<Step> {
    let (processor, wall) = line.strip_prefix(RESULT)?.trim().split_once(' ')?;
    Some(Step { processor: processor.parse().ok()?, wall: wall.parse().ok()? })
}

fn timed(steps: u32, mut step: impl FnMut() -> Result<()>) -> Result<()> {
    // Caches and lazily bound symbols are not what is measured.
    for _ in 0..steps.min(10) {
        step()?;
    }
    let (begin, processor) = (Instant::now(), processor_time()?);
    for _ in 0..steps {
        step()?;
    }
    let each = |seconds: f64| seconds * 1e9 / f64::from(steps.max(1));
    let (wall, processor) = (begin.elapsed().as_secs_f64(), processor_time()? - processor);
    println!("{RESULT}{:.1} {:.1}", each(processor), each(wall));
    Ok(())
}

/// Seconds of processor time, of all threads and of the children that have ended.
fn processor_time() -> Result<f64> {
    let of = |who| -> Result<f64> {
        let usage = getrusage(who).context("cannot ask for the processor time")?;
        let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
    };
    Ok(of(UsageWho::RUSAGE_SELF)? + of(UsageWho::RUSAGE_CHILDREN)?)
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
