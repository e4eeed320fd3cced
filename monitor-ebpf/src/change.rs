//! Changes of names and of whole files: create, rename, unlink, link, symlink, truncate, mode, owner.
//!
//! `security_path_*`, security/security.c, all supported versions (CONFIG_SECURITY_PATH, which AppArmor and Tomoyo
//! select): called once for each name, with its directory's mount, before the file system does anything. The `inode_*`
//! functions beside them know no mount, and their arguments changed in v5.12 and v6.3. The form of the `kill` tier is in
//! `entry`.

pub(crate) mod entry;

use monitor_common::action::Action;
use monitor_common::event::Subject;
use monitor_common::object::KernelObject;

use crate::engine::caller::{About, Answer, Caller, refusing};
use crate::engine::judge::{judge, kernel_object};
use crate::engine::scratch::{self, Slot};
use crate::engine::{classify, directory};
use crate::kernel::arguments::Arguments;
use crate::kernel::file::Inode;
use crate::kernel::{offset, path, read};

/// ATTR_UID and ATTR_GID, include/linux/fs.h.
const OWNER: u32 = 1 << 1 | 1 << 2;

/// include/uapi/linux/fs.h: both names exist and change places.
const RENAME_EXCHANGE: u32 = 2;

/// int security_path_mknod(const struct path *dir, struct dentry *dentry, umode_t mode, unsigned int dev): opens that
/// make a file come here too (fs/namei.c `may_o_create`).
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_path_mknod")]
extern "C" fn security_path_mknod(arguments: Arguments) -> i32 {
    in_directory(Action::Create, arguments.get::<0>(), arguments.number::<1>())
}

/// int security_path_mkdir(const struct path *dir, struct dentry *dentry, umode_t mode)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_path_mkdir")]
extern "C" fn security_path_mkdir(arguments: Arguments) -> i32 {
    in_directory(Action::Create, arguments.get::<0>(), arguments.number::<1>())
}

/// int security_path_symlink(const struct path *dir, struct dentry *dentry, const char *old_name)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_path_symlink")]
extern "C" fn security_path_symlink(arguments: Arguments) -> i32 {
    in_directory(Action::Create, arguments.get::<0>(), arguments.number::<1>())
}

/// int security_path_unlink(const struct path *dir, struct dentry *dentry)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_path_unlink")]
extern "C" fn security_path_unlink(arguments: Arguments) -> i32 {
    in_directory(Action::Remove, arguments.get::<0>(), arguments.number::<1>())
}

/// int security_path_rmdir(const struct path *dir, struct dentry *dentry)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_path_rmdir")]
extern "C" fn security_path_rmdir(arguments: Arguments) -> i32 {
    in_directory(Action::Remove, arguments.get::<0>(), arguments.number::<1>())
}

/// int security_path_rename(const struct path *old_dir, struct dentry *old_dentry, const struct path *new_dir, struct
/// dentry *new_dentry, unsigned int flags)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_path_rename")]
extern "C" fn security_path_rename(arguments: Arguments) -> i32 {
    let old = (Action::Rename, arguments.get::<0>(), arguments.number::<1>());
    let exchange = arguments.get::<4>() as u32 & RENAME_EXCHANGE != 0;
    directory::renamed(old.2, exchange);
    let new = (Action::Create, arguments.get::<2>(), arguments.number::<3>());
    two_names(old, new, exchange)
}

/// int security_path_link(struct dentry *old_dentry, const struct path *new_dir, struct dentry *new_dentry): a link
/// stays within its mount, so the old name is in the new one's.
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_path_link")]
extern "C" fn security_path_link(arguments: Arguments) -> i32 {
    let directory = arguments.get::<1>();
    let old = (Action::Link, directory, arguments.number::<0>());
    two_names(old, (Action::Create, directory, arguments.number::<2>()), false)
}

/// int security_path_truncate(const struct path *path): truncate(2); an open that truncates is a write before.
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_path_truncate")]
extern "C" fn security_path_truncate(arguments: Arguments) -> i32 {
    itself(arguments.get::<0>())
}

/// int security_path_chmod(const struct path *path, umode_t mode)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_path_chmod")]
extern "C" fn security_path_chmod(arguments: Arguments) -> i32 {
    itself(arguments.get::<0>())
}

/// int security_path_chown(const struct path *path, kuid_t uid, kgid_t gid)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_path_chown")]
extern "C" fn security_path_chown(arguments: Arguments) -> i32 {
    itself(arguments.get::<0>())
}

