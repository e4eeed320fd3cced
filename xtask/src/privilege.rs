//! Root: what needs it is started through sudo when we are somebody else.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::{Missing, find};

/// Whether this process is root: /proc/self belongs to the effective user.
pub(crate) fn is_root() -> Result<bool> {
    Ok(std::fs::metadata("/proc/self").context("cannot read /proc/self")?.uid() == 0)
}

/// Refuses early, before a long build, where root cannot be had.
pub(crate) fn ensure(why: &str) -> Result<()> {
    as_root(OsStr::new("true"), why).map(drop)
}

/// A command that runs `program` as root with this environment, PATH included (sudo would replace it). `why` ends the
/// sentence "root is needed ...".
pub(crate) fn as_root(program: &OsStr, why: &str) -> Result<Command> {
    if is_root()? {
        return Ok(Command::new(program));
    }
    let sudo = find("sudo").ok_or_else(|| Missing {
        piece: format!("root, or sudo ({why})"),
        mend: format!("su -c '{}'", this_invocation()),
    })?;
    let mut command = Command::new(sudo);
    let mut path = OsString::from("PATH=");
    path.push(env::var_os("PATH").unwrap_or_default());
    command.args(["-E", "--", "env"]).arg(path).arg(program);
    Ok(command)
}

fn this_invocation() -> String {
    let arguments: Vec<String> =
        env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    format!("cargo xtask {}", arguments.join(" "))
}
