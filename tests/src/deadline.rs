//! Waiting for something to become true, for so long and no longer.

use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// How long anything that should happen at once may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(10);
/// How long a package manager may take.
pub const INSTALL: Duration = Duration::from_secs(120);
/// How long a package that is compiled may take.
pub const COMPILE: Duration = Duration::from_secs(600);

/// A limit on this machine: `PKGWARDEN_TEST_PATIENCE` times as long, for emulated ones.
#[must_use]
pub fn here(limit: Duration) -> Duration {
    static PATIENCE: OnceLock<u32> = OnceLock::new();
    let patience = PATIENCE.get_or_init(|| {
        std::env::var("PKGWARDEN_TEST_PATIENCE").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
    });
    limit * *patience
}

/// Asks until the answer is yes or the time is up; says which.
#[must_use]
pub fn until(limit: Duration, mut yes: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + here(limit);
    loop {
        if yes() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        thread::park_timeout(Duration::from_millis(2));
    }
}

/// Asks until the answer is `Ok` or the time is up; gives the last answer.
///
/// # Errors
/// The last refusal.
pub fn until_ok<E>(limit: Duration, mut ask: impl FnMut() -> Result<(), E>) -> Result<(), E> {
    let mut last = Ok(());
    if until(limit, || {
        last = ask();
        last.is_ok()
    }) {
        return Ok(());
    }
    last
}
