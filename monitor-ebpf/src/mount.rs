//! Mounts, other root directories and user namespaces: the ways to give files other names.
//!
//! | tier | hook | why this one |
//! |---|---|---|
//! | `deny` | `security_sb_mount`, fs/namespace.c `path_mount`, all supported versions | every mount(2), bind mounts and remounts included |
//! | `deny` | `security_move_mount`, `security_sb_kern_mount`, fs/namespace.c, fs/fsopen.c | the calls of v5.2 that take mounts apart: attach, and make a file system |
//! | `deny` | `security_sb_umount`, `security_sb_pivotroot`, `security_path_chroot` | what is below a mount comes to light; another root |
//! | `deny` | `security_create_user_ns`, kernel/user_namespace.c, since v6.1 | a namespace in which everybody is root |
//! | `deny` | `create_user_ns` itself, before v6.1 | only watched: the process dies, as in the `kill` tier |
//! | `deny` | entry of `copy_mnt_ns`, fs/namespace.c, all supported versions | only watched: the mounts of a namespace come into being without being asked for, see `directory` |
//! | `kill` | entry of the calls | the registers name the act |

use monitor_common::action::Action;
use monitor_common::event::{CARRIED_OUT, Subject};
use monitor_common::object::KernelObject;

use crate::engine::caller::{About, Answer, Caller, killing, refusing};
use crate::engine::directory;
use crate::kernel::arguments::Arguments;

/// include/uapi/linux/sched.h.
const CLONE_NEWUSER: u64 = 0x1000_0000;
/// Likewise.
const CLONE_NEWNS: u64 = 0x2_0000;

/// int security_sb_mount(const char *dev_name, const struct path *path, const char *type, unsigned long flags, void *data)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_sb_mount")]
extern "C" fn security_sb_mount(_: Arguments) -> i32 {
    directory::moved();
    refusing(|caller| mounted(caller, 0, -1))
}

/// int security_move_mount(const struct path *from_path, const struct path *to_path)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_move_mount")]
extern "C" fn security_move_mount(_: Arguments) -> i32 {
    directory::moved();
    refusing(|caller| mounted(caller, 0, -1))
}

/// int security_sb_kern_mount(struct super_block *sb)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_sb_kern_mount")]
extern "C" fn security_sb_kern_mount(_: Arguments) -> i32 {
    directory::moved();
    refusing(|caller| mounted(caller, 0, -1))
}

/// int security_sb_umount(struct vfsmount *mnt, int flags)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_sb_umount")]
extern "C" fn security_sb_umount(_: Arguments) -> i32 {
    directory::moved();
    refusing(|caller| mounted(caller, 0, -1))
}

/// int security_sb_pivotroot(const struct path *old_path, const struct path *new_path)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_sb_pivotroot")]
extern "C" fn security_sb_pivotroot(_: Arguments) -> i32 {
    directory::moved();
    refusing(|caller| mounted(caller, 0, -1))
}

/// int security_path_chroot(const struct path *path)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_path_chroot")]
extern "C" fn security_path_chroot(_: Arguments) -> i32 {
    refusing(|caller| mounted(caller, 0, -1))
}

/// int security_create_user_ns(const struct cred *cred)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_create_user_ns")]
extern "C" fn security_create_user_ns(_: Arguments) -> i32 {
    refusing(|caller| user_namespace(caller, CLONE_NEWUSER, -1))
}

/// int create_user_ns(struct cred *new)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/create_user_ns")]
extern "C" fn create_user_ns(_: Arguments) -> i32 {
    killing(|caller| user_namespace(caller, CLONE_NEWUSER, -1))
}

/// struct mnt_namespace *copy_mnt_ns(unsigned long flags, struct mnt_namespace *ns, ...)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/copy_mnt_ns")]
extern "C" fn copy_mnt_ns(arguments: Arguments) -> i32 {
    if arguments.get::<0>() & CLONE_NEWNS != 0 {
        directory::moved();
    }
    0
}

/// A mount or another root; `detail` is the first register of the call.
#[inline(always)]
pub(crate) fn mounted(caller: &Caller, detail: u64, syscall: i32) -> Option<Answer> {
    // A mount that was made stays when its maker is dead.
    let flags = if caller.can_refuse() { 0 } else { CARRIED_OUT };
    let about = About { syscall, flags, ..About::new(Subject::Kernel, detail) };
    caller.judge_object(Action::Create, KernelObject::Mount, about)
}

/// New namespaces, as the flags of clone and unshare say.
#[inline(always)]
pub(crate) fn user_namespace(caller: &Caller, flags: u64, syscall: i32) -> Option<Answer> {
    if flags & CLONE_NEWUSER == 0 {
        return None;
    }
    let about = About { syscall, ..About::new(Subject::Kernel, flags) };
    caller.judge_object(Action::Create, KernelObject::UserNamespace, about)
}
