//! One attack: what is installed, what harm it does, what must be found.

use crate::harm::Harm;
use crate::install::Install;
use crate::online::place::Family;
use crate::outcome::Outcome;
use crate::program::binary;
use crate::world::World;

/// A recipe; every run of it makes a world of its own.
#[derive(Clone, Debug)]
#[must_use]
pub struct Scenario {
    pub(crate) install: Install,
    pub(crate) harms: Vec<Harm>,
    pub(crate) rules: Vec<&'static str>,
    pub(crate) later_rules: Vec<&'static str>,
    pub(crate) ancestors: Vec<&'static str>,
    pub(crate) script: Option<&'static str>,
    pub(crate) exit: i32,
    pub(crate) spares_command: bool,
    only_told: bool,
    online: Option<Family>,
    network: Option<&'static str>,
    token: Option<&'static str>,
    variables: Vec<(&'static str, &'static str)>,
    preparations: Vec<fn(&mut World)>,
}

/// How a scenario is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Without pkgwarden.
    Bare,
    /// Under `pkgwarden run --mode audit`.
    Audit,
    /// Under `pkgwarden run --mode block`.
    Block,
}

impl Scenario {
    /// A scenario around an install.
    pub fn new(install: Install) -> Self {
        Self {
            install,
            harms: Vec::new(),
            rules: Vec::new(),
            later_rules: Vec::new(),
            ancestors: Vec::new(),
            script: None,
            exit: 0,
            spares_command: false,
            only_told: false,
            online: None,
            network: None,
            token: None,
            variables: Vec::new(),
            preparations: Vec::new(),
        }
    }

    /// `npm install` of a project that depends on this package.
    pub fn npm(package: &'static str) -> Self {
        Self::new(Install::Npm(package))
    }

    /// `pip install` of this package from source.
    pub fn pip(package: &'static str) -> Self {
        Self::new(Install::Pip(package))
    }

    /// `cargo build` of a project that depends on this crate.
    pub fn cargo(package: &'static str) -> Self {
        Self::new(Install::Cargo(package))
    }

    /// It does this harm, bare and in audit mode.
    pub fn harm(mut self, harm: Harm) -> Self {
        self.harms.push(harm);
        self
    }

    /// Rules whose names begin like this find it, once each; at least one of them.
    pub fn rule(mut self, prefix: &'static str) -> Self {
        self.rules.push(prefix);
        self
    }

    /// So do these, but only where nothing stops it before it gets there: in audit mode.
    pub fn later_rule(mut self, prefix: &'static str) -> Self {
        self.later_rules.push(prefix);
        self
    }

