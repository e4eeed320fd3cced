//! Does every deed bare, then under pkgwarden in each tier, and says what became of it.
//!
//! The suite stays outside of every tree: it owns the secrets, the victims and the sinks, and it alone judges whether
//! harm was done. It lives in a network and a mount namespace of its own.

mod children;
mod disk;
mod findings;
mod harm;
mod isolation;
mod line;
mod odd_sinks;
mod options;
mod props;
mod run;
mod scene;
mod sinks;
mod victim;

pub(crate) use children::{of as children_of, status};
pub(crate) use victim::suffer;

use std::process::ExitCode;

use crate::Failure;
use crate::deeds::{self, Deed, Promise};
use findings::Findings;
use isolation::Isolation;
use line::{Line, Outcome};
use options::Options;
use run::Watch;
use scene::Scene;
use sinks::Sinks;

/// `pkgwarden run` could not switch protection on.
const UNPROTECTED: i32 = 121;
/// A deed says that it cannot be done here.
pub(crate) const IMPOSSIBLE: u8 = 33;

/// Runs the suite.
pub(crate) fn run(words: &[&str]) -> Result<ExitCode, Failure> {
    let options = Options::parse(words)?;
    let chosen: Vec<&Deed> = deeds::all().filter(|deed| options.wants(deed.name)).collect();
    if let Some(name) = options.only.iter().find(|name| chosen.iter().all(|deed| deed.name != **name)) {
        return Err(format!("there is no deed `{name}`; `deed suite --list` names them").into());
    }
    if options.list {
        chosen
            .iter()
            .for_each(|deed| println!("{}\t{}\t{}", deed.name, deed.rows.join(", "), deed.technique));
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(name) = deeds::unknown() {
        return Err(format!("a promise names `{name}`, and there is no such deed").into());
    }
    let isolation = Isolation::enter()?;
    let sinks = Sinks::open()?;
    let mut suite = Suite { options, isolation, sinks, unprotected: Vec::new(), failed: 0 };
    for deed in &chosen {
        suite.try_out(deed);
    }
    line::end(chosen.len(), suite.failed)?;
    Ok(if suite.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Suite {
    options: Options,
    isolation: Isolation,
    sinks: Sinks,
    /// Tiers that this kernel does not have.
    unprotected: Vec<String>,
    failed: usize,
}

impl Suite {
    /// A deed: bare, then watched.
    fn try_out(&mut self, deed: &Deed) {
        let possible = self.say(deed, "bare", |suite| suite.bare(deed));
        if !possible {
            return;
        }
        for tier in self.options.tiers.clone() {
            if !self.unprotected.contains(&tier) {
                self.say(deed, &tier, |suite| suite.watched(deed, &tier));
            }
        }
    }

    /// Writes the line of a run; a run that could not be made at all is a failure too. Says whether there is more to do.
    fn say(
        &mut self,
        deed: &Deed,
        run: &str,
        act: impl FnOnce(&mut Self) -> Result<Option<Line>, Failure>,
    ) -> bool {
        let line = match act(self) {
            Ok(Some(line)) => line,
            Ok(None) => return true,
            Err(why) => Line::new(Outcome::Broken, &format!("the suite itself failed: {why}")),
        };
        self.failed += usize::from(!line.is_kept());
        // What cannot be done bare proves nothing when it is not done under watch.
        let more = !matches!(line.outcome, Outcome::Impossible | Outcome::NoHarm | Outcome::Broken);
        if let Err(why) = line.write(deed, run) {
            eprintln!("deed: cannot write a line: {why}");
            self.failed += 1;
        }
        more
    }

    fn bare(&mut self, deed: &Deed) -> Result<Option<Line>, Failure> {
        let mut scene = Scene::new(deed, self.isolation.program(), &self.options)?;
        let ended = run::run(deed, &mut scene, self.isolation.program(), Watch::Bare, &self.options)?;
        let harm = harm::find(deed, &scene, &ended, &mut self.sinks);
        let line = match harm {
            Some(harm) => Line::new(Outcome::Harm, &harm).kept(true),
            None if ended.code == i32::from(IMPOSSIBLE) => {
                Line::new(Outcome::Impossible, &ended.last_words()).kept(!deed.unless.is_empty())
            }
            None => Line::new(if ended.late { Outcome::Broken } else { Outcome::NoHarm }, &ended.describe()),
        };
        Ok(Some(line))
    }

    fn watched(&mut self, deed: &Deed, tier: &str) -> Result<Option<Line>, Failure> {
        let mut scene = Scene::new(deed, self.isolation.program(), &self.options)?;
        let watch = Watch::Tier { tier, pkgwarden: &self.options.pkgwarden };
        let ended = run::run(deed, &mut scene, self.isolation.program(), watch, &self.options)?;
        if ended.code == UNPROTECTED {
            self.unprotected.push(tier.to_owned());
            let asked = self.options.asked_for_tiers;
            self.failed += usize::from(asked);
            line::unprotected(tier, &ended.complaints())?;
            return Ok(None);
        }
        let harm = harm::find(deed, &scene, &ended, &mut self.sinks);
        let findings = Findings::read(&scene.stage.events, &ended);
        Ok(Some(judge(deed, deeds::promise(deed.name, tier), harm, &findings, &ended)))
    }
}

/// What became of a deed that was watched.
fn judge(
    deed: &Deed,
    promise: Promise,
    harm: Option<String>,
    findings: &Findings,
    ended: &run::Ended,
) -> Line {
    let first = findings.about(deed.rule);
    let outcome = match (&harm, &first) {
        _ if ended.late => Outcome::Broken,
        (None, Some(_)) => Outcome::Stopped,
        (Some(_), Some(finding)) if finding.is_loud() => Outcome::Noticed,
        (Some(_), _) => Outcome::Missed,
        // Nothing happened and nobody said why: that proves nothing.
        (None, None) => Outcome::Unproven,
    };
    let kept = match promise {
        Promise::Stopped => outcome == Outcome::Stopped,
        Promise::Noticed(_) => matches!(outcome, Outcome::Stopped | Outcome::Noticed),
    };
    let detail = match harm {
        _ if ended.late => format!("{}; {}", ended.describe(), findings.describe()),
        Some(harm) => format!("{harm}; {}", findings.describe()),
        None if outcome == Outcome::Stopped => findings.describe(),
        None => format!("no harm and no finding; {}", ended.describe()),
    };
    let mut line = Line::new(outcome, &detail).kept(kept).promised(promise);
    if let Some(finding) = first {
        line = line.by(finding);
    }
    line
}
