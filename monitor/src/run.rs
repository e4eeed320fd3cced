//! `pkgwarden run`: one command, its whole tree, watched until the last member has gone.

pub mod appearing;
pub mod command;
mod cut;
pub mod decoys;
pub mod gate;
pub mod guard;
pub mod live;
pub mod scrub;
pub mod secrets;
pub mod signals;
pub mod starter;
pub mod user;
pub mod watch;

/// Findings at or above the threshold although the command itself succeeded.
pub const EXIT_FINDINGS: u8 = 120;
/// Protection could not be switched on; nothing was run.
pub const EXIT_UNPROTECTED: u8 = 121;
/// Usage or rule error.
pub const EXIT_USAGE: u8 = 2;
