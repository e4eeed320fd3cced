//! The gate: calls that change what a name leads to wait until this process has said that they may go on.
//!
//! In the `kill` tier a process can be killed at the entry of a call, but the call it is in is carried out all the same:
//! a rename over a start-up file, an unlink, a link to a secret, a connection to a daemon, a signal to pkgwarden. So in block mode the command's tree runs behind a
//! seccomp filter (`filter`) whose calls are answered by a thread here: with EPERM if the rules refuse the act,
//! otherwise with "go on". seccomp is asked before the tracepoints (`syscall_trace_enter`, kernel/entry), so a refused
//! call is seen by nobody else, and one that goes on is judged once more by the kernel side.
//!
//! What it cannot do:
//! - The kernel reads the path again after the answer: another thread, or another process with the same memory, can
//!   exchange it meanwhile, as it can exchange a symbolic link on the way. The kernel side, which reads the path later
//!   and through the tracepoint, kills such a process, but may be too late to keep the call from being carried out.
//! - `openat2`, `sendmsg` and calls of another ABI do not pass here; the kernel side judges or reports them. Nor do the
//!   orders of an io_uring: therefore a new one is refused. Runtimes that would like one do without.
//! - A signal whose handler does not restart calls (no SA_RESTART) and that comes before a waiting call was received
//!   ends it with EINTR, as if it had come before the call; behind that point (since v5.19) calls are not torn.
//! - Signals to groups (`kill 0`) do not wait: a shell ends its children so, and pkgwarden may be in the same group.
//! - Labels are found by process ids of the initial namespace: in another one nothing is known of the callers, and
//!   every call goes on to the kernel side.
//! - A process with another root directory or other mounts is judged by the letters of its path only.
//! - Marks and rules that count (`after`) belong to the kernel side; a refused act counts for neither.
//! - A program that asks for a listener of its own (a container engine, a nested run) is refused it by the kernel
//!   (EBUSY): there is one in a line of processes.
//!
//! The listener must stay open while anything of the tree runs: without it these calls fail with ENOSYS. The thread
//! holds it until the last process behind the gate has ended, or this process has.

mod caller;
mod filter;
mod judge;
mod known;
mod path;
mod reach;
mod reading;
mod record;
mod seccomp;
mod socket;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use monitor_common::action::Action;
use monitor_common::event::Subject;
use monitor_common::label::Label;
use monitor_common::object::KernelObject;
use monitor_common::verdict::Verdict;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use self::caller::{Status, View, Written};
pub use self::filter::Extent;
use self::filter::{Last, RING};
use self::judge::{Judge, Refusal};
pub use self::known::Known;
use self::path::Owner;
use self::reach::Reach;
pub use self::reach::Watchers;
use self::reading::{Name, Reading, readings};
use self::seccomp::Call;
pub use self::seccomp::Listener;
pub(crate) use self::seccomp::enter;
use crate::bpf::tree::Members;
use crate::policy::Policy;

/// Records that may wait for the loop. Beyond, whoever makes them waits as well.
const WAITING: usize = 256;
/// How long a refused caller waits for its tree to end before it gets its answer.
const TREE_END: Duration = Duration::from_millis(100);

/// Whether this kernel lets calls wait for an answer.
///
/// # Errors
/// What it lacks.
pub fn supported() -> Result<(), &'static str> {
    seccomp::supported()
}

/// The gate, from the side of the run.
pub struct Gate {
    /// Records of what was refused, in the layout of the ring.
    pub refused: Receiver<Vec<u8>>,
    /// What could not be judged.
    pub unread: Unread,
}

/// Calls that went on because their path could not be read.
#[derive(Clone, Debug, Default)]
pub struct Unread(Arc<AtomicU64>);

