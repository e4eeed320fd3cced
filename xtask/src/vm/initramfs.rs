//! The first file system of a VM: a cpio archive in the form the kernel reads ("newc"), written here.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::modules::Module;

/// An archive that is being written. What is put into it belongs to root and has no date.
#[derive(Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

const DIRECTORY: u32 = 0o040_755;
const CHARACTER: u32 = 0o020_600;
const PROGRAM: u32 = 0o100_755;
const TEXT: u32 = 0o100_644;

/// What a VM runs from: programs by their place, and modules with their order.
pub(crate) fn build(programs: &[(&str, &Path)], modules: &[Module]) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for directory in ["bin", "dev", "etc", "modules", "proc", "root", "run", "sys", "tmp"] {
        archive.add(directory, DIRECTORY, (0, 0), &[]);
    }
    // The kernel opens it for /init before anything is mounted.
    archive.add("dev/console", CHARACTER, (5, 1), &[]);
    for (place, program) in programs {
        let bytes = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
        archive.add(place, PROGRAM, (0, 0), &bytes);
    }
    let mut order = String::new();
    for module in modules {
        archive.add(&format!("modules/{}", module.file), TEXT, (0, 0), &module.bytes);
        // Writing to a string cannot fail.
        let _ = writeln!(order, "{}", module.file);
    }
    archive.add("modules/order", TEXT, (0, 0), order.as_bytes());
    Ok(archive.finish())
}

impl Archive {
    fn add(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.entries += 1;
        let links = if mode == DIRECTORY { 2 } else { 1 };
        let size = content.len() as u32;
        let fields =
            [self.entries, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name.len() as u32 + 1, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad(4);
        self.bytes.extend_from_slice(content);
        self.pad(4);
    }

    fn finish(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, (0, 0), &[]);
        self.pad(512);
        self.bytes
    }

    fn pad(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::{Archive, DIRECTORY, PROGRAM};

    #[test]
    fn writes_headers_at_multiples_of_four() {
        let mut archive = Archive::default();
        archive.add("bin", DIRECTORY, (0, 0), &[]);
        archive.add("bin/a", PROGRAM, (0, 0), b"12345");
        let bytes = archive.finish();
        let text = String::from_utf8_lossy(&bytes);
        let places: Vec<usize> = text.match_indices("070701").map(|(place, _)| place).collect();
        assert_eq!(places.len(), 3);
        assert!(places.iter().all(|place| place % 4 == 0));
        let second = &text[places[1]..];
        assert_eq!(&second[14..22], "000081ed");
        assert_eq!(&second[54..62], "00000005");
        assert_eq!(&second[110..116], "bin/a\0");
        assert_eq!(bytes.len() % 512, 0);
    }
}
