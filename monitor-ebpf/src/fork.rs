//! Membership is inherited here, once, and never recomputed from parent ids: double forks, setsid, re-parenting and the
//! manager's exit do not leave the tree.
//!
//! `trace_sched_process_fork` in kernel/fork.c `kernel_clone`, in all supported versions: after the child exists and
//! before `wake_up_new_task`, so it cannot run unlabelled. Arguments: parent task (the caller), child task.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use monitor_common::event::{Header, Kind, Subject};

use crate::engine::{act, label, record};
use crate::kernel::task::Task;

#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub(crate) fn fork(ctx: RawTracePointContext) -> i32 {
    let _ = try_fork(&ctx);
    0
}

#[inline(always)]
fn try_fork(ctx: &RawTracePointContext) -> Option<()> {
    let parent = label::current()?;
    if label::is_doomed(&parent) {
        act::kill_caller();
    }
    let child: u64 = ctx.arg(1);
    let tgid = Task(child).tgid()?;
    let (caller, _) = crate::kernel::task::current_ids();
    if tgid == caller {
        // A thread: the label belongs to the whole group.
        return Some(());
    }
    label::store(tgid, &parent);

    let mut header = Header::default();
    record::begin(&mut header, Kind::Fork, &parent);
    header.subject = Subject::Process as u8;
    header.detail = u64::from(tgid);
    record::submit_header(&mut header);
    Some(())
}
