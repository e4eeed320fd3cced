//! Asking somebody outside of the tree to do it: unix sockets of daemons.

use std::env;
use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::path::Path;

use super::{Deed, Harm, if_there};
use crate::Failure;
use crate::kernel::checked;
use crate::stage::{DAEMONS, Stage};

const ENGINE: Harm = Harm::Contact("docker.sock");

pub(super) const DEEDS: &[Deed] = &[
    Deed::new("engine", &["6.33", "2.11 docker.sock"], "connect to a container engine", ENGINE, |stage| {
        stream(stage, &Path::new(DAEMONS).join("docker.sock"))
    }),
    Deed::new("engine-user", &["6.33", "2.11 docker.sock"], "the same, not as root", ENGINE, |stage| {
        stream(stage, &Path::new(DAEMONS).join("docker.sock"))
    })
    .ordinary(),
    Deed::new("engine-symlink", &["6.33", "6.22"], "through a symbolic link", ENGINE, by_symlink),
    Deed::new("engine-relative", &["6.33", "6.22"], "relative path, after chdir", ENGINE, relative),
    Deed::new("engine-proc-root", &["6.33", "6.22"], "through /proc/self/root", ENGINE, by_proc_root),
    Deed::new("engine-hard-link", &["6.33", "6.24"], "hard link to the socket", ENGINE, by_hard_link),
    Deed::new("engine-bind-mount", &["6.33", "6.26"], "bind mount of its directory", ENGINE, by_bind_mount),
    Deed::new("engine-renamed", &["6.33", "6.24"], "its directory renamed for a moment", ENGINE, renamed),
    Deed::new(
        "engine-seqpacket",
        &["6.33"],
        "SOCK_SEQPACKET socket",
        Harm::Contact("podman.sock"),
        seqpacket,
    ),
    Deed::new(
        "engine-datagram",
        &["6.33"],
        "datagram by sendto, unconnected",
        Harm::Contact("buildkitd.sock"),
        datagram,
    ),
    Deed::new(
        "engine-datagram-connected",
        &["6.33"],
        "connected datagram socket",
        Harm::Contact("buildkitd.sock"),
        connected_datagram,
    ),
    Deed::new(
        "engine-sendmsg",
        &["6.33"],
        "datagram by sendmsg, unconnected",
        Harm::Contact("buildkitd.sock"),
        sendmsg,
    ),
    Deed::new("engine-io-uring", &["6.33", "6.1"], "io_uring CONNECT", ENGINE, by_ring)
        .unless("a kernel without io_uring"),
    Deed::new(
        "service-manager",
        &["6.33", "2.11 systemd-run"],
        "connect to the user's service manager",
        Harm::Contact("systemd"),
        |stage| stream(stage, Path::new("/run/user/47110/systemd/private")),
    ),
    Deed::new("ssh-agent", &["6.33"], "connect to the SSH agent", Harm::Contact("agent"), |stage| {
        stream(stage, Path::new("/run/user/47110/openssh_agent"))
    }),
    Deed::new("abstract", &["6.33"], "abstract socket: the display", Harm::Contact("display"), abstract_name),
];

fn stream(stage: &Stage, path: &Path) -> Result<(), Failure> {
    Ok(UnixStream::connect(path)?.write_all(stage.token.as_bytes())?)
}

fn by_symlink(stage: &Stage) -> Result<(), Failure> {
    let link = stage.in_project("harmless");
    symlink(Path::new(DAEMONS).join("docker.sock"), &link)?;
    stream(stage, &link)
}

fn relative(stage: &Stage) -> Result<(), Failure> {
    env::set_current_dir(DAEMONS)?;
    stream(stage, Path::new("docker.sock"))
}

fn by_proc_root(stage: &Stage) -> Result<(), Failure> {
    stream(stage, Path::new(&format!("/proc/self/root{DAEMONS}/docker.sock")))
}

fn by_hard_link(stage: &Stage) -> Result<(), Failure> {
    let twin = Path::new(DAEMONS).join("harmless");
    fs::hard_link(Path::new(DAEMONS).join("docker.sock"), &twin)?;
    let sent = stream(stage, &twin);
    fs::remove_file(twin)?;
    sent
}

fn by_bind_mount(stage: &Stage) -> Result<(), Failure> {
    use nix::mount::{MsFlags, mount};
    let (place, none) = (stage.in_project("place"), None::<&str>);
    fs::create_dir(&place)?;
    mount(Some(DAEMONS), &place, none, MsFlags::MS_BIND, none)?;
    stream(stage, &place.join("docker.sock"))
}

fn renamed(stage: &Stage) -> Result<(), Failure> {
    // The name counts, and is the same: what is renamed is the directory above.
    let (from, to) = (Path::new(DAEMONS).join("docker.sock"), Path::new(DAEMONS).join("build"));
    fs::rename(&from, &to)?;
    let sent = stream(stage, &to);
    fs::rename(to, from)?;
    sent
}

fn unix_address(path: &Path) -> Result<(libc::sockaddr_un, u32), Failure> {
    // SAFETY: zero is a valid value for every field.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as u16;
    let bytes = path.as_os_str().as_encoded_bytes();
    for (place, byte) in address.sun_path.iter_mut().zip(bytes) {
        *place = byte.cast_signed() as _;
    }
    Ok((address, u32::try_from(2 + bytes.len() + 1)?))
}

fn seqpacket(stage: &Stage) -> Result<(), Failure> {
    let socket = super::sockets::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0)?;
    let (address, length) = unix_address(&Path::new(DAEMONS).join("podman.sock"))?;
    // SAFETY: the address lives and has the length given.
    checked(unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length) })?;
    Ok(super::sockets::send(&socket, stage.token.as_bytes())?)
}

fn datagram(stage: &Stage) -> Result<(), Failure> {
    let path = Path::new(DAEMONS).join("buildkitd.sock");
    UnixDatagram::unbound()?.send_to(stage.token.as_bytes(), path)?;
    Ok(())
}

fn connected_datagram(stage: &Stage) -> Result<(), Failure> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(Path::new(DAEMONS).join("buildkitd.sock"))?;
    socket.send(stage.token.as_bytes())?;
    Ok(())
}

fn sendmsg(stage: &Stage) -> Result<(), Failure> {
    let socket = UnixDatagram::unbound()?;
    let (address, length) = unix_address(&Path::new(DAEMONS).join("buildkitd.sock"))?;
    let mut part = super::sockets::part(stage.token.as_bytes());
    // SAFETY: zero is a valid value for every field.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = (&raw const address).cast_mut().cast();
    message.msg_namelen = length;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    // SAFETY: the message, its part and its address live.
    checked(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, 0) } as i64)?;
    Ok(())
}

fn by_ring(stage: &Stage) -> Result<(), Failure> {
    use crate::uring::{Order, Ring};
    const OP_CONNECT: u8 = 16;
    let socket = super::sockets::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)?;
    let (to, length) = unix_address(&Path::new(DAEMONS).join("docker.sock"))?;
    let mut ring = if_there("io_uring_setup", Ring::new(0))?;
    let (fd, address, offset) = (socket.as_raw_fd(), (&raw const to) as u64, u64::from(length));
    ring.carry_out(Order { opcode: OP_CONNECT, fd, address, offset, ..Order::default() })?;
    Ok(super::sockets::send(&socket, stage.token.as_bytes())?)
}

fn abstract_name(stage: &Stage) -> Result<(), Failure> {
    let address = SocketAddr::from_abstract_name("/tmp/.X11-unix/X47")?;
    Ok(UnixStream::connect_addr(&address)?.write_all(stage.token.as_bytes())?)
}
