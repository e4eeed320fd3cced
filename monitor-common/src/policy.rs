//! The compiled rules, and the only code that reads them: the kernel object and userspace compile this module, so
//! `replay` and `rules test` cannot say anything else than what the kernel does.
//!
//! ```text
//! path, command line, socket name --automaton--> group --+
//! address and port ------LPM trie------------> group ----+--> cell[actor][action][group] --> outcomes --> decision
//! name of a host, port --automaton-----------> group ----+
//! kernel object -------------------------------> group --+
//! ```
//!
//! A *group* is a set of object classes that some object belongs to; the compiler numbers those that can occur.

pub mod automaton;
pub mod decide;
pub mod identity;

pub use automaton::{Automata, State};
pub use decide::{Decision, Past, Query, Verdicts};
pub use identity::{Actor, ExecClass, Identity};

use crate::object::KERNEL_OBJECTS;

/// Words in one element of a chunked table. Array maps are read element by element, and an element of this size makes
/// few system calls when a policy is loaded.
pub const CHUNK: u32 = 1024;
/// The largest number of automaton words a kernel map is sized for; a policy that needs more is refused.
pub const MAX_AUTOMATON_WORDS: u32 = 1 << 25;
/// The largest number of cells, likewise.
pub const MAX_CELLS: u32 = 1 << 25;
/// The largest number of outcomes, likewise.
pub const MAX_OUTCOMES: u32 = 1 << 15;
/// The most outcomes one cell can hold; a rule set that needs more is refused, naming the rules.
pub const MAX_CHAIN: usize = 16;
/// The most groups one act is judged by: a program has a path, a script, a command line and a kernel object; an address
/// has itself, four names and a kernel object.
pub const MAX_GROUPS: usize = 6;
/// The most actors and the most identities.
pub const MAX_ACTORS: usize = 128;
/// See [`MAX_ACTORS`]: one bit each in a `u128`, held as two words.
pub const MAX_IDENTITIES: usize = 128;
/// Port sets: the net table has one group for each pair of an address set and a port set, the domain table for each
/// pair of a domain set and a port set.
pub const MAX_PORT_SETS: u32 = 256;
/// The port set for a name without a port (`resolve`): whatever ports an object asks for.
pub const ANY_PORT: u32 = 0;
/// The longest name of a host in bytes, without the last dot (RFC 1035, 2.3.4).
pub const LONGEST_NAME: usize = 253;

/// Flag of a group: an object of it is a secret, so its files are also known by their inode.
pub const SECRET: u8 = 1;

/// What the agent says of the files it opens: see `run/secrets` in userspace.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lesson {
    /// Thread that opens; 0 is nobody.
    pub thread: u32,
    /// Group that the file is of; 0 is that of its name.
    pub group: u32,
}

/// What the evaluator must know before it looks anything up.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Start states of the automata over paths of files, paths of programs, command lines, unix sockets.
    pub file_start: State,
    /// See `file_start`.
    pub exec_start: State,
    /// See `file_start`.
    pub command_start: State,
    /// See `file_start`.
    pub socket_start: State,
    /// Over names of hosts, last byte first, in lower case, without a last dot. It accepts the number of a domain set,
    /// not of a group, and has no floating half.
    pub domain_start: State,
    /// Columns of the cell table.
    pub groups: u32,
    /// Columns of the net table and of the domain table.
    pub port_sets: u32,
    /// Identities that ask for a program path; the others take any.
    pub needs_exe: [u64; 2],
    /// Identities that ask for a script or module; the others take any.
    pub needs_script: [u64; 2],
    /// Group of each kernel object, by its number.
    pub kernel_objects: [u16; KERNEL_OBJECTS],
    /// Class of each byte in the automata.
    pub classes: [u8; 256],
}

const _: () = assert!(size_of::<Layout>() == 48 + 32 + 64 + 256);

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, integers only, no padding (size asserted above), so every bit pattern is valid.
unsafe impl aya::Pod for Layout {}

#[cfg(feature = "user")]
// SAFETY: as above: two integers of the same size.
unsafe impl aya::Pod for Lesson {}
