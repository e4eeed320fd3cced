//! Puts into the program what it carries: the kernel object and the built-in rules.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> Result<(), Box<dyn Error>> {
    embed_object()?;
    embed_rules()
}

/// A place in the folder that cargo gives a build script to write to.
fn out(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    Ok(PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo did not set OUT_DIR")?).join(name))
}

/// Copies the kernel object named by `PKGWARDEN_BPF_OBJECT` (`cargo xtask build` sets it) to where
/// `src/bpf/object.rs` includes it. Without one the place stays empty, and the loader says how to build it: unit tests
/// and `cargo check` need no BPF toolchain.
fn embed_object() -> Result<(), Box<dyn Error>> {
    const OBJECT: &str = "PKGWARDEN_BPF_OBJECT";
    println!("cargo::rerun-if-env-changed={OBJECT}");
    let place = out("monitor-ebpf")?;
    let Some(object) = env::var_os(OBJECT).map(PathBuf::from) else {
        return Ok(fs::write(place, [])?);
    };
    println!("cargo::rerun-if-changed={}", object.display());
    fs::copy(&object, place).map_err(|error| format!("cannot embed {}: {error}", object.display()))?;
    Ok(())
}

/// Writes a table of the rules folder, name and text of each file, to where `src/rule/load.rs` includes it.
fn embed_rules() -> Result<(), Box<dyn Error>> {
    let folder =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo did not set CARGO_MANIFEST_DIR")?)
            .join("../rules");
    let mut files = Vec::new();
    walk(&folder, &mut files)?;
    files.sort();
    let mut table = String::from("&[\n");
    for file in &files {
        let name = file.strip_prefix(&folder).unwrap_or(file);
        let path = fs::canonicalize(file)?;
        writeln!(
            table,
            "    ({:?}, include_str!({:?})),",
            name.display().to_string(),
            path.display().to_string()
        )?;
    }
    table.push_str("]\n");
    Ok(fs::write(out("rules.rs")?, table)?)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            println!("cargo::rerun-if-changed={}", path.display());
            files.push(path);
        }
    }
    Ok(())
}
