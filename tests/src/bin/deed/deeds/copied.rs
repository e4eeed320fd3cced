//! A secret file whose bytes never pass through the program: the kernel carries them.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use super::{Deed, Harm};
use crate::Failure;
use crate::kernel::{checked, syscall};
use crate::stage::Stage;

/// More than any secret here.
const ENOUGH: usize = 64 * 1024;

pub(super) const DEEDS: &[Deed] = &[
    Deed::new("sendfile", &["6.19"], "sendfile from the secret to another file", Harm::Leak, sendfile),
    Deed::new("splice", &["6.19"], "splice from the secret through a pipe", Harm::Leak, splice),
    Deed::new(
        "copy-file-range",
        &["6.19", "6.40"],
        "copy_file_range from the secret",
        Harm::Leak,
        copy_file_range,
    ),
    Deed::new("mmap", &["6.19", "6.40"], "map the secret instead of reading it", Harm::Leak, map),
    Deed::new("sweep", &["6.25"], "a child that copies the whole directory, name unknown", Harm::Leak, sweep),
];

/// The secret, and an empty file that is copied to the loot afterwards: some calls refuse files opened for appending.
fn ends(stage: &Stage) -> io::Result<(File, File)> {
    let path = stage.in_project("copy");
    let copy = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
    Ok((File::open(&stage.secret)?, copy))
}

fn take_copy(stage: &Stage) -> Result<(), Failure> {
    Ok(stage.take(&std::fs::read(stage.in_project("copy"))?)?)
}

fn sendfile(stage: &Stage) -> Result<(), Failure> {
    let (from, to) = ends(stage)?;
    let none = std::ptr::null_mut();
    // SAFETY: the offset is null: the file's own is used.
    checked(unsafe { libc::sendfile(to.as_raw_fd(), from.as_raw_fd(), none, ENOUGH) } as i64)?;
    take_copy(stage)
}

fn splice(stage: &Stage) -> Result<(), Failure> {
    let (from, to) = ends(stage)?;
    let (read, write) = io::pipe()?;
    let none = std::ptr::null_mut();
    // SAFETY: offsets are null: the files' own are used.
    let count =
        checked(unsafe { libc::splice(from.as_raw_fd(), none, write.as_raw_fd(), none, ENOUGH, 0) } as i64)?;
    let count = usize::try_from(count)?;
    // SAFETY: as before.
    checked(unsafe { libc::splice(read.as_raw_fd(), none, to.as_raw_fd(), none, count, 0) } as i64)?;
    take_copy(stage)
}

fn copy_file_range(stage: &Stage) -> Result<(), Failure> {
    let (from, to) = ends(stage)?;
    let none = std::ptr::null_mut::<libc::off_t>();
    // SAFETY: offsets are null: the files' own are used.
    unsafe { syscall!(libc::SYS_copy_file_range, from.as_raw_fd(), none, to.as_raw_fd(), none, ENOUGH, 0) }?;
    take_copy(stage)
}

fn map(stage: &Stage) -> Result<(), Failure> {
    let file = File::open(&stage.secret)?;
    let length = usize::try_from(file.metadata()?.len())?;
    let nowhere = std::ptr::null_mut();
    // SAFETY: a new mapping at a place of the kernel's choosing.
    let place =
        unsafe { libc::mmap(nowhere, length, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0) };
    if place == libc::MAP_FAILED {
        return Err(io::Error::last_os_error().into());
    }
    // SAFETY: the mapping has this length, lives as long as the process, and nobody writes to the file.
    Ok(stage.take(unsafe { std::slice::from_raw_parts(place.cast(), length) })?)
}

fn sweep(stage: &Stage) -> Result<(), Failure> {
    super::lineage::child(|| {
        for entry in std::fs::read_dir(stage.in_home(".aws"))? {
            let path = entry?.path();
            if path.is_file() {
                stage.take(&std::fs::read(path)?)?;
            }
        }
        Ok(())
    })
}
