//! The processes of the watched trees, built from fork, exec and exit records.
//!
//! Ancestry is a chain of immutable images shared by all descendants: an image outlives its process for as long as a
//! descendant needs it, and no longer. Missing records leave gaps, never wrong links: an entry belongs to one
//! (pid, start time), and a record that does not fit it begins a new entry.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock};

use crate::event::model::{Ancestor, Process};
use crate::event::text::Text;
use crate::event::time::Timestamp;

/// The most entries; exited processes give way first, then the oldest.
const MAX_PROCESSES: usize = 4096;
/// The most bytes of paths and arguments that all entries may hold together.
const MAX_BYTES: usize = 3 << 20;
/// The most images between a process and the root of its tree. Beyond, those nearest to the process give way, so that
/// the root and the script it started stay known.
const MAX_DEPTH: u16 = 48;
/// The most programs that are remembered of one process that changes its program again and again.
const MAX_EXECS: u8 = 4;
/// The most bytes of arguments that are kept.
const MAX_ARGUMENTS: usize = 4096;

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
    pub fn new(exe: Option<Text>, mut argv: Vec<Text>, cwd: Option<Text>) -> Self {
        let mut room = MAX_ARGUMENTS;
        let fits = argv.iter().position(|word| {
            let length = word.as_bytes().len() + 1;
            let over = length > room;
            room = room.saturating_sub(length);
            over
        });
        if let Some(first_over) = fits {
            let cut = argv.get(first_over).map(|word| {
                let keep: usize = argv[..first_over]
                    .iter()
                    .map(|word| word.as_bytes().len() + 1)
                    .sum();
                let end = word.as_bytes().len().min(MAX_ARGUMENTS.saturating_sub(keep));
                Text::from([&word.as_bytes()[..end], b"..."].concat())
            });
            argv.truncate(first_over);
            argv.extend(cut);
        }
        Self { exe, argv, cwd }
    }

    fn bytes(&self) -> usize {
        let one = |text: &Text| text.as_bytes().len() + size_of::<Text>();
        self.exe
            .iter()
            .chain(&self.argv)
            .chain(&self.cwd)
            .map(one)
            .sum::<usize>()
            + size_of::<Self>()
    }
}

/// A process between two execs.
#[derive(Debug)]
pub struct Image {
    pid: u32,
    start: OnceLock<Timestamp>,
    actor: String,
    program: Arc<Program>,
    parent: Option<Arc<Image>>,
    depth: u16,
    execs: u8,
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

    fn child_link(self: &Arc<Self>) -> Option<Arc<Image>> {
        if self.depth < MAX_DEPTH {
            Some(self.clone())
        } else {
            self.parent.clone()
        }
    }
}

/// Who a record says it is from.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Process id.
    pub pid: u32,
    /// When it was started.
    pub start: Timestamp,
    /// Real parent.
    pub ppid: u32,
    /// Effective user.
    pub uid: u32,
}

