//! A new program: who it is, which scope it belongs to, and whether it may run.
//!
//! | tier | hook | why this one |
//! |---|---|---|
//! | both | `trace_sched_process_exec`, fs/exec.c `exec_binprm`, all supported versions | the new program is in place and has not run an instruction: its path and arguments are final, and SIGKILL stops it before it does anything |
//! | `deny` | `security_bprm_check`, called for a script and again for its interpreter (fs/exec.c `search_binary_handler`) | execve() fails with EPERM and the caller lives. Arguments cannot be read yet; what they decide is left to the tracepoint |
//! | `deny` | `security_mmap_file` | code that is mapped, not executed: shared objects, and programs run by way of the dynamic loader |
//!
//! Arguments of the tracepoint: task, old pid, `struct linux_binprm`.

mod arguments;
pub(crate) mod check;

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use monitor_common::action::Action;
use monitor_common::counter::Counter;
use monitor_common::event::{ARGUMENTS_CUT, Kind, NEW_SCOPE, Subject};
use monitor_common::label::Label;
use monitor_common::policy::identity::{self, ActorKind, INTERPRETER, MULTICALL, TRAMPOLINE};
use monitor_common::policy::{Actor, ExecClass, State};

use crate::engine::caller::{Answer, Caller, killing};
use crate::engine::judge::{judge_as, kernel_object};
use crate::engine::map::{ACTORS, IDENTITIES};
use crate::engine::scratch::{self, Slot};
use crate::engine::{act, classify, count, label, record};
use crate::kernel::path::{self, PathText};
use crate::kernel::task::{Task, current_ids};
use crate::kernel::{offset, read};

use arguments::Script;

#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub(crate) fn exec(ctx: RawTracePointContext) -> i32 {
    let program = ctx.arg(2);
    killing(|caller| Some(scratch::with(|slot| started(caller, slot, program))))
}

#[inline(always)]
fn started(caller: &Caller, slot: Slot, program: u64) -> Option<Answer> {
    let before = caller.label;
    let layout = classify::layout()?;
    let file = read::field::<u64>(program, &offset::BPRM_FILE)?;
    let exe = path::of(slot, file + offset::of(&offset::FILE_PATH));
    let scratch = scratch::get(slot)?;
    record::begin(&mut scratch.header, Kind::Exec, &before);
    scratch.header.subject = Subject::Program as u8;
    record::append(scratch, 0, exe.start, exe.end);
    let exe_class = classify::exec_class(classify::accepts(classify::walk_text(
        slot,
        layout.exec_start,
        exe.start,
        exe.end,
    )));
    let exe_name = arguments::base_name(slot, exe);

    let (arguments_end, cut) = arguments::copy(slot);
    record::append(scratch, 1, scratch::ARGUMENTS, arguments_end);
    let is_interpreter = exe_class.flags & INTERPRETER != 0;
    let script = if is_interpreter { arguments::find_script(slot, arguments_end) } else { Script::NONE };

    // The command line by the name of what really runs, or, if that says nothing, by the name it was called by.
    let own_name = exe_class.flags & MULTICALL == 0;
    let mut command_class = command(slot, exe_name, &script, arguments_end, own_name);
    if command_class.group == 0 && own_name {
        command_class = command(slot, exe_name, &script, arguments_end, false);
    }

    let cwd = Task::current()
        .working_directory()
        .map_or(PathText { start: 0, end: 0, flags: 0 }, |directory| path::of(slot, directory));
    record::append(scratch, 2, cwd.start, cwd.end);
    let script_class = classify_script(slot, layout.exec_start, &script, cwd);
    if let Some((_, path)) = &script_class {
        record::append(scratch, 3, path.start, path.end);
    }
    let script_class = script_class.map(|(class, _)| class).unwrap_or_default();

    let (after, new_scope) = relabel(&before, &exe_class, &script_class);
    scratch.header.actor = after.actor;
    scratch.header.scope = after.scope;
    scratch.header.flags =
        exe.flags | if cut { ARGUMENTS_CUT } else { 0 } | if new_scope { NEW_SCOPE } else { 0 };
    if cut {
        count(Counter::ArgumentsTruncated);
    }
    record::submit(scratch);

    // Who runs the program: the one that asked for it, unless it is the first of a script.
    let judged_label = if new_scope { after } else { Label { scope: after.scope, ..before } };
    let object = check::special(file, exe).map_or(0, kernel_object);
    let groups = [exe_class.group, script_class.group, command_class.group, object];
    let judgement = judge_as(&judged_label, judged_label.actor, Action::Exec, groups)?;
    let achieved = act::by_signal(&after, judgement.verdict);
    scratch.header.kind = Kind::Verdict as u8;
    record::judged(&mut scratch.header, Action::Exec, &judgement, achieved);
    record::submit(scratch);
    None
}

