//! Single system calls.

use std::fs;

use anyhow::{Context, Result};

use super::sample::Measured;
use super::watch::{Bench, Held, pairs, per_step};

/// Steps of a bare or watched loop: about a tenth of a second.
const OPENS: u32 = 200_000;
const SPAWNS: u32 = 300;
const CONNECTS: u32 = 4_000;
/// How many times fewer steps strace gets.
const STRACE_PART: u32 = 20;

/// The words of a loop that opens a file as deep as the files of packages are.
pub(super) fn opening(bench: &Bench, steps: u32) -> Result<Vec<String>> {
    let directory = bench.directory.join("project/node_modules/@scope/package/dist/lib");
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let file = directory.join("index.js");
    fs::write(&file, "module.exports = 1;\n").with_context(|| format!("cannot write {}", file.display()))?;
    let path = file.to_str().context("the target directory's path is not UTF-8")?;
    Ok(vec!["open".into(), steps.to_string(), path.into()])
}

/// The words of the loop behind the watched opens.
pub(super) fn opens(bench: &Bench) -> Result<Vec<String>> {
    opening(bench, OPENS)
}

pub(super) fn noise(bench: &Bench) -> Result<Measured> {
    let words = opens(bench)?;
    let bare = || per_step(&mut bench.bare(&words));
    Ok(Measured::ratio(&pairs(bench.rounds, bare, bare)?, None, None))
}

pub(super) fn open(bench: &Bench) -> Result<Measured> {
    watched_to_bare(bench, &opens(bench)?, &opening(bench, OPENS / STRACE_PART)?, 1.25)
}

pub(super) fn spawn(bench: &Bench) -> Result<Measured> {
    let words = |steps: u32| ["spawn".to_owned(), steps.to_string()];
    watched_to_bare(bench, &words(SPAWNS), &words(SPAWNS / STRACE_PART), 1.10)
}

pub(super) fn connect(bench: &Bench) -> Result<Measured> {
    let words = |steps: u32| ["connect".to_owned(), steps.to_string()];
    watched_to_bare(bench, &words(CONNECTS), &words(CONNECTS / STRACE_PART), 1.05)
}

pub(super) fn unwatched(bench: &Bench) -> Result<Measured> {
    let words = opens(bench)?;
    let bare = || per_step(&mut bench.bare(&words));
    let beside_a_watched_tree = || {
        let _held = Held::start(bench, bench.watched(None, &["hold".to_owned()]))?;
        bare()
    };
    Ok(Measured::ratio(&pairs(bench.rounds, bare, beside_a_watched_tree)?, None, Some(1.02)))
}

fn watched_to_bare(bench: &Bench, words: &[String], for_strace: &[String], limit: f64) -> Result<Measured> {
    let watched = pairs(
        bench.rounds,
        || per_step(&mut bench.bare(words)),
        || per_step(&mut bench.watched(None, words)),
    )?;
    let strace = bench.strace_ratio(for_strace)?;
    Ok(Measured::ratio(&watched, Some(&strace), Some(limit)))
}
