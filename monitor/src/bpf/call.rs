//! The system calls that are watched in the `kill` tier, and how each is read. Numbers come from libc, so a new
//! architecture only needs its own list of calls that it has.

use libc::c_long;
use monitor_common::action::Action;
use monitor_common::call::{Call, Handler, NO_ARGUMENT, Register};
use monitor_common::object::KernelObject;

/// `fchmodat2`, which libc does not name on every architecture. Calls of its age have one number on all of them.
pub(crate) const FCHMODAT2: c_long = 452;
/// `setxattrat`, likewise (since v6.13).
pub(crate) const SETXATTRAT: c_long = 463;
/// `removexattrat`, likewise.
pub(crate) const REMOVEXATTRAT: c_long = 466;

/// A blank entry.
const NONE: Call = Call {
    enter: 0,
    exit: 0,
    action: 0,
    directory: NO_ARGUMENT,
    path: 0,
    flags: 0,
    flags_behind: 0,
    register: 0,
    object: 0,
    second_action: NO_ARGUMENT,
    second_directory: NO_ARGUMENT,
    second_path: 0,
};

/// An open call: judged when it returns, and at entry if it would empty the file.
const fn open(directory: u8, path: u8, flags: u8) -> Call {
    let (enter, exit) = (Handler::Truncate as u8, Handler::Open as u8);
    Call { enter, exit, action: Action::Write as u8, directory, path, flags, ..NONE }
}

/// A call that changes what one path names.
const fn change(action: Action, directory: u8, path: u8) -> Call {
    Call { enter: Handler::Path as u8, action: action as u8, directory, path, ..NONE }
}

/// A call with an old and a new name.
const fn two_names(action: Action, old: (u8, u8), new: (u8, u8)) -> Call {
    let second_action = Action::Create as u8;
    Call { second_action, second_directory: new.0, second_path: new.1, ..change(action, old.0, old.1) }
}

/// A call judged on its registers.
const fn registers(action: Action, register: Register) -> Call {
    Call { enter: Handler::Register as u8, action: action as u8, register: register as u8, ..NONE }
}

/// A call that is itself the object.
const fn whole(action: Action, object: KernelObject) -> Call {
    Call { object: object as u8, ..registers(action, Register::Whole) }
}

/// A call that sends datagrams: an address and its length, or (`behind`) a message and how many of them.
const fn sent_to(path: u8, flags: u8, behind: u8) -> Call {
    Call { enter: Handler::UnixSend as u8, path, flags, flags_behind: behind, ..NONE }
}

/// A call that receives messages, one or, with a count, many.
const fn received(flags: u8) -> Call {
    Call { exit: Handler::Received as u8, path: 1, flags, ..NONE }
}

const CWD: u8 = NO_ARGUMENT;

/// Opened by handle: no path to judge at entry.
const BY_HANDLE: Call = Call { exit: Handler::Open as u8, object: KernelObject::FileHandle as u8, ..NONE };

