//! `cargo xtask lint`: everything a reviewer should not have to say.

use std::fs;

use anyhow::Result;

use crate::build::{BPF_TARGET, bpf_flags};
use crate::workspace::{self, Failed, check, output};
use crate::{compiler, licences, linker};

/// Longer files are worth splitting.
const LONG: usize = 400;
/// Hosts of registries, in two parts so that this file does not name them: examples use patterns.
const REGISTRY_HOSTS: &[(&str, &str)] = &[
    ("registry", ".npmjs.org"),
    ("registry", ".yarnpkg.com"),
    ("files", ".pythonhosted.org"),
    ("pypi", ".org/simple"),
    ("index", ".crates.io"),
    ("static", ".crates.io"),
    ("repo", ".packagist.org"),
    ("proxy", ".golang.org"),
];

/// A check and its name.
type Check = (&'static str, fn() -> Result<()>);

/// Runs every check to its end, and fails if one did.
pub(crate) fn lint() -> Result<()> {
    let checks: [Check; 5] = [
        ("format", format),
        ("clippy", clippy),
        ("clippy of the kernel side", clippy_bpf),
        ("licences", licences),
        ("files", files),
    ];
    let mut failed = Vec::new();
    for (name, check) in checks {
        eprintln!("xtask: {name}");
        if let Err(error) = check() {
            eprintln!("xtask: {name}: {error:#}");
            failed.push(name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Failed { what: failed.join(", "), code: 1 }.into()) }
}

fn format() -> Result<()> {
    check("cargo fmt", &mut workspace::cargo_command(&["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    let words = [
        "clippy",
        "--quiet",
        "--workspace",
        "--exclude",
        "monitor-ebpf",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    check("cargo clippy", &mut workspace::cargo_command(&words))
}

/// Only where it costs nothing: with a compiler that came with clippy.
fn clippy_bpf() -> Result<()> {
    let Some(compiler) = compiler::detect().filter(compiler::Compiler::has_clippy) else {
        eprintln!("xtask: skipped: the compiler of the kernel side has no clippy");
        return Ok(());
    };
    let mut command =
        compiler.cargo_command(&["clippy", "--quiet", "--release", "--package", "monitor-ebpf"]);
    command
        .args(["--target", BPF_TARGET, "-Z", "build-std=core", "--target-dir"])
        .arg(workspace::target()?.join("bpf"));
    command.env("CARGO_ENCODED_RUSTFLAGS", bpf_flags(&linker::ensure(&compiler)?));
    check("cargo clippy", command.args(["--", "-D", "warnings"]))
}

fn licences() -> Result<()> {
    let complaints = licences::complaints()?;
    for complaint in &complaints {
        eprintln!("  {complaint}");
    }
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(Failed { what: "the licence check".into(), code: 1 }.into())
    }
}

fn files() -> Result<()> {
    let listed = output(workspace::git().args(["ls-files", "-z"]))?;
    let mut named = 0;
    for path in listed.split('\0').filter(|path| !path.is_empty() && !path.ends_with("Cargo.lock")) {
        // A file that is not text, or was removed and not yet committed, has nothing to check.
        let Ok(text) = fs::read_to_string(workspace::root().join(path)) else {
            continue;
        };
        let lines = text.lines().count();
        if path.ends_with(".rs") && lines > LONG {
            eprintln!("  {path}: {lines} lines; more than {LONG} are hard to read, is it one subject?");
        }
        for (number, line) in text.lines().enumerate() {
            if let Some(host) = registry_host(line) {
                eprintln!("  {path}:{}: names {host}; write a pattern of its domain", number + 1);
                named += 1;
            }
        }
    }
    if named == 0 { Ok(()) } else { Err(Failed { what: "the check of host names".into(), code: 1 }.into()) }
}

fn registry_host(line: &str) -> Option<String> {
    REGISTRY_HOSTS
        .iter()
        .map(|(host, domain)| format!("{host}{domain}"))
        .find(|host| line.contains(host.as_str()))
}

#[cfg(test)]
mod tests {
    use super::registry_host;

    #[test]
    fn finds_hosts_and_leaves_patterns() {
        assert!(registry_host(concat!("url: https://registry", ".npmjs.org/x")).is_some());
        assert!(registry_host("domains: [\"*.npmjs.org\"]").is_none());
    }
}
