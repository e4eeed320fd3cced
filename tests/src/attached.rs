//! What is loaded into the kernel.

use std::collections::BTreeSet;
use std::io;

const PROG_GET_NEXT_ID: libc::c_int = 11;

/// The part of `union bpf_attr` that asks for the next id.
#[repr(C)]
struct NextId {
    start: u32,
    next: u32,
    flags: u32,
}

/// The ids of all BPF programs in the kernel.
///
/// # Panics
/// If the kernel does not tell: without root.
#[must_use]
pub fn loaded_programs() -> BTreeSet<u32> {
    let mut known = BTreeSet::new();
    let mut ask = NextId { start: 0, next: 0, flags: 0 };
    loop {
        // SAFETY: `ask` has the layout of this command, the size is its own, and it is ours to write.
        let told =
            unsafe { libc::syscall(libc::SYS_bpf, PROG_GET_NEXT_ID, &raw mut ask, size_of::<NextId>()) };
        if told < 0 {
            let why = io::Error::last_os_error();
            assert_eq!(why.raw_os_error(), Some(libc::ENOENT), "list BPF programs: {why}");
            return known;
        }
        known.insert(ask.next);
        ask.start = ask.next;
    }
}
