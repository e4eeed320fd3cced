//! Other processes' memory: ptrace, process_vm_readv, pidfd_getfd. (Files under /proc are in `open`.)
//!
//! | tier | hook | why this one |
//! |---|---|---|
//! | `deny` | `security_ptrace_access_check`, kernel/ptrace.c `__ptrace_may_access`, all supported versions | the one gate to another process's memory and descriptors; not asked for one's own threads |
//! | `deny` | `security_task_setrlimit`, `security_task_setscheduler`, `security_task_setnice`, kernel/sys.c, kernel/sched | a limit of no processor time is a signal by another name; asked for pkgwarden only |
//! | `kill` | entry of ptrace, process_vm_readv, process_vm_writev, pidfd_getfd | the registers name the process |

use monitor_common::action::Action;
use monitor_common::event::Subject;
use monitor_common::label::Label;
use monitor_common::object::KernelObject;

use crate::engine::caller::{About, Answer, Caller, refusing};
use crate::engine::label;
use crate::kernel::arguments::Arguments;
use crate::kernel::task::{Task, current_ids};

/// include/linux/ptrace.h: access that can read or write memory. Looking at /proc/PID/stat asks for less (`ps` does).
const PTRACE_MODE_ATTACH: u32 = 2;

/// int security_ptrace_access_check(struct task_struct *child, unsigned int mode)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_ptrace_access_check")]
extern "C" fn security_ptrace_access_check(arguments: Arguments) -> i32 {
    let (task, mode) = (Task(arguments.get::<0>()), arguments.get::<1>() as u32);
    if mode & PTRACE_MODE_ATTACH == 0 {
        return 0;
    }
    refusing(|caller| reached(caller, task.tgid()?, KernelObject::ForeignMemory, -1))
}

/// int security_task_setrlimit(struct task_struct *p, unsigned int resource, struct rlimit *new_rlim)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_task_setrlimit")]
extern "C" fn security_task_setrlimit(arguments: Arguments) -> i32 {
    let task = Task(arguments.get::<0>());
    refusing(|caller| of_agent(caller, task.tgid()?, -1))
}

/// int security_task_setscheduler(struct task_struct *p)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_task_setscheduler")]
extern "C" fn security_task_setscheduler(arguments: Arguments) -> i32 {
    let task = Task(arguments.get::<0>());
    refusing(|caller| of_agent(caller, task.tgid()?, -1))
}

/// int security_task_setnice(struct task_struct *p, int nice)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_task_setnice")]
extern "C" fn security_task_setnice(arguments: Arguments) -> i32 {
    let task = Task(arguments.get::<0>());
    refusing(|caller| of_agent(caller, task.tgid()?, -1))
}

/// The memory of process `target` is reached for; `object` is what it is outside the scope.
#[inline(always)]
pub(crate) fn reached(caller: &Caller, target: u32, object: KernelObject, syscall: i32) -> Option<Answer> {
    if target == current_ids().0 || is_of_scope(&caller.label, target) {
        return None;
    }
    let object = if label::is_agent(target) { KernelObject::Agent } else { object };
    let about = About { syscall, ..About::new(Subject::Process, u64::from(target)) };
    caller.judge_object(Action::Attach, object, about)
}

/// Limits or priority of a process are changed: of interest if it is pkgwarden.
#[inline(always)]
pub(crate) fn of_agent(caller: &Caller, target: u32, syscall: i32) -> Option<Answer> {
    if !label::is_agent(target) {
        return None;
    }
    let about = About { syscall, ..About::new(Subject::Process, u64::from(target)) };
    caller.judge_object(Action::Attach, KernelObject::Agent, about)
}

#[inline(always)]
fn is_of_scope(own: &Label, target: u32) -> bool {
    label::of(target).is_some_and(|other| other.scope == own.scope && other.tree == own.tree)
}
