//! Which names a call that waits is about.

use monitor_common::action::Action;
use monitor_common::call::NO_ARGUMENT;

use super::filter::{self, Last};
use super::seccomp::Call;
use crate::bpf::call::{FCHMODAT2, REMOVEXATTRAT, SETXATTRAT, watched};

/// How the names of each call are read, by its number.
pub(super) fn readings() -> Vec<Option<Reading>> {
    let mut readings = Vec::new();
    for (number, last) in filter::gated() {
        let Some((_, call)) = watched().find(|(known, _)| *known == number) else { continue };
        let Some(action) = Action::from_raw(call.action) else { continue };
        let second = Action::from_raw(call.second_action).map(|action| Argument {
            action,
            directory: call.second_directory,
            path: call.second_path,
        });
        let first = Argument { action, directory: call.directory, path: call.path };
        let index = number as usize;
        if readings.len() <= index {
            readings.resize(index + 1, None);
        }
        readings[index] = Some(Reading { first, second, last, flags: at_flags(number) });
    }
    readings
}

/// The argument whose `AT_EMPTY_PATH` makes an empty path stand for the descriptor itself.
fn at_flags(number: u32) -> Option<usize> {
    match i64::from(number) {
        libc::SYS_linkat | libc::SYS_fchownat => Some(4),
        FCHMODAT2 => Some(3),
        SETXATTRAT | REMOVEXATTRAT => Some(2),
        _ => None,
    }
}

/// How one call is read.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    first: Argument,
    second: Option<Argument>,
    pub(super) last: Last,
    flags: Option<usize>,
}

#[derive(Clone, Copy)]
struct Argument {
    action: Action,
    directory: u8,
    path: u8,
}

/// One name in a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub(super) action: Action,
    /// Descriptor of the directory it is relative to.
    pub(super) directory: i32,
    pub(super) address: u64,
    pub(super) follow: bool,
    /// Whether an empty path means the descriptor itself.
    pub(super) may_be_empty: bool,
    /// Whether the call makes the file if there is none.
    pub(super) creates: bool,
}

impl Reading {
    /// The names in a call.
    pub(super) fn names(&self, call: &Call) -> [Option<Name>; 2] {
        // Flags and descriptors are `int`: the kernel ignores the upper half.
        let argument = |index: usize| call.arguments.get(index).copied().unwrap_or(0);
        let has = |index: usize, flag: i32| argument(index) as i32 & flag != 0;
        let name = |from: Argument| Name {
            action: from.action,
            directory: match from.directory {
                NO_ARGUMENT => libc::AT_FDCWD,
                index => argument(usize::from(index)) as i32,
            },
            address: argument(usize::from(from.path)),
            follow: false,
            may_be_empty: false,
            creates: false,
        };
        let mut first = name(self.first);
        first.follow = match self.last {
            Last::Itself => false,
            Last::Followed => true,
            Last::Open(flags) => !has(flags, libc::O_NOFOLLOW),
            Last::Unless(flags) => !has(flags, libc::AT_SYMLINK_NOFOLLOW),
            Last::If(flags) => has(flags, libc::AT_SYMLINK_FOLLOW),
            Last::Address(_) | Last::Descriptor => false,
        };
        first.creates = match self.last {
            Last::Open(flags) => has(flags, libc::O_CREAT),
            _ => is_creat(call.number),
        };
        first.may_be_empty = self.flags.is_some_and(|flags| has(flags, libc::AT_EMPTY_PATH));
        [Some(first), self.second.map(name)]
    }
}

#[cfg(target_arch = "x86_64")]
fn is_creat(number: u32) -> bool {
    i64::from(number) == libc::SYS_creat
}

#[cfg(not(target_arch = "x86_64"))]
const fn is_creat(_: u32) -> bool {
    false
}
