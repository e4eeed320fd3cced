//! Every file of the corpus, and small changes of it, through its target: what was found once stays found where there
//! is no fuzzer.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use fuzz::TARGETS;

/// One file may take this long, changes included, in a debug build on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);
/// Changes of each file.
const CHANGES: u64 = 8;

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// A generator of numbers that are the same on every machine.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)) as usize >> 8
    }
}

/// The bytes with a few of them changed, cut short, or doubled.
fn changed(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut numbers = Numbers(seed.wrapping_add(bytes.len() as u64));
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + numbers.next() % 4 {
        if bytes.is_empty() {
            break;
        }
        let place = numbers.next() % bytes.len();
        match numbers.next() % 6 {
            0 => bytes.truncate(place),
            1 => bytes.extend_from_within(place..),
            2 => drop(bytes.remove(place)),
            _ => bytes[place] = numbers.next() as u8,
        }
        bytes.truncate(1 << 16);
    }
    bytes
}

fn play(name: &str) {
    let (_, run) = TARGETS.into_iter().find(|(known, _)| *known == name).expect("a target of that name");
    let files = corpus(name);
    assert!(!files.is_empty(), "the corpus of {name} is empty");
    for file in files {
        let bytes = fs::read(&file).unwrap();
        let (done, waiting) = mpsc::channel();
        // A thread of its own: one that never ends is told by the file it was given.
        let worker = std::thread::Builder::new().name(file.display().to_string()).spawn(move || {
            run(&bytes);
            (0..CHANGES).for_each(|seed| run(&changed(&bytes, seed)));
            let _ = done.send(());
        });
        let outcome = waiting.recv_timeout(DEADLINE);
        assert_ne!(outcome, Err(mpsc::RecvTimeoutError::Timeout), "{} takes for ever", file.display());
        assert!(worker.unwrap().join().is_ok(), "{name} does not hold for {}", file.display());
    }
}

#[test]
fn records() {
    play("records");
}

#[test]
fn rules() {
    play("rules");
}

#[test]
fn tables() {
    play("tables");
}

#[test]
fn dns() {
    play("dns");
}

#[test]
fn lock() {
    play("lock");
}

#[test]
fn btf() {
    play("btf");
}

#[test]
fn every_corpus_has_a_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut found: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut known: Vec<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    found.sort();
    known.sort();
    assert_eq!(found, known);
}
