//! Cuts connections of which a segment was refused. Where segments are dropped nobody can be told an error: the program
//! would wait for an answer until TCP gives up, and the install with it. A connection that is shut down has an end.

use std::fs;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use libc::c_long;
use monitor_common::action::Action;
use monitor_common::verdict::Achieved;

use crate::event::model::{Event, Thing, What};

const TCP: u64 = 6;

/// Shuts the connection down that an event says was refused in its middle. A connection that was refused when it was to
/// be made has no peer, and nothing happens.
pub(super) fn after(event: &Event) {
    let Some(peer) = refused(event) else { return };
    if let Err(error) = cut(event.process.pid, peer) {
        tracing::debug!("the connection of {} to {peer} could not be cut: {error}", event.process.pid);
    }
}

fn refused(event: &Event) -> Option<SocketAddr> {
    let What::Verdict(judgement) = &event.what else { return None };
    let stopped = judgement.achieved == Achieved::Denied;
    if !stopped || !matches!(judgement.action, Action::Connect | Action::Resolve) {
        return None;
    }
    match judgement.object.what {
        Thing::Address { address, port, protocol: TCP, .. }
        | Thing::Name { resolver: address, port, protocol: TCP, .. } => Some(SocketAddr::new(address, port)),
        _ => None,
    }
}

fn cut(pid: u32, peer: SocketAddr) -> io::Result<()> {
    // SAFETY: the call takes no pointers.
    let process = owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))?.flatten() {
        let is_socket = fs::read_link(entry.path())
            .is_ok_and(|link| link.as_os_str().as_encoded_bytes().starts_with(b"socket:"));
        let number: Option<RawFd> = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(number) = number.filter(|_| is_socket) else { continue };
        // SAFETY: the call takes no pointers. Since v5.6; on other kernels it fails, and the program waits.
        let socket = owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) })?;
        // Whatever kind of socket it is: only an internet one has such a peer.
        let socket = TcpStream::from(socket);
        if socket.peer_addr().is_ok_and(|found| unmapped(found) == peer) {
            socket.shutdown(Shutdown::Both)?;
        }
    }
    Ok(())
}

/// IPv4 in the clothes of IPv6 is IPv4.
fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn owned(result: c_long) -> io::Result<OwnedFd> {
    match RawFd::try_from(result) {
        // SAFETY: the kernel has just made it for us, and nobody else knows it.
        Ok(descriptor) if descriptor >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use super::cut;

    #[test]
    fn a_connection_ends_and_its_neighbour_does_not() {
        let [one, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [mut refused, kept] =
            [&one, &other].map(|to| TcpStream::connect(to.local_addr().unwrap()).unwrap());
        let (_held, mut far) = (one.accept().unwrap(), other.accept().unwrap().0);
        cut(std::process::id(), one.local_addr().unwrap()).unwrap();
        assert_eq!(refused.read(&mut [0]).unwrap(), 0);
        drop(kept);
        assert_eq!(far.read(&mut [0]).unwrap(), 0);
        cut(u32::MAX >> 1, one.local_addr().unwrap()).unwrap_err();
    }
}
