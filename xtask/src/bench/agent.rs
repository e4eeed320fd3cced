//! What the agent itself costs.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::sample::{Measured, Sample};
use super::watch::{Bench, Held};

/// Agents that are started for the rows that need few.
const AGENTS: usize = 5;
const IDLE: Duration = Duration::from_secs(10);
/// What the agent may still be doing when the command already runs.
const SETTLE: Duration = Duration::from_secs(1);

pub(super) fn memory(bench: &Bench) -> Result<Measured> {
    let (mut resident, mut peak) = (Vec::new(), Vec::new());
    for _ in 0..AGENTS {
        let held = hold(bench)?;
        thread::sleep(SETTLE);
        let (now, most) = memory_of(held.pid())?;
        resident.push(now);
        peak.push(most);
    }
    let (resident, peak) = (Sample::new(resident)?, Sample::new(peak)?);
    Ok(Measured::value(
        format!("{}, at most {}", resident.show(1, " MiB"), peak.show(1, " MiB")),
        resident.median() <= 10.0,
    ))
}

pub(super) fn start(bench: &Bench) -> Result<Measured> {
    let milliseconds = |held: Held| held.started_in.as_secs_f64() * 1e3;
    let words = ["hold".to_owned()];
    let mut longer = Vec::new();
    for _ in 0..bench.rounds {
        let bare = milliseconds(Held::start(bench, bench.bare(&words))?);
        longer.push(milliseconds(hold(bench)?) - bare);
    }
    let sample = Sample::new(longer)?;
    Ok(Measured::value(sample.show(1, " ms"), sample.median() <= 150.0))
}

pub(super) fn idle(bench: &Bench) -> Result<Measured> {
    let mut used = Vec::new();
    for _ in 0..AGENTS {
        let held = hold(bench)?;
        thread::sleep(SETTLE);
        let before = processor_time(held.pid())?;
        thread::sleep(IDLE);
        used.push((processor_time(held.pid())? - before) / 1e6);
    }
    let sample = Sample::new(used)?;
    Ok(Measured::value(sample.show(2, " ms"), sample.median() < 1.0))
}

/// Resident memory of a process, now and at most, in MiB.
pub(super) fn memory_of(pid: u32) -> Result<(f64, f64)> {
    let status = read(&format!("/proc/{pid}/status"))?;
    Ok((mebibytes(&status, "VmRSS:")?, mebibytes(&status, "VmHWM:")?))
}

fn hold(bench: &Bench) -> Result<Held> {
    Held::start(bench, bench.watched(None, &["hold".to_owned()]))
}

/// Nanoseconds on a processor, all threads.
fn processor_time(pid: u32) -> Result<f64> {
    let tasks = format!("/proc/{pid}/task");
    let mut sum = 0.0;
    for task in fs::read_dir(&tasks).with_context(|| format!("cannot read {tasks}"))? {
        let path = task.with_context(|| format!("cannot read {tasks}"))?.path().join("schedstat");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            // A thread that ended since the list was made, or while it was read (ENOENT, ESRCH).
            Err(error) if matches!(error.raw_os_error(), Some(2 | 3)) => continue,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        sum += text
            .split(' ')
            .next()
            .and_then(|number| number.parse::<f64>().ok())
            .context("schedstat has no number")?;
    }
    Ok(sum)
}

fn mebibytes(status: &str, field: &str) -> Result<f64> {
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    Ok(kibibytes.with_context(|| format!("/proc names no {field}"))? / 1024.0)
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

#[cfg(test)]
mod tests {
    use super::{mebibytes, processor_time};

    #[test]
    fn reads_its_own_figures() {
        assert_eq!(mebibytes("Name:\tx\nVmRSS:\t    2048 kB\n", "VmRSS:").unwrap(), 2.0);
        assert!(mebibytes("", "VmRSS:").is_err());
        assert!(processor_time(std::process::id()).unwrap() > 0.0);
    }
}
