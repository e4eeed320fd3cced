//! Files opened for reading or writing, and other processes' memory under /proc.
//!
//! Judged when open, openat, openat2, creat or open_by_handle_at returns, on the kernel's own `struct file` behind the
//! new descriptor: the path is the real one, no user memory is read, nothing can be exchanged under us, and SIGKILL
//! lands before the program sees the descriptor. (What empties a file on opening is judged in `change`.)

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use monitor_common::action::Action;
use monitor_common::counter::Counter;
use monitor_common::event::{CREATED, Kind, Subject};
use monitor_common::label::Label;
use monitor_common::object::KernelObject;

use crate::engine::judge::{Judgement, judge, kernel_object};
use crate::engine::map::{ACTORS, DROPPED};
use crate::engine::{act, classify, count, label, record, scratch};
use crate::kernel::file::{self, FMODE_CREATED, FMODE_PATH, FMODE_READ, FMODE_WRITE, Inode};
use crate::kernel::offset;
use crate::kernel::path::{self, PathText};
use crate::kernel::registers::Registers;
use crate::kernel::task::{Task, current_ids};

#[raw_tracepoint(tracepoint = "sys_exit")]
pub(crate) fn open_exit(ctx: RawTracePointContext) -> i32 {
    let _ = try_open(&ctx);
    0
}

#[inline(always)]
fn try_open(ctx: &RawTracePointContext) -> Option<()> {
    let descriptor = ctx.arg::<u64>(1) as i64;
    if descriptor < 0 {
        return None;
    }
    let label = label::current()?;
    let task = Task::current();
    let file = task.file(descriptor as u32)?;
    let mode = file::mode(file)?;
    if mode & FMODE_PATH != 0 {
        // A name without access; opening it again through /proc/self/fd passes here.
        return None;
    }
    let inode = Inode::of_file(file)?;
    let number = Registers(ctx.arg(0)).number();
    let path = path::of(file + offset::of(&offset::FILE_PATH));

    let writes = mode & FMODE_WRITE != 0;
    let created = mode & FMODE_CREATED != 0;
    if writes {
        note_writer(&label, inode);
    }

    let owner = inode.proc_owner();
    let (group, object) = match owner {
        // A process's own files under /proc are its own business, whatever a pattern says.
        Some(owner) if owner == current_ids().0 => return None,
        Some(owner) => (of_path(path), foreign(&label, owner, path)),
        None => (of_path(path), special(inode, path, number)),
    };
    if group == 0 && object == 0 {
        return None;
    }
    if object != 0 && owner.is_some() {
        let found = judge(&label, Action::Attach, [object, 0, 0, 0]);
        if let Some(judgement) = found {
            report(&label, path, Action::Attach, &judgement, number, 0, owner);
            return None;
        }
    }
    if mode & FMODE_READ != 0 {
        if let Some(judgement) = judge(&label, Action::Read, [group, 0, 0, object]) {
            report(&label, path, Action::Read, &judgement, number, 0, owner);
            return None;
        }
    }
    if writes {
        let action = if created { Action::Create } else { Action::Write };
        let flags = if created { CREATED } else { 0 };
        if let Some(judgement) = judge(&label, action, [group, 0, 0, object]) {
            report(&label, path, action, &judgement, number, flags, owner);
        }
    }
    None
}

/// Group of a path of the kernel's own.
#[inline(always)]
fn of_path(path: PathText) -> u16 {
    let start = classify::layout().map_or(0, |layout| layout.file_start);
    classify::accepts(classify::walk_text(start, path.start, path.end)) as u16
}

/// Objects that are known by what they are, not by their name.
#[inline(always)]
fn special(inode: Inode, path: PathText, number: i32) -> u16 {
    if path.flags != 0 {
        return kernel_object(KernelObject::OpaquePath);
    }
    if inode.is_block_device() {
        return kernel_object(KernelObject::RawDevice);
    }
    if crate::syscall::call(number as u32).is_some_and(|call| call.object == KernelObject::FileHandle as u8) {
        return kernel_object(KernelObject::FileHandle);
    }
    0
}

/// `mem` and `environ` of a process outside the scope.
#[inline(always)]
fn foreign(label: &Label, owner: u32, path: PathText) -> u16 {
    if label::of(owner).is_some_and(|other| other.scope == label.scope && other.tree == label.tree) {
        return 0;
    }
    let Some(scratch) = scratch::get() else { return 0 };
    let end = path.end as usize;
    let Some(tail) = scratch.text.get(end.wrapping_sub(8)..end) else {
        return 0;
    };
    if tail[4..] == *b"/mem" {
        kernel_object(KernelObject::ForeignMemory)
    } else if tail == b"/environ" {
        kernel_object(KernelObject::ForeignEnvironment)
    } else {
        0
    }
}

/// Remembers files that scripts write: running one is a matter of its own (`dropped`).
#[inline(always)]
fn note_writer(label: &Label, inode: Inode) {
    if !inode.is_regular() {
        return;
    }
    let Some(id) = inode.id() else { return };
    let trusted = ACTORS.get(u32::from(label.actor)).is_some_and(|actor| actor.trusted_writer != 0);
    if trusted {
        // What a linker writes is a build product, even over a dropped file.
        let _ = DROPPED.remove(&id);
    } else if DROPPED.insert(&id, &label.actor, 0).is_err() {
        count(Counter::DroppedFull);
    }
}

#[inline(always)]
fn report(
    label: &Label,
    path: PathText,
    action: Action,
    judgement: &Judgement,
    number: i32,
    flags: u16,
    owner: Option<u32>,
) {
    let achieved = act::by_signal(label, judgement.verdict);
    let Some(scratch) = scratch::get() else {
        count(Counter::Scratch);
        return;
    };
    record::begin(&mut scratch.header, Kind::Verdict, label);
    record::judged(&mut scratch.header, action, judgement, achieved);
    scratch.header.subject = Subject::File as u8;
    scratch.header.flags = path.flags | flags;
    scratch.header.syscall = number;
    scratch.header.detail = u64::from(owner.unwrap_or(0));
    record::append(scratch, 0, path.start, path.end);
    record::submit(scratch);
}
