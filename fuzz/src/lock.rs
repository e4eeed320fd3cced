//! Lockfiles that somebody else wrote: read and compared, or refused with words that can be shown.

use std::sync::Arc;

use monitor::lock::compare::{check, diff};
use monitor::lock::store::{parse, render};
use monitor::lock::{Lock, words};
use monitor::rule::Source;

use crate::visible::assert_visible;

/// Reads `bytes` as two lockfiles with a NUL between them, and does with them what `check`, `record` and `diff` do.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (first, second) = text.split_once('\0').unwrap_or((text, ""));
    let Some(first) = read(first) else { return };
    let second = read(second).unwrap_or_default();
    let changes = check(&first, &second);
    assert_visible("news", words::news(&changes).as_bytes());
    assert_visible("differences", words::differences(&diff(&first, &second)).as_bytes());
    assert!(check(&first, &first).is_empty() && diff(&first, &first).is_empty());
    let mut both = first.clone();
    both.merge(&second);
    assert!(check(&both, &second).is_empty(), "what was recorded is new");
    let mut again = both.clone();
    again.merge(&second);
    assert_eq!(again, both, "the same twice is more than once");
}

fn read(text: &str) -> Option<Lock> {
    match parse(&Source { name: "file".to_owned(), text: Arc::from(text) }) {
        Ok(lock) => {
            let written = render(&lock).expect("a lockfile can be written");
            assert_visible("lockfile", written.as_bytes());
            let back = parse(&Source { name: "file".to_owned(), text: Arc::from(written.as_str()) });
            assert_eq!(back.expect("what was written can be read"), lock);
            Some(lock)
        }
        Err(problem) => {
            assert_visible("problem", problem.message().as_bytes());
            assert!(!problem.message().is_empty());
            assert!(problem.line().is_none_or(|(_, line)| line > 0));
            None
        }
    }
}
