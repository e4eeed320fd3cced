//! A secret file that is reached without opening it by name: by handle, below the file system, or by a descriptor that
//! somebody else opened.

use std::fs::{self, File};
use std::io::{IoSliceMut, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use super::{Deed, Harm, Impossible, Need, if_there};
use crate::Failure;
use crate::kernel::{c_path, owned, syscall};
use crate::stage::{HELPER, INHERITED, Stage};

/// Enough for the handle of any file system.
const HANDLE: usize = 128;
/// Bytes read of a disk: the secret is at its beginning.
const SECTORS: usize = 4096;

pub(super) const DEEDS: &[Deed] = &[
    Deed::new("open-by-handle", &["6.28"], "name_to_handle_at, open_by_handle_at", Harm::Leak, by_handle)
        .unless("a file system without handles"),
    Deed::new("block-device", &["6.29"], "read the disk itself", Harm::Leak, block_device)
        .needs(&[Need::Disk])
        .unless("a kernel without loop devices and RAM disks"),
    Deed::new("block-device-mknod", &["6.29"], "read the disk by a node of one's own", Harm::Leak, own_node)
        .needs(&[Need::Disk])
        .unless("a kernel without loop devices and RAM disks"),
    Deed::new("dev-mem", &["6.29"], "read physical memory: /dev/mem", Harm::Done, dev_mem)
        .unless("a kernel without /dev/mem"),
    Deed::new("dev-mem-mknod", &["6.29"], "the same, by a node of one's own", Harm::Done, own_memory_node)
        .unless("a kernel without /dev/mem"),
    Deed::new("kcore", &["6.29"], "read the kernel's memory: /proc/kcore", Harm::Done, kcore)
        .unless("a kernel without /proc/kcore"),
    Deed::new(
        "scm-rights",
        &["6.30"],
        "descriptor of the secret sent by a process outside",
        Harm::Leak,
        scm_rights,
    )
    .needs(&[Need::Victim]),
    Deed::new(
        "pidfd-getfd",
        &["6.30", "6.31"],
        "descriptor of the secret taken from a process outside",
        Harm::Leak,
        pidfd_getfd,
    )
    .needs(&[Need::Victim]),
    Deed::new(
        "inherited",
        &["6.30"],
        "descriptor of the secret that was open at the start",
        Harm::Leak,
        inherited,
    )
    .needs(&[Need::Inherited])
    .alone(),
    Deed::new(
        "inherited-reopen",
        &["6.30"],
        "the same, reopened by /proc/self/fd",
        Harm::Leak,
        inherited_reopen,
    )
    .needs(&[Need::Inherited])
    .alone(),
];

#[repr(C, align(8))]
struct Handle {
    length: u32,
    kind: i32,
    bytes: [u8; HANDLE],
}

fn by_handle(stage: &Stage) -> Result<(), Failure> {
    let mut handle = Handle { length: HANDLE as u32, kind: 0, bytes: [0; HANDLE] };
    let (path, mut mount) = (c_path(&stage.secret)?, 0_i32);
    // SAFETY: the path is a C string; handle and mount live and are ours to write, with the length given inside.
    let named = unsafe {
        let (handle, mount) = (&raw mut handle, &raw mut mount);
        syscall!(libc::SYS_name_to_handle_at, libc::AT_FDCWD, path.as_ptr(), handle, mount, 0)
    };
    if_there("name_to_handle_at", named)?;
    let anchor = File::open(&stage.project)?;
    // SAFETY: the handle is what the kernel has just written.
    let fd = unsafe {
        syscall!(libc::SYS_open_by_handle_at, anchor.as_raw_fd(), &raw const handle, libc::O_RDONLY)
    }?;
    take(stage, owned(fd)?)
}

fn take(stage: &Stage, fd: OwnedFd) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    File::from(fd).read_to_end(&mut bytes)?;
    Ok(stage.take(&bytes)?)
}

fn disk(stage: &Stage) -> Result<&Path, Failure> {
    stage.disk.as_deref().ok_or_else(|| Impossible("there is no disk to read".into()).into())
}

