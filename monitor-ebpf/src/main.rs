//! The kernel side. Each file beside this one is a thing we watch:
//!
//! | file | what | how |
//! |---|---|---|
//! | `fork` `exec` `exit` | membership of a tree, actor and scope | raw tracepoints |
//! | `open` | files opened for reading and writing | the descriptor an open call returns |
//! | `change` | rename, remove, link, create, truncate, mode | paths, when the call is entered |
//! | `connect` | IP connections and datagrams | cgroup hooks |
//! | `unix` | unix sockets | the peer, when connect returns |
//! | `facility` | foreign memory, raw sockets, bpf, modules, io_uring, mounts, signals | registers, when the call is entered |
//!
//! `syscall` sends a call to its handler, `engine` classifies, looks up, acts and reports, `kernel` reads kernel memory.
#![no_std]
#![no_main]

mod change;
mod connect;
mod engine;
mod exec;
mod exit;
mod facility;
mod fork;
mod kernel;
mod open;
mod syscall;
mod unix;

// Helpers such as bpf_probe_read_kernel and bpf_send_signal are for GPL-compatible programs.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a program that could get here, so nothing ever does.
    loop {}
}
