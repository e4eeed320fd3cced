//! The kernel side's failure counters: nothing fails in silence.

use crate::named;

named! {
    /// Something the kernel side could not do. Each is a per-processor counter that `run` reads at the end and reports.
    Counter {
        /// The ring buffer was full: an event was lost. Verdicts are not affected.
        RingFull = 0, "ring-full";
        /// A child could not be labelled; its parent's tree was doomed instead.
        TasksFull = 1, "tasks-full";
        /// A scope could not be stored; its acts are judged as if it had every mark.
        ScopesFull = 2, "scopes-full";
        /// A written file could not be remembered as dropped.
        DroppedFull = 3, "dropped-full";
        /// A kernel structure could not be read.
        KernelRead = 4, "kernel-read";
        /// User memory was not resident when a call was entered; the call was judged when it returned.
        UserRead = 5, "user-read";
        /// A path had more components than are walked, or more bytes than fit.
        PathTruncated = 6, "path-truncated";
        /// A signal could not be sent.
        Act = 7, "act";
        /// No working memory was free: the act was refused unjudged.
        Scratch = 8, "scratch";
        /// Arguments of a new program were longer than what is examined.
        ArgumentsTruncated = 9, "arguments-truncated";
        /// A secret file could not be remembered by its inode; its name is still known.
        ProtectedFull = 10, "protected-full";
        /// A socket could not be remembered; the call that needed it was refused.
        Sockets = 11, "sockets";
        /// The end of an answer to a query was not read: addresses in it have no name, which their connections tell.
        AnswerCut = 12, "answer-cut";
        /// What was sent to an address could not be counted.
        TrafficFull = 13, "traffic-full";
        /// A packet of a watched process could not be read; it was refused.
        Packets = 14, "packets";
    }
}

impl Counter {
    /// Whether the events concerned say it themselves, so that nothing was lost.
    #[must_use]
    pub const fn is_told_otherwise(self) -> bool {
        matches!(self, Self::UserRead | Self::PathTruncated | Self::ArgumentsTruncated | Self::AnswerCut)
    }
}

/// Entries of the counter map.
pub const COUNTERS: u32 = 16;

const _: () = assert!(Counter::ALL.len() <= COUNTERS as usize);
