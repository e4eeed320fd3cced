//! Honest installs from registries: real managers, real servers, by names and TLS. They work as ever, and there is
//! nothing to say about them.

use std::fs;
use std::path::Path;

use pkgwarden_tests::online::Online;
use pkgwarden_tests::online::names::{CRATES, FORGE, NPM, PYPI};
use pkgwarden_tests::online::place::Family;
use pkgwarden_tests::{Report, World, binary, deadline, words};

/// How the commands of a test are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    Bare,
    #[cfg_attr(not(feature = "network-by-name"), expect(dead_code, reason = "the watched halves are off"))]
    By(&'static [&'static str]),
}

/// What is promised to be silent.
#[cfg(feature = "network-by-name")]
const REGISTRY: &[&str] = &["--mode", "block", "--network", "registry"];
/// What is there without a choice.
#[cfg(feature = "network-by-name")]
const AUDIT: &[&str] = &["--mode", "audit"];

/// A machine with the registries of a test.
struct Machine {
    world: World,
    watch: Watch,
}

impl Machine {
    fn new(watch: Watch, family: Family) -> Self {
        Self { world: World::online(family), watch }
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.world.project().join(name);
        fs::create_dir_all(path.parent().expect("a file of the project")).expect("make a directory");
        fs::write(path, text).expect("write a file of the project");
    }

    fn manifest(&self, dependencies: &serde_json::Value) {
        let manifest = serde_json::json!({
            "name": "app", "version": "1.0.0", "private": true, "dependencies": dependencies,
        });
        self.write("package.json", &manifest.to_string());
    }

    fn crate_manifest(&self) {
        self.write(
            "Cargo.toml",
            "[package]\nname = \"app\"\nversion = \"1.0.0\"\nedition = \"2021\"\n\n\
             [dependencies]\ngood-crate = \"1.2\"\n",
        );
        self.write("src/main.rs", "fn main() {}\n");
    }

    /// Runs a command that must succeed, and about which there must be nothing to say.
    fn run(&self, line: &[String]) {
        let results = self.world.folder("results");
        let report = results.join("report.json");
        let mut whole = Vec::new();
        if let Watch::By(options) = self.watch {
            whole.extend([binary().display().to_string(), "run".to_owned()]);
            whole.extend(options.iter().copied().map(str::to_owned));
            whole.extend(["--report".to_owned(), report.display().to_string(), "--".to_owned()]);
        }
        whole.extend_from_slice(line);
        let program = self.world.program(&whole);
        let ended = self.world.enter(|| program.run(&results));
        assert_eq!(ended.code(), 0, "{line:?}: {}", ended.output());
        if self.watch != Watch::Bare {
            let report = Report::read(&report);
            assert!(report.processes > 0, "nothing was watched\n{}", ended.output());
            let loud: Vec<String> = report.at_least("medium").iter().map(|finding| finding.line()).collect();
            assert!(loud.is_empty(), "{}\n{}", loud.join("\n"), ended.output());
        }
    }

    fn npm(&self, line: &str) {
        self.run(&words(line));
    }

    fn has(&self, name: &str) -> bool {
        self.world.project().join(name).exists()
    }

    /// The command did not find what it wanted in some cache: the site was asked.
    fn assert_asked(&self, site: &str, path: &str) {
        let asked = deadline::until(deadline::SOON, || {
            let arrivals = self.world.internet().arrivals();
            arrivals.iter().any(|one| one.sni == site && one.status == 200 && one.line.contains(path))
        });
        assert!(asked, "{site} was not asked for {path}: {:?}", self.world.internet().arrivals());
    }
}

/// `npm install`, and `npm ci` from the lockfile that it wrote, with scripts that have a server of their own or want
/// something more from the registry.
fn npm(watch: Watch, family: Family) {
    let mut machine = Machine::new(watch, family);
    machine.world.internet_mut().npm(&["good-neighbour", "good-server", "good-fetch"]);
    machine.manifest(
        &serde_json::json!({ "good-neighbour": "^1.2.0", "good-server": "1.2.3", "good-fetch": "*" }),
    );
    for line in ["npm install", "npm ci"] {
        machine.npm(line);
        for proof in ["good-neighbour/build/options.json", "good-server/checked", "good-fetch/fetched"] {
            let proof = Path::new("node_modules").join(proof);
            assert!(machine.has(&proof.to_string_lossy()), "{line}: no {}", proof.display());
        }
        fs::remove_dir_all(machine.world.home().path().join(".npm")).expect("forget what npm has cached");
    }
    machine.assert_asked(NPM, "good-neighbour-1.2.3.tgz");
}

/// A dependency from a repository, by ssh with the user's key.
fn git_ssh(watch: Watch, family: Family) {
    let mut machine = Machine::new(watch, family);
    let (internet, home) = machine.world.internet_and_home();
    internet.forge(home, &["good-tools"]);
    let address = machine.world.internet().by_ssh("good-tools");
    machine.manifest(&serde_json::json!({ "good-tools": address }));
    machine.npm("npm install");
    assert!(machine.has("node_modules/good-tools/made.js"), "it was not prepared");
}

