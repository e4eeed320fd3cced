//! The processes of a tree, from the kernel's own labels, and their end.

use std::time::{Duration, Instant};

use aya::maps::{HashMap, MapData};
use monitor_common::label::{Label, Scope, ScopeId, TreeId};

/// The kernel's table of labelled processes.
pub struct Members {
    tasks: HashMap<MapData, u32, Label>,
    scopes: HashMap<MapData, ScopeId, Scope>,
}

/// The kernel's table of pkgwarden's own processes, which nothing in a tree may touch.
pub struct Agents(HashMap<MapData, u32, u8>);

impl Agents {
    pub(super) const fn new(agents: HashMap<MapData, u32, u8>) -> Self {
        Self(agents)
    }

    /// Adds a process.
    ///
    /// # Errors
    /// If the table is full.
    pub fn add(&mut self, tgid: u32) -> Result<(), aya::maps::MapError> {
        self.0.insert(tgid, 1, 0)
    }
}

impl Members {
    pub(super) const fn new(
        tasks: HashMap<MapData, u32, Label>,
        scopes: HashMap<MapData, ScopeId, Scope>,
    ) -> Self {
        Self { tasks, scopes }
    }

    /// The label of a process.
    #[must_use]
    pub fn label(&self, tgid: u32) -> Option<Label> {
        self.tasks.get(&tgid, 0).ok()
    }

    /// What is known of the scope that the acts of a process belong to.
    #[must_use]
    pub fn scope(&self, label: &Label) -> Scope {
        let scope = if label.scope == 0 { ScopeId::from(label.tree) } else { label.scope };
        self.scopes.get(&scope, 0).unwrap_or_default()
    }

    /// Ids of the members of a tree, or of all trees. A fork that happens meanwhile may be missed: ask again.
    #[must_use]
    pub fn of(&self, tree: Option<TreeId>) -> Vec<u32> {
        self.tasks
            .iter()
            .filter_map(Result::ok)
            .filter(|(_, label)| tree.is_none_or(|tree| label.tree == tree))
            .map(|(tgid, _)| tgid)
            .collect()
    }

    /// Whether no process is labelled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.keys().next().is_none()
    }

    /// Kills every member until none is left, or `patience` has passed. Returns who was left.
    ///
    /// The kernel kills a member of a doomed tree at its next system call; this also reaches one that makes none.
    #[must_use]
    pub fn kill_all(&self, tree: Option<TreeId>, patience: Duration) -> Vec<u32> {
        let deadline = Instant::now() + patience;
        loop {
            let left = self.of(tree);
            if left.is_empty() || Instant::now() >= deadline {
                return left;
            }
            for tgid in &left {
                self.kill(*tgid);
            }
            // The kernel frees a killed process in its own time; yielding is enough, and bounded by the deadline.
            std::thread::yield_now();
        }
    }

    /// Kills one process through a descriptor, so that a reused id is never hit: the label is looked at again once the
    /// descriptor holds the process.
    fn kill(&self, tgid: u32) {
        let Ok(pid) = i32::try_from(tgid) else { return };
        // SAFETY: plain integers; the descriptor is closed below.
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let Ok(descriptor) = i32::try_from(descriptor) else { return };
        if descriptor < 0 {
            return;
        }
        if self.label(tgid).is_some() {
            // SAFETY: the descriptor is ours and open; no signal information is passed.
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, descriptor, libc::SIGKILL, 0, 0) };
        }
        // SAFETY: ours, and not used again.
        unsafe { libc::close(descriptor) };
    }
}
