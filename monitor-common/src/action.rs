//! The verbs of a rule: what a process does to an object.

use crate::named;

named! {
    /// What a process does to an object. Numbers are part of the compiled policy and of events: never reuse one.
    Action {
        /// Run a program (`execve`, `execveat`), judged before its first instruction.
        Exec = 0, "exec";
        /// Open for reading.
        Read = 1, "read";
        /// Open for writing, truncate, or change mode or owner.
        Write = 2, "write";
        /// Make a file, directory or symbolic link; or a kernel object such as a raw socket or a user namespace.
        Create = 3, "create";
        /// Give a file another name (`link`): judged on the old name, which would get an unwatched twin.
        Link = 4, "link";
        /// Rename: judged on the old name; the new one is a `create`.
        Rename = 5, "rename";
        /// Unlink a file or remove a directory.
        Remove = 6, "remove";
        /// Connect an IP socket.
        Connect = 7, "connect";
        /// Send a datagram without a connection.
        Send = 8, "send";
        /// Ask a resolver for a name.
        Resolve = 9, "resolve";
        /// Accept connections.
        Listen = 10, "listen";
        /// Connect a unix socket.
        UnixConnect = 11, "unix-connect";
        /// Reach into another process (`ptrace`, `/proc/PID/mem`, `process_vm_readv`).
        Attach = 12, "attach";
        /// Ask the kernel to run or lend machinery that can carry work past the watch (`bpf`, modules, io_uring, 32-bit calls).
        Load = 13, "load";
        /// Signal a process outside the tree.
        Signal = 14, "signal";
    }
}

/// Columns of the verdict table: one more than the largest action, rounded up to a power of two.
pub const ACTIONS: u32 = 16;

const _: () = assert!(Action::ALL.len() <= ACTIONS as usize);
