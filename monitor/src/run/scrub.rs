//! Secrets in the environment: what the command does not need, it does not get.
//!
//! A script inherits its manager's environment, and no rule can be about that: nothing is opened to read it. So variables
//! with the name of a secret are withheld from the whole command, but for those that its manager needs. What is kept for the
//! manager its scripts can see, too.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::rule::RuleSet;
use crate::rule::syntax::Manager;
use crate::rule::variable::List;

/// What becomes of the variables with names of secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Those that the command does not get.
    pub withheld: Vec<OsString>,
    /// Those that it gets because a file of a manager refers to them: name and file.
    pub referenced: Vec<(String, PathBuf)>,
}

/// Why variables are kept.
#[derive(Debug)]
pub struct Needs<'a> {
    /// The command.
    pub command: &'a [OsString],
    /// What files of managers refer to.
    pub references: &'a BTreeMap<String, PathBuf>,
    /// What the user names.
    pub kept: &'a [String],
}

/// Sorts out the variables called `names`.
pub fn scrub(set: &RuleSet, names: impl Iterator<Item = OsString>, needs: &Needs) -> Scrubbed {
    let secrets = List::new(&set.environment);
    let manager = manager(set, needs.command);
    let own = List::new(manager.map_or(&[], |manager| &manager.environment.variables));
    let mut scrubbed = Scrubbed::default();
    for name in names {
        // A name that is no text is none that a manager reads; its visible part says what it is.
        let text = name.to_string_lossy();
        if !secrets.has(&text) || own.has(&text) || needs.kept.iter().any(|kept| **kept == *text) {
            continue;
        }
        match needs.references.get(text.as_ref()) {
            Some(file) => scrubbed.referenced.push((text.into_owned(), file.clone())),
            None => scrubbed.withheld.push(name),
        }
    }
    scrubbed.withheld.sort();
    scrubbed.referenced.sort();
    scrubbed
}

/// The manager that a command line starts, by the name that it is typed by.
fn manager<'a>(set: &'a RuleSet, command: &[OsString]) -> Option<&'a Manager> {
    let program = base(command.first()?);
    let module = || {
        let at = command.iter().position(|word| word == "-m")?;
        Some(base(command.get(at + 1)?))
    };
    let typed =
        if program.starts_with("python") || program.starts_with("pypy") { module()? } else { program };
    let typed = typed.trim_end_matches(|character: char| character.is_ascii_digit() || character == '.');
    set.managers.values().find(|manager| manager.environment.commands.iter().any(|known| known == typed))
}

fn base(word: &OsStr) -> String {
    std::path::Path::new(word).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::load::load;

    fn withheld(command: &[&str], kept: &[&str], names: &[&str]) -> Vec<String> {
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        let kept: Vec<String> = kept.iter().map(|name| (*name).to_owned()).collect();
        let references = BTreeMap::from([("NPM_TOKEN".to_owned(), PathBuf::from("/home/ann/.npmrc"))]);
        let needs = Needs { command: &command, references: &references, kept: &kept };
        let scrubbed = scrub(&load(&[]).unwrap(), names.iter().map(OsString::from), &needs);
        scrubbed.withheld.into_iter().map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn secrets_go_and_everything_else_stays() {
        let secrets = [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AZURE_CLIENT_SECRET",
            "GITHUB_TOKEN",
            "GH_TOKEN",
            "ACTIONS_RUNTIME_TOKEN",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            "NODE_AUTH_TOKEN",
            "CI_JOB_TOKEN",
            "GITLAB_PRIVATE_TOKEN",
            "PYPI_PASSWORD",
            "TWINE_PASSWORD",
            "CARGO_REGISTRY_TOKEN",
            "GEM_HOST_API_KEY",
            "DOCKER_PASSWORD",
            "OPENAI_API_KEY",
            "ANTHROPIC_API_KEY",
            "STRIPE_SECRET_KEY",
            "SLACK_WEBHOOK_URL",
            "DATABASE_URL",
            "SENTRY_DSN",
            "VAULT_TOKEN",
            "DB_PASS",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "npm_config__authToken",
            "PIP_INDEX_URL",
            "HF_TOKEN",
            "SNYK_TOKEN",
        ];
        let mut expected = secrets.to_vec();
        expected.sort_unstable();
        assert_eq!(withheld(&["make"], &[], &secrets), expected);
        let plain = [
            "PATH",
            "HOME",
            "PWD",
            "OLDPWD",
            "LANG",
            "TERM",
            "SSH_AUTH_SOCK",
            "SSH_ASKPASS",
            "GIT_ASKPASS",
            "HTTP_PROXY",
            "XDG_SESSION_ID",
            "NODE_OPTIONS",
            "npm_config_cache",
            "CARGO_HOME",
            "GITHUB_ENV",
            "GITHUB_ACTIONS",
            "AWS_REGION",
            "TOKENIZERS_PARALLELISM",
            "KEYBOARD",
            "PYTHONPATH",
            "CI",
            "DBUS_SESSION_BUS_ADDRESS",
            "GPG_TTY",
            "KUBECONFIG",
            "RUSTFLAGS",
            "PKGWARDEN_RULES",
            "XAUTHORITY",
            "SHELL",
            "LS_COLORS",
        ];
        assert_eq!(withheld(&["make"], &[], &plain), [""; 0]);
    }

    #[test]
    fn what_the_manager_needs_is_kept() {
        let names = ["NPM_TOKEN", "CARGO_REGISTRIES_OURS_TOKEN", "PIP_INDEX_URL", "GITHUB_TOKEN"];
        let rest = |gone: &[&str]| -> Vec<String> { gone.iter().map(|name| (*name).to_owned()).collect() };
        for (command, gone) in [
            (&["npm", "ci"][..], &["CARGO_REGISTRIES_OURS_TOKEN", "GITHUB_TOKEN", "PIP_INDEX_URL"][..]),
            (&["/usr/bin/cargo", "build"], &["GITHUB_TOKEN", "PIP_INDEX_URL"]),
            (&["pip3.13", "install", "x"], &["CARGO_REGISTRIES_OURS_TOKEN", "GITHUB_TOKEN"]),
            (&["python3", "-m", "pip", "install"], &["CARGO_REGISTRIES_OURS_TOKEN", "GITHUB_TOKEN"]),
        ] {
            assert_eq!(withheld(command, &[], &names), rest(gone), "{command:?}");
        }
        let kept = withheld(&["make"], &["GITHUB_TOKEN"], &names);
        assert_eq!(kept, rest(&["CARGO_REGISTRIES_OURS_TOKEN", "PIP_INDEX_URL"]));
    }
}
