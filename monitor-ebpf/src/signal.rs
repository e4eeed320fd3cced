//! Signals to processes outside the tree.
//!
//! | tier | hook | why this one |
//! |---|---|---|
//! | `deny` | `security_task_kill`, kernel/signal.c `check_kill_permission`, all supported versions | every call that sends a signal asks here, for each process it would reach, pidfd_send_signal included |
//! | `kill` | `trace_signal_generate`, kernel/signal.c `__send_signal_locked`, all supported versions | the same calls, with the kernel's own target in place of a number of some pid namespace. The signal is on its way by then (`carried-out`), as it would be from the call's entry: SIGKILL does not stop the call it finds a process in |

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use monitor_common::action::Action;
use monitor_common::event::{CARRIED_OUT, Subject};
use monitor_common::object::KernelObject;

use crate::engine::caller::{About, Answer, Caller, killing, refusing};
use crate::engine::label;
use crate::kernel::arguments::Arguments;
use crate::kernel::task::Task;
use crate::kernel::{offset, read};

/// SEND_SIG_NOINFO, include/linux/sched/signal.h: sent by a process, without details. SEND_SIG_PRIV (1) is the kernel's.
const FROM_PROCESS: u64 = 0;
const FROM_KERNEL: u64 = 1;

/// include/uapi/asm-generic/fcntl.h.
const F_SETOWN: u32 = 8;
const F_SETOWN_EX: u32 = 15;

/// int security_task_kill(struct task_struct *p, struct kernel_siginfo *info, int sig, const struct cred *cred)
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_task_kill")]
extern "C" fn security_task_kill(arguments: Arguments) -> i32 {
    let (task, signal) = (Task(arguments.get::<0>()), arguments.get::<2>() as i32);
    refusing(|caller| sent(caller, task, signal))
}

/// int security_file_fcntl(struct file *file, unsigned int cmd, unsigned long arg): a file can be told to signal a process
/// when it becomes ready, with any signal. When it does, nobody can be asked any more.
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_file_fcntl")]
extern "C" fn security_file_fcntl(arguments: Arguments) -> i32 {
    let (command, argument) = (arguments.get::<1>() as u32, arguments.get::<2>());
    if command != F_SETOWN && command != F_SETOWN_EX {
        return 0;
    }
    refusing(|caller| {
        // struct f_owner_ex { int type; pid_t pid; }; a group is a negative number, or a type.
        let owner = if command == F_SETOWN { argument as i32 } else { read::user::<[i32; 2]>(argument)?[1] };
        if !label::is_agent(owner.unsigned_abs()) {
            return None;
        }
        let about = About::new(Subject::Process, u64::from(owner.unsigned_abs()));
        caller.judge_object(Action::Signal, KernelObject::Agent, about)
    })
}

/// Arguments: signal, `struct kernel_siginfo`, task, whether a group is meant, result.
#[raw_tracepoint(tracepoint = "signal_generate")]
pub(crate) fn signal_generate(ctx: RawTracePointContext) -> i32 {
    let (signal, info, task): (i32, u64, u64) = (ctx.arg(0), ctx.arg(1), ctx.arg(2));
    // Before anything else: a signal that we send to a member of a doomed tree passes here too.
    if !is_from_process(info) {
        return 0;
    }
    killing(|caller| sent(caller, Task(task), signal))
}

/// Whether a process sent it (`struct kernel_siginfo`). Positive codes are the kernel's: the end of a child, a fault
/// (include/uapi/asm-generic/siginfo.h).
#[inline(always)]
fn is_from_process(info: u64) -> bool {
    match info {
        FROM_PROCESS => true,
        FROM_KERNEL => false,
        info => read::field::<i32>(info, &offset::SIGINFO_CODE).is_some_and(|code| code <= 0),
    }
}

/// Signal 0 only asks whether a process exists. One that has ended and is not waited for yet belongs to no tree any more,
/// and cannot be harmed.
#[inline(always)]
fn sent(caller: &Caller, target: Task, signal: i32) -> Option<Answer> {
    if signal == 0 || target.group_dead() {
        return None;
    }
    let tgid = target.tgid()?;
    if label::of(tgid).is_some_and(|other| other.tree == caller.label.tree) {
        return None;
    }
    let object = if label::is_agent(tgid) { KernelObject::Agent } else { KernelObject::ForeignProcess };
    let flags = if caller.can_refuse() { 0 } else { CARRIED_OUT };
    caller.judge_object(
        Action::Signal,
        object,
        About { flags, ..About::new(Subject::Process, u64::from(tgid)) },
    )
}
