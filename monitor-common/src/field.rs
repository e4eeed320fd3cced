//! Kernel struct fields that the kernel side reads.
//!
//! rustc emits no relocations for kernel types, so userspace looks the offsets up in the running kernel's BTF and
//! stores them in read-only globals of the object before it is loaded. This list is the only place that names a field.

/// Stored when the running kernel has no such field.
pub const ABSENT: u32 = u32::MAX;

/// A field to be resolved.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Global of the kernel object that takes the offset.
    pub global: &'static str,
    /// Struct name in BTF.
    pub structure: &'static str,
    /// Member names joined by dots; anonymous structs and unions are looked through. Alternatives for renamed fields
    /// are separated by `|`.
    pub path: &'static str,
    /// Whether the kernel side cannot work without it.
    pub required: bool,
}

/// Calls `$then!` with every field: `NAME, "struct", "path", required;`.
#[macro_export]
macro_rules! for_each_field {
    ($then:ident) => {
        $then! {
            // The task: include/linux/sched.h.
            TASK_TGID, "task_struct", "tgid", true;
            TASK_GROUP_LEADER, "task_struct", "group_leader", true;
            TASK_REAL_PARENT, "task_struct", "real_parent", true;
            TASK_START_BOOTTIME, "task_struct", "start_boottime|real_start_time", true;
            TASK_FLAGS, "task_struct", "flags", true;
            TASK_FILES, "task_struct", "files", true;
            TASK_FS, "task_struct", "fs", true;
            TASK_MM, "task_struct", "mm", true;
            TASK_SIGNAL, "task_struct", "signal", true;
            TASK_CRED, "task_struct", "cred", true;
            TASK_EXIT_CODE, "task_struct", "exit_code", true;
            // x86 only: bit TS_COMPAT (2) tells a 32-bit system call (arch/x86/include/asm/thread_info.h).
            TASK_TI_STATUS, "task_struct", "thread_info.status", false;
            SIGNAL_LIVE, "signal_struct", "live.counter", true;
            CRED_UID, "cred", "uid", true;
            CRED_EUID, "cred", "euid", true;
            // New programs: include/linux/binfmts.h, mm_types.h.
            BPRM_FILE, "linux_binprm", "file", true;
            BPRM_BEGINNING, "linux_binprm", "buf", true;
            MM_EXE_FILE, "mm_struct", "exe_file", true;
            VMA_FILE, "vm_area_struct", "vm_file", true;
            MM_ARG_START, "mm_struct", "arg_start", true;
            MM_ARG_END, "mm_struct", "arg_end", true;
            // Open files: include/linux/fdtable.h, fs.h.
            FILES_FDT, "files_struct", "fdt", true;
            FDT_MAX_FDS, "fdtable", "max_fds", true;
            FDT_FD, "fdtable", "fd", true;
            FILE_PATH, "file", "f_path", true;
            FILE_INODE, "file", "f_inode", true;
            FILE_MODE, "file", "f_mode", true;
            FILE_PRIVATE, "file", "private_data", true;
            // Names: include/linux/dcache.h, path.h, fs/mount.h, fs_struct.h.
            FS_PWD, "fs_struct", "pwd", true;
            PATH_MNT, "path", "mnt", true;
            PATH_DENTRY, "path", "dentry", true;
            DENTRY_PARENT, "dentry", "d_parent", true;
            DENTRY_NAME, "dentry", "d_name.name", true;
            DENTRY_LENGTH, "dentry", "d_name.len", true;
            DENTRY_INODE, "dentry", "d_inode", true;
            DENTRY_SB, "dentry", "d_sb", true;
            VFSMOUNT_ROOT, "vfsmount", "mnt_root", true;
            VFSMOUNT_SB, "vfsmount", "mnt_sb", true;
            MOUNT_VFSMOUNT, "mount", "mnt", true;
            MOUNT_PARENT, "mount", "mnt_parent", true;
            MOUNT_MOUNTPOINT, "mount", "mnt_mountpoint", true;
            INODE_NUMBER, "inode", "i_ino", true;
            INODE_MODE, "inode", "i_mode", true;
            INODE_GENERATION, "inode", "i_generation", true;
            INODE_UID, "inode", "i_uid", true;
            INODE_NLINK, "inode", "i_nlink", true;
            INODE_DEVICE, "inode", "i_rdev", true;
            INODE_SB, "inode", "i_sb", true;
            ATTRIBUTES_VALID, "iattr", "ia_valid", true;
            SB_DEV, "super_block", "s_dev", true;
            SB_MAGIC, "super_block", "s_magic", true;
            SB_MOUNTS, "super_block", "s_mounts", true;
            // Up to v6.17: s_mounts is a list of these; since then it points to the first mount.
            MOUNT_INSTANCE, "mount", "mnt_instance", false;
            // /proc/PID: fs/proc/internal.h, include/linux/pid.h.
            PROC_INODE_VFS, "proc_inode", "vfs_inode", true;
            PROC_INODE_PID, "proc_inode", "pid", true;
            PID_NUMBERS, "pid", "numbers", true;
            UPID_NR, "upid", "nr", true;
            // Sockets: include/linux/net.h, include/net/sock.h, af_unix.h.
            SOCKET_SK, "socket", "sk", true;
            SOCKET_TYPE, "socket", "type", true;
            SOCK_FAMILY, "sock", "__sk_common.skc_family", true;
            SOCK_ADDRESS4, "sock", "__sk_common.skc_rcv_saddr", true;
            SOCK_ADDRESS6, "sock", "__sk_common.skc_v6_rcv_saddr", false;
            SOCK_PORT, "sock", "__sk_common.skc_num", true;
            SOCK_PROTOCOL, "sock", "sk_protocol", true;
            UNIX_PEER, "unix_sock", "peer", false;
            UNIX_ADDRESS, "unix_sock", "addr", false;
            UNIX_PATH, "unix_sock", "path", false;
            UNIX_ADDRESS_LENGTH, "unix_address", "len", false;
            UNIX_ADDRESS_NAME, "unix_address", "name", false;
            // Signals: include/linux/signal_types.h.
            SIGINFO_CODE, "kernel_siginfo", "si_code", true;
            // Registers of the system call: arch/x86/include/asm/ptrace.h, arch/arm64/include/asm/ptrace.h.
            REGS_NUMBER, "pt_regs", "orig_ax|syscallno", true;
            REGS_ARG0, "pt_regs", "di|orig_x0", true;
            REGS_ARG1, "pt_regs", "si", false;
            REGS_ARG2, "pt_regs", "dx", false;
            REGS_ARG3, "pt_regs", "r10", false;
            REGS_ARG4, "pt_regs", "r8", false;
            REGS_ARG5, "pt_regs", "r9", false;
            // arm64 keeps the arguments in an array of 8-byte registers.
            REGS_ARRAY, "pt_regs", "regs", false;
        }
    };
}

macro_rules! table {
    ($($global:ident, $structure:literal, $path:literal, $required:literal;)*) => {
        /// Every field, for the resolver and `doctor`.
        pub const FIELDS: &[Field] = &[
            $(Field { global: stringify!($global), structure: $structure, path: $path, required: $required },)*
        ];
    };
}
for_each_field!(table);
