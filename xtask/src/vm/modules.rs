//! Kernel modules that deeds ask for: with what they need, unpacked, in the order in which they load.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::apt::{self, Need};
use crate::workspace::find;

/// What is loaded before the suite, where the kernel has it as a module; one that a kernel has not got makes its deed
/// impossible, and the deed says so.
pub(crate) const WANTED: &[&str] = &[
    "virtio_pci",
    "virtio_blk",
    "ext4",
    "overlay",
    "sctp",
    "tipc",
    "vsock",
    "vsock_loopback",
    "loop",
    "algif_hash",
    "af_packet",
];

/// A module as the initramfs has it.
#[derive(Debug)]
pub(crate) struct Module {
    /// `sctp.ko`.
    pub(crate) file: String,
    /// Not compressed.
    pub(crate) bytes: Vec<u8>,
}

/// The modules of these names that the kernel has, each behind what it needs.
pub(crate) fn load(directory: &Path, names: &[&str]) -> Result<Vec<Module>> {
    let path = directory.join("modules.dep");
    let dependencies =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    order(&dependencies, names)
        .into_iter()
        .map(|path| {
            let plain = path.trim_end_matches(".xz").trim_end_matches(".zst").trim_end_matches(".gz");
            let file = Path::new(plain).file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok(Module { file, bytes: read(&directory.join(path))? })
        })
        .collect()
}

/// Paths from `modules.dep`, in the order in which they can be loaded.
fn order<'a>(dependencies: &'a str, names: &[&str]) -> Vec<&'a str> {
    let mut ordered = Vec::new();
    for name in names {
        let line = dependencies.lines().find_map(|line| {
            let (path, needs) = line.split_once(':')?;
            (is_called(path, name)).then_some((path, needs))
        });
        let Some((path, needs)) = line else { continue };
        // What a module needs is listed nearest first, and in full.
        for one in needs.split_whitespace().rev().chain([path]) {
            if !ordered.contains(&one) {
                ordered.push(one);
            }
        }
    }
    ordered
}

/// Whether a path is the module of this name; `-` and `_` are the same in it.
fn is_called(path: &str, name: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split_once(".ko").is_some_and(|(stem, _)| stem.replace('-', "_") == name)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let (tool, package) = match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => ("xz", "xz-utils"),
        Some("zst") => ("zstd", "zstd"),
        Some("gz") => ("gzip", "gzip"),
        _ => return fs::read(path).with_context(|| format!("cannot read {}", path.display())),
    };
    if find(tool).is_none() {
        apt::install(&[Need {
            what: format!("{tool} (unpacks kernel modules)"),
            packages: vec![package.into()],
            elsewhere: format!("install {tool}"),
        }])?;
    }
    let output = Command::new(tool)
        .arg("-dc")
        .arg(path)
        .output()
        .with_context(|| format!("cannot start {tool} to unpack {}", path.display()))?;
    ensure!(output.status.success(), "{tool} cannot unpack {}: fetch the kernel again", path.display());
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn puts_a_module_behind_what_it_needs() {
        let text = "kernel/net/sctp/sctp.ko.xz: kernel/lib/libcrc32c.ko.xz kernel/crypto/crc.ko.xz\n\
                    kernel/lib/libcrc32c.ko.xz: kernel/crypto/crc.ko.xz\n\
                    kernel/crypto/crc.ko.xz:\nkernel/fs/over-lay.ko:\n";
        assert_eq!(
            order(text, &["over_lay", "sctp", "libcrc32c", "none"]),
            [
                "kernel/fs/over-lay.ko",
                "kernel/crypto/crc.ko.xz",
                "kernel/lib/libcrc32c.ko.xz",
                "kernel/net/sctp/sctp.ko.xz"
            ]
        );
    }
}