impl Unread {
    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gate {
    /// No gate: nothing waits, nothing is refused.
    #[must_use]
    pub fn none() -> Self {
        Self { refused: channel(1).1, unread: Unread::default() }
    }

    /// Answers the calls of a listener from now on.
    ///
    /// # Errors
    /// If there can be no thread. The listener is closed then, and the caller must end the tree.
    pub fn open(
        listener: Listener,
        policy: Policy,
        members: Arc<Members>,
        known: Known,
        watchers: Watchers,
    ) -> std::io::Result<Self> {
        let (sender, refused) = channel(WAITING);
        let unread = Unread::default();
        let keeper = Keeper {
            listener,
            judge: Judge::new(policy),
            members,
            known,
            watchers,
            readings: readings(),
            own: View::of("self"),
            refused: sender,
            unread: unread.clone(),
        };
        // Nobody waits for its end: it ends with the last process behind the gate, or with this process.
        std::thread::Builder::new().name("gate".to_owned()).spawn(move || keeper.keep())?;
        Ok(Self { refused, unread })
    }
}

/// Who answers.
struct Keeper {
    listener: Listener,
    judge: Judge,
    members: Arc<Members>,
    known: Known,
    watchers: Watchers,
    readings: Vec<Option<Reading>>,
    /// Root and mounts of this process.
    own: Option<View>,
    refused: Sender<Vec<u8>>,
    unread: Unread,
}

/// A refused act.
struct Found {
    action: Action,
    subject: Subject,
    /// As in a record.
    detail: u64,
    path: Vec<u8>,
    resolved: bool,
    refusal: Refusal,
}

impl Keeper {
    /// Answers every call until there are no more.
    fn keep(self) {
        loop {
            match self.listener.receive() {
                Ok(Some(call)) => {
                    let refuse = self.refuses(&call);
                    self.listener.answer(&call, refuse);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!("the gate is closed: {error}");
                    return;
                }
            }
        }
    }

    /// Whether a call is refused; if so, that is told, and the tree ended where a rule says so.
    fn refuses(&self, call: &Call) -> bool {
        let Some((tgid, label)) = self.label(call.tid) else { return false };
        let Some(found) = self.find(call, tgid, &label) else { return false };
        if !self.listener.is_waiting(call) {
            // It died, and its number may have been somebody else's when it was looked at.
            return true;
        }
        let status = caller::status(call.tid).unwrap_or(Status { tgid, ..Status::default() });
        let record = record::record(&record::Refused {
            label,
            status,
            tid: call.tid,
            syscall: call.number,
            action: found.action,
            subject: found.subject,
            detail: found.detail,
            path: &found.path,
            resolved: found.resolved,
            refusal: found.refusal,
        });
        // The loop is over when the tree is; then there is nobody to tell.
        let _ = self.refused.blocking_send(record);
        if found.refusal.asked == Verdict::Kill {
            let _ = self.members.kill_all(Some(label.tree), TREE_END);
        }
        true
    }

    /// Process and label of a thread.
    fn label(&self, tid: u32) -> Option<(u32, Label)> {
        // Most callers are the first thread of their process.
        if let Some(label) = self.members.label(tid) {
            return Some((tid, label));
        }
        let tgid = caller::status(tid)?.tgid;
        Some((tgid, self.members.label(tgid)?))
    }

    fn find(&self, call: &Call, tgid: u32, label: &Label) -> Option<Found> {
        if let Some(reach) = Reach::of(call) {
            return self.judge_reach(reach, call, tgid, label);
        }
        if libc::c_long::from(call.number) == RING {
            return self.judge_ring(label);
        }
        let reading = self.readings.get(call.number as usize).copied().flatten()?;
        let owner = Owner { tgid, tid: call.tid };
        match reading.last {
            Last::Address(at) => return self.judge_socket(owner, label, call, at),
            Last::Descriptor => return self.judge_descriptor(owner, label, call.arguments[0] as i32),
            _ => {}
        }
        reading.names(call).into_iter().flatten().find_map(|name| self.judge_name(owner, label, name))
    }

