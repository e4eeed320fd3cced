//! How the kernel side reads a system call. Numbers and argument orders differ between architectures and between
//! calls, so userspace fills a table indexed by the call's number and the handlers stay the same.

use crate::named;

named! {
    /// Which handler a call belongs to.
    Handler {
        /// Not watched.
        None = 0, "none";
        /// Judged on a path in user memory when the call is entered: its harm is done before it returns.
        Path = 1, "path";
        /// As `Path`, but only if the open flags would empty the file.
        Truncate = 2, "truncate";
        /// Judged on the file behind the returned descriptor.
        Open = 3, "open";
        /// Judged on the peer of a connected unix socket.
        UnixConnect = 4, "unix-connect";
        /// Judged on its registers alone.
        Register = 5, "register";
        /// Judged on the files behind the descriptors that came with messages: `path` is the argument with the
        /// message, or with the first of many if there is an argument `flags`.
        Received = 6, "received";
        /// Judged on the address that a datagram is sent to: `path` is the argument with it and `flags` the one with
        /// its length; with `flags_behind`, `path` is the message and `flags` says how many there are.
        UnixSend = 7, "unix-send";
    }
}

named! {
    /// What a call judged on its registers is about; says how they are read.
    Register {
        /// Nothing.
        None = 0, "none";
        /// socket(family, type, protocol)
        Socket = 1, "socket";
        /// ptrace(request, pid)
        Ptrace = 2, "ptrace";
        /// The process is the first argument: process_vm_readv, process_vm_writev.
        Process = 3, "process";
        /// The call itself is the object.
        Whole = 6, "whole";
        /// unshare(flags), clone(flags)
        Namespaces = 7, "namespaces";
        /// pidfd_getfd(pidfd, fd)
        Descriptor = 8, "descriptor";
        /// listen(descriptor, backlog)
        Listen = 4, "listen";
        /// The process is the first argument, its limits or priority are changed: prlimit64, sched_setscheduler.
        Limits = 5, "limits";
        /// clone3(arguments): the flags are the first word there
        NamespacesBehind = 9, "namespaces-behind";
        /// io_uring_setup(entries, parameters)
        Ring = 10, "ring";
        /// The file behind the descriptor that is the first argument is changed: fchmod, fsetxattr.
        File = 11, "file";
        /// setpriority(which, who): of interest if `who` is a process.
        Priority = 12, "priority";
        /// mmap(address, length, protection, flags, descriptor): of interest if code is mapped.
        Map = 13, "map";
    }
}

/// No such argument.
pub const NO_ARGUMENT: u8 = 0xff;

/// One way of reading a call.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// [`Handler`] when the call is entered.
    pub enter: u8,
    /// [`Handler`] when it returns.
    pub exit: u8,
    /// [`crate::action::Action`].
    pub action: u8,
    /// Argument with a directory descriptor; [`NO_ARGUMENT`]: the path is relative to the working directory.
    pub directory: u8,
    /// Argument with the path.
    pub path: u8,
    /// Argument with open flags (or a pointer to `struct open_how`, see `flags_behind`).
    pub flags: u8,
    /// 1: `flags` points at the flags.
    pub flags_behind: u8,
    /// [`Register`].
    pub register: u8,
    /// [`crate::object::KernelObject`] for [`Register::Whole`].
    pub object: u8,
    /// [`crate::action::Action`] on a second path; [`NO_ARGUMENT`]: there is none.
    pub second_action: u8,
    /// See `directory`.
    pub second_directory: u8,
    /// See `path`.
    pub second_path: u8,
}

/// Entries of the table: one more than the largest number watched, rounded up.
pub const CALLS: u32 = 512;

const _: () = assert!(size_of::<Call>() == 12);

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, bytes only, no padding (size asserted above), so every bit pattern is valid.
unsafe impl aya::Pod for Call {}
