//! Findings that no rule of the kernel's asks for, because only userspace sees what they are about.

use monitor_common::action::Action;
use monitor_common::verdict::{Achieved, Verdict};

use super::pipeline::Pipeline;
use crate::enrich::process::{self, Identity, Image};
use crate::event::model::{Event, Judgement, Object, Scope, Thing, What};
use crate::event::time::Timestamp;
use crate::report::redact;
use crate::rule::syntax::Severity;

/// Processes that outlive the command.
const SURVIVOR_RULE: &str = "PW-TREE-001";
/// Packages that call themselves something else.
const CLAIM_RULE: &str = "PW-NAME-001";

impl Pipeline {
    /// Notes a process that outlived the command by more than `linger` seconds, and what became of it.
    pub fn survivor(&mut self, pid: u32, achieved: Achieved, linger: u64) -> Event {
        let known = self.processes.find(pid);
        let who = known.as_ref().map_or_else(|| Identity { pid, ..Identity::default() }, |(who, _)| *who);
        let judgement = Judgement {
            rule: SURVIVOR_RULE.to_owned(),
            title: "a process outlived the command".to_owned(),
            severity: Severity::Medium,
            why: format!(
                "An install is over when its command ends; this process was still there {linger} s later. A build \
                 daemon that is meant to stay is given time with --linger, or left alone with --survivors detach."
            ),
            attack: vec!["T1543".to_owned()],
            asked: Verdict::Kill,
            achieved,
            tier: self.tier,
            action: Action::Exec,
            object: Object {
                title: "a process that stayed".to_owned(),
                classes: vec!["survivor".to_owned()],
                what: Thing::Process { pid: u64::from(pid) },
            },
            ancestry: known.as_ref().map_or_else(Vec::new, |(_, image)| process::ancestry(image)),
            marks: Vec::new(),
            syscall: None,
        };
        let scope = who.scope;
        self.tell(known.map(|(_, image)| image).as_deref(), who, scope, Timestamp::now(), judgement)
    }

    /// Notes that the package of a scope calls itself something else than what it was installed as.
    pub(super) fn tell_claims(&mut self, who: Identity, scope: Scope, image: &Image) {
        let Some(claim) = self.packages.of(scope).and_then(|package| package.claims.clone()) else {
            return;
        };
        let directory = image.program().cwd.clone().unwrap_or_default();
        let judgement = Judgement {
            rule: CLAIM_RULE.to_owned(),
            title: format!("the package calls itself `{claim}`"),
            severity: Severity::Medium,
            why: "The manifest in the package says another name than the one it was asked for and installed under. Who \
                  reads only the manifest, or the variables made from it, blames somebody else for what it does. Look at \
                  what the package is; a fork that kept the old name should be asked for by an alias."
                .to_owned(),
            attack: vec!["T1036.005".to_owned()],
            asked: Verdict::Alert,
            achieved: Achieved::Alerted,
            tier: self.tier,
            action: Action::Exec,
            object: Object {
                title: "a package under another name".to_owned(),
                classes: vec!["claimed-name".to_owned()],
                what: Thing::File { path: directory },
            },
            ancestry: process::ancestry(image),
            marks: Vec::new(),
            syscall: None,
        };
        let event = self.tell(Some(image), who, Some(scope), Timestamp::now(), judgement);
        self.more.push_back(event);
    }

    fn tell(
        &mut self,
        image: Option<&Image>,
        who: Identity,
        scope: Option<Scope>,
        time: Timestamp,
        judgement: Judgement,
    ) -> Event {
        let mut event = Event {
            time,
            tree: who.tree,
            scope,
            actor: image.map_or_else(String::new, |image| image.actor().to_owned()),
            process: image.map_or_else(|| process::name(who), |image| process::describe(who, image)),
            package: scope.and_then(|scope| self.packages.of(scope)).cloned(),
            flags: Vec::new(),
            what: What::Verdict(Box::new(judgement)),
        };
        redact::event(&mut event);
        self.findings.push(&event);
        event
    }
}
