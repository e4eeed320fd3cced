//! Records in the ring buffer: one fixed header, then up to four byte strings.

use crate::named;

/// Version of this layout; both halves ship in one binary, so a difference means a corrupt record.
pub const ABI: u16 = 1;

named! {
    /// What a record tells.
    Kind {
        /// A member of a tree forked a process. `detail` is the child's thread group id.
        Fork = 1, "fork";
        /// A member executed a program. Strings: program path, arguments (NUL between them), working directory, script path.
        Exec = 2, "exec";
        /// The last thread of a member ended. `detail` is the exit code as in `wait(2)`.
        Exit = 3, "exit";
        /// A rule matched. Strings: the object's path or name; for a program also its arguments.
        Verdict = 4, "verdict";
        /// The agent's death was seen by the kernel.
        Orphaned = 5, "orphaned";
        /// A member was answered an address for a name. Strings: the name. `detail` is the time to live in seconds.
        Resolved = 6, "resolved";
    }
}

/// What the object in a record is, and so how `address`, `port`, `detail` and the strings are to be read.
pub mod subject {
    use crate::named;

    named! {
        /// Which kind of object a record is about.
        Subject {
            /// None.
            None = 0, "none";
            /// A file: string 0 is its path.
            File = 1, "file";
            /// A program: string 0 is its path, string 1 its arguments.
            Program = 2, "program";
            /// An IP endpoint: `address`, `port`, `detail` is the protocol. String 0 is a name that the address was
            /// answered for, string 1 the name that the program sent itself.
            Address = 3, "address";
            /// A unix socket: string 0 is its path, or `@` and an abstract name.
            Socket = 4, "socket";
            /// A process: `detail` is its id.
            Process = 5, "process";
            /// Something of the kernel: `detail` is a detail such as the bpf command or the socket type.
            Kernel = 6, "kernel";
            /// A name that is resolved: string 0. `address` and `port` are who is asked; the low half of `detail` is the
            /// type of record, the high half the protocol.
            Name = 7, "name";
        }
    }
}
pub use subject::Subject;

/// Header flag: the path had more components than are walked; its beginning is missing.
pub const PATH_TOO_DEEP: u16 = 1;
/// Header flag: the path had more bytes than fit; its beginning is missing.
pub const PATH_TOO_LONG: u16 = 2;
/// Header flag: arguments beyond the examined part were left out.
pub const ARGUMENTS_CUT: u16 = 4;
/// Header flag: the path is what the program wrote in its own memory, not what the kernel resolved.
pub const UNRESOLVED: u16 = 8;
/// Header flag: judged after the call had been carried out.
pub const AFTER_THE_FACT: u16 = 16;
/// Header flag of an exec: a new scope began.
pub const NEW_SCOPE: u16 = 32;
/// Header flag: the call came by the 32-bit ABI.
pub const COMPAT: u16 = 64;
/// Header flag of a file verdict: the file is new.
pub const CREATED: u16 = 128;
/// Header flag: the process was killed, but the call it was in could not be kept from being carried out first.
pub const CARRIED_OUT: u16 = 256;
/// Header flag: written by userspace, which knows the start of a process to a tick of 10 ms only (rounded down).
pub const COARSE_START: u16 = 512;

/// Where a string lies behind the header.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset from the end of the header, bytes.
    pub offset: u16,
    /// Length, bytes.
    pub length: u16,
}

/// Number of strings a record can carry.
pub const SPANS: usize = 4;

/// The fixed part of every record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// [`ABI`].
    pub abi: u16,
    /// [`Kind`].
    pub kind: u8,
    /// [`Subject`].
    pub subject: u8,
    /// Bytes of this record, header included.
    pub length: u32,
    /// Nanoseconds since boot, suspended time included (`bpf_ktime_get_boot_ns`).
    pub time: u64,
    /// When the process was started, on the same clock (`task_struct.start_boottime`).
    pub start: u64,
    /// Thread group id, initial namespace: the process.
    pub tgid: u32,
    /// Thread id, initial namespace.
    pub tid: u32,
    /// Thread group id of the real parent.
    pub ppid: u32,
    /// Effective user id, initial namespace.
    pub uid: u32,
    /// Scope.
    pub scope: u64,
    /// Tree.
    pub tree: u32,
    /// Marks of the scope before this act.
    pub marks: u32,
    /// Actor.
    pub actor: u8,
    /// [`crate::action::Action`].
    pub action: u8,
    /// [`crate::verdict::Verdict`] asked.
    pub asked: u8,
    /// [`crate::verdict::Achieved`].
    pub achieved: u8,
    /// Index of the rule.
    pub rule: u16,
    /// Flags, see the constants.
    pub flags: u16,
    /// Group of the object that the rule matched.
    pub group: u16,
    /// Port, host byte order.
    pub port: u16,
    /// Number of the system call, or -1.
    pub syscall: i32,
    /// Depends on kind and subject.
    pub detail: u64,
    /// IPv6 address, or IPv4 as `::ffff:a.b.c.d`.
    pub address: [u8; 16],
    /// The strings.
    pub spans: [Span; SPANS],
}

/// Bytes of the header.
pub const HEADER: usize = size_of::<Header>();
/// Bytes of strings a record can carry.
pub const STRINGS: usize = 8 * 1024;
/// The largest record.
pub const MAX_RECORD: usize = HEADER + STRINGS;

const _: () = assert!(HEADER == 112);
const _: () = assert!(core::mem::offset_of!(Header, scope) == 40);
const _: () = assert!(core::mem::offset_of!(Header, address) == 80);

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, integers only, no padding (size and offsets asserted above), so every bit pattern is valid.
unsafe impl aya::Pod for Header {}
