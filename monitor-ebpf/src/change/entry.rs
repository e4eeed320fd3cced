//! The form of the `kill` tier: calls whose harm is done before they return, and opens that empty the file.
//!
//! Judged when the call is entered, on the path in user memory joined to the directory it is relative to. SIGKILL alone
//! would not stop the call it finds the process in, so the path is emptied as well and the call fails (`act::spoil`).
//! All this is a best effort, and events say so: symbolic links are not followed and another thread may change the
//! string (`unresolved`); a path in read-only memory cannot be emptied (`carried-out`); memory that is not resident
//! cannot be read here, and the call is judged when it returns (`after-the-fact`), because the kernel has brought the
//! page in by then. The `deny` tier has hooks without these limits.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use monitor_common::action::Action;
use monitor_common::call::{Call, Handler, NO_ARGUMENT};
use monitor_common::counter::Counter;
use monitor_common::event::{AFTER_THE_FACT, CARRIED_OUT, Kind, Subject, UNRESOLVED};
use monitor_common::object::KernelObject;
use monitor_common::verdict::Achieved;

use crate::engine::caller::{About, Answer, Caller, killing};
use crate::engine::judge::{Judgement, judge, kernel_object};
use crate::engine::map::{EXIT_HANDLERS, LATE};
use crate::engine::scratch::{self, BASE_END, Slot, USER_MAX};
use crate::engine::{act, classify, count, record};
use crate::kernel::file::Inode;
use crate::kernel::path::{self, PathText};
use crate::kernel::registers::Registers;
use crate::kernel::task::{Task, current_ids};
use crate::kernel::{offset, read};
use crate::syscall;

/// include/uapi/linux/fcntl.h: the path is relative to the working directory.
pub(crate) const AT_FDCWD: i32 = -100;
/// include/uapi/asm-generic/fcntl.h.
const O_TRUNC: u64 = 0o1000;

/// Called when the call is entered, and, if it is noted as late then, once more when it returns.
#[raw_tracepoint(tracepoint = "sys_enter")]
pub(crate) fn change(ctx: RawTracePointContext) -> i32 {
    let registers = Registers(ctx.arg(0));
    let late = if LATE.remove(&current_ids().1).is_ok() { AFTER_THE_FACT } else { 0 };
    let number = registers.number();
    if syscall::call(number as u32).is_some_and(|call| is_change(call, registers)) {
        killing(|caller| {
            Some(scratch::with(|slot| {
                change_names(caller, slot, registers, number, late)?;
                None
            }))
        });
    }
    if late != 0
        && let Some(call) = syscall::call(number as u32)
    {
        // The handler of the result waits behind us.
        // SAFETY: the context is this program's own; where there is no handler the call returns.
        unsafe { EXIT_HANDLERS.tail_call(&ctx, u32::from(call.exit)) };
    }
    0
}

/// Whether the call changes anything by itself: an open does only if it empties the file.
#[inline(always)]
fn is_change(call: &Call, registers: Registers) -> bool {
    if call.enter != Handler::Truncate as u8 {
        return true;
    }
    let mut flags = registers.argument(call.flags);
    if call.flags_behind != 0 {
        flags = read::user(flags).unwrap_or(O_TRUNC);
    }
    flags & O_TRUNC != 0
}

#[inline(always)]
fn change_names(caller: &Caller, slot: Slot, registers: Registers, number: i32, late: u16) -> Option<()> {
    let call = syscall::call(number as u32)?;
    // Two rounds of the same code: a rename has an old and a new name.
    let mut round = 0;
    while round < 2 {
        let (action, directory, argument) = if round == 0 {
            (call.action, call.directory, call.path)
        } else {
            (call.second_action, call.second_directory, call.second_path)
        };
        round += 1;
        if action == NO_ARGUMENT || (call.second_path == 0 && round == 2) {
            break;
        }
        let directory =
            if directory == NO_ARGUMENT { AT_FDCWD } else { registers.argument(directory) as i32 };
        let Some(path) = read_path(slot, directory, registers.argument(argument)) else {
            if late == 0 {
                count(Counter::UserRead);
                let _ = LATE.insert(&current_ids().1, &1, 0);
            }
            continue;
        };
        let Some(action) = Action::from_raw(action) else {
            continue;
        };
        judge_path(caller, slot, path, action, number, late, registers.argument(argument));
    }
    Some(())
}

