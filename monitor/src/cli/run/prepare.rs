//! What a run needs before anything is switched on: rules, the secrets they are about, decoys, the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::RunOptions;
use crate::cli::{variables, with_references};
use crate::policy::{Environment, Policy};
use crate::rule::Problems;
use crate::rule::load::load;
use crate::run::decoys::Planted;
use crate::run::secrets;
use crate::run::starter;
use crate::run::user::Invoker;

/// All of it.
pub(super) struct Prepared {
    pub(super) policy: Policy,
    pub(super) secrets: secrets::Found,
    /// Removed when dropped.
    pub(super) decoys: Option<Planted>,
}

/// Reads the rules, plants decoys, and decides what of the environment is withheld. With `observing` the rules also tell of
/// what no rule is about.
///
/// # Errors
/// Outside, what is no matter of rules; inside, what is wrong with the rules.
pub(super) fn prepare(
    args: &RunOptions,
    command: &[OsString],
    observing: bool,
    invoker: &mut Invoker,
) -> anyhow::Result<Result<Prepared, Problems>> {
    let compile = if observing { Policy::compile_observing } else { Policy::compile };
    let (environment, references) = environment(invoker)?;
    let compiled = load(&args.rules).and_then(|set| {
        let started_by =
            starter::told(&args.started_by, &set).map_err(|problem| set.explain(vec![problem]))?;
        let theirs = started_by.iter().find_map(|name| set.starters.get(name)?.network);
        let network = args.network.or(set.network).or(theirs).unwrap_or_default();
        let policy = compile(&set, &Environment { network, started_by, ..environment })?;
        Ok((set, policy))
    });
    let (mut set, mut policy) = match compiled {
        Ok(compiled) => compiled,
        Err(problems) => return Ok(Err(problems)),
    };
    let decoys = args.decoys.plant(invoker, &mut set, &policy)?;
    if decoys.is_some() {
        // With the places of the decoys.
        policy = match compile(&set, &policy.environment) {
            Ok(policy) => policy,
            Err(problems) => return Ok(Err(problems)),
        };
    }
    invoker.withheld = args.environment.withheld(&set, args.mode, command, &references);
    let secrets = secrets::find(&set, &policy);
    Ok(Ok(Prepared { policy, secrets, decoys }))
}

/// What the patterns of the rules stand for on this machine, and the variables that files of managers refer to.
fn environment(invoker: &Invoker) -> anyhow::Result<(Environment, BTreeMap<String, PathBuf>)> {
    let mut variables = variables();
    variables.insert("HOME".to_owned(), invoker.home.to_string_lossy().into_owned());
    Ok(with_references(Environment::of_machine(&std::env::current_dir()?, variables)))
}
