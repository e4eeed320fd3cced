//! `cargo xtask build`: the kernel object first, then the program that carries it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};

use crate::compiler::{self, Compiler, encoded};
use crate::linker;
use crate::setup;
use crate::workspace::{self, check};

/// The kernel's target, in this machine's byte order.
pub(crate) const BPF_TARGET: &str =
    if cfg!(target_endian = "little") { "bpfel-unknown-none" } else { "bpfeb-unknown-none" };

/// The variable that tells pkgwarden's build script what to carry.
pub(crate) const OBJECT: &str = "PKGWARDEN_BPF_OBJECT";
/// The package and the program.
const PROGRAM: (&str, &str) = ("pkgwarden", "pkgwarden");

/// Builds everything and returns the path of the program, `target/pkgwarden`.
pub(crate) fn build() -> Result<PathBuf> {
    let mut cargo = workspace::cargo_command(&["build"]);
    cargo.env(OBJECT, object()?);
    let target = workspace::target()?;
    let built = static_program(&mut cargo, PROGRAM, &compiler::host()?, &target)?;
    let path = target.join(PROGRAM.1);
    place(&built, &path)?;
    Ok(path)
}

/// The flags that make a BPF object with BTF.
pub(crate) fn bpf_flags(linker: &Path) -> OsString {
    let mut with_linker = OsString::from("linker=");
    with_linker.push(linker);
    encoded(&[
        "-C".into(),
        "link-arg=--btf".into(),
        "-C".into(),
        "debuginfo=2".into(),
        "-C".into(),
        with_linker,
    ])
}

/// Builds the kernel object.
pub(crate) fn object() -> Result<PathBuf> {
    let toolchain = setup::ensure()?;
    let directory = workspace::target()?.join("bpf");
    let mut command =
        toolchain.compiler.cargo_command(&["build", "--quiet", "--release", "--package", "monitor-ebpf"]);
    command.args(["--target", BPF_TARGET, "-Z", "build-std=core", "--target-dir"]).arg(&directory);
    command.env("CARGO_ENCODED_RUSTFLAGS", bpf_flags(&toolchain.linker));
    check("building the kernel side", &mut command)?;

    let object = directory.join(BPF_TARGET).join("release/monitor-ebpf");
    let bytes = fs::read(&object).with_context(|| format!("cannot read {}", object.display()))?;
    let has_btf = bytes.windows(5).any(|window| window == b".BTF\0");
    ensure!(has_btf, "{} has no BTF: is its [profile.release] debug setting still 2?", object.display());
    without_debug_sections(&toolchain.compiler, object)
}

/// BTF was made from the debug sections; after that they are most of the object, and are read at every start.
fn without_debug_sections(compiler: &Compiler, object: PathBuf) -> Result<PathBuf> {
    let Some(objcopy) = linker::objcopy(compiler) else {
        return Ok(object);
    };
    let small = object.with_extension("small");
    // A fresh time stamp would embed the object again at every build.
    if modified(&small).is_some_and(|small| modified(&object).is_some_and(|object| object <= small)) {
        return Ok(small);
    }
    let mut command = Command::new(objcopy);
    check("llvm-objcopy", command.arg("--strip-debug").arg(&object).arg(&small))?;
    Ok(small)
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// Builds a program, given as package and name, that needs nothing of the machine it runs on. `cargo` is a `cargo build`
/// with its environment.
pub(crate) fn static_program(
    cargo: &mut Command,
    (package, program): (&str, &str),
    triple: &str,
    target: &Path,
) -> Result<PathBuf> {
    cargo.args(["--quiet", "--release", "--package", package, "--bin", program]);
    // With an explicit target, flags reach the program only: procedural macros cannot be static.
    cargo.args(["--target", triple, "--target-dir"]).arg(target);
    let mut flags: Vec<OsString> = match std::env::var("RUSTFLAGS") {
        Ok(flags) => flags.split_whitespace().map(OsString::from).collect(),
        Err(_) => Vec::new(),
    };
    flags.extend(["-C".into(), "target-feature=+crt-static".into()]);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", encoded(&flags));
    check(&format!("building {program} for {triple}"), cargo)?;
    Ok(target.join(triple).join("release").join(program))
}

/// Puts the program at its place by a rename: a running one keeps its file, and a reader never sees half of one.
fn place(built: &Path, path: &Path) -> Result<()> {
    let new = fs::read(built).with_context(|| format!("cannot read {}", built.display()))?;
    if fs::read(path).is_ok_and(|old| old == new) {
        return Ok(());
    }
    let beside = path.with_extension("new");
    fs::copy(built, &beside).with_context(|| format!("cannot write {}", beside.display()))?;
    fs::rename(&beside, path).with_context(|| format!("cannot write {}", path.display()))
}
