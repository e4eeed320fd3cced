//! bpf-linker: turns the compiler's bitcode into one object with BTF. Kept in a cache of its own, one for each LLVM.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::apt::{self, Need, works};
use crate::compiler::Compiler;
use crate::workspace::{self, Missing, ask, check};

/// The release that was tried with this workspace.
const VERSION: &str = "0.13.0";

/// The linker for this compiler, built first if it is not in the cache.
pub(crate) fn ensure(compiler: &Compiler) -> Result<PathBuf> {
    if let Some(own) = env::var_os("BPF_LINKER").filter(|path| !path.is_empty()).map(PathBuf::from) {
        return if usable(&own) {
            Ok(own)
        } else {
            let piece = format!("a working bpf-linker at {} (from BPF_LINKER)", own.display());
            Err(Missing { piece, mend: "unset BPF_LINKER".into() }.into())
        };
    }
    let home = cache()?.join(format!("bpf-linker-{VERSION}-llvm-{}", compiler.llvm));
    let linker = home.join("bin/bpf-linker");
    if !usable(&linker) {
        install(&home, compiler.llvm)?;
    }
    Ok(linker)
}

/// Where tools are kept between builds: outside the repository, so that `cargo clean` and a second clone keep them.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set: set one, the tools are kept there")?;
    Ok(base.join("pkgwarden/tools"))
}

/// Whether it starts: a linker whose LLVM library was removed does not.
fn usable(linker: &Path) -> bool {
    linker.to_str().is_some_and(|path| works(path, &["--version"]))
}

fn install(home: &Path, llvm: u32) -> Result<()> {
    let prefix = ensure_llvm(llvm)?;
    eprintln!(
        "xtask: bpf-linker {VERSION} (links the kernel side) is missing and will be built into {}; this takes a minute",
        home.display()
    );
    let mut command = workspace::cargo_command(&[
        "install",
        "--quiet",
        "bpf-linker",
        "--locked",
        "--force",
        "--no-default-features",
    ]);
    command.args(["--version", VERSION, "--features", &format!("llvm-{llvm}"), "--root"]).arg(home);
    // llvm-sys looks at its own variable, bpf-linker's build script at the other.
    command.env("LLVM_PREFIX", &prefix).env(format!("LLVM_SYS_{llvm}1_PREFIX"), &prefix);
    command.env_remove("CARGO_TARGET_DIR").env_remove("CARGO_BUILD_TARGET").env_remove("RUSTFLAGS");
    command.current_dir(env::temp_dir()).stdin(Stdio::null());
    check("building bpf-linker", &mut command).map_err(|_| {
        let mend = format!(
            "LLVM_PREFIX={prefix} LLVM_SYS_{llvm}1_PREFIX={prefix} cargo install bpf-linker --version {VERSION} --locked \
             --no-default-features --features llvm-{llvm} --root {home}",
            prefix = prefix.display(),
            home = home.display(),
        );
        Missing { piece: format!("bpf-linker {VERSION} (it could not be built, see above)"), mend }.into()
    })
}

/// The prefix of an LLVM of this major version with headers.
fn ensure_llvm(llvm: u32) -> Result<PathBuf> {
    let mut needs = Vec::new();
    if find_llvm(llvm).is_none() {
        needs.push(Need {
            what: format!("LLVM {llvm} with headers, to build bpf-linker"),
            packages: vec![format!("llvm-{llvm}-dev"), format!("libpolly-{llvm}-dev")],
            elsewhere: format!(
                "install LLVM {llvm} with its headers, so that `llvm-config --version` says {llvm}"
            ),
        });
    }
    if !works("c++", &["--version"]) {
        needs.push(Need {
            what: "a C++ compiler, to build bpf-linker".into(),
            packages: vec!["g++".into()],
            elsewhere: "install a C++ compiler that is called c++".into(),
        });
    }
    apt::install(&needs)?;
    find_llvm(llvm).ok_or_else(|| {
        let mend = format!("apt-get install llvm-{llvm}-dev libpolly-{llvm}-dev");
        Missing { piece: format!("LLVM {llvm} with headers, to build bpf-linker"), mend }.into()
    })
}

/// The program that takes debug sections out of an object, if LLVM is installed with its programs.
pub(crate) fn objcopy(compiler: &Compiler) -> Option<PathBuf> {
    find_llvm(compiler.llvm).map(|prefix| prefix.join("bin/llvm-objcopy")).filter(|program| program.is_file())
}

fn find_llvm(llvm: u32) -> Option<PathBuf> {
    let programs = [
        format!("/usr/lib/llvm-{llvm}/bin/llvm-config"),
        format!("llvm-config-{llvm}"),
        "llvm-config".to_owned(),
    ];
    programs.iter().find_map(|program| {
        let version = ask(Command::new(program).arg("--version"))?;
        if version.split('.').next() != Some(&llvm.to_string()) {
            return None;
        }
        let prefix = PathBuf::from(ask(Command::new(program).arg("--prefix"))?);
        let headers = ask(Command::new(program).arg("--includedir"))?;
        Path::new(&headers).join("llvm-c/Core.h").is_file().then_some(prefix)
    })
}
