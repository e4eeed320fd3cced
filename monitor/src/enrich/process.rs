//! The processes of the watched trees, built from fork, exec and exit records.
//!
//! Ancestry is a chain of immutable images shared by all descendants: an image outlives its process for as long as a
//! descendant needs it, and no longer. Missing records leave gaps, never wrong links: an entry belongs to one
//! (pid, start time), and a record that does not fit it begins a new entry.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use monitor_common::label::TreeId;

use crate::event::model::{Ancestor, Package, Process, Scope};
use crate::event::text::Text;
use crate::event::time::Timestamp;

/// The most entries; exited processes give way first, then the oldest.
const MAX_PROCESSES: usize = 4096;
/// How many exited processes are kept for records that come late.
const MAX_EXITED: usize = 256;
/// How many roots are passed over when an entry must go.
const MAX_SPARED: usize = 16;
/// The most bytes of paths and arguments that all entries may hold together.
const MAX_BYTES: usize = 2 << 20;
/// The most images between a process and the root of its tree. Beyond, those nearest to the process give way, so that
/// the root and the script it started stay known.
const MAX_DEPTH: u16 = 24;
/// The most programs that are remembered of one process that changes its program again and again.
const MAX_EXECS: u8 = 4;
/// How often a package inside a program is looked for.
const MAX_TRIES: u32 = 64;
/// The most bytes of arguments that are kept.
const MAX_ARGUMENTS: usize = 4096;
/// The most bytes of arguments that are told of an ancestor.
const MAX_ANCESTOR_ARGUMENTS: usize = 256;

/// What a process runs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Path.
    pub exe: Option<Text>,
    /// Arguments, secrets removed.
    pub argv: Vec<Text>,
    /// Working directory when it was started.
    pub cwd: Option<Text>,
}

impl Program {
    /// A program; arguments beyond the kept part are left out.
    #[must_use]
    pub fn new(exe: Option<Text>, argv: Vec<Text>, cwd: Option<Text>) -> Self {
        Self { exe, argv: cut(argv, MAX_ARGUMENTS), cwd }
    }

    fn bytes(&self) -> usize {
        let one = |text: &Text| text.as_bytes().len() + size_of::<Text>();
        self.exe.iter().chain(&self.argv).chain(&self.cwd).map(one).sum::<usize>() + size_of::<Self>()
    }
}

/// The first `room` bytes of arguments; what was cut ends in dots.
fn cut(mut argv: Vec<Text>, room: usize) -> Vec<Text> {
    let mut used = 0;
    let over = argv.iter().position(|word| {
        used += word.as_bytes().len() + 1;
        used > room
    });
    if let Some(index) = over {
        let word = argv[index].as_bytes();
        let keep = room.saturating_sub(used - word.len() - 1).min(word.len());
        argv[index] = Text::from([&word[..keep], b"..."].concat());
        argv.truncate(index + 1);
    }
    argv
}

/// A process between two execs.
#[derive(Debug)]
pub struct Image {
    pid: u32,
    start: OnceLock<Timestamp>,
    uid: u32,
    tree: TreeId,
    scope: Option<Scope>,
    actor: String,
    program: Arc<Program>,
    parent: Option<Arc<Image>>,
    depth: u16,
    execs: u8,
    guest: Guest,
}

/// The package whose code runs inside the program, once it is known.
#[derive(Debug, Default)]
struct Guest {
    package: OnceLock<Package>,
    tries: AtomicU32,
}

impl Image {
    /// What it runs.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// What it was judged as.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// The images it came from, nearest first.
    pub fn ancestors(&self) -> impl Iterator<Item = &Image> {
        std::iter::successors(self.parent.as_deref(), |image| image.parent.as_deref())
    }

    /// The package whose code runs inside the program; it is looked for a few times, because what tells it may be
    /// written while the program runs.
    pub fn guest(&self, find: impl FnOnce() -> Option<Package>) -> Option<Package> {
        if self.guest.package.get().is_none() && self.guest.tries.fetch_add(1, Ordering::Relaxed) < MAX_TRIES
        {
            let found = find()?;
            self.guest.package.get_or_init(|| found);
        }
        self.guest.package.get().cloned()
    }

