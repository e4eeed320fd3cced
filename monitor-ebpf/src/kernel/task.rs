//! `struct task_struct` of the caller and of others.

use aya_ebpf::helpers::generated::{bpf_get_current_pid_tgid, bpf_get_current_task};

use crate::kernel::{offset, read};

/// A task.
#[derive(Clone, Copy)]
pub(crate) struct Task(pub(crate) u64);

impl Task {
    /// The caller.
    #[inline(always)]
    pub(crate) fn current() -> Self {
        // SAFETY: no arguments; there is always a current task in the program types used here.
        Self(unsafe { bpf_get_current_task() })
    }

    /// Whether it is on its way out: PF_EXITING, include/linux/sched.h. No signal reaches it any more.
    #[inline(always)]
    pub(crate) fn is_exiting(self) -> bool {
        const PF_EXITING: u32 = 4;
        read::field::<u32>(self.0, &offset::TASK_FLAGS).unwrap_or(0) & PF_EXITING != 0
    }

    /// Thread group id: what userspace calls the process id.
    #[inline(always)]
    pub(crate) fn tgid(self) -> Option<u32> {
        read::field(self.0, &offset::TASK_TGID)
    }

    /// Start of the process, not of the thread, on the boot clock in nanoseconds; /proc has it in ticks.
    #[inline(always)]
    pub(crate) fn start(self) -> u64 {
        let leader = read::field::<u64>(self.0, &offset::TASK_GROUP_LEADER);
        leader.and_then(|leader| read::field(leader, &offset::TASK_START_BOOTTIME)).unwrap_or(0)
    }

    /// Thread group id of the real parent (not of a debugger).
    #[inline(always)]
    pub(crate) fn parent(self) -> u32 {
        read::field(self.0, &offset::TASK_REAL_PARENT).and_then(|parent| Task(parent).tgid()).unwrap_or(0)
    }

    /// Effective user id in the initial user namespace.
    #[inline(always)]
    pub(crate) fn euid(self) -> u32 {
        self.cred(&offset::CRED_EUID)
    }

    /// Real user id in the initial user namespace.
    #[inline(always)]
    pub(crate) fn uid(self) -> u32 {
        self.cred(&offset::CRED_UID)
    }

    #[inline(always)]
    fn cred(self, field: &'static u32) -> u32 {
        read::field::<u64>(self.0, &offset::TASK_CRED)
            .and_then(|cred| read::field(cred, field))
            .unwrap_or(u32::MAX)
    }

    /// Whether no thread of the process is left alive (`signal->live`, decremented in do_exit before the tracepoint).
    #[inline(always)]
    pub(crate) fn group_dead(self) -> bool {
        let live = read::field::<u64>(self.0, &offset::TASK_SIGNAL)
            .and_then(|signal| read::field::<u32>(signal, &offset::SIGNAL_LIVE));
        live == Some(0)
    }

    /// Exit code as in wait(2).
    #[inline(always)]
    pub(crate) fn exit_code(self) -> u32 {
        read::field(self.0, &offset::TASK_EXIT_CODE).unwrap_or(0)
    }

    /// Whether the current call came by the 32-bit ABI: TS_COMPAT, arch/x86/include/asm/thread_info.h.
    #[inline(always)]
    pub(crate) fn in_compat_call(self) -> bool {
        const TS_COMPAT: u32 = 2;
        if !offset::present(&offset::TASK_TI_STATUS) {
            return false;
        }
        read::field::<u32>(self.0, &offset::TASK_TI_STATUS).unwrap_or(0) & TS_COMPAT != 0
    }

    /// The open file behind a descriptor (`files->fdt->fd[n]`, include/linux/fdtable.h).
    #[inline(always)]
    pub(crate) fn file(self, descriptor: u32) -> Option<u64> {
        let files = read::field::<u64>(self.0, &offset::TASK_FILES)?;
        let table = read::field::<u64>(files, &offset::FILES_FDT)?;
        if descriptor >= read::field::<u32>(table, &offset::FDT_MAX_FDS)? {
            return None;
        }
        let array = read::field::<u64>(table, &offset::FDT_FD)?;
        let file = read::kernel::<u64>(array + u64::from(descriptor) * 8)?;
        (file != 0).then_some(file)
    }

    /// Address of the `struct path` of the working directory.
    #[inline(always)]
    pub(crate) fn working_directory(self) -> Option<u64> {
        Some(read::field::<u64>(self.0, &offset::TASK_FS)? + offset::of(&offset::FS_PWD))
    }

    /// Whether its program is the dynamic loader, so that what it really runs was mapped by it: `ld-linux-x86-64.so.2`,
    /// `ld-musl-x86_64.so.1`, `ld.so`, `ld64.so.2`.
    #[inline(always)]
    pub(crate) fn runs_loader(self) -> bool {
        let mm = read::word::<u64>(self.0, &offset::TASK_MM);
        let file = read::word::<u64>(mm, &offset::MM_EXE_FILE);
        let path = file.wrapping_add(offset::of(&offset::FILE_PATH));
        let dentry = read::word::<u64>(path, &offset::PATH_DENTRY);
        let name = read::word::<u64>(dentry, &offset::DENTRY_NAME);
        let four = read::kernel::<u32>(name).unwrap_or(0);
        let three = four.to_le() & 0xff_ffff;
        three == letters(*b"ld-\0") || three == letters(*b"ld.\0") || four.to_le() == letters(*b"ld64")
    }

    /// First and one past the last byte of the program's arguments, in user memory.
    #[inline(always)]
    pub(crate) fn arguments(self) -> Option<(u64, u64)> {
        let mm = read::field::<u64>(self.0, &offset::TASK_MM)?;
        Some((read::field(mm, &offset::MM_ARG_START)?, read::field(mm, &offset::MM_ARG_END)?))
    }
}

/// Thread group id and thread id of the caller.
#[inline(always)]
pub(crate) fn current_ids() -> (u32, u32) {
    // SAFETY: no arguments.
    let ids = unsafe { bpf_get_current_pid_tgid() };
    ((ids >> 32) as u32, ids as u32)
}

/// Four letters as the number that they are in memory.
const fn letters(name: [u8; 4]) -> u32 {
    u32::from_le_bytes(name)
}
