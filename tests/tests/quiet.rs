//! Packages that do nothing wrong, without any registry; alone, and beside one that does.

use std::fs;

use pkgwarden_tests::{Harm, Install, Scenario, Subject, VERSION, Watch, World, deed, emulate, npm, words};

/// Installs in block mode: it must succeed, and nothing may be found.
fn assert_quiet(scenario: Scenario, proof: &str) {
    let outcome = scenario.spares_command().run(Watch::Block);
    outcome.assert_exit().assert_harm();
    let proof = outcome.world().project().join(proof);
    assert!(proof.exists(), "there is no {}\n{}", proof.display(), outcome.story());
    let loud = outcome.report().at_least("low");
    assert!(loud.is_empty(), "{}", outcome.story());
}

#[test]
#[ignore = "needs root and the built binary"]
fn install_script() {
    assert_quiet(Scenario::npm("good-neighbour"), "node_modules/good-neighbour/build/options.json");
}

#[test]
#[ignore = "needs root and the built binary"]
fn build_backend() {
    assert_quiet(Scenario::pip("good-wheel"), "site/good_wheel/__init__.py");
}

/// A process may look at its own environment.
#[test]
#[ignore = "needs root and the built binary"]
fn own_environment() {
    let outcome = Scenario::npm("own-environ").harm(Harm::Marker).spares_command().run(Watch::Block);
    outcome.assert_harm().assert_exit();
    assert!(outcome.report().at_least("medium").is_empty(), "{}", outcome.story());
}

/// A command that is no package manager.
#[test]
#[ignore = "needs root and the built binary"]
fn plain_command() {
    let command = Install::Other(None, |_| words("sh -c env>environment"));
    assert_quiet(Scenario::new(command), "environment");
}

emulate! {
    /// The innocent neighbour of a thief is not named.
    neighbours => Scenario::new(Install::Other(Some(THIEF), neighbours_project))
        .harm(Harm::Leak)
        .rule("PW-")
        .script("postinstall");

    /// A strange program is held to the same rules as an install script.
    strange_program => Scenario::new(Install::Other(None, strange_program)).harm(Harm::Leak).rule("PW-CRED-");
}

const THIEF: Subject = Subject { ecosystem: "npm", name: "evil-npmrc" };

fn neighbours_project(world: &mut World) -> Vec<String> {
    let tarball = |name: &str| format!("file:{}", npm(name, &world.folder(name)).display());
    let manifest = serde_json::json!({
        "name": "victim",
        "version": VERSION,
        "dependencies": { THIEF.name: tarball(THIEF.name), "good-neighbour": tarball("good-neighbour") },
    });
    fs::write(world.project().join("package.json"), manifest.to_string()).expect("write the manifest");
    words("npm install --offline")
}

fn strange_program(world: &mut World) -> Vec<String> {
    let program = world.project().join("strange");
    fs::copy(deed(), &program).expect("copy the deed program");
    vec![program.display().to_string(), "post".to_owned(), "../.ssh/id_ed25519".to_owned()]
}
