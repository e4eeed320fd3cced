//! The compiler of the kernel side: any that can build `core` from matching sources.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::apt::{self, Need};
use crate::workspace::{self, Missing, ask, find};

/// The oldest release that compiles this workspace.
const OLDEST: &str = env!("CARGO_PKG_RUST_VERSION");
/// Where Debian installs the compiler that its browser packages are built with.
const DEBIAN: &str = "/usr/bin";

/// A compiler, its cargo and its library sources.
#[derive(Debug)]
pub(crate) struct Compiler {
    /// For people: "rustup's nightly".
    pub(crate) name: &'static str,
    /// The compiler's program.
    pub(crate) rustc: PathBuf,
    /// The cargo of the same release.
    pub(crate) cargo: PathBuf,
    /// The release: "1.96.0".
    pub(crate) release: String,
    /// Major version of the LLVM inside; the linker must know its bitcode.
    pub(crate) llvm: u32,
}

impl Compiler {
    /// A cargo command that may use `-Z`: stable compilers have to be told.
    pub(crate) fn cargo_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.cargo);
        command.args(arguments).current_dir(workspace::root());
        workspace::without_cargo_environment(&mut command);
        command.env("RUSTC", &self.rustc).env("RUSTC_BOOTSTRAP", "1").env_remove("RUSTUP_TOOLCHAIN");
        command
    }

    /// Whether this compiler came with clippy.
    pub(crate) fn has_clippy(&self) -> bool {
        self.cargo.with_file_name("cargo-clippy").is_file()
            && self.rustc.with_file_name("clippy-driver").is_file()
    }
}

/// The compiler to use, if there is one: rustup's nightly, the one in use, Debian's.
pub(crate) fn detect() -> Option<Compiler> {
    nightly_directories()
        .iter()
        .find_map(|directory| inspect("rustup's nightly", directory))
        .or_else(|| inspect("the compiler in use", Path::new(&workspace::rustc()).parent()?))
        .or_else(|| inspect("Debian's rustc", Path::new(DEBIAN)))
}

/// The compiler to use, installed first if there is none.
pub(crate) fn ensure() -> Result<Compiler> {
    if let Some(compiler) = detect() {
        return Ok(compiler);
    }
    let rustup = "rustup toolchain install nightly --profile minimal --component rust-src";
    // With rustup and without apt-get, rustup is the ordinary way.
    if find("apt-get").is_none() && find("rustup").is_some() {
        eprintln!(
            "xtask: a Rust compiler with its library sources is missing (core is built for BPF from them)"
        );
        eprintln!("xtask: running {rustup}");
        let mut words = rustup.split(' ');
        let mut command = Command::new(words.next().unwrap_or_default());
        // A failure is told below, in the line that names the piece.
        let _ = command.args(words).status();
    } else {
        apt::install(&[Need {
            what: "a Rust compiler with its library sources, to build core for BPF".into(),
            packages: ["rustc-web", "cargo-web", "rust-web-src"].map(String::from).into(),
            elsewhere: rustup.into(),
        }])?;
    }
    detect().ok_or_else(|| {
        let piece = format!("a Rust compiler of {OLDEST} or later with its library sources");
        Missing { piece, mend: rustup.into() }.into()
    })
}

/// Where nightly's programs are. Asking `rustup run` for a toolchain that is not there could download it.
fn nightly_directories() -> Vec<PathBuf> {
    let installed = ask(Command::new("rustup").args(["toolchain", "list"])).unwrap_or_default();
    installed
        .lines()
        .filter(|line| line.starts_with("nightly"))
        .filter_map(|line| line.split_whitespace().next())
        .filter_map(|name| ask(Command::new("rustup").args(["which", "--toolchain", name, "rustc"])))
        .filter_map(|rustc| Path::new(&rustc).parent().map(Path::to_path_buf))
        .collect()
}

/// The compiler in a directory, if it and its sources can build this workspace.
fn inspect(name: &'static str, directory: &Path) -> Option<Compiler> {
    let (rustc, cargo) = (directory.join("rustc"), directory.join("cargo"));
    if !cargo.is_file() {
        return None;
    }
    let sysroot = ask(Command::new(&rustc).args(["--print", "sysroot"]))?;
    let library = Path::new(&sysroot).join("lib/rustlib/src/rust/library");
    // `-Z build-std` resolves the libraries' own lock file too.
    if !library.join("core/src/lib.rs").is_file() || !library.join("Cargo.lock").is_file() {
        return None;
    }
    let (release, llvm) = versions(&ask(Command::new(&rustc).arg("-vV"))?)?;
    at_least(&release, OLDEST).then_some(Compiler { name, rustc, cargo, release, llvm })
}

/// The target triple of this machine.
pub(crate) fn host() -> Result<String> {
    let said = workspace::output(Command::new(workspace::rustc()).arg("-vV"))?;
    said.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc -vV names no host")
}

/// Release and LLVM major version from `rustc -vV`.
fn versions(said: &str) -> Option<(String, u32)> {
    let field = |name: &str| said.lines().find_map(|line| line.strip_prefix(name));
    let llvm = field("LLVM version: ")?.split('.').next()?.parse().ok()?;
    Some((field("release: ")?.to_owned(), llvm))
}

/// Whether a release such as `1.97.0-nightly` is not older than `1.95`.
fn at_least(release: &str, oldest: &str) -> bool {
    let numbers =
        |text: &str| -> Vec<u32> { text.split(['.', '-']).map_while(|part| part.parse().ok()).collect() };
    numbers(release) >= numbers(oldest)
}

/// Arguments for rustc in the form that survives spaces in paths.
pub(crate) fn encoded(flags: &[OsString]) -> OsString {
    flags.join(std::ffi::OsStr::new("\x1f"))
}

#[cfg(test)]
mod tests {
    use super::{at_least, versions};

    #[test]
    fn reads_what_the_compiler_says_of_itself() {
        let said = "rustc 1.96.0 (ac68 2026-05-25)\nhost: x86_64-unknown-linux-gnu\nrelease: 1.96.0\nLLVM version: 22.1.8";
        assert_eq!(versions(said), Some(("1.96.0".to_owned(), 22)));
        assert_eq!(versions("release: 1.96.0"), None);
    }

    #[test]
    fn compares_releases_by_number() {
        assert!(at_least("1.97.0-nightly", "1.95"));
        assert!(at_least("1.95.0", "1.95"));
        assert!(at_least("1.100.0", "1.95"));
        assert!(!at_least("1.85.0", "1.95"));
        assert!(!at_least("", "1.95"));
    }
}
