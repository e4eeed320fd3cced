//! The loops that are measured. They run in a process of their own, bare or watched, and time themselves, so that the
//! start of pkgwarden is no part of a step. What they take is processor time, their children's included: the kernel side
//! works inside the watched process, and a neighbour that takes the processor away must not look like it.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
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

/// A program with a C library inside, that ends when it finds nothing to read.
const STATIC_PROGRAM: &str = "/bin/deed";

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
    /// All loops of a machine that counts instructions, again and again, over the files of a folder.
    Series { rounds: u32, folder: PathBuf },
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
        Job::Open { steps, path } => print(open(*steps, std::slice::from_ref(path))?),
        Job::Spawn { steps } => print(spawn(*steps, SMALL_PROGRAM, None)?),
        Job::Connect { steps } => print(connect(*steps)?),
        Job::Series { rounds, folder } => series(*rounds, folder)?,
        Job::Hold => hold()?,
        Job::Flood { rate, seconds, path } => flood(*rate, Duration::from_secs(*seconds), path)?,
    }
    Ok(())
}

fn print(step: Step) {
    println!("{RESULT}{:.1} {:.1}", step.processor, step.wall);
}

fn open(steps: u32, paths: &[PathBuf]) -> Result<Step> {
    let mut paths = paths.iter().cycle();
    timed(steps, || {
        let path = paths.next().context("there is no file to open")?;
        black_box(File::open(path).with_context(|| format!("cannot open {}", path.display()))?);
        Ok(())
    })
}

fn read(steps: u32, paths: &[PathBuf]) -> Result<Step> {
    let mut paths = paths.iter().cycle();
    let mut block = vec![0; 4096];
    timed(steps, || {
        let path = paths.next().context("there is no file to read")?;
        let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        file.read_exact(&mut block).with_context(|| format!("cannot read {}", path.display()))
    })
}

fn spawn(steps: u32, program: &str, argument: Option<&str>) -> Result<Step> {
    timed(steps, || {
        let mut command = Command::new(program);
        command
            .args(argument)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .map(drop)
            .with_context(|| format!("cannot start {program}"))
    })
}

/// The loops of a [`Job::Series`], and how many steps each takes.
pub(super) const SERIES: [(&str, u32); 5] =
    [("open", 6_000), ("read", 6_000), ("spawn", 60), ("program", 60), ("connect", 400)];

fn series(rounds: u32, folder: &Path) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for _ in 0..rounds {
        for (name, steps) in SERIES {
            let step = match name {
                "open" => open(steps, &paths)?,
                "read" => read(steps, &paths)?,
                "spawn" => spawn(steps, SMALL_PROGRAM, None)?,
                "program" => spawn(steps, STATIC_PROGRAM, Some("hold"))?,
                _ => connect(steps)?,
            };
            println!("{IN_SERIES}{name} {:.1}", step.wall);
        }
    }
    Ok(())
}

const IN_SERIES: &str = "bench-worker: nanoseconds per step by the wall: ";

/// Loop and nanoseconds, from a line of a series.
pub(super) fn read_in_series(line: &str) -> Option<(&str, f64)> {
    let (name, wall) = line.strip_prefix(IN_SERIES)?.trim().split_once(' ')?;
    Some((name, wall.parse().ok()?))
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

fn timed(steps: u32, mut step: impl FnMut() -> Result<()>) -> Result<Step> {
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
    Ok(Step { processor: each(processor), wall: each(wall) })
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

fn connect(steps: u32) -> Result<Step> {
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
