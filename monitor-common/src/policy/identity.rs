//! Who a program is: the actor is decided when it is executed, from the program's path, the script or module it runs,
//! and who started it.

use crate::label::ActorId;
use crate::named;

named! {
    /// The three kinds of actors.
    ActorKind {
        /// A package manager.
        Manager = 1, "manager";
        /// Code that a package brought.
        Script = 2, "script";
        /// A program of the machine with a known job, such as git or a compiler.
        Tool = 3, "tool";
    }
}

/// What the kernel must know of an actor.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// [`ActorKind`].
    pub kind: u8,
    /// What a program becomes that this actor starts and that no identity recognises; 0 keeps the one in the label
    /// (a tool's child is what the tool's own starter would have had).
    pub child: ActorId,
    /// 1 if files it writes are not `dropped` (linkers and managers).
    pub trusted_writer: u8,
    /// Zero.
    pub reserved: u8,
    /// Zero.
    pub reserved2: u32,
    /// Identities that a process of this actor may start.
    pub may_start: [u64; 2],
}

/// One way to recognise an actor. The first identity whose conditions all hold wins.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// What the program becomes.
    pub actor: ActorId,
    /// Zero.
    pub reserved: [u8; 3],
}

/// Flag of [`ExecClass`]: an interpreter, whose script or module is looked for among the arguments.
pub const INTERPRETER: u16 = 1;
/// Flag of [`ExecClass`]: a program of many names (busybox), known by its first argument.
pub const MULTICALL: u16 = 2;
/// Flag of [`ExecClass`]: a program that only starts another (`env` in the first line of a script): the process keeps
/// its label, and what it starts is judged as if it had been started directly.
pub const TRAMPOLINE: u16 = 4;

/// What an automaton over program paths or command lines accepts.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ExecClass {
    /// Group of the verdict table.
    pub group: u16,
    /// [`INTERPRETER`], [`MULTICALL`], [`TRAMPOLINE`].
    pub flags: u16,
    /// Zero.
    pub reserved: u32,
    /// Identities this matches as a program path.
    pub exe: [u64; 2],
    /// Identities this matches as a script path or module.
    pub script: [u64; 2],
}

const _: () = assert!(size_of::<Actor>() == 24);
const _: () = assert!(size_of::<Identity>() == 4);
const _: () = assert!(size_of::<ExecClass>() == 40);

/// Number of the first identity in both halves of the set, if any.
#[inline(always)]
#[must_use]
pub fn first(set: [u64; 2]) -> Option<u32> {
    if set[0] != 0 {
        Some(lowest(set[0]))
    } else if set[1] != 0 {
        Some(64 + lowest(set[1]))
    } else {
        None
    }
}

/// Index of the lowest set bit. BPF has no instruction for it, and the compiler's own expansion uses a constant table.
#[inline(always)]
fn lowest(word: u64) -> u32 {
    let mut bits = word & word.wrapping_neg();
    let mut index = 0;
    let mut width = 32;
    while width > 0 {
        if bits >> width != 0 {
            bits >>= width;
            index += width;
        }
        width /= 2;
    }
    index
}

/// The identities that hold for a program at `exe`, running `script`, started by an actor.
#[inline(always)]
#[must_use]
pub fn candidates(
    layout: &super::Layout,
    exe: &ExecClass,
    script: [u64; 2],
    may_start: [u64; 2],
) -> [u64; 2] {
    [
        (exe.exe[0] | !layout.needs_exe[0]) & (script[0] | !layout.needs_script[0]) & may_start[0],
        (exe.exe[1] | !layout.needs_exe[1]) & (script[1] | !layout.needs_script[1]) & may_start[1],
    ]
}

#[cfg(feature = "user")]
mod user_impl {
    // SAFETY: `repr(C)`, integers only, no padding (sizes asserted above), so every bit pattern is valid.
    unsafe impl aya::Pod for super::Actor {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::Identity {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::ExecClass {}
}
