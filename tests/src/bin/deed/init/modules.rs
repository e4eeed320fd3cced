//! Kernel modules that the machine's maker put into it.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use crate::Failure;
use crate::kernel::syscall;

/// One path a line, in an order in which each finds what it needs.
const ORDER: &str = "/modules/order";
/// The kernel is to unpack it.
const COMPRESSED: libc::c_int = 4;

/// Loads them; one that does not load is told, and is no reason to stop.
pub(super) fn load_all() -> Result<(), Failure> {
    if !fs::exists(ORDER)? {
        return Ok(());
    }
    for line in fs::read_to_string(ORDER)?.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let path = Path::new("/modules").join(line);
        if let Err(why) = load(&path) {
            eprintln!("init: module {}: {why}", path.display());
        }
    }
    Ok(())
}

fn load(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let plain = path.extension().is_some_and(|ending| ending == "ko");
    let flags = if plain { 0 } else { COMPRESSED };
    // SAFETY: the parameters are a C string that lives for the whole program.
    match unsafe { syscall!(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), flags) } {
        // Built in, or needed by one before it.
        Err(why) if why.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        other => other.map(drop),
    }
}
