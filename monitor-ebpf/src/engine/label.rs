//! Labels of processes, and what ends a tree.

use monitor_common::counter::Counter;
use monitor_common::label::{Label, SCRIPT_SCOPE, Scope, Tree, WATCHED_CHUNK};

use crate::engine::count;
use crate::engine::map::{AGENTS, SCOPES, TASKS, TREES, WATCHED};
use crate::kernel::task::current_ids;

/// The userspace process that loaded this object: set by itself.
#[unsafe(no_mangle)]
static AGENT: u32 = 0;

/// Whether its death dooms all trees; else verdicts go on without it. The loader sets it.
#[unsafe(no_mangle)]
static FAIL_CLOSED: u32 = 0;

/// Set once any tree is doomed, so that nobody else pays for the question.
#[unsafe(no_mangle)]
static mut ANY_DOOMED: u32 = 0;

/// Set when the agent has died.
#[unsafe(no_mangle)]
static mut ORPHANED: u32 = 0;

/// The label of the caller, if it is watched.
#[inline(always)]
pub(crate) fn current() -> Option<Label> {
    of(current_ids().0)
}

/// The label of a process, if it is watched.
#[inline(always)]
pub(crate) fn of(tgid: u32) -> Option<Label> {
    if !may_be_watched(tgid) {
        return None;
    }
    // SAFETY: the value is copied at once; a concurrent update of another processor may mix two labels of the same
    // process, which are both its own.
    unsafe { TASKS.get(&tgid) }.copied()
}

/// A look that is cheaper than one into a hash map: most processes are not watched.
#[inline(always)]
fn may_be_watched(tgid: u32) -> bool {
    let chunk = WATCHED.get(tgid / WATCHED_CHUNK);
    // An id beyond the table is possible only if the id space was enlarged meanwhile.
    chunk.is_none_or(|chunk| chunk[(tgid % WATCHED_CHUNK) as usize] != 0)
}

/// Sets or clears the byte that [`may_be_watched`] asks for.
#[inline(always)]
fn mark_watched(tgid: u32, byte: u8) {
    if let Some(chunk) = WATCHED.get_ptr_mut(tgid / WATCHED_CHUNK) {
        // SAFETY: a map value, the index is below its length; one byte.
        unsafe { (*chunk)[(tgid % WATCHED_CHUNK) as usize] = byte };
    }
}

/// Removes the label of a process that has ended.
#[inline(always)]
pub(crate) fn remove(tgid: u32) {
    // Absent when two threads died at once and both saw the group dead.
    let _ = TASKS.remove(&tgid);
    mark_watched(tgid, 0);
}

/// Stores a label. On failure the tree is doomed: nothing runs unwatched.
#[inline(always)]
pub(crate) fn store(tgid: u32, label: &Label) {
    mark_watched(tgid, 1);
    if TASKS.insert(&tgid, label, 0).is_err() {
        count(Counter::TasksFull);
        doom(label.tree);
    }
}

/// Whether a process is pkgwarden itself.
#[inline(always)]
pub(crate) fn is_agent(tgid: u32) -> bool {
    // SAFETY: only its presence is asked.
    unsafe { AGENTS.get(&tgid) }.is_some()
}

/// Whether the caller is the process that loaded us.
#[inline(always)]
pub(crate) fn is_loader(tgid: u32) -> bool {
    // SAFETY: a read-only global that the loader sets before the object is loaded.
    tgid == unsafe { core::ptr::read_volatile(&raw const AGENT) }
}

/// Key of the marks and counts that an act of this process is judged by.
#[inline(always)]
pub(crate) fn scope_key(label: &Label) -> u64 {
    if label.scope == 0 { u64::from(label.tree) } else { label.scope }
}

/// Makes the state of the scope of a script. What the one that starts it has read it may be told, by its environment, a
/// file or a pipe: marks and classes of secrets pass on, counts do not.
#[inline(always)]
pub(crate) fn open_scope(scope: u64, parent: u64) {
    let (marks, secrets) = match SCOPES.get_ptr_mut(&parent) {
        // SAFETY: a map value, valid while the program runs; integers only.
        Some(parent) => unsafe { ((*parent).marks, (*parent).secrets) },
        // Its parent could not be stored, so it is taken for the worst, as that is.
        None => (u32::MAX, u64::MAX),
    };
    store_scope(scope, &Scope { secrets, marks: marks | SCRIPT_SCOPE, ..Scope::default() });
}

#[inline(always)]
fn store_scope(scope: u64, state: &Scope) {
    if SCOPES.insert(&scope, state, 0).is_err() {
        count(Counter::ScopesFull);
    }
}

/// The state of a tree.
#[inline(always)]
pub(crate) fn tree(tree: u32) -> Option<Tree> {
    // SAFETY: the value is copied at once, byte-sized fields.
    unsafe { TREES.get(&tree) }.copied()
}

/// Ends a tree: every member dies at its next system call, fork or exec.
#[inline(always)]
pub(crate) fn doom(tree: u32) {
    if let Some(state) = TREES.get_ptr_mut(&tree) {
        // SAFETY: a map value, valid while the program runs; one byte.
        unsafe { (*state).doomed = 1 };
        // SAFETY: a word of the object's own data section; only ever set.
        unsafe { core::ptr::write_volatile(&raw mut ANY_DOOMED, 1) };
    }
}

/// Whether the caller's tree has ended.
#[inline(always)]
pub(crate) fn is_doomed(label: &Label) -> bool {
    // SAFETY: words of the object's own data section.
    let (any, orphaned) = unsafe {
        (core::ptr::read_volatile(&raw const ANY_DOOMED), core::ptr::read_volatile(&raw const ORPHANED))
    };
    if orphaned != 0 {
        return true;
    }
    any != 0 && tree(label.tree).is_some_and(|tree| tree.doomed != 0)
}

/// Notes the death of a process; dooms every tree if it was the agent. Returns whether it was.
#[inline(always)]
pub(crate) fn note_death(tgid: u32) -> bool {
    if !is_loader(tgid) {
        return false;
    }
    // SAFETY: a read-only global that the loader sets before the object is loaded.
    if unsafe { core::ptr::read_volatile(&raw const FAIL_CLOSED) } == 0 {
        return false;
    }
    // SAFETY: a word of the object's own data section; only ever set.
    unsafe { core::ptr::write_volatile(&raw mut ORPHANED, 1) };
    true
}

/// Makes the state of a new tree, and the scope of its manager.
#[inline(always)]
pub(crate) fn begin_tree(tree: u32, mode: u8) {
    // SAFETY: a read-only global that the loader sets before the object is loaded.
    let agent = unsafe { core::ptr::read_volatile(&raw const AGENT) };
    let state = Tree { mode, doomed: 0, reserved: [0; 2], agent };
    if TREES.insert(&tree, &state, 0).is_err() {
        count(Counter::TasksFull);
    }
    store_scope(u64::from(tree), &Scope::default());
}