fn take_sectors(stage: &Stage, disk: &Path) -> Result<(), Failure> {
    let mut bytes = [0; SECTORS];
    File::open(disk)?.read_exact_at(&mut bytes, 0)?;
    Ok(stage.take(&bytes)?)
}

fn block_device(stage: &Stage) -> Result<(), Failure> {
    take_sectors(stage, disk(stage)?)
}

fn own_node(stage: &Stage) -> Result<(), Failure> {
    use nix::sys::stat::{Mode, SFlag, mknod};
    use std::os::unix::fs::MetadataExt;
    let node = stage.in_project("harmless");
    mknod(&node, SFlag::S_IFBLK, Mode::S_IRUSR, fs::metadata(disk(stage)?)?.rdev())?;
    take_sectors(stage, &node)
}

fn dev_mem(stage: &Stage) -> Result<(), Failure> {
    take_memory(stage, &open_if_there("/dev/mem")?)
}

fn own_memory_node(stage: &Stage) -> Result<(), Failure> {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    if !Path::new("/dev/mem").exists() {
        return Err(Impossible("there is no /dev/mem".into()).into());
    }
    let node = stage.in_project("harmless");
    mknod(&node, SFlag::S_IFCHR, Mode::S_IRUSR, makedev(1, 1))?;
    take_memory(stage, &File::open(node)?)
}

fn take_memory(stage: &Stage, device: &File) -> Result<(), Failure> {
    let mut bytes = [0; 64];
    // Of a PC the first mebibyte may be read; elsewhere there may be nothing at all.
    match device.read_at(&mut bytes, 0x000f_0000) {
        Ok(1..) => Ok(stage.done()?),
        Ok(0) => Err(Impossible("there is no memory at that address".into()).into()),
        Err(why) => Err(Impossible(format!("this kernel gives no memory away: {why}")).into()),
    }
}

fn kcore(stage: &Stage) -> Result<(), Failure> {
    let mut head = [0; 4];
    open_if_there("/proc/kcore")?.read_exact_at(&mut head, 0)?;
    if head == *b"\x7fELF" { Ok(stage.done()?) } else { Err("this is no image of memory".into()) }
}

fn open_if_there(path: &str) -> Result<File, Failure> {
    File::open(path).map_err(|why| match why.kind() {
        std::io::ErrorKind::NotFound => Impossible(format!("there is no {path}")).into(),
        _ => why.into(),
    })
}

fn scm_rights(stage: &Stage) -> Result<(), Failure> {
    let stream = UnixStream::connect(stage.aside.join(HELPER))?;
    let (mut byte, mut space) = ([0], nix::cmsg_space!([i32; 1]));
    let mut buffer = [IoSliceMut::new(&mut byte)];
    let message = recvmsg::<()>(stream.as_raw_fd(), &mut buffer, Some(&mut space), MsgFlags::empty())?;
    let fds = message.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
        _ => None,
    });
    let fd = fds.ok_or("no descriptor came")?;
    // SAFETY: the kernel has just given us this descriptor.
    take(stage, unsafe { OwnedFd::from_raw_fd(fd) })
}

fn pidfd_getfd(stage: &Stage) -> Result<(), Failure> {
    let victim = stage.victim()?;
    // SAFETY: the call takes no pointers.
    let process = owned(unsafe { syscall!(libc::SYS_pidfd_open, victim.pid, 0) }?)?;
    // SAFETY: the call takes no pointers.
    let fd = unsafe { syscall!(libc::SYS_pidfd_getfd, process.as_raw_fd(), victim.fd, 0) };
    take(stage, owned(if_there("pidfd_getfd", fd)?)?)
}

fn inherited(stage: &Stage) -> Result<(), Failure> {
    // SAFETY: the suite put it there, for us alone.
    take(stage, unsafe { OwnedFd::from_raw_fd(INHERITED) })
}

fn inherited_reopen(stage: &Stage) -> Result<(), Failure> {
    Ok(stage.take(&fs::read(format!("/proc/self/fd/{INHERITED}"))?)?)
}
