//! Reaching for another process: signals, traces, its memory, its limits. A process is named by a number in a register, or
//! by a descriptor, so what is judged here is what the kernel will do; the kernel side sees it too, and can only kill.

use std::fs;

use libc::c_long;
use monitor_common::action::Action;
use monitor_common::label::Label;
use monitor_common::object::KernelObject;

use super::caller;
use super::seccomp::Call;
use crate::bpf::tree::Members;

/// Where a call has the process it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Its id, or that of a thread, in this argument. Zero is the caller, and what is negative a group: these do not
    /// wait, because signals to a group are every shell's business.
    Id(usize),
    /// Its id in this argument; the call waits only if it is one of pkgwarden's. For calls that are made very often.
    Watcher(usize),
    /// A descriptor of a process in this argument.
    Descriptor(usize),
    /// This argument points at a `struct f_owner_ex`.
    Owner(usize),
    /// This argument points at an id.
    Behind(usize),
}

/// What the call does to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// It may signal anybody outside of the tree.
    Signal,
    /// It reads or writes memory.
    Memory,
    /// It changes how a process runs: of interest if it is pkgwarden.
    Limits,
}

/// A call that reaches for another process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    pub(super) number: c_long,
    pub(super) who: Who,
    pub(super) what: What,
    /// The call waits only if this argument is one of these.
    pub(super) only: Option<(usize, &'static [u32])>,
    /// Nothing is changed if this argument is 0: signal 0 asks whether a process exists, and a limit that is null for
    /// the present one.
    asks: Option<usize>,
}

const fn reach(number: c_long, who: Who, what: What) -> Reach {
    Reach { number, who, what, only: None, asks: None }
}

const fn signal(number: c_long, who: Who, signal: usize) -> Reach {
    Reach { asks: Some(signal), ..reach(number, who, What::Signal) }
}

// PTRACE_ATTACH and PTRACE_SEIZE, PRIO_PROCESS, IOPRIO_WHO_PROCESS: include/uapi/linux/{ptrace,resource,ioprio}.h.
// C libraries disagree about the types of these constants.
const TRACES: &[u32] = &[16, 0x4206];
const OF_A_PROCESS: &[u32] = &[0];
const IO_OF_A_PROCESS: &[u32] = &[1];
// F_SETOWN, F_SETOWN_EX, FIOSETOWN and SIOCSPGRP: include/uapi/asm-generic/{fcntl,sockios}.h.
const SET_OWNER: &[u32] = &[8];
const SET_OWNER_BEHIND: &[u32] = &[15];
const SET_OWNER_OF_SOCKET: &[u32] = &[0x8901, 0x8902];

/// Every such call. One number may be there more than once, for different values of an argument.
pub(super) const REACHES: &[Reach] = &[
    signal(libc::SYS_kill, Who::Id(0), 1),
    signal(libc::SYS_tkill, Who::Id(0), 1),
    signal(libc::SYS_tgkill, Who::Watcher(0), 2),
    signal(libc::SYS_rt_sigqueueinfo, Who::Id(0), 1),
    signal(libc::SYS_rt_tgsigqueueinfo, Who::Watcher(0), 2),
    signal(libc::SYS_pidfd_send_signal, Who::Descriptor(0), 1),
    Reach { only: Some((1, SET_OWNER)), ..reach(libc::SYS_fcntl, Who::Id(2), What::Signal) },
    Reach { only: Some((1, SET_OWNER_BEHIND)), ..reach(libc::SYS_fcntl, Who::Owner(2), What::Signal) },
    Reach { only: Some((1, SET_OWNER_OF_SOCKET)), ..reach(libc::SYS_ioctl, Who::Behind(2), What::Signal) },
    Reach { only: Some((0, TRACES)), ..reach(libc::SYS_ptrace, Who::Id(1), What::Memory) },
    reach(libc::SYS_process_vm_readv, Who::Id(0), What::Memory),
    reach(libc::SYS_process_vm_writev, Who::Id(0), What::Memory),
    reach(libc::SYS_process_madvise, Who::Descriptor(0), What::Limits),
    Reach { asks: Some(2), ..reach(libc::SYS_prlimit64, Who::Id(0), What::Limits) },
    reach(libc::SYS_sched_setscheduler, Who::Id(0), What::Limits),
    reach(libc::SYS_sched_setparam, Who::Id(0), What::Limits),
    reach(libc::SYS_sched_setattr, Who::Id(0), What::Limits),
    reach(libc::SYS_sched_setaffinity, Who::Id(0), What::Limits),
    Reach { only: Some((0, OF_A_PROCESS)), ..reach(libc::SYS_setpriority, Who::Id(1), What::Limits) },
    Reach { only: Some((0, IO_OF_A_PROCESS)), ..reach(libc::SYS_ioprio_set, Who::Id(1), What::Limits) },
];

impl What {
    pub(super) const fn action(self) -> Action {
        match self {
            Self::Signal => Action::Signal,
            Self::Memory | Self::Limits => Action::Attach,
        }
    }
}

/// Ids of pkgwarden's own processes: this one, and its guard.
pub type Watchers = [u32; 2];

/// A process that is reached for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) tgid: u32,
    pub(super) object: KernelObject,
}

