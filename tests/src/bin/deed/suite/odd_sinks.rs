//! Sinks that the standard library has no sockets for: frames, echo requests, SCTP, virtual machines, unix daemons.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::Path;

use crate::kernel::{checked, owned};
use crate::stage::{DAEMONS, SINK_ETHERTYPE, SINK_VSOCK};

/// A socket, and whether connections come to it, or datagrams.
#[derive(Debug)]
pub(super) struct OddSink {
    pub(super) name: &'static str,
    socket: OwnedFd,
    connected: bool,
}

/// Opens a socket.
type Maker = fn() -> io::Result<OwnedFd>;

impl OddSink {
    /// All that this kernel has.
    pub(super) fn open_all() -> Vec<Self> {
        let makers: [(&'static str, Maker, bool); 11] = [
            ("icmp", icmp, false),
            ("ether", ether, false),
            ("lite", lite, false),
            ("sctp", sctp, true),
            ("vsock", vsock, true),
            ("docker.sock", || stream(&Path::new(DAEMONS).join("docker.sock")), true),
            ("systemd", || stream(Path::new("/run/user/47110/systemd/private")), true),
            ("agent", || stream(Path::new("/run/user/47110/openssh_agent")), true),
            ("podman.sock", seqpacket, true),
            ("buildkitd.sock", daemon_datagram, false),
            ("display", display, true),
        ];
        let sinks = makers.into_iter().filter_map(|(name, make, connected)| {
            let socket = make().ok()?;
            // SAFETY: the command takes no pointer.
            checked(unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) }).ok()?;
            Some(Self { name, socket, connected })
        });
        sinks.collect()
    }

    /// Everything that came.
    pub(super) fn collect(&self) -> Vec<Vec<u8>> {
        let mut came = Vec::new();
        if !self.connected {
            while let Some(bytes @ [_, ..]) = receive(&self.socket).as_deref() {
                came.push(bytes.to_vec());
            }
            return came;
        }
        loop {
            let none = std::ptr::null_mut();
            // SAFETY: the peer's address is not asked for.
            let accepted =
                unsafe { libc::accept4(self.socket.as_raw_fd(), none, none.cast(), libc::SOCK_NONBLOCK) };
            let Ok(peer) = checked(accepted).and_then(owned) else { return came };
            let mut bytes = Vec::new();
            while let Some(more @ [_, ..]) = receive(&peer).as_deref() {
                bytes.extend_from_slice(more);
            }
            came.push(bytes);
        }
    }
}

/// What has arrived; nothing, if nothing has.
fn receive(socket: &OwnedFd) -> Option<Vec<u8>> {
    let mut bytes = vec![0_u8; 64 * 1024];
    let (pointer, length) = (bytes.as_mut_ptr().cast(), bytes.len());
    // SAFETY: the buffer lives, is ours to write, and has the length given.
    let count = unsafe { libc::recv(socket.as_raw_fd(), pointer, length, libc::MSG_DONTWAIT) };
    bytes.truncate(usize::try_from(count).ok()?);
    Some(bytes)
}

fn make(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes no pointers.
    owned(checked(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) })?)
}

fn bind<T>(socket: &OwnedFd, address: &T) -> io::Result<()> {
    let length = size_of::<T>() as u32;
    // SAFETY: the address lives and has the length given.
    checked(unsafe { libc::bind(socket.as_raw_fd(), std::ptr::from_ref(address).cast(), length) }).map(drop)
}

fn listen(socket: OwnedFd) -> io::Result<OwnedFd> {
    // SAFETY: the call takes no pointers.
    checked(unsafe { libc::listen(socket.as_raw_fd(), 64) })?;
    Ok(socket)
}

fn abroad(port: u16) -> libc::sockaddr_in {
    // SAFETY: zero is a valid value for every field.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = libc::AF_INET as u16;
    address.sin_port = port.to_be();
    address.sin_addr.s_addr = u32::from_ne_bytes([203, 0, 113, 7]);
    address
}

fn icmp() -> io::Result<OwnedFd> {
    let socket = make(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)?;
    bind(&socket, &abroad(0))?;
    Ok(socket)
}

fn ether() -> io::Result<OwnedFd> {
    make(libc::AF_PACKET, libc::SOCK_RAW, i32::from(SINK_ETHERTYPE.to_be()))
}

fn lite() -> io::Result<OwnedFd> {
    let socket = make(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE)?;
    bind(&socket, &abroad(8000))?;
    Ok(socket)
}

fn sctp() -> io::Result<OwnedFd> {
    let socket = make(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP)?;
    bind(&socket, &abroad(8000))?;
    listen(socket)
}

fn vsock() -> io::Result<OwnedFd> {
    let socket = make(libc::AF_VSOCK, libc::SOCK_STREAM, 0)?;
    // SAFETY: zero is a valid value for every field.
    let mut address: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
    address.svm_family = libc::AF_VSOCK as u16;
    address.svm_cid = libc::VMADDR_CID_ANY;
    address.svm_port = SINK_VSOCK;
    bind(&socket, &address)?;
    listen(socket)
}

/// The directory of a socket, which everybody may use.
fn prepare(path: &Path) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777))
}

fn open_to_all(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o777))
}

fn stream(path: &Path) -> io::Result<OwnedFd> {
    prepare(path)?;
    let listener = UnixListener::bind(path)?;
    open_to_all(path)?;
    Ok(listener.into())
}

fn seqpacket() -> io::Result<OwnedFd> {
    let path = Path::new(DAEMONS).join("podman.sock");
    prepare(&path)?;
    let socket = make(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0)?;
    // SAFETY: zero is a valid value for every field.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as u16;
    for (place, byte) in address.sun_path.iter_mut().zip(path.as_os_str().as_encoded_bytes()) {
        *place = byte.cast_signed() as _;
    }
    bind(&socket, &address)?;
    open_to_all(&path)?;
    listen(socket)
}

fn daemon_datagram() -> io::Result<OwnedFd> {
    let path = Path::new(DAEMONS).join("buildkitd.sock");
    prepare(&path)?;
    let socket = UnixDatagram::bind(&path)?;
    open_to_all(&path)?;
    Ok(socket.into())
}

fn display() -> io::Result<OwnedFd> {
    Ok(UnixListener::bind_addr(&SocketAddr::from_abstract_name("/tmp/.X11-unix/X47")?)?.into())
}