/// The same by HTTPS.
fn git_https(watch: Watch, family: Family) {
    let mut machine = Machine::new(watch, family);
    let (internet, home) = machine.world.internet_and_home();
    internet.forge(home, &["good-tools"]);
    let address = machine.world.internet().by_https("good-tools");
    machine.manifest(&serde_json::json!({ "good-tools": address }));
    machine.npm("npm install");
    assert!(machine.has("node_modules/good-tools/made.js"), "it was not prepared");
    machine.assert_asked(FORGE, "info/refs");
}

/// A source distribution, which is built.
fn pip(watch: Watch, family: Family) {
    let mut machine = Machine::new(watch, family);
    machine.world.internet_mut().pypi(&["good-wheel"]);
    machine.run(&words("pip install --no-cache-dir --target site good-wheel==1.2.3"));
    assert!(machine.has("site/good_wheel/__init__.py"), "it was not installed");
    machine.assert_asked(PYPI, "good_wheel-1.2.3.tar.gz");
}

/// The same by another installer.
fn uv(watch: Watch, family: Family) {
    let mut machine = Machine::new(watch, family);
    machine.world.internet_mut().pypi(&["good-wheel"]);
    let uv = machine.world.internet().uv(machine.world.home());
    let mut line = vec![uv.display().to_string()];
    line.extend(words("pip install --no-cache --python python3 --target site good-wheel==1.2.3"));
    machine.run(&line);
    assert!(machine.has("site/good_wheel/__init__.py"), "it was not installed");
    machine.assert_asked(PYPI, "good_wheel-1.2.3.tar.gz");
}

/// The index has more addresses than fit into a datagram.
fn cargo(watch: Watch, family: Family) {
    let mut machine = Machine::new(watch, family);
    machine.world.internet_mut().crates(&["good-crate"]);
    machine.crate_manifest();
    machine.run(&words("cargo fetch"));
    machine.run(&words("cargo build --offline"));
    assert!(machine.has("target/debug/app"), "it was not built");
    machine.assert_asked(CRATES, "/dl/good-crate/1.2.3/download");
}

/// Nobody has configured anything: managers go where their makers sent them.
fn as_shipped(watch: Watch, family: Family) {
    let mut machine = Machine { world: World::online_as_shipped(family), watch };
    let internet = machine.world.internet_mut();
    internet.npm(&["good-neighbour", "good-fetch"]);
    internet.pypi(&["good-wheel"]);
    internet.crates(&["good-crate"]);
    machine.manifest(&serde_json::json!({ "good-fetch": "1.2.3" }));
    machine.npm("npm install");
    assert!(machine.has("node_modules/good-fetch/fetched"), "it did not fetch");
    machine.run(&words("pip install --no-cache-dir --target site good-wheel==1.2.3"));
    machine.crate_manifest();
    machine.run(&words("cargo fetch"));
    let asked: Vec<String> =
        machine.world.internet().arrivals().into_iter().map(|arrival| arrival.sni).collect();
    for name in Online::shipped().filter(|name| !name.starts_with("files.")) {
        assert!(asked.iter().any(|sni| sni == name), "{name} was not asked: {asked:?}");
    }
}

/// Makes tests of each for both address families: `bare` always, and the watched halves when the feature
/// `network-by-name` is on.
macro_rules! honest {
    ($($name:ident, $family:ident => $install:expr;)+) => {$(
        mod $name {
            use super::*;

            #[test]
            #[ignore = "needs root and the servers"]
            fn bare() {
                $install(Watch::Bare, Family::$family);
            }

            #[cfg(feature = "network-by-name")]
            #[test]
            #[ignore = "needs root, the servers and the built binary"]
            fn registry() {
                $install(Watch::By(REGISTRY), Family::$family);
            }

            #[cfg(feature = "network-by-name")]
            #[test]
            #[ignore = "needs root, the servers and the built binary"]
            fn audit() {
                $install(Watch::By(AUDIT), Family::$family);
            }
        }
    )+};
}

honest! {
    npm_by_ipv4, V4 => npm;
    npm_by_ipv6, V6 => npm;
    npm_by_both, Both => npm;
    git_ssh_by_ipv4, V4 => git_ssh;
    git_ssh_by_ipv6, V6 => git_ssh;
    git_https_by_ipv4, V4 => git_https;
    git_https_by_ipv6, V6 => git_https;
    pip_by_ipv4, V4 => pip;
    pip_by_ipv6, V6 => pip;
    pip_by_both, Both => pip;
    uv_by_ipv4, V4 => uv;
    uv_by_ipv6, V6 => uv;
    cargo_by_ipv4, V4 => cargo;
    cargo_by_ipv6, V6 => cargo;
    cargo_by_both, Both => cargo;
    as_shipped_by_both, Both => as_shipped;
}