impl Reach {
    /// The reach of a call that waits.
    pub(super) fn of(call: &Call) -> Option<&'static Self> {
        REACHES.iter().find(|reach| {
            u32::try_from(reach.number) == Ok(call.number)
                && reach.only.is_none_or(|(index, values)| values.contains(&(call.arguments[index] as u32)))
        })
    }

    /// Whom a call reaches for, and what that is to the caller. `None`: nothing that the rules have a word for.
    pub(super) fn target(
        &self,
        call: &Call,
        (tgid, label): (u32, &Label),
        members: &Members,
        watchers: Watchers,
    ) -> Option<Target> {
        if self.asks.is_some_and(|index| call.arguments[index] == 0) {
            return None;
        }
        let id = self.id(call)?;
        if id == call.tid || id == tgid || !numbers_alike(call.tid) {
            return None;
        }
        // A thread's id will do for most of these calls.
        let target = if watchers.contains(&id) { id } else { caller::status(id)?.tgid };
        let object = if watchers.contains(&target) {
            KernelObject::Agent
        } else {
            let other = members.label(target);
            match self.what {
                What::Limits => return None,
                // Whoever has ended has lost its label and its program, and cannot be harmed.
                What::Signal if fs::read_link(format!("/proc/{target}/exe")).is_err() => return None,
                What::Signal if other.is_some_and(|other| other.tree == label.tree) => return None,
                What::Memory
                    if target == tgid
                        || other
                            .is_some_and(|other| other.tree == label.tree && other.scope == label.scope) =>
                {
                    return None;
                }
                What::Signal => KernelObject::ForeignProcess,
                What::Memory => KernelObject::ForeignMemory,
            }
        };
        Some(Target { tgid: target, object })
    }

    fn id(&self, call: &Call) -> Option<u32> {
        // Ids are `int`: the kernel ignores the upper half.
        let positive = |number: i32| u32::try_from(number).ok().filter(|number| *number != 0);
        let word = |bytes: &[u8]| Some(i32::from_ne_bytes(bytes.try_into().ok()?));
        match self.who {
            Who::Id(index) | Who::Watcher(index) => positive(call.arguments[index] as i32),
            Who::Behind(index) => positive(word(&caller::read(call.tid, call.arguments[index], 4)?)?),
            Who::Owner(index) => {
                const F_OWNER_PGRP: i32 = 2;
                let owner = caller::read(call.tid, call.arguments[index], 8)?;
                let (kind, id) = (word(owner.get(..4)?)?, word(owner.get(4..)?)?);
                if kind == F_OWNER_PGRP { None } else { positive(id) }
            }
            Who::Descriptor(index) => process_behind(call.tid, call.arguments[index] as i32),
        }
    }
}

/// The process behind a descriptor: a pidfd, or a directory under /proc, which is as good for signals.
fn process_behind(tid: u32, descriptor: i32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{tid}/fdinfo/{descriptor}")).ok()?;
    if let Some(pid) = text.lines().find_map(|line| line.strip_prefix("Pid:")) {
        // Negative: it has ended, or is not in our namespace.
        return pid.trim().parse().ok();
    }
    let place = fs::read_link(format!("/proc/{tid}/fd/{descriptor}")).ok()?;
    place.file_name()?.to_str()?.parse().ok()
}

/// Whether a number means the same process to a thread as to us.
fn numbers_alike(tid: u32) -> bool {
    let namespace = |thread: &str| fs::read_link(format!("/proc/{thread}/ns/pid")).ok();
    let own = namespace("self");
    own.is_some() && namespace(&tid.to_string()) == own
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    fn call(number: c_long, arguments: [u64; 6]) -> Call {
        Call { id: 0, tid: std::process::id(), number: number as u32, arguments }
    }

    #[test]
    fn one_number_is_read_as_its_arguments_say() {
        let owner = [1_i32, 4711];
        let id = 4712_i32;
        for (number, arguments, wanted) in [
            (libc::SYS_kill, [4710, 9, 0, 0, 0, 0], Some(4710)),
            // Above an `int` stands nothing.
            (libc::SYS_kill, [4710 | 7 << 32, 9, 0, 0, 0, 0], Some(4710)),
            (libc::SYS_kill, [-4710_i64 as u64, 9, 0, 0, 0, 0], None),
            (libc::SYS_fcntl, [3, 8, 4710, 0, 0, 0], Some(4710)),
            (libc::SYS_fcntl, [3, 15, owner.as_ptr() as u64, 0, 0, 0], Some(4711)),
            (libc::SYS_ioctl, [3, 0x8901, (&raw const id) as u64, 0, 0, 0], Some(4712)),
            (libc::SYS_setpriority, [0, 4710, 19, 0, 0, 0], Some(4710)),
        ] {
            let call = call(number, arguments);
            let reach = Reach::of(&call).unwrap();
            assert_eq!(reach.id(&call), wanted, "call {number} {arguments:x?}");
        }
        // A group of processes has another word.
        assert!(Reach::of(&call(libc::SYS_setpriority, [1, 4710, 19, 0, 0, 0])).is_none());
        assert!(Reach::of(&call(libc::SYS_fcntl, [3, 1, 4710, 0, 0, 0])).is_none());
    }

    #[test]
    fn a_directory_of_a_process_is_that_process() {
        let own = std::process::id();
        let directory = fs::File::open(format!("/proc/{own}")).unwrap();
        assert_eq!(process_behind(own, directory.as_raw_fd()), Some(own));
        let null = fs::File::open("/dev/null").unwrap();
        assert_eq!(process_behind(own, null.as_raw_fd()), None);
    }
}