/// Writes directory and user path into the scratch text, one behind the other.
#[inline(always)]
pub(crate) fn read_path(slot: Slot, directory: i32, user: u64) -> Option<PathText> {
    let scratch = scratch::get(slot)?;
    let from = (BASE_END + 1) as usize;
    // SAFETY: the text has more than USER_MAX bytes behind BASE_END.
    let length = unsafe { read::user_string(scratch.text.as_mut_ptr().add(from), USER_MAX, user) }?;
    let end = BASE_END + 1 + (length & (USER_MAX - 1));
    if scratch.text[from] == b'/' {
        return Some(PathText { start: BASE_END + 1, end, flags: 0 });
    }
    let task = Task::current();
    let base = if directory == AT_FDCWD {
        task.working_directory()?
    } else {
        task.file(directory as u32)? + offset::of(&offset::FILE_PATH)
    };
    let base = path::of(slot, base);
    scratch.text[BASE_END as usize] = b'/';
    Some(PathText { start: base.start, end, flags: base.flags })
}

#[inline(always)]
fn judge_path(
    caller: &Caller,
    slot: Slot,
    path: PathText,
    action: Action,
    number: i32,
    late: u16,
    user: u64,
) {
    let label = &caller.label;
    let Some(layout) = classify::layout() else { return };
    let accepted = classify::walk_lexically(slot, layout.file_start, path.start, path.end);
    let groups = if accepted == u32::MAX || path.flags != 0 {
        [0, 0, 0, kernel_object(KernelObject::OpaquePath)]
    } else {
        [accepted as u16, 0, 0, 0]
    };
    let Some(judgement) = judge(label, action, groups) else { return };
    let written = Written { path, number, late, user, subject: Subject::File };
    settle_written(caller, slot, action, &judgement, &written);
}

/// A name in the memory of its caller.
pub(crate) struct Written {
    pub(crate) path: PathText,
    /// Number of the call.
    pub(crate) number: i32,
    /// [`AFTER_THE_FACT`] or 0.
    pub(crate) late: u16,
    /// Where to put a zero to make the call fail.
    pub(crate) user: u64,
    pub(crate) subject: Subject,
}

/// Carries a judgement on a written name out, makes the call fail if it can be, and reports it.
#[inline(always)]
pub(crate) fn settle_written(
    caller: &Caller,
    slot: Slot,
    action: Action,
    judgement: &Judgement,
    written: &Written,
) {
    let Written { path, number, late, user, subject } = written;
    let achieved = caller.carry_out(judgement.verdict);
    let prevented = *late == 0 && achieved == Achieved::Killed && act::spoil(*user);
    let carried_out = if achieved == Achieved::Killed && !prevented { CARRIED_OUT } else { 0 };
    let Some(scratch) = scratch::get(slot) else { return };
    record::begin(&mut scratch.header, Kind::Verdict, &caller.label);
    record::judged(&mut scratch.header, action, judgement, achieved);
    scratch.header.subject = *subject as u8;
    scratch.header.flags = path.flags | late | UNRESOLVED | carried_out;
    scratch.header.syscall = *number;
    record::append(scratch, 0, path.start, path.end);
    record::submit(scratch);
}

/// The file behind a descriptor is changed. Its name is the kernel's own; the call is carried out before the process
/// dies.
#[inline(always)]
pub(crate) fn behind(caller: &Caller, file: u64, number: i32) -> Option<Answer> {
    let (mount, dentry) = path::parts(file + offset::of(&offset::FILE_PATH))?;
    let inode = Inode::of_file(file)?;
    Some(scratch::with(|slot| {
        let met = classify::meet(slot, mount, dentry, inode.0);
        let opaque = if met.path.flags != 0 { kernel_object(KernelObject::OpaquePath) } else { 0 };
        let judgement = judge(&caller.label, Action::Write, [met.named, met.known, 0, opaque])?;
        let about = About { syscall: number, flags: CARRIED_OUT, ..About::new(Subject::File, 0) };
        Some(caller.settle_named(slot, Action::Write, &judgement, &(met.path, about)))
    }))
}
