//! `cargo xtask run`: a command under pkgwarden, as if pkgwarden had been called itself.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::workspace::{Missing, without_cargo_environment, without_chosen_toolchain};
use crate::{build, privilege};

const WHY_ROOT: &str = "pkgwarden loads programs into the kernel";

/// Everything behind `run`, for the help text and for a usage error.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Options of `pkgwarden run`, then `--` and the command.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true,
        value_name = "[OPTIONS OF pkgwarden run] -- COMMAND"
    )]
    _words: Vec<OsString>,
}

/// Builds, then becomes `pkgwarden run`: terminal, signals and exit code are its own.
pub(crate) fn run(_: &Arguments) -> Result<()> {
    // The parser eats the first `--`, so the words are taken as they came: ours, `run`, then these.
    let words = with_separator(&env::args_os().skip(2).collect::<Vec<_>>())?;
    privilege::ensure(WHY_ROOT)?;
    let program = build::build()?;
    let mut command = privilege::as_root(program.as_os_str(), WHY_ROOT)?;
    command.arg("run").args(words);
    without_cargo_environment(&mut command);
    without_chosen_toolchain(&mut command);
    Err(command.exec()).with_context(|| format!("cannot start {}", program.display()))
}

/// The words of `pkgwarden run`: a command may also be given without `--`, if no option comes before it.
fn with_separator(words: &[OsString]) -> Result<Vec<OsString>> {
    if words.iter().skip_while(|word| *word != "--").nth(1).is_some() {
        return Ok(words.to_vec());
    }
    if words.first().is_some_and(|word| !word.as_encoded_bytes().starts_with(b"-")) {
        return Ok([&["--".into()], words].concat());
    }
    let mend = "cargo xtask run -- npm install left-pad".into();
    Err(Missing { piece: "a command behind `--`".into(), mend }.into())
}

#[cfg(test)]
mod tests {
    use super::with_separator;

    fn words(line: &[&str]) -> Option<Vec<String>> {
        let line: Vec<_> = line.iter().map(Into::into).collect();
        let words = with_separator(&line).ok()?;
        Some(words.iter().map(|word| word.to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn keeps_the_command_as_it_was_given() {
        assert_eq!(
            words(&["--", "npm", "install", "--", "-x"]).unwrap(),
            ["--", "npm", "install", "--", "-x"]
        );
        assert_eq!(words(&["npm", "install"]).unwrap(), ["--", "npm", "install"]);
        assert_eq!(words(&["--mode", "audit", "--", "npm"]).unwrap(), ["--mode", "audit", "--", "npm"]);
        assert_eq!(words(&["--", "-odd"]).unwrap(), ["--", "-odd"]);
    }

    #[test]
    fn refuses_options_without_a_command() {
        assert_eq!(words(&["--mode", "audit"]), None);
        assert_eq!(words(&["--mode", "audit", "--"]), None);
        assert_eq!(words(&[]), None);
    }
}
