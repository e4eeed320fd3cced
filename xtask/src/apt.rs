//! What comes from the distribution: said before it is installed, and nothing is touched when nothing is missing.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::privilege;
use crate::workspace::{Missing, check, find};

/// A piece that some step needs.
pub(crate) struct Need {
    /// The piece, and what it is for: "npm (the end-to-end tests install with it)".
    pub(crate) what: String,
    /// Debian packages that bring it.
    pub(crate) packages: Vec<String>,
    /// The command that mends it where there is no apt-get.
    pub(crate) elsewhere: String,
}

/// Installs what `needs` names. The caller has looked already: all of these are missing.
pub(crate) fn install(needs: &[Need]) -> Result<()> {
    let Some(first) = needs.first() else { return Ok(()) };
    if find("apt-get").is_none() {
        return Err(Missing { piece: first.what.clone(), mend: first.elsewhere.clone() }.into());
    }
    let mut packages: Vec<&str> = needs.iter().flat_map(|need| &need.packages).map(String::as_str).collect();
    packages.sort_unstable();
    packages.dedup();
    let by_hand = format!("apt-get update && apt-get install {}", packages.join(" "));
    let missing = |why: &str| Missing { piece: format!("{} ({why})", first.what), mend: by_hand.clone() };
    if !privilege::is_root()? && find("sudo").is_none() {
        return Err(missing("apt-get needs root").into());
    }

    eprintln!("xtask: these are missing and will be installed with apt-get:");
    for need in needs {
        eprintln!("  {}: {}", need.packages.join(" "), need.what);
    }
    // Old lists name versions that are gone; without a network the cache may still have what is needed.
    if refresh().is_err() {
        eprintln!("xtask: the package lists could not be refreshed; trying with the old ones");
    }
    let mut arguments = vec!["install", "-qq", "-y", "--no-install-recommends"];
    arguments.extend(&packages);
    apt_get(&arguments).map_err(|_| missing("apt-get could not install it, is there a network?").into())
}

/// Fetches the package lists of today.
pub(crate) fn refresh() -> Result<()> {
    apt_get(&["update", "-qq"])
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = privilege::as_root(OsStr::new("env"), "apt-get installs packages")?;
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(arguments);
    // Hundreds of lines of unpacking would bury what was said before; complaints come on the other stream.
    command.stdin(Stdio::null()).stdout(Stdio::null());
    check("apt-get", &mut command)
}

/// Whether a command can be started and succeeds: how a need is looked for.
pub(crate) fn works(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
