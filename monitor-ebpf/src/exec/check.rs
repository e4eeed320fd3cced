//! Whether a program may be run or mapped, by its file alone: the forms that make the call fail.

use monitor_common::action::Action;
use monitor_common::event::Subject;
use monitor_common::object::KernelObject;
use monitor_common::policy::identity::{self, ActorKind};

use super::actor;
use crate::engine::caller::{About, Answer, Caller, refusing};
use crate::engine::judge::{judge_as, kernel_object};
use crate::engine::map::DROPPED;
use crate::engine::scratch::{self, Slot};
use crate::engine::{act, classify};
use crate::kernel::arguments::Arguments;
use crate::kernel::file::Inode;
use crate::kernel::path::{self, PathText};
use crate::kernel::task::Task;
use crate::kernel::{offset, read};

/// include/uapi/asm-generic/mman-common.h.
pub(crate) const PROT_EXEC: u64 = 4;

/// int security_bprm_check(struct linux_binprm *bprm)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_bprm_check")]
extern "C" fn security_bprm_check(arguments: Arguments) -> i32 {
    let program = arguments.get::<0>();
    refusing(|caller| Some(scratch::with(|slot| started(caller, slot, program))))
}

/// int security_mmap_file(struct file *file, unsigned long prot, unsigned long flags)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_mmap_file")]
extern "C" fn security_mmap_file(arguments: Arguments) -> i32 {
    if arguments.get::<1>() & PROT_EXEC == 0 {
        return 0;
    }
    // A number, because it may be null: memory of no file.
    refusing(|caller| mapped(caller, arguments.number::<0>()))
}

/// int security_file_mprotect(struct vm_area_struct *vma, unsigned long reqprot, unsigned long prot): mapped first, made
/// code later.
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_file_mprotect")]
extern "C" fn security_file_mprotect(arguments: Arguments) -> i32 {
    let (area, protection) = (arguments.get::<0>(), arguments.get::<1>());
    if protection & PROT_EXEC == 0 {
        return 0;
    }
    refusing(|caller| mapped(caller, read::field(area, &offset::VMA_FILE)?))
}

/// A file is mapped as code. By the dynamic loader that is how a program is run; by others, how it is extended.
#[inline(always)]
pub(crate) fn mapped(caller: &Caller, file: u64) -> Option<Answer> {
    if file == 0 || !is_dropped(Inode::of_file(file)?) {
        return None;
    }
    let object =
        if Task::current().runs_loader() { KernelObject::Dropped } else { KernelObject::DroppedLibrary };
    let groups = [kernel_object(object), 0, 0, 0];
    let judgement = judge_as(&caller.label, caller.label.actor, Action::Exec, groups)?;
    let about = About::new(Subject::File, 0);
    Some(scratch::with(|slot| {
        let path = path::of(slot, file + offset::of(&offset::FILE_PATH));
        Some(caller.settle_named(slot, Action::Exec, &judgement, &(path, about)))
    }))
}

/// Refuses what the tracepoint could only kill. What passes here is judged there again, with its arguments, and told
/// there; the file of a script is known here only.
#[inline(always)]
fn started(caller: &Caller, slot: Slot, program: u64) -> Option<Answer> {
    let layout = classify::layout()?;
    let file = read::field::<u64>(program, &offset::BPRM_FILE)?;
    let path = path::of(slot, file + offset::of(&offset::FILE_PATH));
    let state = classify::walk_text(slot, layout.exec_start, path.start, path.end);
    let class = classify::exec_class(classify::accepts(state));

    let beginning = read::field::<[u8; 2]>(program, &offset::BPRM_BEGINNING)?;
    let object = match special(file, path) {
        Some(KernelObject::Dropped) if beginning == *b"#!" => Some(KernelObject::DroppedScript),
        other => other,
    };
    let label = &caller.label;
    let starter = actor(label.actor);
    // A manager runs its helpers itself; anything else below it is the first program of a script. Which script an
    // interpreter will run is not known yet.
    let helper =
        identity::first(identity::candidates(layout, &class, [u64::MAX; 2], starter.may_start)).is_some();
    let who = if starter.kind == ActorKind::Manager as u8 && !helper { label.child } else { label.actor };
    let groups = [class.group, 0, 0, object.map_or(0, kernel_object)];
    let judgement = judge_as(label, who, Action::Exec, groups)?;
    let told_here = object == Some(KernelObject::DroppedScript) && judgement.group == groups[3];
    if !told_here && act::permitted(label, judgement.verdict).is_none() {
        return None;
    }
    Some(caller.settle_named(slot, Action::Exec, &judgement, &(path, About::new(Subject::Program, 0))))
}

/// What is special about the file itself.
#[inline(always)]
pub(super) fn special(file: u64, path: PathText) -> Option<KernelObject> {
    let Some(inode) = Inode::of_file(file) else {
        return Some(KernelObject::OpaquePath);
    };
    if inode.is_nameless() {
        return Some(KernelObject::Fileless);
    }
    if is_dropped(inode) {
        return Some(KernelObject::Dropped);
    }
    if inode.is_setuid_root() && Task::current().uid() != 0 {
        return Some(KernelObject::SetuidRoot);
    }
    (path.flags != 0).then_some(KernelObject::OpaquePath)
}

#[inline(always)]
fn is_dropped(inode: Inode) -> bool {
    // SAFETY: only its presence is asked.
    inode.id().is_some_and(|id| unsafe { DROPPED.get(&id) }.is_some())
}
