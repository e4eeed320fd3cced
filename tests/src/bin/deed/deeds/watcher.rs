//! Against pkgwarden itself. The watcher is the parent of the command; a bare run has a stand-in.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid, setpgid};
use pkgwarden_tests::deadline;

use super::{Deed, Harm, Need, if_there};
use crate::Failure;
use crate::kernel::{checked, owned, syscall};
use crate::stage::{SETTINGS, Stage};
use crate::suite::{children_of, status};

const GONE: &str = "a kernel without this";

pub(super) const DEEDS: &[Deed] = &[
    Deed::new("watcher-kill", &["6.38"], "kill the watcher", Harm::Watcher, |_| {
        signal(watcher(), libc::SIGKILL)
    })
    .alone(),
    Deed::new("watcher-stop", &["6.38"], "stop the watcher", Harm::Watcher, |_| {
        signal(watcher(), libc::SIGSTOP)
    })
    .alone(),
    Deed::new("watcher-stop-thread", &["6.38"], "stop the watcher by tgkill", Harm::Watcher, stop_thread)
        .alone(),
    Deed::new(
        "watcher-stop-pidfd",
        &["6.38"],
        "stop the watcher by pidfd_send_signal",
        Harm::Watcher,
        stop_pidfd,
    )
    .alone(),
    Deed::new(
        "watcher-stop-queue",
        &["6.38"],
        "stop the watcher by rt_sigqueueinfo",
        Harm::Watcher,
        stop_queue,
    )
    .alone(),
    Deed::new(
        "watcher-stop-group",
        &["6.38"],
        "stop the process group that the watcher is in",
        Harm::Watcher,
        stop_group,
    )
    .alone(),
    Deed::new(
        "watcher-stop-sigio",
        &["6.38"],
        "stop the watcher by F_SETOWN and F_SETSIG",
        Harm::Watcher,
        stop_by_descriptor,
    )
    .alone(),
    Deed::new(
        "watcher-kill-and-read",
        &["6.38"],
        "kill the watcher and its guard, then open a secret",
        Harm::Leak,
        kill_and_read,
    )
    .alone(),
    Deed::new("guard-kill", &["6.38"], "kill the watcher's guard", Harm::Done, kill_guard).alone(),
    Deed::new("watcher-trace", &["6.38"], "trace the watcher", Harm::Done, trace).alone(),
    Deed::new("watcher-memory", &["6.38"], "open the watcher's memory for writing", Harm::Done, memory)
        .alone(),
    Deed::new("watcher-descriptor", &["6.38"], "take a descriptor of the watcher's", Harm::Done, descriptor)
        .unless(GONE)
        .alone(),
    Deed::new(
        "watcher-limits",
        &["6.38"],
        "prlimit: the watcher may open nothing any more",
        Harm::Done,
        limits,
    )
    .alone(),
    Deed::new("watcher-oom", &["6.38"], "oom_score_adj: the watcher is to be killed first", Harm::Done, oom)
        .alone(),
    Deed::new("watcher-idle", &["6.38"], "the watcher runs only when nobody else does", Harm::Done, idle)
        .alone(),
    Deed::new(
        "watcher-affinity",
        &["6.38"],
        "the watcher may run on one processor only",
        Harm::Done,
        affinity,
    )
    .alone(),
    Deed::new("watcher-nice", &["6.38"], "the watcher gets the lowest priority", Harm::Done, nice).alone(),
    Deed::new("watcher-freeze", &["6.38"], "the watcher is frozen by a cgroup", Harm::Watcher, freeze)
        .unless(GONE)
        .alone(),
    Deed::new(
        "watcher-cgroup-kill",
        &["6.38"],
        "the watcher is killed by a cgroup",
        Harm::Watcher,
        cgroup_kill,
    )
    .unless(GONE)
    .alone(),
    Deed::new(
        "events-forge",
        &["6.38"],
        "append to the watcher's log",
        Harm::Written("../events.jsonl"),
        forge,
    )
    .needs(&[Need::Events])
    .alone(),
    Deed::new(
        "events-remove",
        &["6.38"],
        "remove the watcher's log",
        Harm::Gone("../events.jsonl"),
        |stage| Ok(fs::remove_file(&stage.events)?),
    )
    .needs(&[Need::Events])
    .alone(),
    Deed::new("settings-write", &["6.38"], "change pkgwarden's rules", Harm::Changed(SETTINGS), |stage| {
        Ok(fs::write(stage.in_home(SETTINGS), "rules: []\n")?)
    }),
    Deed::new("settings-remove", &["6.38"], "remove pkgwarden's rules", Harm::Changed(SETTINGS), |stage| {
        Ok(fs::remove_file(stage.in_home(SETTINGS))?)
    }),
    Deed::new(
        "settings-rename-parent",
        &["6.38", "2.11 rename of parent dir"],
        "rename the directory of pkgwarden's rules",
        Harm::Changed(SETTINGS),
        |stage| Ok(fs::rename(stage.in_home(".config/pkgwarden"), stage.in_project("old"))?),
    ),
];

