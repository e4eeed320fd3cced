//! The memory, environment and descriptors of a process outside of the tree.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use super::{Deed, Harm, Impossible, Need, if_there};
use crate::Failure;
use crate::kernel::{checked, owned, syscall};
use crate::memory;
use crate::stage::{Stage, Target};

const PTRACE_SEIZE: u32 = 0x4206;
const VICTIM: &[Need] = &[Need::Victim];
/// include/uapi/linux/perf_event.h
const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_COUNT_SW_TASK_CLOCK: u64 = 1;

pub(super) const DEEDS: &[Deed] = &[
    Deed::new("proc-mem", &["6.31"], "read /proc/PID/mem", Harm::Leak, proc_mem).needs(VICTIM),
    Deed::new("proc-mem-user", &["6.31"], "the same, of one's own user", Harm::Leak, proc_mem)
        .needs(VICTIM)
        .ordinary(),
    Deed::new("proc-mem-task", &["6.31"], "read /proc/PID/task/TID/mem", Harm::Leak, proc_task_mem)
        .needs(VICTIM),
    Deed::new("environ", &["6.31"], "read /proc/PID/environ", Harm::Leak, environ).needs(VICTIM),
    Deed::new("environ-user", &["6.31"], "the same, of one's own user", Harm::Leak, environ)
        .needs(VICTIM)
        .ordinary(),
    Deed::new("environ-task", &["6.31"], "read /proc/PID/task/TID/environ", Harm::Leak, task_environ)
        .needs(VICTIM),
    Deed::new("vm-readv", &["6.31"], "process_vm_readv", Harm::Leak, vm_readv).needs(VICTIM),
    Deed::new("vm-readv-user", &["6.31"], "the same, of one's own user", Harm::Leak, vm_readv)
        .needs(VICTIM)
        .ordinary(),
    Deed::new("ptrace-attach", &["6.31"], "PTRACE_ATTACH, PTRACE_PEEKDATA", Harm::Leak, attach).needs(VICTIM),
    Deed::new("ptrace-seize", &["6.31"], "PTRACE_SEIZE: the victim is not stopped", Harm::Done, seize)
        .needs(VICTIM),
    Deed::new(
        "vm-writev",
        &["6.32"],
        "process_vm_writev: change the victim's memory",
        Harm::Victim,
        vm_writev,
    )
    .needs(VICTIM),
    Deed::new("proc-mem-write", &["6.32"], "write to /proc/PID/mem", Harm::Victim, proc_mem_write)
        .needs(VICTIM),
    Deed::new("ptrace-poke", &["6.32"], "PTRACE_POKEDATA: change the victim's memory", Harm::Victim, poke)
        .needs(VICTIM),
    Deed::new("perf", &["6.31", "6.37"], "perf_event_open on the victim", Harm::Done, perf)
        .needs(VICTIM)
        .unless("a kernel without perf"),
    Deed::new(
        "perf-everybody",
        &["6.31", "6.37"],
        "perf_event_open on everybody on a processor",
        Harm::Done,
        perf_everybody,
    )
    .unless("a kernel without perf"),
    Deed::new("signal", &["6.38"], "kill a process outside", Harm::Victim, |stage| {
        signal(stage, libc::SIGKILL)
    })
    .needs(VICTIM),
    Deed::new("signal-stop", &["6.38"], "stop a process outside", Harm::Victim, |stage| {
        signal(stage, libc::SIGSTOP)
    })
    .needs(VICTIM),
    Deed::new(
        "signal-pidfd",
        &["6.38"],
        "pidfd_send_signal to a process outside",
        Harm::Victim,
        signal_pidfd,
    )
    .needs(VICTIM),
    Deed::new("signal-queue", &["6.38"], "rt_sigqueueinfo to a process outside", Harm::Victim, signal_queue)
        .needs(VICTIM),
    Deed::new(
        "signal-group",
        &["6.38"],
        "kill the process group of a process outside",
        Harm::Victim,
        signal_group,
    )
    .needs(VICTIM),
];

fn proc_mem(stage: &Stage) -> Result<(), Failure> {
    read_mem(stage, &format!("/proc/{}/mem", stage.victim()?.pid))
}

fn proc_task_mem(stage: &Stage) -> Result<(), Failure> {
    let pid = stage.victim()?.pid;
    read_mem(stage, &format!("/proc/{pid}/task/{pid}/mem"))
}

fn read_mem(stage: &Stage, path: &str) -> Result<(), Failure> {
    let victim = stage.victim()?;
    let mut bytes = vec![0; victim.length];
    File::open(path)?.read_exact_at(&mut bytes, victim.address)?;
    Ok(stage.take(&bytes)?)
}

fn environ(stage: &Stage) -> Result<(), Failure> {
    Ok(stage.take(&fs::read(format!("/proc/{}/environ", stage.victim()?.pid))?)?)
}

fn task_environ(stage: &Stage) -> Result<(), Failure> {
    let pid = stage.victim()?.pid;
    Ok(stage.take(&fs::read(format!("/proc/{pid}/task/{pid}/environ"))?)?)
}

