//! What is attached where, as data: `doctor` prints these lists, and attaching walks them.

use monitor_common::call::Handler;

/// How a program reaches its hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// A kernel function whose result the program replaces, if it wants to (fmod_ret).
    Result(&'static str),
    /// A kernel function that is entered (fentry).
    Entry(&'static str),
    /// A raw tracepoint.
    RawTracepoint(&'static str),
    /// A cgroup hook on the root of the cgroup2 hierarchy: calls with an address.
    Cgroup,
    /// Likewise: packets that leave.
    Egress,
    /// Likewise: packets that arrive.
    Ingress,
    /// Likewise: sockets made and bound.
    Sockets,
    /// Called by `sys_enter` for system calls with this handler.
    Enter(Handler),
    /// Called by `sys_exit`.
    Exit(Handler),
}

/// What it means that a kernel has no such hook.
#[derive(Clone, Copy, Debug)]
pub enum Absence {
    /// Something passes unseen: the tier is not reached.
    Blind,
    /// Nothing: why.
    Covered(&'static str),
    /// Another program does the work, by other means.
    Instead(&'static Program),
}

/// One program of the kernel object.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name in the object.
    pub name: &'static str,
    /// Where it goes.
    pub hook: Hook,
    /// What cannot be seen without it, in words for people.
    pub sees: &'static str,
    /// If the kernel has no such hook.
    pub absence: Absence,
}

const fn program(name: &'static str, hook: Hook, sees: &'static str) -> Program {
    Program { name, hook, sees, absence: Absence::Blind }
}

/// A program on the function it is named after.
const fn result(function: &'static str, sees: &'static str) -> Program {
    program(function, Hook::Result(function), sees)
}

const fn result_or(function: &'static str, sees: &'static str, absence: Absence) -> Program {
    Program { absence, ..result(function, sees) }
}

/// Every program of the `deny` tier. The tracepoints that label come first, so that no watched process is half judged;
/// the call that begins a tree comes last.
pub const DENY: &[Program] = &[
    EXIT,
    EXEC,
    FORK,
    result("security_path_rename", "files renamed"),
    result("security_sb_mount", "mounts"),
    result("security_move_mount", "mounts that are moved"),
    result("security_sb_kern_mount", "file systems made for a mount"),
    result("security_sb_umount", "mounts undone"),
    result("security_sb_pivotroot", "the root directory exchanged"),
    Program {
        absence: Absence::Covered(COPIES),
        ..program(COPY_MNT_NS, Hook::Entry(COPY_MNT_NS), "copies of mounts")
    },
    result("security_file_open", "files opened for reading and writing"),
    result("security_file_receive", "descriptors received from other processes"),
    result("security_bprm_check", "programs"),
    result("security_mmap_file", "code that is mapped"),
    result("security_file_mprotect", "mapped files that become code"),
    result("security_path_mknod", "files created"),
    result("security_path_mkdir", "directories created"),
    result("security_path_symlink", "symbolic links"),
    result("security_path_link", "hard links"),
    result("security_path_unlink", "files removed"),
    result("security_path_rmdir", "directories removed"),
    result("security_path_truncate", "files emptied"),
    result("security_path_chmod", "modes changed"),
    result_or("security_path_chown", "owners changed", Absence::Instead(&OWNER)),
    result("security_inode_setxattr", "extended attributes set"),
    result("security_inode_removexattr", "extended attributes removed"),
    result_or("security_inode_set_acl", "access control lists", Absence::Covered(LISTS)),
    result("security_path_chroot", "other root directories"),
    result_or("security_create_user_ns", "user namespaces", Absence::Instead(&USER_NAMESPACE)),
    result("security_ptrace_access_check", "other programs' memory"),
    result("security_task_kill", "signals"),
    result("security_file_fcntl", "signals that a file is told to send"),
    result("security_task_setrlimit", "limits of other processes"),
    result("security_task_setscheduler", "priorities of other processes"),
    result("security_task_setnice", "priorities of other processes"),
    result("security_socket_create", "raw sockets and odd ones"),
    result("security_socket_connect", "connections of odd protocols"),
    result("security_socket_bind", "datagram sockets that wait"),
    result("security_socket_listen", "stream sockets that wait"),
    result("security_unix_stream_connect", "unix sockets"),
    result("security_unix_may_send", "unix datagrams"),
    result("security_bpf", "bpf"),
    result("security_perf_event_open", "performance events"),
    result("security_kernel_read_file", "modules and kernels from files"),
    result("security_kernel_load_data", "modules and kernels from memory"),
    result_or(
        "security_uring_override_creds",
        "io_uring with other credentials",
        Absence::Covered(
            "before v5.16 it cannot be told; the files and connections of a ring are judged all the same",
        ),
    ),
    result_or("security_uring_allowed", "io_uring", Absence::Instead(&RING)),
    SOCK_CREATE,
    POST_BIND4,
    POST_BIND6,
    EGRESS,
    INGRESS,
    CONNECT4,
    CONNECT6,
    SENDMSG4,
    SENDMSG6,
    result("security_task_prctl", "the beginning of a tree"),
];

/// Every program of the `kill` tier. Handlers come before the tracepoints that call them, so that no call is half
/// watched.
pub const KILL: &[Program] = &[
    program("open_exit", Hook::Exit(Handler::Open), "files opened for reading and writing"),
    program("received_exit", Hook::Exit(Handler::Received), "descriptors received from other processes"),
    program("change", Hook::Enter(Handler::Path), "rename, remove, link, create, mode"),
    program("change", Hook::Enter(Handler::Truncate), "files emptied on opening"),
    program("change", Hook::Exit(Handler::Path), "changes whose path was not resident"),
    program("unix_send", Hook::Enter(Handler::UnixSend), "unix datagrams"),
    program("unix_connect_exit", Hook::Exit(Handler::UnixConnect), "unix sockets"),
    program(
        "facility_enter",
        Hook::Enter(Handler::Register),
        "foreign memory, raw sockets, bpf, modules, io_uring, mounts",
    ),
    program("signal_generate", Hook::RawTracepoint("signal_generate"), "signals"),
    SOCK_CREATE,
    POST_BIND4,
    POST_BIND6,
    EGRESS,
    INGRESS,
    CONNECT4,
    CONNECT6,
    SENDMSG4,
    SENDMSG6,
    EXIT,
    EXEC,
    FORK,
    program("sys_exit", Hook::RawTracepoint("sys_exit"), "system calls that return"),
    program("sys_enter", Hook::RawTracepoint("sys_enter"), "system calls that are entered"),
];

/// What names of directories depend on, whoever changes them: where all of these are attached, directories that were met
/// are remembered. They come before the programs that remember.
pub const MOVES: &[&str] = &[
    "security_path_rename",
    "security_sb_mount",
    "security_move_mount",
    "security_sb_kern_mount",
    "security_sb_umount",
    "security_sb_pivotroot",
    COPY_MNT_NS,
];

const COPY_MNT_NS: &str = "copy_mnt_ns";
const COPIES: &str = "names of directories are then read anew for each file";
const LISTS: &str = "before v6.2 access control lists are set as extended attributes";
const EXIT: Program = program("exit", Hook::RawTracepoint("sched_process_exit"), "the end of processes");
const EXEC: Program =
    program("exec", Hook::RawTracepoint("sched_process_exec"), "programs, actors and scopes");
const FORK: Program = program("fork", Hook::RawTracepoint("sched_process_fork"), "membership of trees");
const CONNECT4: Program = program("connect4", Hook::Cgroup, "IPv4 connections");
const CONNECT6: Program = program("connect6", Hook::Cgroup, "IPv6 connections");
const SENDMSG4: Program = program("sendmsg4", Hook::Cgroup, "IPv4 datagrams");
const SENDMSG6: Program = program("sendmsg6", Hook::Cgroup, "IPv6 datagrams");
const OWNER: Program = result("security_inode_setattr", "owners changed");
const SOCK_CREATE: Program = program("sock_create", Hook::Sockets, "whose a socket is");
const POST_BIND4: Program = program("post_bind4", Hook::Sockets, "IPv4 ports that a tree opens");
const POST_BIND6: Program = program("post_bind6", Hook::Sockets, "IPv6 ports that a tree opens");
const EGRESS: Program = program("egress", Hook::Egress, "names that are asked for, and what is sent");
const INGRESS: Program = program("ingress", Hook::Ingress, "names of addresses");
const USER_NAMESPACE: Program =
    program("create_user_ns", Hook::Entry("create_user_ns"), "user namespaces, by death");
const RING: Program =
    program("io_uring_create", Hook::RawTracepoint("io_uring_create"), "io_uring, by death");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_begins_when_everything_else_is_attached() {
        assert_eq!(DENY.last().unwrap().name, "security_task_prctl");
        assert_eq!(KILL.last().unwrap().name, "sys_enter");
    }

    #[test]
    fn nothing_is_remembered_before_moves_are_seen() {
        let place = |name: &str| DENY.iter().position(|program| program.name == name).unwrap();
        assert!(MOVES.iter().all(|name| place(name) < place("security_file_open")));
    }
}
