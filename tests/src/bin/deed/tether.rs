//! A server of the tests, tied to who started it: when that is gone, for whatever reason, so is the server and all it
//! started.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, Stdio};

use nix::sched::{CloneFlags, unshare};

use crate::Failure;

/// Runs a command until it ends, or until the standard input does.
///
/// It is the first process of a pid namespace: the kernel kills all others in it when that one dies.
pub(crate) fn run(command: &[&str]) -> Result<ExitCode, Failure> {
    let (program, arguments) = command.split_first().ok_or("there is no command to tether")?;
    unshare(CloneFlags::CLONE_NEWPID)?;
    let mut server = Command::new(OsStr::new(program));
    server.args(arguments).stdin(Stdio::null());
    // SAFETY: prctl is a plain system call, which is safe between fork and exec.
    unsafe {
        server.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
    let mut child = server.spawn()?;
    let ended = handle(child.id())?;
    let mut polled = [io::stdin().as_raw_fd(), ended.as_raw_fd()].map(|fd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    });
    // SAFETY: the pointer and the length are of one live array.
    while unsafe { libc::poll(polled.as_mut_ptr(), 2, -1) } < 0 {
        let why = io::Error::last_os_error();
        if why.kind() != io::ErrorKind::Interrupted {
            return Err(why.into());
        }
    }
    // It may have ended by itself.
    child.kill().ok();
    let status = child.wait()?;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// A descriptor that can be read from when the process has ended (Linux 5.3).
fn handle(pid: u32) -> Result<OwnedFd, Failure> {
    // SAFETY: the call takes no pointers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error().into());
    }
    // SAFETY: the descriptor is new and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd)?) })
}
