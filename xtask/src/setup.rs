//! `cargo xtask setup`: the BPF toolchain, found or installed.

use std::path::PathBuf;

use anyhow::Result;

use crate::compiler::{self, Compiler};
use crate::linker;

/// What the kernel side is built with.
pub(crate) struct Toolchain {
    /// The compiler, with library sources.
    pub(crate) compiler: Compiler,
    /// bpf-linker.
    pub(crate) linker: PathBuf,
}

/// Finds the toolchain, and installs what is missing after saying so.
pub(crate) fn ensure() -> Result<Toolchain> {
    let compiler = compiler::ensure()?;
    let linker = linker::ensure(&compiler)?;
    Ok(Toolchain { compiler, linker })
}

/// The subcommand.
pub(crate) fn setup() -> Result<()> {
    let Toolchain { compiler, linker } = ensure()?;
    eprintln!(
        "compiler: {} {} ({}), LLVM {}",
        compiler.name,
        compiler.release,
        compiler.rustc.display(),
        compiler.llvm
    );
    eprintln!("linker:   {}", linker.display());
    Ok(())
}
