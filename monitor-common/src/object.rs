//! Objects that no path or address describes: only the kernel can tell that an act concerns them.

use crate::named;

named! {
    /// An object recognised by the kernel side itself. Rules name it like any other object.
    KernelObject {
        /// A file that this tree wrote, by something other than a linker or the manager.
        Dropped = 1, "dropped";
        /// A program with no name in any file system: memfd, O_TMPFILE, or deleted before it ran.
        Fileless = 2, "fileless";
        /// A set-uid program owned by root, run by somebody who is not root.
        SetuidRoot = 3, "setuid-root";
        /// The memory of a process outside the scope.
        ForeignMemory = 4, "foreign-memory";
        /// The environment of a process outside the scope (`/proc/PID/environ`).
        ForeignEnvironment = 5, "foreign-environment";
        /// A process outside the tree.
        ForeignProcess = 6, "foreign-process";
        /// The bpf() system call, for anything that loads or changes.
        Bpf = 7, "bpf";
        /// A kernel module.
        KernelModule = 8, "kernel-module";
        /// An io_uring instance.
        IoUring = 9, "io-uring";
        /// A raw or ICMP socket of the internet families.
        RawSocket = 10, "raw-socket";
        /// A packet, XDP, vsock, or other socket family that an install has no use for.
        OddSocket = 11, "odd-socket";
        /// A new user namespace.
        UserNamespace = 12, "user-namespace";
        /// A mount, or another root directory.
        Mount = 13, "mount";
        /// A system call of another ABI (32 bit on a 64-bit kernel), which tracepoints misread.
        CompatCall = 14, "compat-call";
        /// A path too deep or too long to be read in full.
        OpaquePath = 15, "opaque-path";
        /// A file opened by handle instead of by name.
        FileHandle = 16, "file-handle";
        /// A whole disk, kernel memory, or another device that bypasses file names.
        RawDevice = 17, "raw-device";
        /// An executable script that this tree wrote.
        DroppedScript = 18, "dropped-script";
        /// A process of pkgwarden itself.
        Agent = 19, "agent";
        /// An io_uring that is to work with somebody else's credentials.
        IoUringCredentials = 20, "io-uring-credentials";
        /// An io_uring whose work passes unseen: in the `kill` tier, and before v5.12, where its workers are kernel threads
        /// that nothing ties to their process.
        IoUringUnseen = 21, "io-uring-unseen";
        /// Performance events: samples of other programs' memory and addresses, and the way to load probes.
        PerfEvent = 22, "perf-event";
        /// A shared object that this tree wrote, mapped to be run.
        DroppedLibrary = 23, "dropped-library";
        /// A public address that no DNS answer named which this tree has seen.
        UnnamedAddress = 24, "unnamed-address";
        /// A TCP service on loopback that this tree did not start.
        ForeignService = 25, "foreign-service";
        /// A DNS query that cannot be read.
        OpaqueQuery = 26, "opaque-query";
        /// A name server that is not one of the machine's.
        ForeignResolver = 27, "foreign-resolver";
        /// A DNS query shaped like data: long labels, many distinct names below one, bursts of TXT or NULL.
        OddQuery = 28, "odd-query";
        /// The name in a TLS ClientHello or an HTTP Host differs from every name the address was resolved under.
        NameMismatch = 29, "name-mismatch";
    }
}

/// Length of the table that maps a kernel object to its group: one more than the largest number.
pub const KERNEL_OBJECTS: usize = 32;
