//! What was and would be said to an act.

use monitor_common::action::Action;
use serde::Serialize;

use crate::event::model::{self, Object, Package, Scope};
use crate::event::time::Timestamp;
use crate::rule::syntax::{Severity, Verdict};

/// What became of an act by other rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The whole tree would end, where it did not.
    NowKilled,
    /// It would be refused, where it was not.
    NowDenied,
    /// It would be told and go on, where it was refused, or where nobody said anything.
    NowAlerted,
    /// Nobody would say anything.
    NowAllowed,
    /// The same verdict, by another rule.
    OtherRule,
    /// The same verdict by the same rule.
    Same,
}

/// A verdict, and the rule that it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// What is asked for.
    pub verdict: Verdict,
    /// By which rule; absent if none matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// How bad the rule says that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
}

impl Answer {
    pub(super) const SILENCE: Self = Self { verdict: Verdict::Allow, rule: None, severity: None };
}

/// One act, and what was and would be said to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Said {
    /// When.
    pub time: Timestamp,
    /// In which scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// For which package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<Package>,
    /// Who acted, by these rules.
    pub actor: String,
    /// What was done.
    #[serde(with = "model::word")]
    pub action: Action,
    /// To what.
    pub object: Object,
    /// What was said when it was recorded.
    pub then: Answer,
    /// What these rules say.
    pub now: Answer,
    /// The difference.
    pub change: Change,
    /// Whether the object was recognised by its recorded classes, not by what is recorded of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub by_class: bool,
}

/// Why an act could not be judged again, or not with certainty. Counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doubt {
    /// It comes from no act: a process outlived its command.
    NoAct,
    /// These rules have no such actor.
    UnknownActor,
    /// These rules know nothing by which the object could be recognised.
    UnknownObject,
    /// The object was recognised by its classes, not by what is recorded of it.
    ByClass,
    /// How often the same was done before was taken from the rule that fired.
    CountAssumed,
    /// Marks of the scope were taken from the record, for no recorded act explains them.
    MarkAssumed,
    /// It was stopped then and would go on now: what would have followed was never recorded.
    UnknownSequel,
    /// It went on then and would be stopped now: what followed was judged all the same.
    UnlikelySequel,
    /// A program that these rules take for another actor.
    OtherActor,
}

impl Change {
    /// The difference.
    pub(super) fn between(then: &Answer, now: &Answer) -> Self {
        match (then.verdict == now.verdict, now.verdict) {
            (true, _) if then.rule == now.rule => Change::Same,
            (true, _) => Change::OtherRule,
            (false, Verdict::Allow) => Change::NowAllowed,
            (false, Verdict::Alert) => Change::NowAlerted,
            (false, Verdict::Deny) => Change::NowDenied,
            (false, Verdict::Kill) => Change::NowKilled,
        }
    }
}
