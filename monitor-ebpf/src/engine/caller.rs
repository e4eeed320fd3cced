//! A watched process in the middle of an act, and how a verdict reaches it.
//!
//! Every handler is written once, for a [`Caller`]; the form it is attached in says what a verdict can do: a program on
//! a `security_*` function refuses the call, a tracepoint can only kill.

use monitor_common::action::Action;
use monitor_common::event::{Header, Kind, Subject};
use monitor_common::label::Label;
use monitor_common::object::KernelObject;
use monitor_common::verdict::{Achieved, Verdict};

use crate::engine::judge::{Judgement, judge, kernel_object};
use crate::engine::scratch::{self, Slot};
use crate::engine::{act, label, record};
use crate::kernel::path::PathText;

/// include/uapi/asm-generic/errno-base.h.
const EPERM: i32 = 1;

/// What becomes of the call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It goes on.
    Pass,
    /// It fails with EPERM, where the hook can say so.
    Refuse,
}

/// What a hook can do to a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Means {
    /// The call returns what the program returns.
    Refusal,
    /// The process dies before the call returns.
    Signal,
}

/// A watched process.
pub(crate) struct Caller {
    pub(crate) label: Label,
    means: Means,
}

/// What an event says besides rule and process.
#[derive(Clone, Copy)]
pub(crate) struct About {
    pub(crate) subject: Subject,
    /// Number of the system call, where the hook knows it; else -1.
    pub(crate) syscall: i32,
    /// Flags of the header.
    pub(crate) flags: u16,
    /// See `Header::detail`.
    pub(crate) detail: u64,
    /// Of an internet endpoint, as in the header.
    pub(crate) address: [u8; 16],
    /// Host byte order.
    pub(crate) port: u16,
}

impl About {
    pub(crate) const fn new(subject: Subject, detail: u64) -> Self {
        Self { subject, syscall: -1, flags: 0, detail, address: [0; 16], port: 0 }
    }
}

/// Runs a handler in a program on a `security_*` function, and returns what that function is to return.
#[inline(always)]
pub(crate) fn refusing(handler: impl FnOnce(&Caller) -> Option<Answer>) -> i32 {
    // <VERIFIER_ISSUE> 6.12 wants to see a branch: of a computed result it loses the range.
    if watched(Means::Refusal, handler) == Answer::Refuse {
        return -EPERM;
    }
    0
}

/// Runs a handler in a tracepoint.
#[inline(always)]
pub(crate) fn killing(handler: impl FnOnce(&Caller) -> Option<Answer>) -> i32 {
    if watched(Means::Signal, handler) == Answer::Refuse {
        act::kill_caller();
    }
    0
}

#[inline(always)]
fn watched(means: Means, handler: impl FnOnce(&Caller) -> Option<Answer>) -> Answer {
    let Some(label) = label::current() else {
        return Answer::Pass;
    };
    if label::is_doomed(&label) {
        act::kill_caller();
        return Answer::Refuse;
    }
    handler(&Caller { label, means }).unwrap_or(Answer::Pass)
}

impl Caller {
    /// Whether the call can be made to fail.
    #[inline(always)]
    pub(crate) fn can_refuse(&self) -> bool {
        self.means == Means::Refusal
    }

    /// Carries a verdict out.
    #[inline(always)]
    pub(crate) fn carry_out(&self, verdict: u8) -> Achieved {
        match self.means {
            Means::Refusal => {
                let achieved = act::by_refusal(&self.label, verdict);
                if achieved == Achieved::Denied && verdict == Verdict::Kill as u8 {
                    act::kill_caller();
                }
                achieved
            }
            Means::Signal => act::by_signal(&self.label, verdict),
        }
    }

    /// Carries a judgement out and reports it.
    ///
    /// Not inlined, as the next ones: programs that call each other share a stack of 512 bytes.
    #[inline(never)]
    pub(crate) fn settle(&self, action: Action, judgement: &Judgement, about: &About) -> Answer {
        let achieved = self.carry_out(judgement.verdict);
        // The header too is made in working memory: the stack is shared with everybody who called.
        scratch::with(|slot| {
            let scratch = scratch::get(slot)?;
            record::begin(&mut scratch.header, Kind::Verdict, &self.label);
            describe(&mut scratch.header, action, judgement, achieved, about);
            record::submit(scratch);
            None
        });
        answer(achieved)
    }

    /// As [`Caller::settle`], with a name that lies in the working memory.
    #[inline(never)]
    pub(crate) fn settle_named(
        &self,
        slot: Slot,
        action: Action,
        judgement: &Judgement,
        named: &(PathText, About),
    ) -> Answer {
        let achieved = self.carry_out(judgement.verdict);
        let Some(scratch) = scratch::get(slot) else {
            return answer(achieved);
        };
        let (name, about) = named;
        record::begin(&mut scratch.header, Kind::Verdict, &self.label);
        describe(&mut scratch.header, action, judgement, achieved, about);
        scratch.header.flags |= name.flags;
        record::append(scratch, 0, name.start, name.end);
        record::submit(scratch);
        answer(achieved)
    }

    /// Judges something that only the kernel knows, and settles it.
    #[inline(always)]
    pub(crate) fn judge_object(&self, action: Action, object: KernelObject, about: About) -> Option<Answer> {
        self.judge_group(action, kernel_object(object), &about)
    }

    /// Judges one group, and settles it.
    ///
    /// Not inlined: some programs do it in ten places.
    #[inline(never)]
    pub(crate) fn judge_group(&self, action: Action, group: u16, about: &About) -> Option<Answer> {
        let judgement = judge(&self.label, action, [group, 0, 0, 0])?;
        Some(self.settle(action, &judgement, about))
    }
}

#[inline(always)]
fn describe(header: &mut Header, action: Action, judgement: &Judgement, achieved: Achieved, about: &About) {
    record::judged(header, action, judgement, achieved);
    header.subject = about.subject as u8;
    header.syscall = about.syscall;
    header.flags = about.flags;
    header.detail = about.detail;
    header.address = about.address;
    header.port = about.port;
}

#[inline(always)]
fn answer(achieved: Achieved) -> Answer {
    match achieved {
        Achieved::Denied | Achieved::Killed => Answer::Refuse,
        _ => Answer::Pass,
    }
}
