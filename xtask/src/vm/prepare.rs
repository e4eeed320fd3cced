//! All that a boot needs, made before any: the kernel from the cache, the programs, the first file system.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::kernel::{Architecture, Kernel};
use super::machine::Machine;
use super::programs::{self, Programs};
use super::store::{self, Unpacked};
use super::{initramfs, modules, qemu};
use crate::workspace;

/// A kernel with everything it boots from.
pub(crate) struct Prepared {
    /// The kernel.
    pub(crate) kernel: &'static Kernel,
    /// What is booted.
    pub(crate) unpacked: Unpacked,
    /// Where its messages go.
    pub(crate) log: PathBuf,
    initramfs: PathBuf,
}

/// Builds what goes into VMs, once for each architecture.
pub(crate) struct Workshop {
    directory: PathBuf,
    built: Vec<(Architecture, Programs)>,
}

impl Workshop {
    /// Nothing is built yet.
    pub(crate) fn new() -> Result<Self> {
        let directory = workspace::target()?.join("vm");
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        Ok(Self { directory, built: Vec::new() })
    }

    /// Makes a kernel from [`fetch`] ready to boot, with these programs more than every VM has.
    pub(crate) fn prepare(
        &mut self,
        kernel: &'static Kernel,
        unpacked: Unpacked,
        more: &[(&str, &Path)],
    ) -> Result<Prepared> {
        let modules = modules::load(&unpacked.modules, modules::WANTED)?;
        let programs = self.programs(kernel.architecture)?;
        let all = [
            &[
                ("init", &*programs.deed),
                ("bin/deed", &programs.deed),
                ("bin/pkgwarden", &programs.pkgwarden),
            ],
            more,
        ];
        let archive = initramfs::build(&all.concat(), &modules)?;
        let initramfs = self.directory.join(format!("{}.cpio", kernel.name));
        fs::write(&initramfs, archive).with_context(|| format!("cannot write {}", initramfs.display()))?;
        let log = self.directory.join(format!("{}.log", kernel.name));
        Ok(Prepared { kernel, unpacked, log, initramfs })
    }

    fn programs(&mut self, architecture: Architecture) -> Result<&Programs> {
        let known = self.built.iter().position(|(one, _)| *one == architecture);
        let place = match known {
            Some(place) => place,
            None => {
                self.built.push((architecture, programs::build(architecture)?));
                self.built.len() - 1
            }
        };
        Ok(&self.built[place].1)
    }
}

impl Prepared {
    /// The machine to boot it on.
    pub(crate) fn machine(&self, limit: Duration, counted: bool) -> Machine<'_> {
        Machine {
            kernel: self.kernel,
            unpacked: &self.unpacked,
            initramfs: &self.initramfs,
            log: self.log.clone(),
            disks: Vec::new(),
            limit,
            counted,
        }
    }
}

/// What needs a network the first time: qemu and the kernel.
pub(crate) fn fetch(kernel: &Kernel) -> Result<Unpacked> {
    qemu::ensure(kernel.architecture)?;
    store::ensure(kernel)
}
