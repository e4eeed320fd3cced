//! Puts into the program what it carries.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    embed_object()
}

/// Copies the kernel object named by `PKGWARDEN_BPF_OBJECT` (`cargo xtask build` sets it) to where
/// `src/bpf/object.rs` includes it. Without one the place stays empty, and the loader says how to build it: unit tests
/// and `cargo check` need no BPF toolchain.
fn embed_object() -> Result<(), Box<dyn Error>> {
    const OBJECT: &str = "PKGWARDEN_BPF_OBJECT";
    println!("cargo::rerun-if-env-changed={OBJECT}");
    let place = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo did not set OUT_DIR")?).join("monitor-ebpf");
    let Some(object) = env::var_os(OBJECT).map(PathBuf::from) else {
        return Ok(fs::write(place, [])?);
    };
    println!("cargo::rerun-if-changed={}", object.display());
    fs::copy(&object, place).map_err(|error| format!("cannot embed {}: {error}", object.display()))?;
    Ok(())
}