#[derive(Debug)]
struct Entry {
    image: Arc<Image>,
    exited: bool,
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
            actor: actor.to_owned(),
            program: Arc::default(),
            depth: depth_below(parent.as_ref()),
            parent: parent.and_then(|parent| parent.child_link()),
            execs: 0,
        })
    }

    /// The process started `child`.
    pub fn fork(&mut self, who: Identity, actor: &str, child: u32) {
        let parent = self.get(who, actor);
        self.seen += 1;
        self.insert(Image {
            pid: child,
            start: OnceLock::new(),
            actor: parent.actor.clone(),
            program: parent.program.clone(),
            depth: depth_below(Some(&parent)),
            parent: parent.child_link(),
            execs: 0,
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
            actor: actor.to_owned(),
            program: Arc::new(program),
            parent,
            depth,
            execs: before.execs.saturating_add(1),
        })
    }

    /// The process ended. Its entry stays for a while: records of other processors may be late.
    pub fn exit(&mut self, who: Identity) {
        if let Some(entry) = self.entries.get_mut(&who.pid)
            && entry.image.start.get().is_none_or(|start| *start == who.start)
        {
            entry.exited = true;
            self.exited.push_back((who.pid, entry.serial));
        }
    }

    fn insert(&mut self, image: Image) -> Arc<Image> {
        let (pid, image) = (image.pid, Arc::new(image));
        self.serial += 1;
        let entry = Entry {
            image: image.clone(),
            exited: false,
            serial: self.serial,
        };
        self.bytes += image.program.bytes();
        if let Some(old) = self.entries.insert(pid, entry) {
            self.bytes -= old.image.program.bytes();
        }
        self.order.push_back((pid, self.serial));
        self.evict(pid);
        image
    }

    fn evict(&mut self, keep: u32) {
        while self.entries.len() > MAX_PROCESSES || self.bytes > MAX_BYTES {
            let Some((pid, serial)) = self.exited.pop_front().or_else(|| self.order.pop_front()) else {
                break;
            };
            let current = self.entries.get(&pid).is_some_and(|entry| entry.serial == serial);
            if current && pid != keep {
                self.remove(pid);
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

    fn remove(&mut self, pid: u32) {
        if let Some(entry) = self.entries.remove(&pid) {
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
    Process {
        exe: program.exe.clone(),
        argv: program.argv.clone(),
        cwd: program.cwd.clone(),
        ..name(who)
    }
}

/// The process of an event, by name only.
#[must_use]
pub fn name(who: Identity) -> Process {
    Process {
        pid: who.pid,
        start: who.start,
        ppid: who.ppid,
        uid: who.uid,
        ..Process::default()
    }
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
            argv: image.program.argv.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(pid: u32, start: u64, ppid: u32) -> Identity {
        Identity {
            pid,
            start: Timestamp(start),
            ppid,
            uid: 1000,
        }
    }

    fn program(exe: &str) -> Program {
        Program::new(Some(exe.into()), vec![exe.into()], Some("/w".into()))
    }

    fn chain(image: &Image) -> Vec<(u32, String)> {
        let exe = |text: &Option<Text>| text.as_ref().map_or("?".to_owned(), ToString::to_string);
        ancestry(image)
            .iter()
            .map(|ancestor| (ancestor.pid, exe(&ancestor.exe)))
            .collect()
    }

    fn named(pairs: &[(u32, &str)]) -> Vec<(u32, String)> {
        pairs.iter().map(|(pid, exe)| (*pid, (*exe).to_owned())).collect()
    }

    #[test]
    fn ancestry_survives_exits_and_new_parents() {
        let mut table = ProcessTable::new();
        table.exec(who(1, 10, 0), "manager:npm", program("npm"));
        table.fork(who(1, 10, 0), "manager:npm", 2);
        table.exec(who(2, 20, 1), "script:npm", program("sh"));
        table.fork(who(2, 20, 1), "script:npm", 3);
        table.exit(who(2, 20, 1));
        table.exit(who(1, 10, 0));
        let image = table.exec(who(3, 30, 1), "script:npm", program("node"));
        assert_eq!(chain(&image), named(&[(2, "sh"), (1, "npm")]));
        assert_eq!(ancestry(&image)[0].start, Some(Timestamp(20)));
        assert_eq!(ancestry(&image)[1].actor, "manager:npm");
        assert_eq!(table.seen(), 3);
    }

    #[test]
    fn a_second_exec_is_a_step_of_its_own_but_not_without_end() {
        let mut table = ProcessTable::new();
        table.exec(who(1, 10, 0), "m", program("npm"));
        table.fork(who(1, 10, 0), "m", 2);
        table.exec(who(2, 20, 1), "s", program("sh"));
        let image = table.exec(who(2, 20, 1), "s", program("node"));
        assert_eq!(chain(&image), named(&[(2, "sh"), (1, "npm")]));
        let mut last = image;
        for _ in 0..1000 {
            last = table.exec(who(2, 20, 1), "s", program("again"));
        }
        assert!(
            chain(&last).len() <= usize::from(MAX_EXECS) + 1,
            "{:?}",
            chain(&last)
        );
        assert_eq!(chain(&last).last(), Some(&(1, "npm".to_owned())));
    }

    #[test]
    fn a_reused_process_id_is_another_process() {
        let mut table = ProcessTable::new();
        table.exec(who(1, 10, 0), "m", program("npm"));
        table.fork(who(1, 10, 0), "m", 2);
        table.exec(who(2, 20, 1), "s", program("evil"));
        let image = table.get(who(2, 99, 1), "s");
        assert_eq!(
            image.program().exe,
            None,
            "nothing of the old one is told of the new one"
        );
        assert_eq!(chain(&image), named(&[(1, "npm")]));
        table.exit(who(2, 20, 1));
        assert_eq!(table.get(who(2, 99, 1), "s").start.get(), Some(&Timestamp(99)));
    }

    #[test]
    fn missing_records_leave_gaps() {
        let mut table = ProcessTable::new();
        let image = table.get(who(5, 50, 4), "s");
        assert_eq!(chain(&image), []);
        table.exit(who(77, 1, 1));
        let child = table.exec(who(6, 60, 5), "s", program("node"));
        assert_eq!(chain(&child), named(&[(5, "?")]));
    }

    #[test]
    fn the_table_is_bounded_and_the_exited_go_first() {
        let mut table = ProcessTable::new();
        table.exec(who(1, 1, 0), "m", program("npm"));
        for pid in 2..=20_000 {
            table.fork(who(1, 1, 0), "m", pid);
            table.exec(who(pid, u64::from(pid), 1), "s", program("node"));
            table.exit(who(pid, u64::from(pid), 1));
        }
        assert!(table.len() <= MAX_PROCESSES);
        assert!(table.order.len() <= 2 * MAX_PROCESSES + 1);
        let image = table.get(who(1, 1, 0), "m");
        assert_eq!(image.program().exe, Some("npm".into()), "the living root is kept");
    }

    #[test]
    fn bytes_are_bounded() {
        let mut table = ProcessTable::new();
        for pid in 1..4000 {
            let argv = vec![Text::from(vec![b'a'; 100_000])];
            table.exec(who(pid, 1, 0), "s", Program::new(None, argv, None));
        }
        assert!(table.bytes <= MAX_BYTES, "{}", table.bytes);
        let sum: usize = table
            .entries
            .values()
            .map(|entry| entry.image.program.bytes())
            .sum();
        assert_eq!(sum, table.bytes);
    }

    #[test]
    fn a_chain_of_forks_keeps_its_root() {
        let mut table = ProcessTable::new();
        table.exec(who(1, 1, 0), "m", program("npm"));
        for pid in 1..5000 {
            table.fork(who(pid, u64::from(pid), pid.saturating_sub(1)), "m", pid + 1);
            table.exit(who(pid, u64::from(pid), pid.saturating_sub(1)));
        }
        let image = table.get(who(5000, 5000, 1), "m");
        let chain = chain(&image);
        assert!(chain.len() <= usize::from(MAX_DEPTH) + 1, "{}", chain.len());
        assert_eq!(chain.last(), Some(&(1, "npm".to_owned())));
    }

    #[test]
    fn long_arguments_are_cut_visibly() {
        let program = Program::new(
            None,
            vec!["a".into(), Text::from(vec![b'b'; 9000]), "c".into()],
            None,
        );
        assert_eq!(program.argv.len(), 2);
        assert!(program.argv[1].as_bytes().ends_with(b"bb..."));
        assert!(program.bytes() < MAX_ARGUMENTS + 200);
    }
}
