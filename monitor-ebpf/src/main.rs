//! The kernel side. Each file beside this one is a thing we watch:
//!
//! | file | what |
//! |---|---|
//! | `join` `fork` `exec` `exit` | membership of a tree, actor and scope; programs run and code mapped |
//! | `open` | files opened for reading and writing, received, and under /proc |
//! | `change` | create, rename, remove, link, truncate, mode, owner |
//! | `connect` `socket` `unix` | IP connections and datagrams; sockets made and listening; unix sockets |
//! | `resolve` | packets: names that are asked for, addresses that are answered, what leaves |
//! | `memory` `signal` | other processes |
//! | `mount` | mounts, roots and user namespaces |
//! | `load` | bpf, modules, performance events, io_uring |
//!
//! Each handler is written once and attached in two forms: on a `security_*` function, where it refuses the call (the
//! `deny` tier), and in a tracepoint, where it kills (the `kill` tier). `syscall` and `facility` send the calls of the
//! `kill` tier to their handlers; `engine` classifies, looks up, acts and reports; `kernel` reads kernel memory.
//!
//! Programs on functions stand in sections `fentry/..`: that is how the object's reader knows them; the loader attaches
//! them as fmod_ret, which may change what the function returns.
#![no_std]
#![no_main]

mod change;
mod connect;
mod engine;
mod exec;
mod exit;
mod facility;
mod fork;
mod join;
mod kernel;
mod load;
mod memory;
mod mount;
mod open;
mod resolve;
mod signal;
mod socket;
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
