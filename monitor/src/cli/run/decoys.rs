//! `--decoys`.

use std::path::Path;

use clap::Args;
use monitor_common::action::Action;
use monitor_common::policy::identity::ActorKind;
use monitor_common::policy::{MAX_GROUPS, Past, Query};

use crate::policy::Policy;
use crate::policy::evaluate::{Judge, slot, verdict};
use crate::rule::RuleSet;
use crate::rule::syntax::Verdict;
use crate::run::decoys::{self, Planted};
use crate::run::user::Invoker;

/// The object of the rules that stands for what is planted.
const OBJECT: &str = "decoys";

/// Credentials that are made up for the run.
#[derive(Debug, Args)]
pub(super) struct DecoyArgs {
    /// Plant made-up credentials for the run where there are none; whoever reads one has given himself away
    #[arg(long, env = "PKGWARDEN_DECOYS")]
    decoys: bool,
}

impl DecoyArgs {
    /// Tidies up after runs that died. Then, if decoys are wanted, plants them, and lets the rules know of them.
    pub(super) fn plant(
        &self,
        invoker: &Invoker,
        set: &mut RuleSet,
        policy: &Policy,
    ) -> anyhow::Result<Option<Planted>> {
        let state = decoys::state(invoker);
        for complaint in decoys::tidy(&state) {
            anstream::eprintln!("pkgwarden: {complaint}");
        }
        if !self.decoys {
            return Ok(None);
        }
        let planted = decoys::plant(invoker, &state, |path| suits(policy, path))?;
        let paths = planted.paths();
        if paths.is_empty() {
            anyhow::bail!("no decoy can be planted in {}: every place is taken", invoker.home.display());
        }
        let Some(object) = set.objects.get_mut(OBJECT) else {
            anyhow::bail!("the rules have no object `{OBJECT}`, so that nobody would see who reads a decoy");
        };
        object.files = paths.iter().filter_map(|path| path.to_str()).map(escaped).collect();
        if object.files.len() != paths.len() {
            anyhow::bail!("no decoy can be planted in a home whose name is no text");
        }
        Ok(Some(planted))
    }
}

/// May read every key, and opens those only that it is told of or that have the names it knows; a decoy has another.
const SSH: &str = "tool:ssh";

/// Whether the rules call it a secret, and nobody may read it: a manager or tool that looks there by itself would take the
/// decoy for its configuration, and what somebody may read is no trap.
fn suits(policy: &Policy, path: &Path) -> bool {
    let group = policy.file_group(path.as_os_str().as_encoded_bytes());
    let is_secret = policy
        .names
        .group(group)
        .iter()
        .any(|object| policy.names.objects.get(object).is_some_and(|object| object.secret.is_some()));
    let mut groups = [0; MAX_GROUPS];
    groups[slot::PATH] = group;
    let may = |actor: usize| {
        let Ok(actor) = u8::try_from(actor) else { return true };
        let query = Query { actor, action: Action::Read, groups, past: Past::default() };
        let decision = Judge::new(policy).judge(&query);
        decision.rank == 0 || verdict(&decision) == Verdict::Allow
    };
    let known = |actor: &usize| {
        policy.names.actors.get(*actor).is_none_or(|name| name != SSH)
            && policy
                .actors
                .get(*actor)
                .is_some_and(|actor| ActorKind::ALL.iter().any(|kind| *kind as u8 == actor.kind))
    };
    is_secret && !(1..policy.actors.len()).filter(known).any(may)
}

/// A path as a pattern of itself.
fn escaped(path: &str) -> String {
    let mut pattern = String::new();
    for character in path.chars() {
        if matches!(character, '*' | '?' | '[' | '{' | '}' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::policy::Environment;
    use crate::policy::glob::{Subject, parse};
    use crate::rule::load::load;

    #[test]
    fn decoys_are_where_the_rules_call_it_a_secret_and_nobody_looks() {
        let home = PathBuf::from("/home/ann");
        let environment = Environment { homes: vec![home.clone()], ..Environment::default() };
        let policy = Policy::compile(&load(&[]).unwrap(), &environment).unwrap();
        for place in decoys::places() {
            assert!(suits(&policy, &home.join(place)), "{place}");
        }
        for place in
            [".npmrc", ".git-credentials", ".netrc", ".cargo/credentials.toml", ".bashrc", "x", ".ssh/config"]
        {
            assert!(!suits(&policy, &home.join(place)), "{place}");
        }
    }

    #[test]
    fn a_path_is_a_pattern_of_itself() {
        for path in ["/home/ann/.aws/credentials", "/home/a[n]*{n},?/x"] {
            let entry = parse(&escaped(path), Subject::File).unwrap();
            assert_eq!(entry.patterns.len(), 1, "{path}");
        }
    }
}
