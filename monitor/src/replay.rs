//! Recorded events, judged again: by other rules, offline, with the evaluator of the kernel side.
//!
//! What a scope did is followed along the events: marks, classes of secrets, counters. Labels are, too, so that a program
//! which these rules take for somebody else is judged as that.
//!
//! ```text
//! Event --object--> groups --evaluate--> Decision --compare--> Said (then, now)
//!    '--lineage--> actor, scope                    '--scopes--> what the scope has done
//! ```

mod lineage;
pub mod object;
mod said;
mod scopes;

use std::collections::{BTreeMap, HashSet};

use monitor_common::action::Action;
use monitor_common::label::ActorId;
use monitor_common::policy::MAX_GROUPS;

use self::lineage::Lineage;
use self::object::Question;
use self::scopes::Scopes;

pub use self::said::{Answer, Change, Doubt, Said};

use crate::event::Event;
use crate::event::model::{self, Object, Thing, What};
use crate::event::text::Text;
use crate::policy::Policy;
use crate::policy::evaluate;
use crate::rule::syntax::Verdict;

/// Judges the events of one run again, in their order.
#[derive(Debug)]
pub struct Replay<'a> {
    policy: &'a Policy,
    lineage: Lineage<'a>,
    scopes: Scopes,
    /// What the built-in rules alone would have noted of the scopes: explains the marks in the record.
    shadow: Option<(&'a Policy, Scopes)>,
    pending: Option<Event>,
    asked: HashSet<(u64, Text)>,
    doubts: BTreeMap<Doubt, u64>,
}

impl<'a> Replay<'a> {
    /// With `policy`. `known` are the rules without what was added to them, if anything was.
    #[must_use]
    pub fn new(policy: &'a Policy, known: Option<&'a Policy>) -> Self {
        Self {
            policy,
            lineage: Lineage::new(policy, known),
            scopes: Scopes::default(),
            shadow: known.map(|known| (known, Scopes::default())),
            pending: None,
            asked: HashSet::new(),
            doubts: BTreeMap::new(),
        }
    }

    /// What was uncertain, and how often.
    #[must_use]
    pub fn doubts(&self) -> &BTreeMap<Doubt, u64> {
        &self.doubts
    }

    /// Takes the next event. What is said can be about the one before: whether a verdict belongs to the start of a program
    /// is known only when the next event is there.
    pub fn push(&mut self, event: Event) -> Vec<Said> {
        let mut said = Vec::new();
        let started = self.pending.take();
        if let Some(started) = started {
            if let What::Verdict(judgement) = &event.what
                && judgement.action == Action::Exec
                && event.process.pid == started.process.pid
                && matches!(judgement.object.what, Thing::Program { .. })
            {
                said.extend(self.program(&started, Some(&event)));
                return said;
            }
            said.extend(self.program(&started, None));
        }
        match &event.what {
            What::Exec { .. } => self.pending = Some(event),
            What::Fork { child } => self.lineage.fork(&event, *child),
            What::Exit { .. } => self.lineage.exit(&event),
            What::Verdict(_) => said.extend(self.verdict(&event)),
            What::Resolved { domain, .. } => said.extend(self.resolved(&event, domain)),
            // What no rule was about is not judged: `record` leaves reads out, so it would say too little.
            What::Orphaned | What::Act { .. } => {}
        }
        said
    }

    /// The last act.
    pub fn finish(&mut self) -> Option<Said> {
        let started = self.pending.take()?;
        self.program(&started, None)
    }

    fn doubt(&mut self, doubt: Doubt) {
        *self.doubts.entry(doubt).or_default() += 1;
    }

    /// A program that was started; `verdict` is what was said to that.
    fn program(&mut self, started: &Event, verdict: Option<&Event>) -> Option<Said> {
        let What::Exec { script, new_scope } = &started.what else { return None };
        let path = started.process.exe.clone().unwrap_or_default();
        let argv = started.process.argv.clone();
        let before = self.lineage.label(started);
        let step = self.lineage.exec(started, &path, &argv, script.as_ref());
        if step.other {
            self.doubt(Doubt::OtherActor);
        }
        let key = scope_key(started);
        if *new_scope {
            let parent = before.scope.unwrap_or(u64::from(started.tree));
            self.scopes.open(key, parent);
            if let Some((_, scopes)) = &mut self.shadow {
                scopes.open(key, parent);
            }
        }
        // Who runs the program: the one that asked for it, unless it is the first of a script.
        let who = if *new_scope { step.after } else { before.now.or(step.after) };
        let recorded = verdict.and_then(|event| match &event.what {
            What::Verdict(judgement) => Some(judgement),
            _ => None,
        });
        let classes = recorded.map(|judgement| judgement.object.classes.clone()).unwrap_or_default();
        let object = Object { classes, title: String::new(), what: Thing::Program { path, argv } };
        let ask = |policy: &Policy| object::question(policy, Action::Exec, &object, script.as_ref());
        self.judge(verdict.unwrap_or(started), who, Action::Exec, &object, &ask)
    }

    fn verdict(&mut self, event: &Event) -> Option<Said> {
        let What::Verdict(judgement) = &event.what else { return None };
        let object = &judgement.object;
        if matches!(object.what, Thing::Process { .. }) && judgement.action == Action::Exec {
            self.doubt(Doubt::NoAct);
            return None;
        }
        let label = self.lineage.label(event);
        let mut who = label.now;
        if judgement.action == Action::Exec {
            // Refused before the program was in place: by what the starter's label says it would become.
            who = self.lineage.starter(&label, object);
        }
        if let Thing::Name { domain: Some(domain), .. } = &object.what {
            self.asked.insert((scope_key(event), domain.clone()));
        }
        let ask = |policy: &Policy| object::question(policy, judgement.action, object, None);
        self.judge(event, who, judgement.action, object, &ask)
    }

