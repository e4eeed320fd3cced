//! A process that multiplies, and destroys until it dies of it.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::{Failure, oneself};

/// How many processes are made.
const CHILDREN: usize = 40;

/// Starts processes that write the time into `beats` as long as they live, then removes the files of `folder` one by
/// one, noting the time before each. Unless it dies of that, it ends them again.
pub(crate) fn rage(beats: &Path, folder: &Path) -> Result<(), Failure> {
    let mut file = OpenOptions::new().append(true).create(true).open(beats)?;
    if std::env::var_os("DEED_CHILD").is_some() {
        return beat(&mut file);
    }
    let path = beats.to_str().ok_or("a name that is text")?;
    let mut children = Vec::new();
    for _ in 0..CHILDREN {
        children.push(oneself(&["storm", path, "-"]).env("DEED_CHILD", "1").spawn()?);
    }
    while fs::metadata(beats)?.len() < 4096 {
        thread::park_timeout(Duration::from_millis(1));
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        writeln!(file, "fatal {}", now())?;
        fs::remove_file(path)?;
    }
    for mut child in children {
        child.kill()?;
        child.wait()?;
    }
    Ok(())
}

fn beat(file: &mut File) -> Result<(), Failure> {
    loop {
        writeln!(file, "beat {}", now())?;
        thread::park_timeout(Duration::from_millis(1));
    }
}

/// Nanoseconds on the monotonic clock, which is the same for all processes.
fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` lives and is ours to write.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
