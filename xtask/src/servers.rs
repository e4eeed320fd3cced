//! Real servers for the tests of the network (a resolver, a web server, an ssh server, registries), and package managers
//! that the machine may not have.
//!
//! Nothing of this is installed on the machine, where each server would be started as a service and listen for everybody:
//! what Debian has is unpacked into the cache, what npm and Python have is installed into it. The second time needs no
//! network.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::apt;
use crate::workspace::{self, Missing, check, find};

/// Programs, and the Debian packages that have them.
const DEBIAN: [(&str, &str); 4] =
    [("nginx", "nginx"), ("sshd", "openssh-server"), ("ssh", "openssh-client"), ("unbound", "unbound")];
/// The npm registry. One of its dependencies asks for a tag that not every mirror knows.
const NPM: &str = "{\"name\":\"servers\",\"version\":\"1.0.0\",\"private\":true,\
                   \"dependencies\":{\"verdaccio\":\"6.8.0\"},\"overrides\":{\"node-fetch\":\"2.6.7\"}}\n";
/// The Python index, an installer that is not pip, and what builds packages from source.
const PYTHON: [&str; 4] = ["pypiserver==2.4.2", "uv==0.13.9", "setuptools==80.9.0", "wheel==0.45.1"];
/// Package managers from npm: the folder of each, and what is installed there as an owner's global package.
const MANAGERS: [(&str, &str); 6] = [
    ("npm-10", "npm@10.9.9"),
    ("npm-11", "npm@11.21.2"),
    ("pnpm", "pnpm@12.21.0"),
    ("yarn-1", "yarn@1.22.22"),
    ("yarn-berry", "@yarnpkg/cli-dist@4.18.1"),
    ("bun", "bun@1.4.5"),
];
/// Package managers from PyPI.
const PYTHON_MANAGERS: [&str; 2] = ["poetry==2.5.1", "pipx==1.18.4"];

/// A part of the servers: a folder that is there when it is whole.
struct Part {
    folder: &'static str,
    /// What is said before it is made.
    says: &'static str,
    make: fn(&Path) -> Result<()>,
}

const PARTS: [Part; 5] = [
    Part {
        folder: "debian",
        says: "nginx, openssh-server, unbound from Debian, unpacked and not installed",
        make: unpack,
    },
    Part { folder: "npm", says: "verdaccio from npm", make: install_npm },
    Part { folder: "python", says: "pypiserver and uv from PyPI", make: install_python },
    Part {
        folder: "managers",
        says: "npm 10 and 11, pnpm, yarn 1 and 4, bun from npm",
        make: install_managers,
    },
    Part {
        folder: "python-managers",
        says: "poetry and pipx from PyPI",
        make: |folder| python_environment(folder, &PYTHON_MANAGERS),
    },
];

/// The folder with the servers, filled first where something is missing.
pub(crate) fn ensure() -> Result<PathBuf> {
    let store = workspace::cache("servers")?;
    fs::create_dir_all(&store).with_context(|| format!("cannot make {}", store.display()))?;
    let lock = store.join("lock");
    let lock = File::create(&lock).with_context(|| format!("cannot write {}", lock.display()))?;
    lock.lock().context("cannot lock the servers in the cache")?;
    for part in &PARTS {
        let folder = store.join(part.folder);
        let whole = folder.join("complete");
        if whole.is_file() {
            continue;
        }
        eprintln!("xtask: fetching servers for the tests into {}: {}", folder.display(), part.says);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        (part.make)(&folder).map_err(|error| Missing {
            piece: format!("{} ({error:#})", part.says),
            mend: format!(
                "cargo xtask test, with a network; or copy {} from a machine that has it",
                folder.display()
            ),
        })?;
        fs::write(&whole, "").with_context(|| format!("cannot write {}", whole.display()))?;
    }
    Ok(store)
}

/// Debian's packages and those of their dependencies that the machine lacks.
fn unpack(folder: &Path) -> Result<()> {
    let wanted: Vec<&str> =
        DEBIAN.iter().filter(|(program, _)| find(program).is_none()).map(|(_, package)| *package).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    if find("apt-get").is_none() || find("dpkg").is_none() {
        bail!("there is no apt-get; install what Debian calls {}", wanted.join(" "));
    }
    let archives = folder.join("archives");
    fs::create_dir_all(archives.join("partial"))?;
    if download(&archives, &wanted).is_err() {
        // Old lists name versions that are gone.
        apt::refresh()?;
        download(&archives, &wanted)?;
    }
    for entry in fs::read_dir(&archives)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            check("dpkg", Command::new("dpkg").arg("-x").arg(&path).arg(folder))?;
        }
    }
    fs::remove_dir_all(&archives).context("cannot remove the packages")
}

fn download(archives: &Path, packages: &[&str]) -> Result<()> {
    let mut directory = std::ffi::OsString::from("Dir::Cache::archives=");
    directory.push(archives);
    let mut command = Command::new("apt-get");
    command.args(["-qq", "-y", "--no-install-recommends", "--download-only"]);
    // No lock is needed for a folder of our own, and no other user could write into it.
    command.args(["-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root", "-o"]).arg(directory);
    command.arg("install").args(packages).stdin(Stdio::null()).stdout(Stdio::null());
    check("apt-get", &mut command)
}

fn install_npm(folder: &Path) -> Result<()> {
    fs::write(folder.join("package.json"), NPM)?;
    let mut command = Command::new("npm");
    command.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]);
    check("npm", command.current_dir(folder).stdin(Stdio::null()))
}

/// Each into a prefix of its own. The first, which is npm 10, installs the others: it runs their install scripts unasked,
/// and those of pnpm and bun put their programs in place.
fn install_managers(folder: &Path) -> Result<()> {
    let first = folder.join(MANAGERS[0].0).join("bin/npm");
    for (name, package) in MANAGERS {
        let mut command = if first.exists() { Command::new(&first) } else { Command::new("npm") };
        command.args(["install", "--global", "--no-audit", "--no-fund", "--silent", package, "--prefix"]);
        check("npm", command.arg(folder.join(name)).current_dir(folder).stdin(Stdio::null()))?;
    }
    Ok(())
}

fn install_python(folder: &Path) -> Result<()> {
    python_environment(folder, &PYTHON)
}

fn python_environment(folder: &Path, packages: &[&str]) -> Result<()> {
    check("python3 -m venv", Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let mut command = Command::new(folder.join("bin/python"));
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
    check("pip", command.stdin(Stdio::null()))
}