    /// A name that was answered, and to whose query no rule said anything then.
    fn resolved(&mut self, event: &Event, domain: &Text) -> Option<Said> {
        if !self.asked.insert((scope_key(event), domain.clone())) {
            return None;
        }
        let what = Thing::Name {
            domain: Some(domain.clone()),
            record: 0,
            resolver: std::net::Ipv4Addr::UNSPECIFIED.into(),
            port: 53,
            protocol: 0,
        };
        let object = Object { classes: Vec::new(), title: String::new(), what };
        let who = self.lineage.label(event).now;
        let ask = |policy: &Policy| object::question(policy, Action::Resolve, &object, None);
        self.judge(event, who, Action::Resolve, &object, &ask)
    }

    fn judge(
        &mut self,
        event: &Event,
        who: Option<ActorId>,
        action: Action,
        object: &Object,
        ask: &dyn Fn(&Policy) -> Question,
    ) -> Option<Said> {
        let Some(actor) = who.filter(|actor| *actor != 0) else {
            self.doubt(Doubt::UnknownActor);
            return None;
        };
        let recorded = match &event.what {
            What::Verdict(judgement) => Some(&**judgement),
            _ => None,
        };
        let key = scope_key(event);
        let script = event.scope.is_some();
        let question = ask(self.policy);
        let silent = self.silent_marks(key, script, recorded, actor, action, ask);
        if silent != 0 {
            self.doubt(Doubt::MarkAssumed);
        }
        let state = self.scopes.of(key, u64::from(event.tree), script);
        state.marks |= silent;
        if let Some(recorded) = recorded
            && state.assume_count(self.policy, &recorded.rule)
        {
            *self.doubts.entry(Doubt::CountAssumed).or_default() += 1;
        }
        let decision = state.judge(self.policy, actor, action, question.groups);
        let then = recorded.map_or(Answer::SILENCE, |judgement| Answer {
            verdict: asked(judgement.asked),
            rule: Some(judgement.rule.clone()),
            severity: Some(judgement.severity),
        });
        let rule = self.policy.deciding(&decision);
        let now = Answer {
            verdict: evaluate::verdict(&decision),
            rule: rule.map(|rule| rule.id.clone()),
            severity: rule.map(|rule| rule.severity),
        };
        if then.rule.is_none() && now.verdict == Verdict::Allow {
            // Nothing was said and nothing would be: that is most of all acts.
            return None;
        }
        if question.by_class {
            self.doubt(Doubt::ByClass);
        }
        if question.groups == [0; MAX_GROUPS] && recorded.is_some() {
            self.doubt(Doubt::UnknownObject);
            return None;
        }
        match (stops(then.verdict), stops(now.verdict)) {
            (true, false) => self.doubt(Doubt::UnknownSequel),
            (false, true) => self.doubt(Doubt::UnlikelySequel),
            _ => {}
        }
        let mut object = object.clone();
        if object.classes.is_empty() {
            let about = question.groups.get(usize::from(decision.slot)).copied().unwrap_or(0);
            object.classes = self.policy.names.group(about).to_vec();
        }
        Some(Said {
            time: event.time,
            scope: event.scope,
            package: event.package.clone(),
            actor: self.policy.names.actors.get(usize::from(actor)).cloned().unwrap_or_default(),
            action,
            object,
            change: Change::between(&then, &now),
            by_class: question.by_class,
            then,
            now,
        })
    }

    /// Marks that the record has and that no recorded act explains, by the rules as far as they are known.
    fn silent_marks(
        &mut self,
        key: u64,
        script: bool,
        recorded: Option<&model::Judgement>,
        actor: ActorId,
        action: Action,
        ask: &dyn Fn(&Policy) -> Question,
    ) -> u32 {
        let marks = recorded.map_or(&[][..], |judgement| &judgement.marks);
        let explained = match &mut self.shadow {
            None => self.scopes.of(key, 0, script).marks,
            Some((known, scopes)) => {
                let state = scopes.of(key, 0, script);
                let before = state.marks;
                let name = self.policy.names.actors.get(usize::from(actor));
                if let Some(actor) = name.and_then(|name| known.names.actor(name)) {
                    state.judge(known, actor, action, ask(known).groups);
                }
                marks_of(self.policy, &names_of(known, before))
            }
        };
        marks_of(self.policy, marks) & !explained
    }
}

fn marks_of(policy: &Policy, names: &[String]) -> u32 {
    let bit = |name: &String| policy.names.marks.iter().position(|known| known == name);
    names.iter().filter_map(bit).fold(0, |all, bit| all | 1 << bit)
}

fn names_of(policy: &Policy, marks: u32) -> Vec<String> {
    let set = |(bit, name): (usize, &String)| (marks & 1 << bit != 0).then(|| name.clone());
    policy.names.marks.iter().enumerate().filter_map(set).collect()
}

/// Key of the marks and counts that an act is judged by: a manager's own acts are numbered like their tree.
fn scope_key(event: &Event) -> u64 {
    event.scope.map_or(u64::from(event.tree), |scope| scope.0)
}

fn stops(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Deny | Verdict::Kill)
}

fn asked(verdict: monitor_common::verdict::Verdict) -> Verdict {
    use monitor_common::verdict::Verdict as Asked;
    match verdict {
        Asked::Allow => Verdict::Allow,
        Asked::Alert => Verdict::Alert,
        Asked::Deny => Verdict::Deny,
        Asked::Kill => Verdict::Kill,
    }
}

#[cfg(test)]
mod tests;
