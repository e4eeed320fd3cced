//! Secrets in the environment: a script does not get what its manager does not need, and the manager gets what it needs.

use std::fs;

use pkgwarden_tests::{Ended, Install, World, binary, words};

/// The variable of these tests.
const VARIABLE: &str = "CI_TOKEN";

/// A world with a secret in the environment, after a command was run in it.
struct Run {
    world: World,
    secret: String,
    ended: Ended,
}

impl Run {
    /// Runs a command: bare, or under `pkgwarden run` with these options.
    fn of(options: Option<&[&str]>, lay_out: impl Fn(&mut World) -> Vec<String>) -> Self {
        let mut world = World::new();
        let command = lay_out(&mut world);
        let secret = world.entrust(VARIABLE);
        let mut line = Vec::new();
        if let Some(options) = options {
            line.extend([binary().display().to_string(), "run".to_owned()]);
            line.extend(options.iter().map(|word| (*word).to_owned()));
            line.push("--".to_owned());
        }
        line.extend(command);
        let program = world.program(&line).env(VARIABLE, &secret);
        let ended = world.enter(|| program.run(&world.folder("results")));
        world.settle();
        Self { world, secret, ended }
    }

    /// Whether the secret was sent to the sink.
    fn leaked(&self) -> bool {
        self.world.sink().leaked(self.world.home().secrets()).is_some()
    }

    fn stderr(&self) -> String {
        let text = String::from_utf8_lossy(&self.ended.stderr).into_owned();
        assert!(!text.contains(&self.secret), "the value is shown\n{text}");
        text
    }
}

fn install(world: &mut World) -> Vec<String> {
    Install::Npm("evil-variables").lay_out(world)
}

mod script {
    use super::*;

    #[test]
    #[ignore = "needs npm"]
    fn bare() {
        let run = Run::of(None, install);
        assert!(run.leaked(), "{}", run.ended.output());
    }

    #[test]
    #[ignore = "needs root and the built binary"]
    fn watched() {
        let run = Run::of(Some(&[]), install);
        assert!(!run.leaked(), "{}", run.ended.output());
        assert!(run.world.project().join("node_modules/evil-variables").is_dir(), "{}", run.ended.output());
        let told = |line: &str| line.contains("withheld from the command: ") && line.contains(VARIABLE);
        assert!(run.stderr().lines().any(told), "{}", run.ended.output());
    }

    #[test]
    #[ignore = "needs root and the built binary"]
    fn watched_and_kept() {
        for options in [&["--keep-env", VARIABLE][..], &["--scrub-env", "off"], &["--mode", "audit"]] {
            let run = Run::of(Some(options), install);
            assert!(run.leaked(), "{options:?}\n{}", run.ended.output());
            assert!(!run.stderr().contains(VARIABLE), "{options:?}\n{}", run.ended.output());
        }
    }
}

/// npm asks a registry that wants a token, which its configuration takes from the environment.
mod registry {
    use super::*;

    fn ask(world: &mut World) -> Vec<String> {
        let settings = "registry=http://127.0.0.1:8443/\n//127.0.0.1:8443/:_authToken=${CI_TOKEN}\n";
        fs::write(world.project().join(".npmrc"), settings).expect("write the settings of the project");
        words("npm view left-pad --fetch-retries=0")
    }

    #[test]
    #[ignore = "needs npm"]
    fn bare() {
        let run = Run::of(None, ask);
        assert!(run.leaked(), "{}", run.ended.output());
    }

    #[test]
    #[ignore = "needs root and the built binary"]
    fn watched() {
        let run = Run::of(Some(&[]), ask);
        assert!(run.leaked(), "the registry did not get its token\n{}", run.ended.output());
        let file = run.world.project().join(".npmrc");
        let told = format!("kept, and scripts can see it: CI_TOKEN, for {}", file.display());
        assert!(run.stderr().contains(&told), "{}", run.ended.output());
    }
}
