//! Files opened for reading or writing, and other processes' memory under /proc.
//!
//! | tier | hook | why this one |
//! |---|---|---|
//! | `deny` | `security_file_open`, security/security.c, all supported versions | every way to open a file ends here (fs/open.c `do_dentry_open`), io_uring, handles and exec included, before the file system does anything |
//! | `deny` | `security_file_receive`, likewise | descriptors by SCM_RIGHTS and pidfd_getfd (net/core/scm.c, fs/file.c): somebody else opened the file |
//! | `kill` | return of recvmsg, recvmmsg (`received`) | the descriptors are there, the program has not seen them |
//! | `kill` | return of open, openat, openat2, creat, open_by_handle_at | SIGKILL lands before the program sees the descriptor |
//!
//! Both judge the kernel's own `struct file`: the path is the real one, no user memory is read, nothing can be exchanged
//! under us. In the `kill` tier what empties a file on opening is judged in `change`.

mod received;

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use monitor_common::action::Action;
use monitor_common::counter::Counter;
use monitor_common::event::{CREATED, Subject};
use monitor_common::object::KernelObject;

use crate::engine::caller::{About, Answer, Caller, killing, refusing};
use crate::engine::judge::{Judgement, judge, kernel_object};
use crate::engine::map::{ACTORS, DROPPED, LESSON};
use crate::engine::scratch::{self, Slot};
use crate::engine::{classify, count, directory, label, protect};
use crate::kernel::arguments::Arguments;
use crate::kernel::file::{self, FMODE_CREATED, FMODE_PATH, FMODE_READ, FMODE_WRITE, Inode};
use crate::kernel::offset;
use crate::kernel::path::{self, PathText};
use crate::kernel::registers::Registers;
use crate::kernel::task::{Task, current_ids};

