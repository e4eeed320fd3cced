//! The two programs that go into a VM, static, for its architecture.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::kernel::Architecture;
use crate::apt::{self, Need};
use crate::workspace::{self, ask, find};
use crate::{build, compiler};

/// pkgwarden and the program that does the deeds.
#[derive(Debug)]
pub(crate) struct Programs {
    /// What is tried.
    pub(crate) pkgwarden: PathBuf,
    /// What tries it, and the VM's first process.
    pub(crate) deed: PathBuf,
}

/// Package and program.
const PKGWARDEN: (&str, &str) = ("pkgwarden", "pkgwarden");
const DEED: (&str, &str) = ("pkgwarden-tests", "deed");

/// Builds both.
pub(crate) fn build(architecture: Architecture) -> Result<Programs> {
    if Architecture::host() == Some(architecture) {
        let pkgwarden = build::build()?;
        let mut cargo = workspace::cargo_command(&["build"]);
        let deed = build::static_program(&mut cargo, DEED, &compiler::host()?, &workspace::target()?)?;
        return Ok(Programs { pkgwarden, deed });
    }
    ensure_linker(architecture)?;
    // What the kernel runs is the same for every processor of one byte order.
    let object = build::object()?;
    Ok(Programs {
        pkgwarden: cross(architecture, PKGWARDEN, |cargo| {
            cargo.env(build::OBJECT, &object);
        })?,
        deed: cross(architecture, DEED, |_| ())?,
    })
}

/// Builds a program for another architecture.
fn cross(
    architecture: Architecture,
    program: (&str, &str),
    set: impl FnOnce(&mut Command),
) -> Result<PathBuf> {
    let triple = triple(architecture);
    let mut cargo = if has_library(&triple) {
        workspace::cargo_command(&["build"])
    } else {
        // The compiler of the kernel side has the library's sources.
        let mut cargo = compiler::ensure()?.cargo_command(&["build"]);
        cargo.args(["-Z", "build-std=std"]);
        cargo
    };
    let variable = format!("CARGO_TARGET_{}_LINKER", triple.to_uppercase().replace('-', "_"));
    cargo.env(variable, linker(architecture));
    set(&mut cargo);
    // Another compiler may be at work here; in a folder of its own it spoils nothing.
    let target = workspace::target()?.join(architecture.debian());
    build::static_program(&mut cargo, program, &triple, &target)
}

fn triple(architecture: Architecture) -> String {
    format!("{}-unknown-linux-gnu", architecture.word())
}

fn linker(architecture: Architecture) -> String {
    format!("{}-linux-gnu-gcc", architecture.word())
}

/// Whether the compiler in use has the standard library of this target.
fn has_library(triple: &str) -> bool {
    ask(Command::new(workspace::rustc()).args(["--print", "target-libdir", "--target", triple]))
        .and_then(|directory| std::fs::read_dir(directory).ok())
        .is_some_and(|entries| {
            entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
        })
}

/// A linker and a C library for the architecture.
fn ensure_linker(architecture: Architecture) -> Result<()> {
    let linker = linker(architecture);
    if find(&linker).is_some() {
        return Ok(());
    }
    apt::install(&[Need {
        what: format!("{linker} with its C library (links the programs for {})", architecture.word()),
        packages: vec![
            format!("gcc-{}-linux-gnu", architecture.word().replace('_', "-")),
            format!("libc6-dev-{}-cross", architecture.debian()),
        ],
        elsewhere: format!("install a cross compiler that is called {linker}"),
    }])
}