    /// The ancestry of each finding shows these programs in this order, nearest first.
    pub fn ancestors(mut self, names: &[&'static str]) -> Self {
        self.ancestors = names.to_vec();
        self
    }

    /// Findings name this install script.
    pub fn script(mut self, name: &'static str) -> Self {
        self.script = Some(name);
        self
    }

    /// The command's exit code when nothing interferes; 0 if not said.
    pub fn exits(mut self, code: i32) -> Self {
        self.exit = code;
        self
    }

    /// The command succeeds even if the package is stopped: the package is optional, or does not mind.
    pub fn spares_command(mut self) -> Self {
        self.spares_command = true;
        self
    }

    /// The rules only tell of it: in block mode it goes on all the same.
    pub fn only_told(mut self) -> Self {
        self.only_told = true;
        self.spares_command = true;
        self
    }

    /// In a world with an internet, where names have addresses of this family.
    pub fn online(mut self, family: Family) -> Self {
        self.online = Some(family);
        self
    }

    /// Watched runs have this `--network`.
    pub fn network(mut self, choice: &'static str) -> Self {
        self.network = Some(choice);
        self
    }

    /// A variable in the command's environment that holds a secret of the world's.
    pub fn token(mut self, variable: &'static str) -> Self {
        self.token = Some(variable);
        self
    }

    /// A variable in the command's environment, to choose a variant.
    pub fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    /// Something to be done to the world before the run.
    pub fn prepare(mut self, act: fn(&mut World)) -> Self {
        self.preparations.push(act);
        self
    }

    /// Runs it.
    #[must_use]
    pub fn run(self, watch: Watch) -> Outcome {
        let mut world = self.online.map_or_else(World::new, World::online);
        for act in &self.preparations {
            act(&mut world);
        }
        let command = self.install.lay_out(&mut world);
        let before = self.harms.iter().map(|harm| harm.before(&world)).collect();
        let results = world.folder("results");
        let mut line = watch.prefix(&results, &self.options());
        line.extend(command);
        let program = world.program(&line);
        let program = self.variables.iter().fold(program, |program, (name, value)| program.env(name, value));
        let token = self.token.map(|variable| (variable, world.entrust(variable)));
        let program = token.iter().fold(program, |program, (name, value)| program.env(name, value));
        let ended = world.enter(|| program.run(&results));
        Outcome::new(self, watch, world, ended, before)
    }

    /// Options of watched runs, beyond those that all have.
    fn options(&self) -> Vec<String> {
        let network = self.network.map(|choice| ["--network", choice]);
        // Whoever has a token to lose is about what leaves, and must have got it.
        let token = self.token.map(|_| ["--scrub-env", "off"]);
        network.into_iter().chain(token).flatten().map(str::to_owned).collect()
    }

    /// Bare, the harm must happen: this is what shows that the other two can fail.
    pub fn check_bare(self) {
        self.run(Watch::Bare).assert_harm().assert_exit();
    }

    /// In block mode none of it happens (unless the rules only tell), the findings say why, and nobody is left.
    pub fn check_block(self) {
        let only_told = self.only_told;
        let outcome = self.run(Watch::Block);
        if only_told {
            outcome.assert_harm();
        } else {
            outcome.assert_no_harm();
        }
        outcome.assert_nobody_left().assert_found().assert_exit();
    }

    /// In audit mode everything happens, and the findings are the same.
    pub fn check_audit(self) {
        self.run(Watch::Audit).assert_harm().assert_found().assert_exit();
    }
}

impl Watch {
    fn prefix(self, results: &std::path::Path, more: &[String]) -> Vec<String> {
        let mode = match self {
            Self::Bare => return Vec::new(),
            Self::Audit => "audit",
            Self::Block => "block",
        };
        let file = |name: &str| results.join(name).display().to_string();
        let binary = binary().display().to_string();
        let options =
            ["run", "--mode", mode, "--events", &file("events.jsonl"), "--report", &file("report.json")];
        let end = ["--".to_owned()];
        let options = options.map(str::to_owned).into_iter().chain(more.iter().cloned()).chain(end);
        std::iter::once(binary).chain(options).collect()
    }
}

/// Makes three tests of each scenario: `bare`, `block` and `audit`.
#[macro_export]
macro_rules! emulate {
    ($($(#[$doc:meta])* $name:ident => $scenario:expr;)+) => {$(
        $(#[$doc])*
        mod $name {
            use super::*;

            #[test]
            #[ignore = "needs root and the built binary"]
            fn bare() {
                $scenario.check_bare();
            }

            #[test]
            #[ignore = "needs root and the built binary"]
            fn block() {
                $scenario.check_block();
            }

            #[test]
            #[ignore = "needs root and the built binary"]
            fn audit() {
                $scenario.check_audit();
            }
        }
    )+};
}

/// Like [`emulate`], for what needs the network by name: `bare` always, and the watched halves when the feature
/// `network-by-name` is on.
#[macro_export]
macro_rules! emulate_by_name {
    ($($(#[$doc:meta])* $name:ident => $scenario:expr;)+) => {$(
        $(#[$doc])*
        mod $name {
            use super::*;

            #[test]
            #[ignore = "needs root and the servers"]
            fn bare() {
                $scenario.check_bare();
            }

            #[cfg(feature = "network-by-name")]
            #[test]
            #[ignore = "needs root, the servers and the built binary"]
            fn block() {
                $scenario.check_block();
            }

            #[cfg(feature = "network-by-name")]
            #[test]
            #[ignore = "needs root, the servers and the built binary"]
            fn audit() {
                $scenario.check_audit();
            }
        }
    )+};
}