    fn child_link(self: &Arc<Self>) -> Option<Arc<Image>> {
        if self.depth < MAX_DEPTH { Some(self.clone()) } else { self.parent.clone() }
    }
}

/// Who a record says it is from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity {
    /// Process id.
    pub pid: u32,
    /// When it was started.
    pub start: Timestamp,
    /// Real parent.
    pub ppid: u32,
    /// Effective user.
    pub uid: u32,
    /// Tree.
    pub tree: TreeId,
    /// Scope.
    pub scope: Option<Scope>,
}

#[derive(Debug)]
struct Entry {
    image: Arc<Image>,
    serial: u64,
}

/// The processes of the watched trees.
#[derive(Debug, Default)]
pub struct ProcessTable {
    entries: HashMap<u32, Entry>,
    /// Ids in the order of their entries, with the serial that tells whether the entry is still that one.
    order: VecDeque<(u32, u64)>,
    exited: VecDeque<(u32, u64)>,
    bytes: usize,
    serial: u64,
    seen: u64,
}

impl ProcessTable {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many processes were seen.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The image of the process; one is made, with what is known of its parent, if records were missed.
    pub fn get(&mut self, who: Identity, actor: &str) -> Arc<Image> {
        if let Some(entry) = self.entries.get(&who.pid)
            && *entry.image.start.get_or_init(|| who.start) == who.start
        {
            return entry.image.clone();
        }
        let parent = self.entries.get(&who.ppid).map(|entry| entry.image.clone());
        self.seen += 1;
        self.insert(Image {
            pid: who.pid,
            start: OnceLock::from(who.start),
            uid: who.uid,
            tree: who.tree,
            scope: who.scope,
            actor: actor.to_owned(),
            program: Arc::default(),
            depth: depth_below(parent.as_ref()),
            parent: parent.and_then(|parent| parent.child_link()),
            execs: 0,
            guest: Guest::default(),
        })
    }

    /// What is known of a process by its id alone.
    #[must_use]
    pub fn find(&self, pid: u32) -> Option<(Identity, Arc<Image>)> {
        let image = self.entries.get(&pid)?.image.clone();
        let who = Identity {
            pid,
            start: image.start.get().copied().unwrap_or_default(),
            ppid: image.parent.as_ref().map_or(0, |parent| parent.pid),
            uid: image.uid,
            tree: image.tree,
            scope: image.scope,
        };
        Some((who, image))
    }

    /// The image of a process whose start is known to a tick of 10 ms (rounded down), and its exact start if it is
    /// known. None if the entry is of another process.
    #[must_use]
    pub fn nearly(&self, pid: u32, start: Timestamp) -> Option<(Option<Timestamp>, Arc<Image>)> {
        const TICK: u64 = 10_000_000;
        let image = &self.entries.get(&pid)?.image;
        let exact = image.start.get().copied();
        let fits = |exact: Timestamp| (start.0..=start.0.saturating_add(TICK)).contains(&exact.0);
        exact.is_none_or(fits).then(|| (exact, image.clone()))
    }

    /// The process started `child`.
    pub fn fork(&mut self, who: Identity, actor: &str, child: u32) {
        let parent = self.get(who, actor);
        self.seen += 1;
        self.insert(Image {
            pid: child,
            start: OnceLock::new(),
            uid: who.uid,
            tree: who.tree,
            scope: who.scope,
            actor: parent.actor.clone(),
            program: parent.program.clone(),
            depth: depth_below(Some(&parent)),
            parent: parent.child_link(),
            execs: 0,
            guest: Guest::default(),
        });
    }

    /// The process became `program`.
    pub fn exec(&mut self, who: Identity, actor: &str, program: Program) -> Arc<Image> {
        let before = self.get(who, actor);
        // What a fork left is a copy of the parent and tells nothing; what was executed is a step of its own.
        let step = before.execs > 0 && before.execs < MAX_EXECS && before.depth < MAX_DEPTH;
        let (parent, depth) = if step {
            (Some(before.clone()), before.depth + 1)
        } else {
            (before.parent.clone(), before.depth)
        };
        self.insert(Image {
            pid: who.pid,
            start: OnceLock::from(who.start),
            uid: who.uid,
            tree: who.tree,
            scope: who.scope,
            actor: actor.to_owned(),
            program: Arc::new(program),
            parent,
            depth,
            execs: before.execs.saturating_add(1),
            guest: Guest::default(),
        })
    }

