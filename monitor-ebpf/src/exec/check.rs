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
const PROT_EXEC: u64 = 4;

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
    let (file, protection) = (arguments.get::<0>(), arguments.get::<1>());
    if file == 0 || protection & PROT_EXEC == 0 {
        return 0;
    }
    refusing(|caller| {
        let inode = Inode::of_file(file)?;
        if !is_dropped(inode) {
            return None;
        }
        let groups = [kernel_object(KernelObject::DroppedLibrary), 0, 0, 0];
        let judgement = judge_as(&caller.label, caller.label.actor, Action::Exec, groups)?;
        let about = About::new(Subject::File, 0);
        Some(scratch::with(|slot| {
            let path = path::of(slot, file + offset::of(&offset::FILE_PATH));
            Some(caller.settle_named(slot, Action::Exec, &judgement, &(path, about)))
        }))
    })
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
