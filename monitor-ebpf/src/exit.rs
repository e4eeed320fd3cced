//! A process leaves its tree when its last thread dies.
//!
//! `trace_sched_process_exit` in kernel/exit.c `do_exit`, in all supported versions: `signal->live` has been decremented
//! by then, and the process id cannot be reused before the zombie is reaped. It also comes before `exit_files`, so the
//! agent's own death is seen while its programs are still attached.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use monitor_common::event::{Header, Kind};
use monitor_common::label::Label;

use crate::engine::{label, record};
use crate::kernel::task::{Task, current_ids};

#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub(crate) fn exit(_ctx: RawTracePointContext) -> i32 {
    let _ = try_exit();
    0
}

#[inline(always)]
fn try_exit() -> Option<()> {
    let (tgid, _) = current_ids();
    let task = Task::current();
    let Some(label) = label::of(tgid) else {
        if task.group_dead() && label::note_death(tgid) {
            let mut header = Header::default();
            record::begin(&mut header, Kind::Orphaned, &Label::default());
            record::submit_header(&mut header);
        }
        return None;
    };
    if !task.group_dead() {
        return None;
    }
    let mut header = Header::default();
    record::begin(&mut header, Kind::Exit, &label);
    header.detail = u64::from(task.exit_code());
    record::submit_header(&mut header);
    label::remove(tgid);
    Some(())
}
