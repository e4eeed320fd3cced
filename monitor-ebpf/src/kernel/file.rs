//! `struct file`, `struct inode`, and what they say of a file besides its name.

use crate::kernel::{offset, read};

/// Open for reading: include/linux/fs.h.
pub(crate) const FMODE_READ: u32 = 0x1;
/// Open for writing.
pub(crate) const FMODE_WRITE: u32 = 0x2;
/// O_PATH: a name, no access.
pub(crate) const FMODE_PATH: u32 = 0x4000;
/// Made by this open. Since v4.19.
pub(crate) const FMODE_CREATED: u32 = 0x10_0000;

const S_IFMT: u16 = 0o170_000;
const S_IFDIR: u16 = 0o040_000;
const S_IFBLK: u16 = 0o060_000;
const S_IFCHR: u16 = 0o020_000;
/// `dev_t` in the kernel: include/linux/kdev_t.h.
const MINOR_BITS: u32 = 20;
/// Documentation/admin-guide/devices.txt: 1 is memory, and of it 1 is /dev/mem, 2 /dev/kmem, 4 /dev/port.
const MEMORY_MAJOR: u32 = 1;
const RAW_MEMORY: [u32; 3] = [1, 2, 4];
const S_IFREG: u16 = 0o100_000;
const S_ISUID: u16 = 0o4_000;

/// An inode.
#[derive(Clone, Copy)]
pub(crate) struct Inode(pub(crate) u64);

/// The identity of a file: numbers are used again, so the generation belongs to it.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct FileId {
    /// `inode.i_ino`.
    pub(crate) number: u64,
    /// `super_block.s_dev`.
    pub(crate) device: u32,
    /// `inode.i_generation`.
    pub(crate) generation: u32,
}

impl Inode {
    /// The inode of an open file.
    #[inline(always)]
    pub(crate) fn of_file(file: u64) -> Option<Self> {
        read::field::<u64>(file, &offset::FILE_INODE).map(Self)
    }

    /// The inode a dentry names; 0 if there is no such file yet.
    #[inline(always)]
    pub(crate) fn of_dentry(dentry: u64) -> Self {
        Self(read::field(dentry, &offset::DENTRY_INODE).unwrap_or(0))
    }

    /// What tells it from every other file.
    #[inline(always)]
    pub(crate) fn id(self) -> Option<FileId> {
        Some(FileId {
            number: self.number()?,
            device: read::field(self.super_block()?, &offset::SB_DEV)?,
            generation: read::field(self.0, &offset::INODE_GENERATION)?,
        })
    }

    /// Inode number.
    #[inline(always)]
    pub(crate) fn number(self) -> Option<u64> {
        read::field(self.0, &offset::INODE_NUMBER)
    }

    #[inline(always)]
    fn super_block(self) -> Option<u64> {
        read::field(self.0, &offset::INODE_SB)
    }

    #[inline(always)]
    fn mode(self) -> u16 {
        read::field(self.0, &offset::INODE_MODE).unwrap_or(0)
    }

    /// Whether it is a regular file.
    #[inline(always)]
    pub(crate) fn is_regular(self) -> bool {
        self.mode() & S_IFMT == S_IFREG
    }

    /// Whether it is a directory.
    #[inline(always)]
    pub(crate) fn is_directory(self) -> bool {
        self.mode() & S_IFMT == S_IFDIR
    }

    /// Whether it is a disk or the machine's memory, whatever it is called.
    #[inline(always)]
    pub(crate) fn is_raw_device(self) -> bool {
        match self.mode() & S_IFMT {
            S_IFBLK => true,
            S_IFCHR => {
                let device = read::field::<u32>(self.0, &offset::INODE_DEVICE).unwrap_or(0);
                let minor = device & ((1 << MINOR_BITS) - 1);
                device >> MINOR_BITS == MEMORY_MAJOR
                    && (minor == RAW_MEMORY[0] || minor == RAW_MEMORY[1] || minor == RAW_MEMORY[2])
            }
            _ => false,
        }
    }

    /// Whether running it gives root's rights.
    #[inline(always)]
    pub(crate) fn is_setuid_root(self) -> bool {
        self.mode() & S_ISUID != 0 && read::field::<u32>(self.0, &offset::INODE_UID) == Some(0)
    }

    /// Whether no directory names it any more.
    #[inline(always)]
    pub(crate) fn is_nameless(self) -> bool {
        read::field::<u32>(self.0, &offset::INODE_NLINK) == Some(0)
    }

    /// For a file under /proc/PID: the process id in the initial namespace (fs/proc/internal.h, `proc_inode.pid`).
    #[inline(always)]
    pub(crate) fn proc_owner(self) -> Option<u32> {
        // PROC_SUPER_MAGIC: include/uapi/linux/magic.h.
        const PROC_SUPER_MAGIC: u64 = 0x9fa0;
        if read::field::<u64>(self.super_block()?, &offset::SB_MAGIC)? != PROC_SUPER_MAGIC {
            return None;
        }
        let proc_inode = self.0.wrapping_sub(offset::of(&offset::PROC_INODE_VFS));
        let pid = read::field::<u64>(proc_inode, &offset::PROC_INODE_PID)?;
        if pid == 0 {
            return None;
        }
        let first = pid + offset::of(&offset::PID_NUMBERS);
        read::field::<u32>(first, &offset::UPID_NR)
    }
}

/// Mode bits of an open file (`f_mode`).
#[inline(always)]
pub(crate) fn mode(file: u64) -> Option<u32> {
    read::field(file, &offset::FILE_MODE)
}
