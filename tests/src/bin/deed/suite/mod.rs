//! Does every deed bare, then under pkgwarden in each tier, and says what became of it.
//!
//! The suite stays outside of every tree: it owns the secrets, the victims and the sinks, and it alone judges whether
//! harm was done. It lives in a network and a mount namespace of its own.

mod batch;
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

pub(crate) use batch::serve;
pub(crate) use children::{of as children_of, status};
pub(crate) use victim::suffer;

use std::process::ExitCode;

use crate::Failure;
use crate::deeds::{self, Deed, Promise};
use batch::{Batch, Done};
use findings::Findings;
use isolation::Isolation;
use line::{Line, Outcome};
use options::Options;
use run::{Ended, Watch};
use scene::Scene;
use sinks::Sinks;

/// How many deeds are tried at a time.
const BATCH: usize = 16;
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
    for deeds in chosen.chunks(BATCH) {
        suite.try_out(deeds)?;
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
    /// Deeds: each bare, then watched, together where that makes no difference.
    fn try_out(&mut self, deeds: &[&'static Deed]) -> Result<(), Failure> {
        let mut possible = Vec::new();
        for deed in deeds {
            let line = self.bare(deed).unwrap_or_else(|why| Line::broken(&why));
            // What cannot be done bare proves nothing when it is not done under watch.
            if line.outcome == Outcome::Harm {
                possible.push(*deed);
            }
            self.say(deed, "bare", &line)?;
        }
        for tier in self.options.tiers.clone() {
            let (alone, mut together): (Vec<_>, Vec<_>) =
                possible.iter().copied().partition(|deed| deed.alone);
            while !together.is_empty() && !self.unprotected.contains(&tier) {
                let left = match self.watched_together(&together, &tier) {
                    Ok(left) => left,
                    Err(why) => {
                        for deed in &together {
                            self.say(deed, &tier, &Line::broken(&why))?;
                        }
                        0
                    }
                };
                together.drain(..together.len() - left);
            }
            for deed in alone {
                if !self.unprotected.contains(&tier) {
                    match self.watched_alone(deed, &tier) {
                        Ok(Some(line)) => self.say(deed, &tier, &line)?,
                        Ok(None) => {}
                        Err(why) => self.say(deed, &tier, &Line::broken(&why))?,
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes the line of a run.
    fn say(&mut self, deed: &Deed, run: &str, line: &Line) -> Result<(), Failure> {
        self.failed += usize::from(!line.is_kept());
        Ok(line.write(deed, run)?)
    }

    /// Notes that a tier cannot be had here.
    fn give_up(&mut self, tier: &str, ended: &Ended) -> Result<(), Failure> {
        self.unprotected.push(tier.to_owned());
        self.failed += usize::from(self.options.asked_for_tiers);
        Ok(line::unprotected(tier, &ended.complaints())?)
    }

    fn bare(&mut self, deed: &Deed) -> Result<Line, Failure> {
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
        Ok(line)
    }

    fn watched_alone(&mut self, deed: &Deed, tier: &str) -> Result<Option<Line>, Failure> {
        let mut scene = Scene::new(deed, self.isolation.program(), &self.options)?;
        let watch = Watch::Tier { tier, pkgwarden: &self.options.pkgwarden };
        let ended = run::run(deed, &mut scene, self.isolation.program(), watch, &self.options)?;
        let findings = Findings::read(&scene.stage.events, &ended);
        // The same code ends a run whose guard was killed; then there was protection before.
        if ended.code == UNPROTECTED && !findings.began {
            self.give_up(tier, &ended)?;
            return Ok(None);
        }
        let harm = harm::find(deed, &scene, &ended, &mut self.sinks);
        Ok(Some(judge(deed, deeds::promise(deed.name, tier), harm, &findings, &ended)))
    }

    /// Deeds under one watch. Says how many at the end were not done, because the watch was over before.
    fn watched_together(&mut self, deeds: &[&'static Deed], tier: &str) -> Result<usize, Failure> {
        let program = self.isolation.program().to_owned();
        let folder = tempfile::Builder::new().prefix("batch-").tempdir_in(isolation::PLACE)?;
        let mut scenes = Vec::new();
        for deed in deeds {
            scenes.push(Scene::new(deed, &program, &self.options)?);
        }
        let mut batch = Batch::start(&self.options.pkgwarden, tier, &program, folder.path(), &scenes)?;
        let mut results = Vec::new();
        for (deed, scene) in deeds.iter().zip(&scenes) {
            let Some(Done { pid, ended }) = batch.perform(deed, scene, self.options.limit)? else { break };
            let harm = harm::find(deed, scene, &ended, &mut self.sinks);
            let late = ended.late;
            results.push((deed, pid, ended, harm));
            if late {
                break;
            }
        }
        let (ended, events) = batch.finish()?;
        let findings = Findings::read(&events, &ended);
        if ended.code == UNPROTECTED && !findings.began {
            self.give_up(tier, &ended)?;
            return Ok(0);
        }
        if results.is_empty() {
            return Err(format!("the watch was over before it began: {}", ended.complaints()).into());
        }
        let left = deeds.len() - results.len();
        for (deed, pid, ended, harm) in results {
            let theirs = pid.map_or_else(Findings::none, |pid| findings.of(pid));
            self.say(deed, tier, &judge(deed, deeds::promise(deed.name, tier), harm, &theirs, &ended))?;
        }
        Ok(left)
    }
}

/// What became of a deed that was watched.
fn judge(deed: &Deed, promise: Promise, harm: Option<String>, findings: &Findings, ended: &Ended) -> Line {
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
        Promise::Nothing(_) => matches!(outcome, Outcome::Stopped | Outcome::Noticed | Outcome::Missed),
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
