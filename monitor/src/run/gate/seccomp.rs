//! The kernel's side of the gate: `seccomp(2)`, the requests of its listener, and handing the listener over. The only
//! `unsafe` of the gate is here.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use libc::{c_long, c_ulong, seccomp_notif, seccomp_notif_resp, seccomp_notif_sizes, sock_fprog};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

use super::filter::{self, Extent};
use super::reach::Watchers;

/// include/uapi/linux/seccomp.h: the caller is woken on the processor that answers (since v6.6).
const SYNC_WAKE_UP: u64 = 1;

/// A call that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// What the answer refers to.
    pub(super) id: u64,
    /// The thread, in this process's namespace; 0 if it is not in there.
    pub(super) tid: u32,
    /// Number of the call, native ABI.
    pub(super) number: u32,
    /// Its arguments.
    pub(super) arguments: [u64; 6],
}

/// Where calls are received and answered.
#[derive(Debug)]
pub struct Listener(OwnedFd);

/// Whether this kernel can ask userspace about a call and let it go on.
pub(super) fn supported() -> Result<(), &'static str> {
    if filter::ARCHITECTURE.is_none() {
        return Err("this processor's calls are not known to it");
    }
    let action = libc::SECCOMP_RET_USER_NOTIF;
    // SAFETY: reads one 32-bit word, which outlives the call.
    let known = unsafe { seccomp(libc::SECCOMP_GET_ACTION_AVAIL, 0, (&raw const action).cast_mut().cast()) };
    if known != 0 {
        return Err("this kernel has no seccomp user notification (since 5.0, CONFIG_SECCOMP_FILTER)");
    }
    // Nothing tells whether an answer may be "go on" but the version: an unknown flag fails only with the first answer.
    let release = nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned());
    if release.is_ok_and(|release| older_than(&release, (5, 5))) {
        return Err("this kernel cannot let a call go on after asking (since 5.5)");
    }
    // SAFETY: all zeros are three valid integers.
    let mut sizes: seccomp_notif_sizes = unsafe { std::mem::zeroed() };
    // SAFETY: writes into `sizes`, which is of the type the request asks for.
    let asked = unsafe { seccomp(libc::SECCOMP_GET_NOTIF_SIZES, 0, (&raw mut sizes).cast()) };
    let known = (size_of::<seccomp_notif>(), size_of::<seccomp_notif_resp>());
    if asked != 0 || (usize::from(sizes.seccomp_notif), usize::from(sizes.seccomp_notif_resp)) != known {
        return Err("this kernel's notifications have another layout");
    }
    Ok(())
}

fn older_than(release: &str, wanted: (u32, u32)) -> bool {
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(u32::MAX));
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => (major, minor) < wanted,
        _ => false,
    }
}

