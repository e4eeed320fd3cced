//! Where things are, and how programs are started from here.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result};

/// Something that is needed, is not there and could not be installed. One line, exit code 2.
#[derive(Debug)]
pub(crate) struct Missing {
    /// What is missing, and what for.
    pub(crate) piece: String,
    /// The command that mends it.
    pub(crate) mend: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is missing; mend it with: {}", self.piece, self.mend)
    }
}

impl std::error::Error for Missing {}

/// A program that was started and failed; its own output has said why.
#[derive(Debug)]
pub(crate) struct Failed {
    /// What was being done.
    pub(crate) what: String,
    /// The exit code to pass on.
    pub(crate) code: u8,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed with exit code {}", self.what, self.code)
    }
}

impl std::error::Error for Failed {}

/// The repository this program was built from.
pub(crate) fn root() -> &'static Path {
    // The manifest directory is xtask/, so it always has a parent.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Cargo's target directory, as configuration and environment have it.
pub(crate) fn target() -> Result<PathBuf> {
    let metadata = metadata(&["--no-deps"])?;
    let directory =
        metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    Ok(PathBuf::from(directory))
}

/// Where something is kept between builds: outside the repository, so that `cargo clean` and a second clone keep it.
pub(crate) fn cache(what: &str) -> Result<PathBuf> {
    let base = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .with_context(|| {
            format!("neither XDG_CACHE_HOME nor HOME is set: set one, the {what} are kept there")
        })?;
    Ok(base.join("pkgwarden").join(what))
}

/// What `cargo metadata` says of this workspace.
pub(crate) fn metadata(options: &[&str]) -> Result<serde_json::Value> {
    let mut command = Command::new(cargo());
    command.args(["metadata", "--format-version=1", "--manifest-path"]).arg(root().join("Cargo.toml"));
    let said = output(command.args(options))?;
    serde_json::from_str(&said).context("cannot read what cargo metadata printed")
}

/// The cargo that started this program, or the one in PATH.
pub(crate) fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The compiler that belongs to [`cargo`]: rustup's proxy cannot be asked once `CARGO` is a toolchain's own.
pub(crate) fn rustc() -> OsString {
    let beside = PathBuf::from(cargo()).with_file_name("rustc");
    if beside.is_file() { beside.into() } else { env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()) }
}

/// A cargo command of this workspace, run from its root.
pub(crate) fn cargo_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(cargo());
    command.args(arguments).current_dir(root());
    without_cargo_environment(&mut command);
    command
}

/// Takes out of a command's environment what `cargo run` put into this program's.
pub(crate) fn without_cargo_environment(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if set_by_cargo(&name) {
            command.env_remove(name);
        }
    }
    if let Some(path) = env::var_os("LD_LIBRARY_PATH") {
        let ours = libraries_of_cargo();
        let rest: Vec<PathBuf> = env::split_paths(&path)
            .filter(|entry| !ours.iter().any(|prefix| entry.starts_with(prefix)))
            .collect();
        match env::join_paths(&rest) {
            Ok(rest) if !rest.is_empty() => command.env("LD_LIBRARY_PATH", rest),
            _ => command.env_remove("LD_LIBRARY_PATH"),
        };
    }
}

/// Takes out the toolchain that rustup chose for us; one that the user chose by environment stays.
pub(crate) fn without_chosen_toolchain(command: &mut Command) {
    if env::var_os("RUSTUP_TOOLCHAIN_SOURCE").is_some_and(|source| source != "env") {
        command.env_remove("RUSTUP_TOOLCHAIN");
    }
}

fn set_by_cargo(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    matches!(
        name,
        "CARGO"
            | "CARGO_MANIFEST_DIR"
            | "CARGO_MANIFEST_PATH"
            | "RUST_RECURSION_COUNT"
            | "RUSTUP_TOOLCHAIN_SOURCE"
    ) || name.starts_with("CARGO_PKG_")
}

/// Directories that cargo adds to the library path: next to this program, and inside the toolchain.
fn libraries_of_cargo() -> Vec<PathBuf> {
    let beside = env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_path_buf));
    let toolchain = PathBuf::from(cargo()).parent().and_then(Path::parent).map(|prefix| prefix.join("lib"));
    beside.into_iter().chain(toolchain).collect()
}

/// Runs a command to its end; its output goes where ours goes.
pub(crate) fn check(what: &str, command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| cannot_start(command))?;
    if status.success() { Ok(()) } else { Err(Failed { what: what.into(), code: exit_code(status) }.into()) }
}

/// What a command prints on stdout; its stderr goes where ours goes.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| cannot_start(command))?;
    if !output.status.success() {
        let what = command.get_program().to_string_lossy().into_owned();
        return Err(Failed { what, code: exit_code(output.status) }.into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What a command prints on stdout, or nothing if it cannot be started or fails.
pub(crate) fn ask(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Whether a program of this name is in PATH or in the directories of system programs.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// The exit code of a shell for this status: 128 and the signal, if one ended it.
pub(crate) fn exit_code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start {}", command.get_program().to_string_lossy())
}

/// A git command of this repository, whoever owns its files.
pub(crate) fn git() -> Command {
    let mut safe = OsString::from("safe.directory=");
    safe.push(root());
    let mut command = Command::new("git");
    command.arg("-c").arg(safe).arg("-C").arg(root());
    command
}