/// The watcher. A deed is the command itself, so nobody is between.
fn watcher() -> i32 {
    getppid().as_raw()
}

fn guard() -> Result<i32, Failure> {
    let own = std::process::id().cast_signed();
    let others = children_of(watcher()).into_iter().find(|pid| *pid != own);
    others.ok_or_else(|| "the watcher has no guard".into())
}

fn signal(pid: i32, number: i32) -> Result<(), Failure> {
    // SAFETY: the call takes no pointers.
    checked(unsafe { libc::kill(pid, number) })?;
    wait_to_be_seen(pid);
    Ok(())
}

/// A stopped watcher is to be seen by the suite, which lets it go on.
fn wait_to_be_seen(pid: i32) {
    let stands = || matches!(status(pid), None | Some(('T' | 't' | 'Z', _)));
    if deadline::until(std::time::Duration::from_millis(500), stands) {
        let _ = deadline::until(deadline::SOON, || !matches!(status(pid), Some(('T' | 't', _))));
    }
}

fn dead(pid: i32) -> bool {
    matches!(status(pid), None | Some(('Z', _)))
}

fn stop_thread(_: &Stage) -> Result<(), Failure> {
    let pid = watcher();
    // SAFETY: the call takes no pointers.
    unsafe { syscall!(libc::SYS_tgkill, pid, pid, libc::SIGSTOP) }?;
    wait_to_be_seen(pid);
    Ok(())
}

fn stop_pidfd(_: &Stage) -> Result<(), Failure> {
    // SAFETY: the call takes no pointers.
    let process = owned(unsafe { syscall!(libc::SYS_pidfd_open, watcher(), 0) }?)?;
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the call takes no pointer but a null one.
    unsafe { syscall!(libc::SYS_pidfd_send_signal, process.as_raw_fd(), libc::SIGSTOP, none, 0) }?;
    wait_to_be_seen(watcher());
    Ok(())
}

fn stop_queue(_: &Stage) -> Result<(), Failure> {
    // SAFETY: zero is a valid value for every field.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    info.si_code = libc::SI_QUEUE;
    // SAFETY: the information lives and has the layout the kernel expects.
    unsafe { syscall!(libc::SYS_rt_sigqueueinfo, watcher(), libc::SIGSTOP, &raw const info) }?;
    wait_to_be_seen(watcher());
    Ok(())
}

fn stop_group(_: &Stage) -> Result<(), Failure> {
    let (own, watcher) = (getpid(), watcher());
    // SAFETY: the child goes on in this very program, which has one thread.
    if let ForkResult::Child = unsafe { fork() }? {
        // In another group, it lets the deed go on once the watcher has been seen to stand still, or does not.
        setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
        let stands = || matches!(status(own.as_raw()), None | Some(('T', _)));
        if deadline::until(deadline::SOON, stands) {
            wait_to_be_seen(watcher);
            kill(own, Signal::SIGCONT)?;
        }
        std::process::exit(0);
    }
    // SAFETY: the call takes no pointers. The suite gave each run a group of its own.
    checked(unsafe { libc::kill(0, libc::SIGSTOP) })?;
    Ok(())
}

/// Input on a pipe sends a signal to whoever is said to own it.
fn stop_by_descriptor(_: &Stage) -> Result<(), Failure> {
    const F_SETSIG: i32 = 10;
    let (read, mut write) = io::pipe()?;
    let settings = [(libc::F_SETOWN, watcher()), (F_SETSIG, libc::SIGSTOP), (libc::F_SETFL, libc::O_ASYNC)];
    for (command, value) in settings {
        // SAFETY: none of these commands takes a pointer.
        checked(unsafe { libc::fcntl(read.as_raw_fd(), command, value) })?;
    }
    write.write_all(b"!")?;
    wait_to_be_seen(watcher());
    Ok(())
}

fn kill_and_read(stage: &Stage) -> Result<(), Failure> {
    let (watcher, guard) = (watcher(), guard()?);
    for pid in [guard, watcher] {
        // SAFETY: the call takes no pointers.
        checked(unsafe { libc::kill(pid, libc::SIGKILL) })?;
    }
    if !deadline::until(deadline::SOON, || dead(watcher)) {
        return Err("the watcher lives".into());
    }
    Ok(stage.take(&fs::read(&stage.secret)?)?)
}

fn kill_guard(stage: &Stage) -> Result<(), Failure> {
    let guard = guard()?;
    // SAFETY: the call takes no pointers.
    checked(unsafe { libc::kill(guard, libc::SIGKILL) })?;
    if deadline::until(deadline::SOON, || dead(guard)) {
        Ok(stage.done()?)
    } else {
        Err("the guard lives".into())
    }
}

fn trace(stage: &Stage) -> Result<(), Failure> {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: seizing takes no pointers.
    checked(unsafe { libc::ptrace(libc::PTRACE_SEIZE, watcher(), none, none) })?;
    Ok(stage.done()?)
}