/// How a process came by a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// An open call that returns; its number.
    Returned(i32),
    /// An open in progress.
    Opening,
    /// Somebody else's open.
    Received,
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_file_open")]
extern "C" fn security_file_open(arguments: Arguments) -> i32 {
    let file = arguments.get::<0>();
    if label::is_loader(current_ids().0) {
        learn(file);
        return 0;
    }
    refusing(|caller| match familiar(caller, file, How::Opening) {
        None => Some(scratch::with(|slot| opened(caller, slot, file, How::Opening))),
        answer => answer,
    })
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_file_receive")]
extern "C" fn security_file_receive(arguments: Arguments) -> i32 {
    let file = arguments.get::<0>();
    refusing(|caller| match familiar(caller, file, How::Received) {
        None => Some(scratch::with(|slot| opened(caller, slot, file, How::Received))),
        answer => answer,
    })
}

#[raw_tracepoint(tracepoint = "sys_exit")]
pub(crate) fn open_exit(ctx: RawTracePointContext) -> i32 {
    let descriptor = ctx.arg::<u64>(1) as i64;
    if descriptor < 0 {
        return 0;
    }
    let Some(file) = Task::current().file(descriptor as u32) else {
        return 0;
    };
    if label::is_loader(current_ids().0) {
        learn(file);
        return 0;
    }
    let how = How::Returned(Registers(ctx.arg(0)).number());
    killing(|caller| Some(scratch::with(|slot| opened(caller, slot, file, how))))
}

/// The agent opens a file: if its name is a secret's, or the agent says so, it is known by its inode from now on.
#[inline(always)]
fn learn(file: u64) {
    scratch::with(|slot| {
        let inode = Inode::of_file(file)?;
        if let Some(lesson) = LESSON.get(0)
            && lesson.thread == current_ids().1
        {
            protect::note(inode, lesson.group as u16);
            return None;
        }
        let (mount, dentry) = path::parts(file + offset::of(&offset::FILE_PATH))?;
        classify::meet(slot, mount, dentry, inode.0);
        None
    });
}

/// A file in a directory that was met before; `None` if it was not. No such directory is in /proc, and its paths are
/// whole.
#[inline(always)]
fn familiar(caller: &Caller, file: u64, how: How) -> Option<Answer> {
    let mode = file::mode(file)?;
    if mode & FMODE_PATH != 0 {
        return Some(Answer::Pass);
    }
    let inode = Inode::of_file(file)?;
    let (mount, dentry) = path::parts(file + offset::of(&offset::FILE_PATH))?;
    let named = directory::recall(mount, dentry)?;
    let writes = mode & FMODE_WRITE != 0;
    if writes {
        note_writer(caller, inode);
    }
    let raw = if inode.is_raw_device() { kernel_object(KernelObject::RawDevice) } else { 0 };
    let groups = [named, protect::meet(inode, named), 0, raw];
    let Some((action, judgement)) = judged(caller, mode, groups, how) else {
        return Some(Answer::Pass);
    };
    let about = About { flags: created(action), ..About::new(Subject::File, 0) };
    Some(scratch::with(|slot| {
        let path = path::of_dentry(slot, mount, dentry);
        Some(caller.settle_named(slot, action, &judgement, &(path, about)))
    }))
}

#[inline(always)]
fn opened(caller: &Caller, slot: Slot, file: u64, how: How) -> Option<Answer> {
    let mode = file::mode(file)?;
    if mode & FMODE_PATH != 0 {
        // A name without access; opening it again through /proc/self/fd passes here.
        return None;
    }
    let inode = Inode::of_file(file)?;
    let writes = mode & FMODE_WRITE != 0;
    if writes {
        note_writer(caller, inode);
    }
    let (mount, dentry) = path::parts(file + offset::of(&offset::FILE_PATH))?;
    let classify::Met { path, named, known } = classify::meet(slot, mount, dentry, inode.0);
    let owner = inode.proc_owner();
    let mut about = About::new(Subject::File, u64::from(owner.unwrap_or(0)));
    if let How::Returned(number) = how {
        about.syscall = number;
    }
    if let Some(owner) = owner {
        if owner == current_ids().0 {
            // A process's own files under /proc are its own business, whatever a pattern says.
            return None;
        }
        if let Some(object) = foreign(caller, slot, owner, path, writes)
            && let Some(judgement) = judge(&caller.label, Action::Attach, [kernel_object(object), 0, 0, 0])
        {
            return Some(caller.settle_named(slot, Action::Attach, &judgement, &(path, about)));
        }
    }
    let groups = [named, known, 0, special(inode, path, how)];
    let (action, judgement) = judged(caller, mode, groups, how)?;
    about.flags = created(action);
    Some(caller.settle_named(slot, action, &judgement, &(path, about)))
}

/// Judges what the file is opened for.
#[inline(always)]
fn judged(caller: &Caller, mode: u32, groups: [u16; 4], how: How) -> Option<(Action, Judgement)> {
    if mode & FMODE_READ != 0
        && let Some(judgement) = judge(&caller.label, Action::Read, groups)
    {
        return Some((Action::Read, judgement));
    }
    if mode & FMODE_WRITE == 0 {
        return None;
    }
    let created = mode & FMODE_CREATED != 0 && how != How::Received;
    if created && how == How::Opening {
        // Judged before it was made, see `change`.
        return None;
    }
    let action = if created { Action::Create } else { Action::Write };
    Some((action, judge(&caller.label, action, groups)?))
}

#[inline(always)]
fn created(action: Action) -> u16 {
    if action == Action::Create { CREATED } else { 0 }
}

/// Objects that are known by what they are, not by their name.
#[inline(always)]
fn special(inode: Inode, path: PathText, how: How) -> u16 {
    if path.flags != 0 {
        return kernel_object(KernelObject::OpaquePath);
    }
    if inode.is_raw_device() {
        return kernel_object(KernelObject::RawDevice);
    }
    if let How::Returned(number) = how
        && crate::syscall::call(number as u32)
            .is_some_and(|call| call.object == KernelObject::FileHandle as u8)
    {
        return kernel_object(KernelObject::FileHandle);
    }
    0
}

/// Files under /proc of a process outside the scope: its memory, its environment; of pkgwarden, all that can be written.
#[inline(always)]
fn foreign(caller: &Caller, slot: Slot, owner: u32, path: PathText, writes: bool) -> Option<KernelObject> {
    if label::of(owner)
        .is_some_and(|other| other.scope == caller.label.scope && other.tree == caller.label.tree)
    {
        return None;
    }
    if writes && label::is_agent(owner) {
        return Some(KernelObject::Agent);
    }
    let scratch = scratch::get(slot)?;
    let end = path.end as usize;
    let tail = scratch.text.get(end.wrapping_sub(8)..end)?;
    if tail[4..] == *b"/mem" {
        Some(KernelObject::ForeignMemory)
    } else if tail == b"/environ" {
        Some(KernelObject::ForeignEnvironment)
    } else {
        None
    }
}

/// Remembers files that scripts write: running one is a matter of its own (`dropped`).
#[inline(always)]
fn note_writer(caller: &Caller, inode: Inode) {
    if !inode.is_regular() {
        return;
    }
    let Some(id) = inode.id() else { return };
    let actor = caller.label.actor;
    let trusted = ACTORS.get(u32::from(actor)).is_some_and(|actor| actor.trusted_writer != 0);
    if trusted {
        // What a linker writes is a build product, even over a dropped file.
        let _ = DROPPED.remove(&id);
    } else if DROPPED.insert(&id, &actor, 0).is_err() {
        count(Counter::DroppedFull);
    }
}