/// Calls that every supported architecture has.
const COMMON: &[(c_long, Call)] = &[
    (libc::SYS_openat, open(0, 1, 2)),
    (libc::SYS_openat2, Call { flags_behind: 1, ..open(0, 1, 2) }),
    (libc::SYS_open_by_handle_at, BY_HANDLE),
    (libc::SYS_unlinkat, change(Action::Remove, 0, 1)),
    (libc::SYS_renameat, two_names(Action::Rename, (0, 1), (2, 3))),
    (libc::SYS_renameat2, two_names(Action::Rename, (0, 1), (2, 3))),
    (libc::SYS_linkat, two_names(Action::Link, (0, 1), (2, 3))),
    (libc::SYS_symlinkat, change(Action::Create, 1, 2)),
    (libc::SYS_mkdirat, change(Action::Create, 0, 1)),
    (libc::SYS_mknodat, change(Action::Create, 0, 1)),
    (libc::SYS_truncate, change(Action::Write, CWD, 0)),
    (libc::SYS_fchmodat, change(Action::Write, 0, 1)),
    (FCHMODAT2, change(Action::Write, 0, 1)),
    (libc::SYS_fchownat, change(Action::Write, 0, 1)),
    (libc::SYS_fchmod, registers(Action::Write, Register::File)),
    (libc::SYS_fchown, registers(Action::Write, Register::File)),
    (libc::SYS_setxattr, change(Action::Write, CWD, 0)),
    (libc::SYS_lsetxattr, change(Action::Write, CWD, 0)),
    (libc::SYS_fsetxattr, registers(Action::Write, Register::File)),
    (SETXATTRAT, change(Action::Write, 0, 1)),
    (libc::SYS_removexattr, change(Action::Write, CWD, 0)),
    (libc::SYS_lremovexattr, change(Action::Write, CWD, 0)),
    (libc::SYS_fremovexattr, registers(Action::Write, Register::File)),
    (REMOVEXATTRAT, change(Action::Write, 0, 1)),
    (libc::SYS_sendto, sent_to(4, 5, 0)),
    (libc::SYS_sendmsg, sent_to(1, NO_ARGUMENT, 1)),
    (libc::SYS_sendmmsg, sent_to(1, 2, 1)),
    (libc::SYS_connect, Call { exit: Handler::UnixConnect as u8, ..NONE }),
    (libc::SYS_recvmsg, received(NO_ARGUMENT)),
    (libc::SYS_recvmmsg, received(2)),
    (libc::SYS_socket, registers(Action::Create, Register::Socket)),
    (libc::SYS_listen, registers(Action::Listen, Register::Listen)),
    (libc::SYS_ptrace, registers(Action::Attach, Register::Ptrace)),
    (libc::SYS_process_vm_readv, registers(Action::Attach, Register::Process)),
    (libc::SYS_process_vm_writev, registers(Action::Attach, Register::Process)),
    (libc::SYS_pidfd_getfd, registers(Action::Attach, Register::Descriptor)),
    (libc::SYS_bpf, whole(Action::Load, KernelObject::Bpf)),
    (libc::SYS_init_module, whole(Action::Load, KernelObject::KernelModule)),
    (libc::SYS_finit_module, whole(Action::Load, KernelObject::KernelModule)),
    (libc::SYS_kexec_load, whole(Action::Load, KernelObject::KernelModule)),
    (libc::SYS_kexec_file_load, whole(Action::Load, KernelObject::KernelModule)),
    (libc::SYS_mmap, registers(Action::Exec, Register::Map)),
    (libc::SYS_perf_event_open, whole(Action::Load, KernelObject::PerfEvent)),
    (libc::SYS_io_uring_setup, registers(Action::Load, Register::Ring)),
    (libc::SYS_mount, whole(Action::Create, KernelObject::Mount)),
    (libc::SYS_move_mount, whole(Action::Create, KernelObject::Mount)),
    (libc::SYS_open_tree, whole(Action::Create, KernelObject::Mount)),
    (libc::SYS_fsmount, whole(Action::Create, KernelObject::Mount)),
    (libc::SYS_umount2, whole(Action::Create, KernelObject::Mount)),
    (libc::SYS_pivot_root, whole(Action::Create, KernelObject::Mount)),
    (libc::SYS_chroot, whole(Action::Create, KernelObject::Mount)),
    (libc::SYS_unshare, registers(Action::Create, Register::Namespaces)),
    (libc::SYS_clone, registers(Action::Create, Register::Namespaces)),
    (libc::SYS_clone3, registers(Action::Create, Register::NamespacesBehind)),
    (libc::SYS_prlimit64, registers(Action::Attach, Register::Limits)),
    (libc::SYS_sched_setscheduler, registers(Action::Attach, Register::Limits)),
    (libc::SYS_sched_setparam, registers(Action::Attach, Register::Limits)),
    (libc::SYS_setpriority, registers(Action::Attach, Register::Priority)),
    (libc::SYS_sched_setattr, registers(Action::Attach, Register::Limits)),
    (libc::SYS_sched_setaffinity, registers(Action::Attach, Register::Limits)),
];

/// Calls that only x86-64 still has.
#[cfg(target_arch = "x86_64")]
const OLD: &[(c_long, Call)] = &[
    (libc::SYS_open, open(CWD, 0, 1)),
    (libc::SYS_creat, Call { exit: Handler::Open as u8, ..change(Action::Write, CWD, 0) }),
    (libc::SYS_unlink, change(Action::Remove, CWD, 0)),
    (libc::SYS_rmdir, change(Action::Remove, CWD, 0)),
    (libc::SYS_rename, two_names(Action::Rename, (CWD, 0), (CWD, 1))),
    (libc::SYS_link, two_names(Action::Link, (CWD, 0), (CWD, 1))),
    (libc::SYS_symlink, change(Action::Create, CWD, 1)),
    (libc::SYS_mkdir, change(Action::Create, CWD, 0)),
    (libc::SYS_mknod, change(Action::Create, CWD, 0)),
    (libc::SYS_chmod, change(Action::Write, CWD, 0)),
    (libc::SYS_chown, change(Action::Write, CWD, 0)),
    (libc::SYS_lchown, change(Action::Write, CWD, 0)),
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[(c_long, Call)] = &[];

/// Every watched call with its number.
pub fn watched() -> impl Iterator<Item = (u32, Call)> {
    COMMON.iter().chain(OLD).filter_map(|(number, call)| Some((u32::try_from(*number).ok()?, *call)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use monitor_common::call::CALLS;

    use super::*;

    #[test]
    fn every_number_fits_the_table_and_is_used_once() {
        let mut seen = HashSet::new();
        for (number, _) in watched() {
            assert!(number < CALLS);
            assert!(seen.insert(number), "call {number} is listed twice");
        }
    }
}
