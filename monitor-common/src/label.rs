//! What the kernel remembers: a label for each process of a tree, a state for each scope and each tree.

/// Key of a tree: the process id (initial namespace) of its root.
pub type TreeId = u32;
/// Key of a scope: nanoseconds since boot when it began, shifted left by eight, plus the processor number; 0 is "no scope".
pub type ScopeId = u64;
/// Index of an actor in the compiled policy.
pub type ActorId = u8;

/// Processes that one element of the table of watched ids is about: a byte each.
pub const WATCHED_CHUNK: u32 = 4096;

/// The label of one watched process, keyed by its thread group id in the initial namespace.
///
/// Written at fork (a copy of the parent's) and at exec (actor and scope), never recomputed from parent pids.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// The tree this process belongs to, for life.
    pub tree: TreeId,
    /// What it is now.
    pub actor: ActorId,
    /// What a program becomes that it starts and that no identity recognises.
    pub child: ActorId,
    /// Zero.
    pub reserved: [u8; 2],
    /// The script instance it belongs to; 0 for a manager and its helpers.
    pub scope: ScopeId,
}

/// State shared by the processes of one tree.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// [`crate::verdict::Mode`].
    pub mode: u8,
    /// 1 after a `kill`: every member dies at its next system call, fork or exec.
    pub doomed: u8,
    /// Zero.
    pub reserved: [u8; 2],
    /// The userspace process that answers for this tree; its death dooms the tree.
    pub agent: u32,
}

/// Counters a scope can hold: rules with `after` share them.
pub const SCOPE_COUNTERS: usize = 8;

/// Mark of every scope that a script opened; the manager's own has it not. Rules ask for it with `scope: script`.
pub const SCRIPT_SCOPE: u32 = 1 << 31;
/// Marks that rules can set: all bits below [`SCRIPT_SCOPE`].
pub const MAX_MARKS: usize = 31;
/// Classes of secrets a scope can tell apart.
pub const MAX_SECRETS: usize = 64;

/// State shared by the processes of one scope. A manager's own acts use the scope numbered like its tree.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Classes of the secrets that were read, a bit each.
    pub secrets: u64,
    /// Marks set by rules, and [`SCRIPT_SCOPE`].
    pub marks: u32,
    /// Zero.
    pub reserved: u32,
    /// How often a rule with `after` matched, by counter.
    pub counts: [u32; SCOPE_COUNTERS],
}

const _: () = assert!(size_of::<Label>() == 16);
const _: () = assert!(size_of::<Tree>() == 8);
const _: () = assert!(size_of::<Scope>() == 48);

#[cfg(feature = "user")]
mod user_impl {
    // SAFETY: `repr(C)`, integers only, no padding (sizes asserted above), so every bit pattern is valid.
    unsafe impl aya::Pod for super::Label {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::Tree {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::Scope {}
}
