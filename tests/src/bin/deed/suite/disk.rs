//! A disk with a secret on it: a loop device, or a disk in memory.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::kernel::checked;

const LOOP_SET_FD: u64 = 0x4c00;
const LOOP_CLR_FD: u64 = 0x4c01;
const LOOP_CTL_GET_FREE: u64 = 0x4c82;
/// Bytes: devices have no less.
const SIZE: u64 = 1 << 20;

/// A disk of the suite's.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) path: PathBuf,
    device: File,
    is_loop: bool,
}

impl Disk {
    /// Makes one, with a secret at its beginning. The image lies in `folder`.
    pub(super) fn make(folder: &Path, secret: &str) -> Option<Self> {
        Self::in_loop(folder, secret).or_else(|_| Self::in_memory(secret)).ok()
    }

    fn in_loop(folder: &Path, secret: &str) -> io::Result<Self> {
        let image = folder.join("disk.img");
        fs::write(&image, secret)?;
        let image = OpenOptions::new().read(true).write(true).open(image)?;
        image.set_len(SIZE)?;
        let control = File::open("/dev/loop-control")?;
        // SAFETY: the command takes no argument.
        let number = checked(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) })?;
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = OpenOptions::new().read(true).write(true).open(&path)?;
        // SAFETY: the argument is a descriptor.
        checked(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_SET_FD as _, image.as_raw_fd()) })?;
        Ok(Self { path, device, is_loop: true })
    }

    fn in_memory(secret: &str) -> io::Result<Self> {
        let path = PathBuf::from("/dev/ram0");
        let device = OpenOptions::new().read(true).write(true).open(&path)?;
        device.write_all_at(secret.as_bytes(), 0)?;
        device.sync_all()?;
        Ok(Self { path, device, is_loop: false })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_loop {
            // SAFETY: the argument is not used. If it is refused, the device goes with its last descriptor or not at all.
            unsafe { libc::ioctl(self.device.as_raw_fd(), LOOP_CLR_FD as _, 0) };
        }
    }
}
