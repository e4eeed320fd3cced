//! The beginning of a tree: a process says words that only the agent knows, by a `prctl` that the kernel does not know.
//!
//! Labelled here and not by userspace, because a process does not know its id in the initial namespace.
//!
//! | tier | hook | why this one |
//! |---|---|---|
//! | `deny` | `security_task_prctl`, kernel/sys.c, all supported versions | costs nobody else anything |
//! | `kill` | entry of any call | is there already |

use monitor_common::action::Action;
use monitor_common::event::{Kind, Subject};
use monitor_common::label::Label;
use monitor_common::verdict::Achieved;

use crate::engine::judge::judge;
use crate::engine::scratch::{self, Slot};
use crate::engine::{classify, label, record};
use crate::kernel::arguments::Arguments;
use crate::kernel::file::Inode;
use crate::kernel::task::{Task, current_ids};
use crate::kernel::{offset, path};

/// The option and the words. The loader sets them.
#[unsafe(no_mangle)]
static JOIN_OPTION: u32 = 0;
#[unsafe(no_mangle)]
static JOIN_WORDS: [u64; 2] = [0; 2];

/// Label of the root of a tree: what it becomes before its first exec. The loader sets both.
#[unsafe(no_mangle)]
static ROOT_ACTOR: u32 = 0;
#[unsafe(no_mangle)]
static ROOT_MODE: u32 = 0;

/// int security_task_prctl(int option, unsigned long arg2, unsigned long arg3, unsigned long arg4, unsigned long arg5).
/// The result stays what it is: the option is unknown.
#[unsafe(no_mangle)]
#[unsafe(link_section = "fentry/security_task_prctl")]
extern "C" fn security_task_prctl(arguments: Arguments) -> i32 {
    said(arguments.get::<0>(), arguments.get::<1>(), arguments.get::<2>());
    0
}

/// Makes the caller the root of a tree if the words are right.
#[inline(always)]
pub(crate) fn said(option: u64, first: u64, second: u64) {
    // SAFETY: read-only globals that the loader sets before the object is loaded.
    let (expected, words, actor, mode) = unsafe {
        (
            core::ptr::read_volatile(&raw const JOIN_OPTION),
            [
                core::ptr::read_volatile((&raw const JOIN_WORDS).cast::<u64>()),
                core::ptr::read_volatile((&raw const JOIN_WORDS).cast::<u64>().add(1)),
            ],
            core::ptr::read_volatile(&raw const ROOT_ACTOR),
            core::ptr::read_volatile(&raw const ROOT_MODE),
        )
    };
    if words[0] == 0 || option as u32 != expected || first != words[0] || second != words[1] {
        return;
    }
    let (tgid, _) = current_ids();
    let label = Label { tree: tgid, actor: actor as u8, child: actor as u8, reserved: [0; 2], scope: 0 };
    label::begin_tree(tgid, mode as u8);
    label::store(tgid, &label);
    scratch::with(|slot| {
        let mut descriptor = 0;
        while descriptor < INHERITED {
            inherited(slot.0, descriptor);
            descriptor += 1;
        }
        None
    });
}

/// Descriptors that are looked at when a tree begins.
const INHERITED: u32 = 256;

/// Tells of a secret that is open when a tree begins: whoever started the command has handed it over, so it is not
/// refused.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn inherited(slot: u32, descriptor: u32) -> u32 {
    let tell = || -> Option<()> {
        let file = Task::current().file(descriptor)?;
        let inode = Inode::of_file(file)?;
        if !inode.is_regular() || inode.proc_owner().is_some() {
            return None;
        }
        let (mount, dentry) = path::parts(file + offset::of(&offset::FILE_PATH))?;
        let classify::Met { path, named, known } = classify::meet(Slot(slot), mount, dentry, inode.0);
        let label = label::current()?;
        let judgement = judge(&label, Action::Read, [named, known, 0, 0])?;
        let scratch = scratch::get(Slot(slot))?;
        record::begin(&mut scratch.header, Kind::Verdict, &label);
        record::judged(&mut scratch.header, Action::Read, &judgement, Achieved::Alerted);
        scratch.header.subject = Subject::File as u8;
        scratch.header.flags = path.flags;
        record::append(scratch, 0, path.start, path.end);
        record::submit(scratch);
        None
    };
    tell();
    0
}
