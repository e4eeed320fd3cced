//! Takes the place of pkgwarden in bare runs, so that a deed against its watcher has somebody to be done to: it has the
//! same shape, a parent that waits and a second process that waits for the parent.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, Stdio};

use nix::unistd::setsid;

use crate::{Failure, oneself};

/// Runs a command, with a guard beside it.
pub(crate) fn run(command: &[&str]) -> Result<ExitCode, Failure> {
    if command.is_empty() {
        setsid()?;
        // The end of the pipe is the death of the parent.
        std::io::stdin().read_to_end(&mut Vec::new())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut guard = oneself(&["stand-in"]).stdin(Stdio::piped()).spawn()?;
    let status = Command::new(command[0]).args(&command[1..]).status()?;
    drop(guard.stdin.take());
    guard.wait()?;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}