/// Puts the calling process, and all it will start, behind the gate, and sends the listener to the other end of
/// `parent`; where the kernel refuses the filter nothing is sent, and the kernel side alone stands guard. To be called between fork and exec, while still root: so `no_new_privs` is not needed, and sudo and other
/// set-uid programs work as before.
pub(crate) fn enter(parent: &UnixStream, (extent, watchers): (Extent, Watchers)) -> io::Result<()> {
    let architecture = filter::ARCHITECTURE.ok_or(io::ErrorKind::Unsupported)?;
    let mut program = filter::program(architecture, watchers, extent);
    let program = sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // Without SPEC_ALLOW old kernels slow down the whole process against side channels, which is not what this filter is
    // for. With WAIT_KILLABLE (since v5.19) a signal does not tear a caller out of a call that has never failed with
    // EINTR.
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    let mut listener = -1;
    for flags in [flags | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, flags] {
        // SAFETY: the kernel copies the program, which outlives the call.
        listener =
            unsafe { seccomp(libc::SECCOMP_SET_MODE_FILTER, flags, (&raw const program).cast_mut().cast()) };
        if listener >= 0 {
            break;
        }
    }
    let listener = RawFd::try_from(listener).unwrap_or(-1);
    if listener < 0 {
        return Ok(());
    }
    // SAFETY: the kernel has just given it to us, closed at exec, and nobody else knows it.
    let listener = unsafe { OwnedFd::from_raw_fd(listener) };
    let descriptors = [listener.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&descriptors)];
    sendmsg::<()>(parent.as_raw_fd(), &[IoSlice::new(&[1])], &rights, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

impl Listener {
    /// Takes the listener from a child that has called [`enter`]; none if the child has no filter.
    ///
    /// # Errors
    /// If the child has a filter and its listener cannot be had: it must not go on.
    pub(crate) fn take_from(child: &UnixStream) -> io::Result<Option<Self>> {
        let mut byte = [0];
        let mut data = [IoSliceMut::new(&mut byte)];
        let mut space = nix::cmsg_space!(RawFd);
        let message =
            recvmsg::<()>(child.as_raw_fd(), &mut data, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
        if message.bytes == 0 {
            return Ok(None);
        }
        let sent = message.cmsgs()?.find_map(|message| match message {
            ControlMessageOwned::ScmRights(descriptors) => descriptors.first().copied(),
            _ => None,
        });
        let Some(descriptor) = sent else {
            return Err(io::Error::other(
                "the listener of the gate did not arrive; raise the limit of open files",
            ));
        };
        // SAFETY: the kernel has just made it for us; there was room for one only.
        let listener = Self(unsafe { OwnedFd::from_raw_fd(descriptor) });
        // SAFETY: the flags are passed by value. An older kernel refuses them and wakes the caller in its own way.
        unsafe { libc::ioctl(listener.raw(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP) };
        Ok(Some(listener))
    }

    fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Waits for a call. `None`: the caller died before its call was received.
    ///
    /// # Errors
    /// When there will be no more calls.
    pub(super) fn receive(&self) -> io::Result<Option<Call>> {
        // SAFETY: integers only; the kernel insists on zeros.
        let mut notification: seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the request carries the size of the structure, so the kernel writes no more than that.
        let received =
            unsafe { libc::ioctl(self.raw(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut notification) };
        if received == 0 {
            let data = notification.data;
            // The filter lets no negative number through.
            let number = u32::try_from(data.nr).unwrap_or(u32::MAX);
            let call = Call { id: notification.id, tid: notification.pid, number, arguments: data.args };
            return Ok(Some(call));
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR | libc::ENOMEM) => Ok(None),
            Some(libc::ENOENT) if !self.is_abandoned() => Ok(None),
            _ => Err(error),
        }
    }

    /// Whether the last process behind the gate has ended.
    fn is_abandoned(&self) -> bool {
        let mut state = libc::pollfd { fd: self.raw(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure, which outlives the call; it does not wait.
        let ready = unsafe { libc::poll(&raw mut state, 1, 0) };
        ready == 1 && state.revents & libc::POLLHUP != 0
    }

    /// Whether the call still waits, and what was read of its caller was therefore the caller's.
    pub(super) fn is_waiting(&self, call: &Call) -> bool {
        // SAFETY: reads one 64-bit word, which outlives the call.
        unsafe { libc::ioctl(self.raw(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const call.id) == 0 }
    }

    /// Answers: the call fails with EPERM, or goes on.
    pub(super) fn answer(&self, call: &Call, refuse: bool) {
        let answer = seccomp_notif_resp {
            id: call.id,
            val: 0,
            error: if refuse { -libc::EPERM } else { 0 },
            flags: if refuse { 0 } else { libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32 },
        };
        // SAFETY: reads the structure, whose size the request carries. A caller that has died needs no answer.
        unsafe { libc::ioctl(self.raw(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const answer) };
    }
}

/// # Safety
/// `arguments` must be what `operation` asks for.
unsafe fn seccomp(operation: u32, flags: c_ulong, arguments: *mut libc::c_void) -> c_long {
    // SAFETY: the caller's promise.
    unsafe { libc::syscall(libc::SYS_seccomp, operation, flags, arguments) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (release, old) in [
            ("5.4.0-150-generic", true),
            ("4.19.0", true),
            ("5.5.0", false),
            ("5.10.0", false),
            ("6.18.44-fc", false),
            ("10.0", false),
            ("odd", false),
        ] {
            assert_eq!(older_than(release, (5, 5)), old, "{release}");
        }
    }
}