    /// The process ended. Its entry stays for a while: records of other processors may be late.
    pub fn exit(&mut self, who: Identity) {
        if let Some(entry) = self.entries.get(&who.pid)
            && entry.image.start.get().is_none_or(|start| *start == who.start)
        {
            self.exited.push_back((who.pid, entry.serial));
        }
        if self.exited.len() > MAX_EXITED {
            self.forget_exited();
        }
    }

    fn insert(&mut self, image: Image) -> Arc<Image> {
        let (pid, image) = (image.pid, Arc::new(image));
        self.serial += 1;
        let entry = Entry { image: image.clone(), serial: self.serial };
        self.bytes += image.program.bytes();
        if let Some(old) = self.entries.insert(pid, entry) {
            self.bytes -= old.image.program.bytes();
        }
        self.order.push_back((pid, self.serial));
        self.evict(pid);
        image
    }

    fn evict(&mut self, keep: u32) {
        let mut spared = 0;
        while self.entries.len() > MAX_PROCESSES || self.bytes > MAX_BYTES {
            if self.forget_exited() {
                continue;
            }
            let Some((pid, serial)) = self.order.pop_front() else {
                break;
            };
            // The roots of trees are the oldest and the last to be missed; where all are roots, they must go too.
            let root =
                self.entries.get(&pid).is_some_and(|entry| entry.serial == serial && entry.image.depth == 0);
            if root && spared < MAX_SPARED {
                spared += 1;
                self.order.push_back((pid, serial));
            } else if pid != keep {
                self.remove(pid, serial);
            }
        }
        // Entries that were replaced leave their place in the queues behind.
        if self.order.len() > 2 * MAX_PROCESSES {
            let entries = &self.entries;
            let current =
                |(pid, serial): &(u32, u64)| entries.get(pid).is_some_and(|entry| entry.serial == *serial);
            self.order.retain(current);
            self.exited.retain(current);
        }
    }

    /// Forgets the process that exited first, if one did.
    fn forget_exited(&mut self) -> bool {
        let oldest = self.exited.pop_front();
        if let Some((pid, serial)) = oldest {
            self.remove(pid, serial);
        }
        oldest.is_some()
    }

    /// Removes the entry, unless another process has its id by now.
    fn remove(&mut self, pid: u32, serial: u64) {
        if self.entries.get(&pid).is_some_and(|entry| entry.serial == serial)
            && let Some(entry) = self.entries.remove(&pid)
        {
            self.bytes -= entry.image.program.bytes();
        }
    }
}

fn depth_below(parent: Option<&Arc<Image>>) -> u16 {
    parent.map_or(0, |parent| (parent.depth + 1).min(MAX_DEPTH))
}

/// The process of an event, in full.
#[must_use]
pub fn describe(who: Identity, image: &Image) -> Process {
    let program = image.program();
    Process { exe: program.exe.clone(), argv: program.argv.clone(), cwd: program.cwd.clone(), ..name(who) }
}

/// The process of an event, by name only.
#[must_use]
pub fn name(who: Identity) -> Process {
    Process { pid: who.pid, start: who.start, ppid: who.ppid, uid: who.uid, ..Process::default() }
}

/// The ancestry of an event: the parent first, the root of the tree last.
#[must_use]
pub fn ancestry(image: &Image) -> Vec<Ancestor> {
    image
        .ancestors()
        .map(|image| Ancestor {
            pid: image.pid,
            start: image.start.get().copied(),
            actor: image.actor.clone(),
            exe: image.program.exe.clone(),
            argv: cut(image.program.argv.clone(), MAX_ANCESTOR_ARGUMENTS),
        })
        .collect()
}

#[cfg(test)]
mod tests;
