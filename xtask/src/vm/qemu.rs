//! qemu: installed if it is missing, from backports where what is installed already comes from there.

use std::fs;

use anyhow::{Context, Result};

use super::debian::{self, Lists};
use super::kernel::Architecture;
use crate::apt::{self, Need};
use crate::privilege;
use crate::workspace::{self, Missing, check, find};

/// Packages of qemu that other programs bring along; those of one machine must all be of one release.
const BESIDE: &[&str] = &["qemu-utils", "qemu-system-common", "qemu-block-extra"];

/// The program that emulates a machine of this architecture.
pub(crate) fn program(architecture: Architecture) -> String {
    format!("qemu-system-{}", architecture.word())
}

/// Installs qemu if it is missing.
pub(crate) fn ensure(architecture: Architecture) -> Result<()> {
    let program = program(architecture);
    if find(&program).is_some() {
        return Ok(());
    }
    let mut packages = match architecture {
        Architecture::X86 => vec!["qemu-system-x86".to_owned(), "seabios".to_owned()],
        Architecture::Arm => vec!["qemu-system-arm".to_owned()],
    };
    let from_backports = BESIDE
        .iter()
        .filter_map(|package| debian::installed(package))
        .any(|version| version.contains("~bpo"));
    let suite = debian::own_suite().filter(|_| from_backports);
    let Some(suite) = suite else {
        return apt::install(&[Need {
            what: format!("{program} (boots other kernels)"),
            elsewhere: format!("install the package of your distribution that has {program}"),
            packages,
        }]);
    };
    // Debian's own qemu conflicts with the newer parts that are installed.
    let names = [
        suite.clone(),
        format!("{suite}-updates"),
        format!("{suite}-security"),
        format!("{suite}-backports"),
    ];
    let suites: Vec<&str> = names.iter().map(String::as_str).collect();
    let directory = workspace::cache("kernels")?.join("apt-qemu");
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let host = Architecture::host().context("this machine is neither x86_64 nor aarch64")?;
    let lists = Lists::new(directory, host, &suites)?;
    let by_hand = format!("apt-get install -t {suite}-backports {}", packages.join(" "));
    eprintln!(
        "xtask: {program} (boots other kernels) is missing and will be installed from {suite}-backports:"
    );
    eprintln!("  {}", packages.join(" "));
    if lists.refresh().is_err() {
        eprintln!("xtask: the package lists could not be refreshed; trying with the old ones");
    }
    let mut command = privilege::as_root("env".as_ref(), "apt-get installs packages")?;
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(lists.options());
    command.args(["install", "-qq", "-y", "--no-install-recommends", "-t", &format!("{suite}-backports")]);
    packages.sort();
    command.args(&packages).stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    check("apt-get", &mut command).map_err(|_| {
        let piece = format!("{program} (apt-get could not install it, is there a network?)");
        Missing { piece, mend: by_hand }.into()
    })
}