    fn judge_socket(&self, owner: Owner, label: &Label, call: &Call, at: usize) -> Option<Found> {
        let action = Action::UnixConnect;
        if !self.judge.is_strict(label.actor, action) {
            return None;
        }
        let [address, length] = [at, at + 1].map(|index| call.arguments.get(index).copied().unwrap_or(0));
        let path = socket::name(owner, address, length & u64::from(u32::MAX))?;
        let refusal = self.judge.judge_socket(label.actor, &path, || self.members.scope(label))?;
        Some(Found { action, subject: Subject::Socket, detail: 0, path, resolved: true, refusal })
    }

    fn judge_reach(&self, reach: &Reach, call: &Call, tgid: u32, label: &Label) -> Option<Found> {
        let action = reach.what.action();
        if !self.judge.is_strict(label.actor, action) {
            return None;
        }
        let target = reach.target(call, (tgid, label), &self.members, self.watchers)?;
        let scope = || self.members.scope(label);
        let refusal = self.judge.judge_object(label.actor, action, target.object, scope)?;
        let (subject, detail) = (Subject::Process, u64::from(target.tgid));
        Some(Found { action, subject, detail, path: Vec::new(), resolved: true, refusal })
    }

    /// A ring that nobody could look into. Runtimes that would like one do without, as where the kernel has none.
    fn judge_ring(&self, label: &Label) -> Option<Found> {
        let action = Action::Load;
        let scope = || self.members.scope(label);
        let refusal = self.judge.judge_object(label.actor, action, KernelObject::IoUringUnseen, scope)?;
        let (subject, path) = (Subject::Kernel, Vec::new());
        Some(Found { action, subject, detail: 0, path, resolved: true, refusal })
    }

    /// A change of the file behind a descriptor.
    fn judge_descriptor(&self, owner: Owner, label: &Label, descriptor: i32) -> Option<Found> {
        let action = Action::Write;
        if !self.judge.is_strict(label.actor, action) {
            return None;
        }
        let path = caller::directory(owner.tid, descriptor)?;
        let known = self.known.group_behind(owner.tid, descriptor);
        let refusal = self.judge.judge(label.actor, action, (&path, known), || self.members.scope(label))?;
        Some(Found { action, subject: Subject::File, detail: 0, path, resolved: true, refusal })
    }

    fn judge_name(&self, owner: Owner, label: &Label, name: Name) -> Option<Found> {
        let strict = |action| self.judge.is_strict(label.actor, action);
        let at_stake = strict(name.action) || (name.creates && strict(Action::Create));
        if !at_stake {
            return None;
        }
        let written = match caller::read_path(owner.tid, name.address) {
            Written::Path(path) => path,
            Written::TooLong => return None,
            Written::Unread => {
                self.unread.0.fetch_add(1, Ordering::Relaxed);
                return None;
            }
        };
        if written.is_empty() && !name.may_be_empty {
            return None;
        }
        let path = if written.starts_with(b"/") {
            written
        } else {
            path::join(&caller::directory(owner.tid, name.directory)?, &written)
        };
        let letters = path::clean(&path);
        let place = path::resolve(&path, name.follow, owner);
        let created = place.as_ref().is_some_and(|place| name.creates && place.missing);
        let actions = [created.then_some(Action::Create), Some(name.action)];
        let scope = || self.members.scope(label);
        let judge = |path: &[u8], known, resolved| {
            actions.into_iter().flatten().find_map(|action| {
                let refusal = self.judge.judge(label.actor, action, (path, known), scope)?;
                Some(Found {
                    action,
                    subject: Subject::File,
                    detail: 0,
                    path: path.to_vec(),
                    resolved,
                    refusal,
                })
            })
        };
        // Only now, because it costs more than all the rest: another view leads elsewhere.
        let seen_alike = || self.own.is_some() && View::of(&owner.tid.to_string()) == self.own;
        let led = place.as_ref().filter(|place| place.path != letters);
        let found = led.and_then(|place| judge(&place.path, 0, true)).filter(|_| seen_alike());
        // By its letters too: so does the kernel side, which could only kill.
        found.or_else(|| {
            let known = place.as_ref().map_or(0, |place| self.known.group(owner.tid, &place.path));
            judge(&letters, known, place.is_some() && led.is_none())
        })
    }
}