fn range(victim: &Target) -> std::ops::Range<usize> {
    let start = victim.address as usize;
    start..start + victim.length
}

fn vm_readv(stage: &Stage) -> Result<(), Failure> {
    let victim = stage.victim()?;
    Ok(stage.take(&memory::by_process_vm_readv(victim.pid, range(victim))?)?)
}

fn attach(stage: &Stage) -> Result<(), Failure> {
    let victim = stage.victim()?;
    Ok(stage.take(&memory::by_ptrace(victim.pid, range(victim))?)?)
}

fn ptrace(request: u32, pid: i32, address: u64, data: u64) -> io::Result<i64> {
    let (address, data) = (address as *mut libc::c_void, data as *mut libc::c_void);
    // SAFETY: none of the requests here lets the kernel write to our memory; the addresses are the victim's.
    checked(unsafe { libc::ptrace(request as _, pid, address, data) })
}

fn seize(stage: &Stage) -> Result<(), Failure> {
    ptrace(PTRACE_SEIZE, stage.victim()?.pid, 0, 0)?;
    Ok(stage.done()?)
}

fn poke(stage: &Stage) -> Result<(), Failure> {
    let victim = stage.victim()?;
    ptrace(libc::PTRACE_ATTACH, victim.pid, 0, 0)?;
    let mut status = 0;
    // SAFETY: `status` lives and is ours to write.
    checked(unsafe { libc::waitpid(victim.pid, &raw mut status, libc::__WALL) })?;
    ptrace(libc::PTRACE_POKEDATA, victim.pid, victim.address, u64::from_ne_bytes(*b"poked by"))?;
    ptrace(libc::PTRACE_DETACH, victim.pid, 0, 0)?;
    Ok(())
}

fn vm_writev(stage: &Stage) -> Result<(), Failure> {
    let victim = stage.victim()?;
    let ours = super::sockets::part(b"written by");
    let theirs = libc::iovec { iov_base: victim.address as *mut libc::c_void, iov_len: ours.iov_len };
    // SAFETY: `ours` is only read; `theirs` is only an address elsewhere.
    let count = unsafe { libc::process_vm_writev(victim.pid, &raw const ours, 1, &raw const theirs, 1, 0) };
    checked(count as i64)?;
    Ok(())
}

fn proc_mem_write(stage: &Stage) -> Result<(), Failure> {
    let victim = stage.victim()?;
    let memory = OpenOptions::new().write(true).open(format!("/proc/{}/mem", victim.pid))?;
    Ok(memory.write_all_at(b"written by", victim.address)?)
}

/// The fields of `struct perf_event_attr` of the first version that are used here.
#[repr(C)]
#[derive(Default)]
struct Event {
    kind: u32,
    size: u32,
    config: u64,
    rest: [u64; 6],
}

fn count(stage: &Stage, pid: i32, processor: i32) -> Result<(), Failure> {
    let event = Event {
        kind: PERF_TYPE_SOFTWARE,
        size: size_of::<Event>() as u32,
        config: PERF_COUNT_SW_TASK_CLOCK,
        ..Event::default()
    };
    // SAFETY: the event has the layout of the size that it says.
    let fd = unsafe { syscall!(libc::SYS_perf_event_open, &raw const event, pid, processor, -1, 0) };
    match fd {
        Err(why) if why.raw_os_error() == Some(libc::EACCES) => {
            return Err(Impossible(format!("perf_event_open: {why}")).into());
        }
        other => drop(owned(if_there("perf_event_open", other)?)?),
    }
    Ok(stage.done()?)
}

fn perf(stage: &Stage) -> Result<(), Failure> {
    count(stage, stage.victim()?.pid, -1)
}

fn perf_everybody(stage: &Stage) -> Result<(), Failure> {
    count(stage, -1, 0)
}

fn signal(stage: &Stage, number: i32) -> Result<(), Failure> {
    // SAFETY: the call takes no pointers.
    checked(unsafe { libc::kill(stage.victim()?.pid, number) })?;
    Ok(())
}

fn signal_pidfd(stage: &Stage) -> Result<(), Failure> {
    // SAFETY: the call takes no pointers.
    let process = owned(unsafe { syscall!(libc::SYS_pidfd_open, stage.victim()?.pid, 0) }?)?;
    let (fd, none) = (process.as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
    // SAFETY: the call takes no pointer but a null one.
    unsafe { syscall!(libc::SYS_pidfd_send_signal, fd, libc::SIGKILL, none, 0) }?;
    Ok(())
}

fn signal_queue(stage: &Stage) -> Result<(), Failure> {
    // SAFETY: zero is a valid value for every field.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    info.si_code = libc::SI_QUEUE;
    // SAFETY: the information lives and has the layout the kernel expects.
    unsafe { syscall!(libc::SYS_rt_sigqueueinfo, stage.victim()?.pid, libc::SIGKILL, &raw const info) }?;
    Ok(())
}

fn signal_group(stage: &Stage) -> Result<(), Failure> {
    // SAFETY: the call takes no pointers. The victim leads a group of its own.
    checked(unsafe { libc::kill(-stage.victim()?.pid, libc::SIGKILL) })?;
    Ok(())
}
