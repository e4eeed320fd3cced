//! The kernels on disk: fetched and unpacked once, then used without a network.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::debian::{self, Lists};
use super::kernel::{Kernel, PACKAGE};
use crate::apt::{self, Need};
use crate::workspace::{self, Missing, check, find};

/// An unpacked kernel.
#[derive(Debug)]
pub(crate) struct Unpacked {
    /// `6.12.117+deb13-cloud-amd64`.
    pub(crate) release: String,
    /// What qemu boots.
    pub(crate) image: PathBuf,
    /// `lib/modules/RELEASE`.
    pub(crate) modules: PathBuf,
}

/// The kernel from the cache, fetched first if it is not there.
pub(crate) fn ensure(kernel: &Kernel) -> Result<Unpacked> {
    let store = workspace::cache("kernels")?;
    fs::create_dir_all(&store).with_context(|| format!("cannot make {}", store.display()))?;
    // Two runs that begin at once must not unpack into the same place.
    let lock = store.join("lock");
    let lock = File::create(&lock).with_context(|| format!("cannot write {}", lock.display()))?;
    lock.lock().context("cannot lock the kernels in the cache")?;

    let home = store.join(kernel.folder());
    if !home.is_dir() {
        fetch(kernel, &store, &home).map_err(|error| Missing {
            piece: format!("kernel {} ({error:#})", kernel.name),
            mend: format!(
                "cargo xtask vm {}, with a network; or copy {} from a machine that has it",
                kernel.name,
                home.display()
            ),
        })?;
    }
    inspect(&home).with_context(|| {
        format!("kernel {} in the cache is broken; remove {} and try again", kernel.name, home.display())
    })
}

/// The release of a kernel that is in the cache.
pub(crate) fn cached(store: &Path, kernel: &Kernel) -> Option<String> {
    inspect(&store.join(kernel.folder())).ok().map(|unpacked| unpacked.release)
}

fn fetch(kernel: &Kernel, store: &Path, home: &Path) -> Result<()> {
    ensure_depmod()?;
    let lists =
        Lists::new(store.join(format!("apt-{}", kernel.folder())), kernel.architecture, kernel.suites)?;
    let fresh = !lists.are_there();
    if fresh {
        refresh(kernel, &lists)?;
    }
    // What is unfinished is never taken for a kernel: it gets its name when it is whole.
    let staging = store.join(format!("{}.partial", kernel.folder()));
    let unpacked = match take(kernel, &lists, &staging) {
        // Old lists name versions that are gone.
        Err(error) if !fresh => {
            eprintln!("xtask: {error:#}; asking for the packages of today");
            refresh(kernel, &lists)?;
            take(kernel, &lists, &staging)
        }
        taken => taken,
    };
    unpacked?;
    fs::rename(&staging, home).with_context(|| format!("cannot write {}", home.display()))
}

fn refresh(kernel: &Kernel, lists: &Lists) -> Result<()> {
    eprintln!(
        "xtask: fetching the package lists of Debian {} ({}), to find kernel {}",
        kernel.suites.join(" and "),
        kernel.architecture.debian(),
        kernel.name
    );
    lists.refresh()
}

/// Downloads and unpacks the newest kernel of the lists.
fn take(kernel: &Kernel, lists: &Lists, staging: &Path) -> Result<()> {
    if staging.exists() {
        fs::remove_dir_all(staging).with_context(|| format!("cannot remove {}", staging.display()))?;
    }
    let packages = staging.join("packages");
    fs::create_dir_all(&packages).with_context(|| format!("cannot make {}", packages.display()))?;

    let names = lists.names(&format!("{PACKAGE}{}", kernel.series))?;
    let release = kernel
        .newest(names.iter().map(String::as_str))
        .with_context(|| format!("Debian {} has no such kernel", kernel.suites.join(" and ")))?;
    eprintln!(
        "xtask: downloading kernel {release} (30 to 40 MB) into {}",
        workspace::cache("kernels")?.display()
    );
    let main = lists.download(&format!("{PACKAGE}{release}"), &packages)?;
    // Since 6.19 the package is empty and depends on those that have the kernel and the modules.
    let parts = parts(&debian::field(&main, "Depends")?, release);
    let mut files = vec![main];
    for part in parts {
        files.push(lists.download(&part, &packages)?);
    }
    for file in &files {
        debian::unpack(file, staging)?;
    }
    fs::remove_dir_all(&packages).with_context(|| format!("cannot remove {}", packages.display()))?;
    // depmod looks below lib/, newer packages have usr/lib/ only.
    let lib = staging.join("lib");
    if !lib.exists() {
        std::os::unix::fs::symlink("usr/lib", &lib).context("cannot make a link to usr/lib")?;
    }
    let depmod = find("depmod").context("depmod has gone")?;
    check("depmod", Command::new(depmod).arg("-b").arg(staging).arg(release))
}

/// The parts of a split kernel package, from what it depends on.
fn parts(depends: &str, release: &str) -> Vec<String> {
    depends
        .split(',')
        .filter_map(|one| one.split_whitespace().next())
        .filter(|name| {
            ["linux-binary-", "linux-modules-"].iter().any(|part| name.strip_prefix(part) == Some(release))
        })
        .map(str::to_owned)
        .collect()
}

fn inspect(home: &Path) -> Result<Unpacked> {
    let all = home.join("lib/modules");
    let entries = fs::read_dir(&all).with_context(|| format!("cannot read {}", all.display()))?;
    let modules = entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.join("modules.dep").is_file())
        .with_context(|| format!("{} has no kernel's modules", all.display()))?;
    let release = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let image = [home.join(format!("boot/vmlinuz-{release}")), modules.join("vmlinuz")]
        .into_iter()
        .find(|path| path.is_file())
        .with_context(|| format!("{} has no vmlinuz", home.display()))?;
    Ok(Unpacked { release, image, modules })
}

fn ensure_depmod() -> Result<()> {
    if find("depmod").is_some() {
        return Ok(());
    }
    apt::install(&[Need {
        what: "depmod (finds out which kernel modules need which)".into(),
        packages: vec!["kmod".into()],
        elsewhere: "install kmod".into(),
    }])
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn follows_a_split_package() {
        let depends = "kmod, linux-base (>= 4.12~), linux-binary-7.2.1-cloud-amd64 (= 7.2.1-1), linux-modules-7.2.1-cloud-amd64 (= 7.2.1-1), linux-modules-7.2.0-cloud-amd64";
        assert_eq!(
            parts(depends, "7.2.1-cloud-amd64"),
            ["linux-binary-7.2.1-cloud-amd64", "linux-modules-7.2.1-cloud-amd64"]
        );
        assert!(parts("kmod, linux-base (>= 4.3~)", "5.10.0-46-cloud-amd64").is_empty());
    }
}