/// Classifies the command line: name, NUL, the arguments behind the program or script, NUL between them.
#[inline(always)]
fn command(slot: Slot, exe_name: (u32, u32), script: &Script, end: u32, own_name: bool) -> ExecClass {
    let Some(layout) = classify::layout() else {
        return ExecClass::default();
    };
    let (name, rest) = if script.start != 0 {
        (arguments::base_name(slot, PathText { start: script.start, end: script.end, flags: 0 }), script.end)
    } else {
        let first = arguments::first_word(slot, end);
        let name = if own_name { exe_name } else { arguments::base_name(slot, first) };
        (name, first.end)
    };
    let state = classify::walk_text(slot, layout.command_start, name.0, name.1);
    let state = classify::walk_text(slot, state, rest, end);
    classify::exec_class(classify::accepts(state))
}

/// Classifies the script or module that an interpreter runs, and says where its path lies in the scratch text.
#[inline(always)]
fn classify_script(
    slot: Slot,
    start: State,
    script: &Script,
    cwd: PathText,
) -> Option<(ExecClass, PathText)> {
    if script.start == 0 {
        return None;
    }
    if script.is_module {
        let state = classify::step(classify::step(classify::step(start, b'-'), b'm'), b' ');
        let state = classify::walk_text(slot, state, script.start, script.end);
        let path = PathText { start: script.start, end: script.end, flags: 0 };
        return Some((classify::exec_class(classify::accepts(state)), path));
    }
    let path = arguments::absolute(slot, script, cwd)?;
    let accepted = classify::walk_lexically(slot, start, path.start, path.end);
    let class = if accepted == u32::MAX { ExecClass::default() } else { classify::exec_class(accepted) };
    Some((class, path))
}

/// Decides actor and scope of the new program and stores its label.
#[inline(always)]
fn relabel(before: &Label, exe: &ExecClass, script: &ExecClass) -> (Label, bool) {
    let mut after = *before;
    let mut new_scope = false;
    if exe.flags & TRAMPOLINE != 0 {
        return (after, new_scope);
    }
    let old = actor(before.actor);
    let candidates = classify::layout()
        .map_or([0; 2], |layout| identity::candidates(layout, exe, script.script, old.may_start));
    let recognised = identity::first(candidates).and_then(|number| IDENTITIES.get(number));
    if let Some(found) = recognised {
        after.actor = found.actor;
        let new = actor(found.actor);
        if new.kind == ActorKind::Manager as u8 {
            // What the manager starts is a script of the manager; its own acts belong to whoever started it.
            after.child = new.child;
        }
    } else {
        after.actor = before.child;
        // The first unrecognised program below a manager begins a script; so does the root command itself.
        if old.kind == ActorKind::Manager as u8 || before.scope == 0 {
            new_scope = true;
            after.scope = scope_id();
            label::open_scope(after.scope, label::scope_key(before));
        }
    }
    label::store(current_ids().0, &after);
    (after, new_scope)
}

#[inline(always)]
pub(super) fn actor(number: u8) -> Actor {
    ACTORS.get(u32::from(number)).copied().unwrap_or_default()
}

/// A number no other scope has: when it began, and on which processor.
#[inline(always)]
fn scope_id() -> u64 {
    // SAFETY: no arguments.
    let processor = unsafe { aya_ebpf::helpers::generated::bpf_get_smp_processor_id() };
    record::now() << 8 | u64::from(processor & 0xff)
}
