//! Processes that try not to belong to the tree.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getppid, setsid};
use pkgwarden_tests::deadline;

use super::{Deed, Harm, Need, if_there};
use crate::Failure;
use crate::kernel::syscall;
use crate::stage::Stage;

/// Processes that live for a moment only.
const SHORT_LIVED: usize = 300;

pub(super) const DEEDS: &[Deed] = &[
    Deed::new("fork", &["6.10"], "a child opens the secret", Harm::Leak, |stage| child(|| open(stage))),
    Deed::new("vfork-exec", &["6.10"], "a child that runs another program", Harm::Leak, vfork_exec),
    Deed::new(
        "double-fork",
        &["6.10", "2.11 double-fork"],
        "grandchild whose parent has ended",
        Harm::Leak,
        double_fork,
    ),
    Deed::new("daemon", &["6.10", "2.11 setsid"], "double fork in a session of its own", Harm::Leak, daemon),
    Deed::new(
        "clone-parent",
        &["6.10"],
        "CLONE_PARENT: a sibling instead of a child",
        Harm::Leak,
        clone_parent,
    )
    .alone(),
    Deed::new("subreaper", &["6.10"], "orphans collected by a process of the tree", Harm::Leak, subreaper)
        .alone(),
    Deed::new(
        "outlive",
        &["6.11", "2.11 outliving the install"],
        "child that waits until the command has ended",
        Harm::Leak,
        outlive,
    )
    .alone(),
    Deed::new(
        "pid-namespace",
        &["6.10"],
        "own pid namespace: another number for the same process",
        Harm::Leak,
        pid_namespace,
    ),
    Deed::new(
        "short-lived",
        &["6.12"],
        "after hundreds of processes that live for a moment",
        Harm::Leak,
        short_lived,
    ),
    Deed::new("thread", &["6.2"], "a thread that is not the first one", Harm::Leak, thread),
    Deed::new(
        "thread-exec",
        &["6.10"],
        "another thread than the first one runs a program",
        Harm::Leak,
        thread_exec,
    ),
    Deed::new(
        "clone-files",
        &["6.30"],
        "a child that shares descriptors and memory opens, the parent reads",
        Harm::Leak,
        clone_files,
    ),
    Deed::new("setuid", &["6.36"], "after becoming another user", Harm::Leak, other_user)
        .needs(&[Need::OrdinaryHome]),
    Deed::new("cgroup", &["6.10"], "after moving to another cgroup", Harm::Leak, other_cgroup),
    Deed::new(
        "cgroup-connect",
        &["6.10", "6.4"],
        "connect after moving to another cgroup",
        Harm::Contact("metadata"),
        cgroup_connect,
    ),
];

fn open(stage: &Stage) -> Result<(), Failure> {
    Ok(stage.take(&std::fs::read(&stage.secret)?)?)
}

/// Does something in a child, and waits for it.
pub(super) fn child(act: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    // SAFETY: a deed has one thread when it gets here, so the child may do whatever it likes.
    match unsafe { fork() }? {
        ForkResult::Child => finish(act()),
        ForkResult::Parent { child } => wait_for(child),
    }
}

/// The end of a child: without whatever the parent has registered for its own.
fn finish(result: Result<(), Failure>) -> ! {
    let failed = result.is_err();
    if let Err(why) = result {
        eprintln!("deed: {why}");
    }
    // SAFETY: ends this process, and touches nothing.
    unsafe { libc::_exit(i32::from(failed)) }
}

fn wait_for(child: Pid) -> Result<(), Failure> {
    match waitpid(child, None)? {
        WaitStatus::Exited(_, 0) => Ok(()),
        other => Err(format!("the child ended otherwise: {other:?}").into()),
    }
}

/// A child by clone3, with these flags.
pub(super) fn clone3_child(flags: u64, act: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let mut arguments = [0_u64; 8];
    arguments[0] = flags;
    arguments[4] = libc::SIGCHLD as u64;
    // SAFETY: the arguments have the layout and the length given; without a stack and without CLONE_VM this is fork, and
    // a deed has one thread when it gets here.
    let pid = unsafe { syscall!(libc::SYS_clone3, arguments.as_ptr(), size_of_val(&arguments)) };
    match if_there("clone3", pid)? {
        0 => finish(act()),
        pid => wait_for(Pid::from_raw(i32::try_from(pid)?)),
    }
}

fn vfork_exec(stage: &Stage) -> Result<(), Failure> {
    let status = reader(stage).status()?;
    if status.success() { Ok(()) } else { Err(format!("the child ended otherwise: {status}").into()) }
}

/// This program once more, which copies the secret.
fn reader(stage: &Stage) -> Command {
    let mut command = crate::oneself(&["post-home"]);
    command.env("SECRET", &stage.secret).env("LOOT", &stage.loot);
    command
}

