//! `--scrub-env` and `--keep-env`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use monitor_common::verdict::Mode;

use crate::report::layout::{Screen, plain};
use crate::rule::RuleSet;
use crate::run::scrub::{Needs, Scrubbed, scrub};

/// The most names that are shown.
const SHOWN: usize = 12;

/// What the command gets to see of the environment.
#[derive(Debug, Args)]
pub(super) struct EnvironmentArgs {
    /// Withhold variables with the names of secrets from the command; without it in block mode
    #[arg(long, value_enum, value_name = "WHETHER", env = "PKGWARDEN_SCRUB_ENV")]
    scrub_env: Option<Whether>,
    /// A variable that the command gets all the same (repeatable)
    #[arg(long, value_name = "NAME", env = "PKGWARDEN_KEEP_ENV", value_delimiter = ',')]
    keep_env: Vec<String>,
}

/// Whether something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Whether {
    On,
    Off,
}

impl EnvironmentArgs {
    /// Names of the variables to withhold; says which on standard error.
    pub(super) fn withheld(
        &self,
        set: &RuleSet,
        mode: Mode,
        command: &[OsString],
        references: &BTreeMap<String, PathBuf>,
    ) -> Vec<OsString> {
        let on = self.scrub_env.map_or(mode == Mode::Block, |whether| whether == Whether::On);
        if !on {
            return Vec::new();
        }
        let names = std::env::vars_os().map(|(name, _)| name);
        let scrubbed = scrub(set, names, &Needs { command, references, kept: &self.keep_env });
        if let Some(line) = line(&scrubbed) {
            anstream::eprintln!("pkgwarden: {line}");
        }
        scrubbed.withheld
    }
}

/// What is said of it, names only; nothing if there is nothing to say.
fn line(scrubbed: &Scrubbed) -> Option<String> {
    let Scrubbed { withheld, referenced } = scrubbed;
    let mut parts = Vec::new();
    if !withheld.is_empty() {
        let mut names: Vec<String> = withheld
            .iter()
            .take(SHOWN)
            .map(|name| plain(&name.to_string_lossy().escape_debug().to_string(), Screen::default()))
            .collect();
        if withheld.len() > SHOWN {
            names.push(format!("{} more", withheld.len() - SHOWN));
        }
        let many = if withheld.len() == 1 { "variable" } else { "variables" };
        parts.push(format!(
            "{} {many} withheld from the command: {} (--keep-env NAME keeps one)",
            withheld.len(),
            names.join(", ")
        ));
    }
    if !referenced.is_empty() {
        let shown: Vec<String> = referenced
            .iter()
            .take(SHOWN)
            .map(|(name, file)| format!("{name}, for {}", file.display().to_string().escape_debug()))
            .collect();
        parts.push(format!("kept, and scripts can see it: {}", shown.join("; ")));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_and_nothing_else() {
        let mut scrubbed = Scrubbed::default();
        assert_eq!(line(&scrubbed), None);
        scrubbed.withheld = vec!["A_TOKEN".into()];
        assert_eq!(
            line(&scrubbed).unwrap(),
            "1 variable withheld from the command: A_TOKEN (--keep-env NAME keeps one)"
        );
        scrubbed.withheld = (0..14).map(|number| format!("T{number}\n_TOKEN").into()).collect();
        scrubbed.referenced = vec![("NPM_TOKEN".into(), "/p/.npmrc".into())];
        let line = line(&scrubbed).unwrap();
        assert!(line.starts_with("14 variables withheld from the command: T0\\n_TOKEN, "), "{line}");
        assert!(line.ends_with(
            ", 2 more (--keep-env NAME keeps one); kept, and scripts can see it: NPM_TOKEN, for /p/.npmrc"
        ));
    }
}