fn memory(stage: &Stage) -> Result<(), Failure> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", watcher()))?;
    let writable = maps.lines().find(|line| line.contains(" rw")).ok_or("it has no memory")?;
    let start = u64::from_str_radix(writable.split('-').next().unwrap_or_default(), 16)?;
    let memory = OpenOptions::new().read(true).write(true).open(format!("/proc/{}/mem", watcher()))?;
    let mut byte = [0];
    memory.read_exact_at(&mut byte, start)?;
    // What is there already: the run is to go on.
    memory.write_all_at(&byte, start)?;
    Ok(stage.done()?)
}

fn descriptor(stage: &Stage) -> Result<(), Failure> {
    // SAFETY: the call takes no pointers.
    let process = owned(unsafe { syscall!(libc::SYS_pidfd_open, watcher(), 0) }?)?;
    // SAFETY: the call takes no pointers.
    let fd = unsafe { syscall!(libc::SYS_pidfd_getfd, process.as_raw_fd(), 2, 0) };
    drop(owned(if_there("pidfd_getfd", fd)?)?);
    Ok(stage.done()?)
}

fn limits(stage: &Stage) -> Result<(), Failure> {
    let resource = libc::RLIMIT_SIGPENDING as i32;
    let limit = |pid: i32, new: *const libc::rlimit64, old: *mut libc::rlimit64| {
        // SAFETY: both are null or live and have the layout the kernel expects.
        unsafe { syscall!(libc::SYS_prlimit64, pid, resource, new, old) }
    };
    let mut old = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let new = libc::rlimit64 { rlim_cur: 47, rlim_max: 4711 };
    limit(watcher(), &raw const new, std::ptr::null_mut())?;
    limit(watcher(), std::ptr::null(), &raw mut old)?;
    if old.rlim_cur == 47 { Ok(stage.done()?) } else { Err("the limit is what it was".into()) }
}

fn oom(stage: &Stage) -> Result<(), Failure> {
    let file = format!("/proc/{}/oom_score_adj", watcher());
    fs::write(&file, "1000")?;
    if fs::read_to_string(file)?.trim() == "1000" {
        Ok(stage.done()?)
    } else {
        Err("it is what it was".into())
    }
}

fn idle(stage: &Stage) -> Result<(), Failure> {
    // SAFETY: zero is a valid value for every field.
    let parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: the parameters live and have the layout the kernel expects.
    unsafe { syscall!(libc::SYS_sched_setscheduler, watcher(), libc::SCHED_IDLE, &raw const parameters) }?;
    Ok(stage.done()?)
}

fn affinity(stage: &Stage) -> Result<(), Failure> {
    let mask = 1_u64;
    // SAFETY: the mask lives and has the length given.
    unsafe { syscall!(libc::SYS_sched_setaffinity, watcher(), 8, &raw const mask) }?;
    Ok(stage.done()?)
}

fn nice(stage: &Stage) -> Result<(), Failure> {
    // SAFETY: the call takes no pointers.
    unsafe { syscall!(libc::SYS_setpriority, libc::PRIO_PROCESS, watcher(), 19) }?;
    Ok(stage.done()?)
}

fn forge(stage: &Stage) -> Result<(), Failure> {
    // Much of it: the watcher writes over the beginning.
    let lines = format!("{{\"kind\":\"end\",\"forged\":\"{}\"}}\n", stage.token).repeat(1000);
    Ok(OpenOptions::new().append(true).open(&stage.events)?.write_all(lines.as_bytes())?)
}

/// Puts the watcher into a cgroup of one's own.
fn capture(stage: &Stage) -> Result<PathBuf, Failure> {
    let group = super::cgroup_root()?.join(format!("deed-{}", stage.token));
    fs::create_dir_all(&group)?;
    fs::write(group.join("cgroup.procs"), watcher().to_string())?;
    Ok(group)
}

fn freeze(stage: &Stage) -> Result<(), Failure> {
    let group = capture(stage)?;
    let switch = group.join("cgroup.freeze");
    if !switch.exists() {
        return Err(super::Impossible("there is no cgroup.freeze".into()).into());
    }
    fs::write(&switch, "1")?;
    // The suite sees it, and lets the watcher go on.
    let state = || fs::read_to_string(group.join("cgroup.events")).unwrap_or_default();
    if !deadline::until(deadline::SOON, || state().contains("frozen 1")) {
        return Err("the watcher did not freeze".into());
    }
    let _ = deadline::until(deadline::SOON, || state().contains("frozen 0"));
    Ok(())
}

fn cgroup_kill(stage: &Stage) -> Result<(), Failure> {
    let switch = capture(stage)?.join("cgroup.kill");
    if !switch.exists() {
        return Err(super::Impossible("there is no cgroup.kill".into()).into());
    }
    Ok(File::options().write(true).open(switch)?.write_all(b"1")?)
}
