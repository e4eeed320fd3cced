//! What pkgwarden promises of each deed: no harm, and a finding. The exceptions are argued here, and only here.

/// What pkgwarden promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// No harm, and a finding.
    Stopped,
    /// At least a finding that nobody overlooks, and why no more.
    Noticed(&'static str),
    /// Nothing: a gap that is known, and why it is there.
    Nothing(&'static str),
}

/// Deeds that are only noticed, in which tiers, and why.
struct Exception {
    tiers: &'static [&'static str],
    why: &'static str,
    deeds: &'static [&'static str],
}

const KILL: &[&str] = &["kill"];
const DENY: &[&str] = &["deny"];
const BOTH: &[&str] = &["kill", "deny"];

const EXCEPTIONS: &[Exception] = &[
    Exception {
        tiers: KILL,
        why: "names are read from the caller's memory, where another thread may exchange them before the kernel reads them",
        deeds: &["race-rename", "race-hard-link"],
    },
    Exception {
        tiers: KILL,
        why: "a process is killed at the entry of the call, which is carried out all the same",
        deeds: &["compat-rename", "engine-sendmsg"],
    },
    Exception {
        tiers: KILL,
        why: "signals to a group and writes to cgroups are carried out before the process dies; without its watcher a tree \
              dies, and the run fails loudly",
        deeds: &["watcher-stop-group", "watcher-cgroup-kill"],
    },
    Exception {
        tiers: BOTH,
        why: "some tools restart a server of theirs: a signal to somebody else than pkgwarden is told, not refused",
        deeds: &["signal", "signal-stop", "signal-pidfd", "signal-queue", "signal-group"],
    },
    Exception {
        tiers: BOTH,
        why: "a server of the install's own may listen on such a port: the rule tells",
        deeds: &["connect-zero", "connect-zero6"],
    },
    Exception {
        tiers: BOTH,
        why: "test browsers connect to the display: the rule tells",
        deeds: &["abstract"],
    },
    Exception {
        tiers: BOTH,
        why: "addons that an install fetched are loaded like this to try them out, and have the rights of whoever loads \
              them: the rule tells. By way of the dynamic loader it is a program, and refused",
        deeds: &["map-code", "map-code-user"],
    },
    Exception { tiers: DENY, why: "as what is mapped as code at once", deeds: &["map-code-later"] },
    Exception {
        tiers: BOTH,
        why: "whoever starts the command with the file open has handed it over; pkgwarden tells what it inherits",
        deeds: &["inherited"],
    },
];

/// Gaps: the deed may do its harm unseen. This list is to be emptied.
const GAPS: &[Exception] = &[Exception {
    tiers: KILL,
    why: "a call that makes a mapping executable names no file, and every interpreter makes such calls",
    deeds: &["map-code-later"],
}];

/// The promise of a deed in a tier.
pub(crate) fn promise(deed: &str, tier: &str) -> Promise {
    let exception =
        |exception: &&Exception| exception.tiers.contains(&tier) && exception.deeds.contains(&deed);
    if let Some(gap) = GAPS.iter().find(exception) {
        return Promise::Nothing(gap.why);
    }
    EXCEPTIONS.iter().find(exception).map_or(Promise::Stopped, |exception| Promise::Noticed(exception.why))
}

/// A deed that an exception names and that does not exist.
pub(crate) fn unknown() -> Option<&'static str> {
    let mut named = EXCEPTIONS.iter().chain(GAPS).flat_map(|exception| exception.deeds).copied();
    named.find(|name| super::all().all(|deed| deed.name != *name))
}