/// int security_inode_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr), fs/attr.c
/// `notify_change`; before v5.12 without the first. Stands in for `security_path_chown` before v6.1, where no program
/// can be put on a function with structs among its arguments.
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_inode_setattr")]
extern "C" fn security_inode_setattr(arguments: Arguments) -> i32 {
    // SAFETY: a read-only global that the loader sets before the object is loaded.
    let first = unsafe { core::ptr::read_volatile(&raw const DENTRY_ARGUMENT) } == 0;
    let attributes = if first { arguments.number::<1>() } else { arguments.number::<2>() };
    if read::word::<u32>(attributes, &offset::ATTRIBUTES_VALID) & OWNER == 0 {
        return 0;
    }
    of_dentry(&arguments)
}

/// int security_inode_setxattr(struct mnt_idmap *idmap, struct dentry *dentry, ...); before v5.12 without the first. An
/// access control list is an attribute too, until v6.2 gave it a function of its own.
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_inode_setxattr")]
extern "C" fn security_inode_setxattr(arguments: Arguments) -> i32 {
    of_dentry(&arguments)
}

/// int security_inode_removexattr(struct mnt_idmap *idmap, struct dentry *dentry, const char *name)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_inode_removexattr")]
extern "C" fn security_inode_removexattr(arguments: Arguments) -> i32 {
    of_dentry(&arguments)
}

/// int security_inode_set_acl(struct mnt_idmap *idmap, struct dentry *dentry, const char *acl_name, struct posix_acl *kacl)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_inode_set_acl")]
extern "C" fn security_inode_set_acl(arguments: Arguments) -> i32 {
    of_dentry(&arguments)
}

/// Which argument of those is the dentry. The loader sets it.
#[unsafe(no_mangle)]
static DENTRY_ARGUMENT: u32 = 1;

/// A file by its dentry; its mount is not told, so one of its file system's is taken.
#[inline(always)]
fn of_dentry(arguments: &Arguments) -> i32 {
    refusing(|caller| {
        // SAFETY: a read-only global that the loader sets before the object is loaded.
        let first = unsafe { core::ptr::read_volatile(&raw const DENTRY_ARGUMENT) } == 0;
        let dentry = if first { arguments.number::<0>() } else { arguments.number::<1>() };
        let mount = path::some_mount(dentry);
        Some(scratch::with(|slot| Some(name(caller, slot, Action::Write, mount, dentry))))
    })
}

/// A name in a directory (`struct path`, `struct dentry`).
#[inline(always)]
fn in_directory(action: Action, directory: u64, dentry: u64) -> i32 {
    refusing(|caller| {
        let mount = read::field::<u64>(directory, &offset::PATH_MNT)?;
        Some(scratch::with(|slot| Some(name(caller, slot, action, mount, dentry))))
    })
}

/// An old and a new name; when they change places each is both.
#[inline(always)]
fn two_names(old: (Action, u64, u64), new: (Action, u64, u64), exchange: bool) -> i32 {
    refusing(|caller| {
        let mount = read::field::<u64>(old.1, &offset::PATH_MNT)?;
        let answer = scratch::with(|slot| {
            let mut answer = name(caller, slot, old.0, mount, old.2);
            if answer == Answer::Pass {
                answer = name(caller, slot, new.0, mount, new.2);
            }
            if exchange && answer == Answer::Pass {
                answer = name(caller, slot, old.0, mount, new.2);
            }
            if exchange && answer == Answer::Pass {
                answer = name(caller, slot, new.0, mount, old.2);
            }
            Some(answer)
        });
        Some(answer)
    })
}

/// A file by its path.
#[inline(always)]
fn itself(path: u64) -> i32 {
    refusing(|caller| {
        let mount = read::field::<u64>(path, &offset::PATH_MNT)?;
        let dentry = read::field::<u64>(path, &offset::PATH_DENTRY)?;
        Some(scratch::with(|slot| Some(name(caller, slot, Action::Write, mount, dentry))))
    })
}

/// Judges one name.
#[inline(always)]
fn name(caller: &Caller, slot: Slot, action: Action, mount: u64, dentry: u64) -> Answer {
    let met = classify::meet(slot, mount, dentry, Inode::of_dentry(dentry).0);
    let opaque = if met.path.flags != 0 { kernel_object(KernelObject::OpaquePath) } else { 0 };
    match judge(&caller.label, action, [met.named, met.known, 0, opaque]) {
        Some(judgement) => {
            caller.settle_named(slot, action, &judgement, &(met.path, About::new(Subject::File, 0)))
        }
        None => Answer::Pass,
    }
}