/// Leaves a grandchild behind, waits for what it did.
fn orphan(stage: &Stage, before: fn() -> Result<(), Failure>) -> Result<(), Failure> {
    until_gone(|| {
        child(|| {
            let parent = Pid::this();
            // SAFETY: this process has one thread.
            if let ForkResult::Child = unsafe { fork() }? {
                let adopted = deadline::until(deadline::SOON, || getppid() != parent);
                finish(if adopted {
                    before().and_then(|()| open(stage))
                } else {
                    Err("still a child".into())
                })
            }
            Ok(())
        })
    })
}

/// Starts processes that are nobody's children here, and waits until they have ended: each holds an end of a pipe.
fn until_gone(start: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let (mut end, held) = io::pipe()?;
    start()?;
    drop(held);
    io::Read::read_to_end(&mut end, &mut Vec::new())?;
    Ok(())
}

fn double_fork(stage: &Stage) -> Result<(), Failure> {
    orphan(stage, || Ok(()))
}

fn daemon(stage: &Stage) -> Result<(), Failure> {
    orphan(stage, || {
        setsid()?;
        Ok(std::env::set_current_dir("/")?)
    })
}

fn subreaper(stage: &Stage) -> Result<(), Failure> {
    prctl::set_child_subreaper(true)?;
    orphan(stage, || Ok(()))
}

fn clone_parent(stage: &Stage) -> Result<(), Failure> {
    until_gone(|| {
        let flags = libc::CLONE_PARENT | libc::SIGCHLD;
        // SAFETY: without a stack and without CLONE_VM this is fork, and a deed has one thread when it gets here.
        let pid = unsafe { syscall!(libc::SYS_clone, flags, 0, 0, 0, 0) }?;
        if pid == 0 {
            finish(open(stage));
        }
        Ok(())
    })
}

fn outlive(stage: &Stage) -> Result<(), Failure> {
    let first = Pid::this();
    // SAFETY: a deed has one thread when it gets here.
    if let ForkResult::Child = unsafe { fork() }? {
        setsid()?;
        // Until the root of the tree is dead, and waited for.
        let gone = deadline::until(deadline::SOON, || nix::sys::signal::kill(first, None).is_err());
        finish(if gone { open(stage) } else { Err("the command does not end".into()) });
    }
    Ok(())
}

fn pid_namespace(stage: &Stage) -> Result<(), Failure> {
    unshare(CloneFlags::CLONE_NEWPID)?;
    child(|| open(stage))
}

fn short_lived(stage: &Stage) -> Result<(), Failure> {
    for _ in 0..SHORT_LIVED {
        child(|| Ok(()))?;
    }
    child(|| open(stage))
}

fn thread(stage: &Stage) -> Result<(), Failure> {
    let stage = stage.clone();
    let read = std::thread::spawn(move || open(&stage).map_err(|why| why.to_string()));
    Ok(read.join().map_err(|_| "the thread panicked")??)
}

fn thread_exec(stage: &Stage) -> Result<(), Failure> {
    let mut command = reader(stage);
    let never = std::thread::spawn(move || command.exec());
    Err(never.join().map_err(|_| "the thread panicked")?.into())
}

fn clone_files(stage: &Stage) -> Result<(), Failure> {
    use std::os::fd::{FromRawFd, OwnedFd};
    let (mut read, mut write) = io::pipe()?;
    let flags = libc::CLONE_FILES | libc::SIGCHLD;
    // SAFETY: without a stack and without CLONE_VM this is fork, and a deed has one thread when it gets here.
    let pid = unsafe { syscall!(libc::SYS_clone, flags, 0, 0, 0, 0) }?;
    if pid == 0 {
        let opened = std::fs::File::open(&stage.secret).map(std::os::fd::IntoRawFd::into_raw_fd);
        finish(opened.and_then(|fd| io::Write::write_all(&mut write, &fd.to_ne_bytes())).map_err(Into::into));
    }
    wait_for(Pid::from_raw(i32::try_from(pid)?))?;
    let mut fd = [0; 4];
    io::Read::read_exact(&mut read, &mut fd)?;
    // SAFETY: the child, which is dead, has opened it in our common table.
    let mut file = std::fs::File::from(unsafe { OwnedFd::from_raw_fd(i32::from_ne_bytes(fd)) });
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut file, &mut bytes)?;
    Ok(stage.take(&bytes)?)
}

fn other_user(stage: &Stage) -> Result<(), Failure> {
    super::become_ordinary()?;
    open(stage)
}

/// Moves to a cgroup beside the one it was started in.
fn move_cgroup(stage: &Stage) -> Result<(), Failure> {
    let root = super::cgroup_root()?;
    let group = root.join(format!("deed-{}", stage.token));
    std::fs::create_dir_all(&group)?;
    Ok(std::fs::write(group.join("cgroup.procs"), "0")?)
}

fn other_cgroup(stage: &Stage) -> Result<(), Failure> {
    move_cgroup(stage)?;
    open(stage)
}

fn cgroup_connect(stage: &Stage) -> Result<(), Failure> {
    move_cgroup(stage)?;
    let to = super::sockets::Address::of("169.254.169.254:80")?;
    let socket = super::sockets::stream(libc::AF_INET, 0)?;
    super::sockets::connect(&socket, &to)?;
    Ok(super::sockets::send(&socket, stage.token.as_bytes())?)
}
