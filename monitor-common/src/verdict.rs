//! What a rule asks for, and what the tier could make of it.

use crate::named;

named! {
    /// What a rule asks for.
    Verdict {
        /// Let it pass; beats every other verdict that matches the same act.
        Allow = 0, "allow";
        /// Let it pass and report it.
        Alert = 1, "alert";
        /// The call fails with EPERM. In the `kill` tier, where a call cannot fail, the process dies instead.
        Deny = 2, "deny";
        /// SIGKILL before the call returns, then the whole tree.
        Kill = 3, "kill";
    }
}

named! {
    /// What happened to the act that a verdict is about.
    Achieved {
        /// Nothing was asked.
        Allowed = 0, "allowed";
        /// The act went on and was reported: an `alert`.
        Alerted = 1, "alerted";
        /// The call failed with EPERM before it did anything.
        Denied = 2, "denied";
        /// SIGKILL was sent before the call returned to the program.
        Killed = 3, "killed";
        /// Audit mode: the act went on although a rule asked for more.
        Observed = 4, "observed";
        /// The rule asked for more than the kernel could do here; the counter `act` says why.
        Missed = 5, "missed";
    }
}

named! {
    /// How bad a finding is.
    Severity {
        /// Worth recording.
        Info = 0, "info";
        /// Odd, seldom harmful.
        Low = 1, "low";
        /// Should be looked at.
        Medium = 2, "medium";
        /// Very likely hostile.
        High = 3, "high";
        /// Hostile, or a secret in reach of a stranger.
        Critical = 4, "critical";
    }
}

named! {
    /// What findings lead to.
    Mode {
        /// Report only.
        Audit = 0, "audit";
        /// Carry out the verdicts.
        Block = 1, "block";
    }
}

named! {
    /// What the kernel lets us do (design section 5).
    Tier {
        /// The process dies before the call returns.
        Kill = 0, "kill";
        /// The call fails with EPERM.
        Deny = 1, "deny";
    }
}
