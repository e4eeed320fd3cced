//! What is attached where, as data: `doctor` prints this list, and attaching walks it.

use monitor_common::call::Handler;

/// How a program reaches its hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// A raw tracepoint.
    RawTracepoint(&'static str),
    /// A cgroup hook on the root of the cgroup2 hierarchy.
    Cgroup,
    /// Called by `sys_enter` for system calls with this handler.
    Enter(Handler),
    /// Called by `sys_exit`.
    Exit(Handler),
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
}

const fn program(name: &'static str, hook: Hook, sees: &'static str) -> Program {
    Program { name, hook, sees }
}

/// Every program of the `kill` tier. Handlers come before the tracepoints that call them, so that no call is half
/// watched.
pub const PROGRAMS: &[Program] = &[
    program("open_exit", Hook::Exit(Handler::Open), "files opened for reading and writing"),
    program("change", Hook::Enter(Handler::Path), "rename, remove, link, create, mode"),
    program("change", Hook::Enter(Handler::Truncate), "files emptied on opening"),
    program("change", Hook::Exit(Handler::Path), "changes whose path was not resident"),
    program("unix_connect_exit", Hook::Exit(Handler::UnixConnect), "unix sockets"),
    program(
        "facility_enter",
        Hook::Enter(Handler::Register),
        "foreign memory, raw sockets, bpf, modules, io_uring, mounts, signals",
    ),
    program("connect4", Hook::Cgroup, "IPv4 connections"),
    program("connect6", Hook::Cgroup, "IPv6 connections"),
    program("sendmsg4", Hook::Cgroup, "IPv4 datagrams"),
    program("sendmsg6", Hook::Cgroup, "IPv6 datagrams"),
    program("exit", Hook::RawTracepoint("sched_process_exit"), "the end of processes"),
    program("exec", Hook::RawTracepoint("sched_process_exec"), "programs, actors and scopes"),
    program("fork", Hook::RawTracepoint("sched_process_fork"), "membership of trees"),
    program("sys_exit", Hook::RawTracepoint("sys_exit"), "system calls that return"),
    program("sys_enter", Hook::RawTracepoint("sys_enter"), "system calls that are entered"),
];
