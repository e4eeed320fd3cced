//! Honest packages with much to do at install time. Nothing about them may be worth a warning.
//!
//! They come from their registries once, watched if the watched half runs first, and then from `target/e2e-cache`.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use pkgwarden_tests::deadline::COMPILE;
use pkgwarden_tests::{Ended, Program, Report, World, binary, copy, run, words, workspace};

/// What is kept between runs.
fn cache(name: &str) -> PathBuf {
    let path = workspace().join("target/e2e-cache").join(name);
    fs::create_dir_all(&path).expect("make a directory for what registries give");
    path
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Watch {
    Bare,
    Block,
}

/// A world in which commands are run one after the other, all bare or all watched.
struct Stage {
    world: World,
    watch: Watch,
}

impl Stage {
    fn new(watch: Watch) -> Self {
        Self { world: World::new(), watch }
    }

    /// Runs a command that must succeed, and about which there must be nothing to say.
    fn run(&self, line: &[String], variables: &[(&str, &str)]) {
        let results = self.world.folder("results");
        let report = results.join("report.json");
        let mut whole = Vec::new();
        if self.watch == Watch::Block {
            whole.push(binary().display().to_string());
            whole.extend(words("run --mode block --report"));
            whole.extend([report.display().to_string(), "--".to_owned()]);
        }
        whole.extend_from_slice(line);
        let program = self.program(&whole);
        let program = variables.iter().fold(program, |program, (name, value)| program.env(name, value));
        let ended = program.within(COMPILE).run(&results);
        assert_eq!(ended.code(), 0, "{line:?}: {}", ended.output());
        if self.watch == Watch::Block {
            assert_silent(&Report::read(&report), &ended);
        }
    }

    fn program(&self, line: &[String]) -> Program {
        let program = self.world.program(line).env("npm_config_cache", cache("npm"));
        program.env("PIP_CACHE_DIR", cache("pip")).env("CARGO_HOME", cache("cargo"))
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.world.project().join(name), text).expect("write a file of the project");
    }

    /// Whether there is a file in the project whose path begins like this.
    fn has(&self, name: &str) -> bool {
        let path = self.world.project().join(name);
        let (Some(folder), Some(stem)) = (path.parent(), path.file_name()) else {
            return false;
        };
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name()).any(|name| name.as_bytes().starts_with(stem.as_bytes()))
    }
}

/// Silence means something only where somebody listened: a package manager and its children were watched.
fn assert_silent(report: &Report, ended: &Ended) {
    assert!(report.processes > 1, "nothing was watched\n{}", ended.output());
    assert_eq!(report.mode, "block");
    let loud: Vec<String> = report.at_least("medium").iter().map(|finding| finding.line()).collect();
    assert!(loud.is_empty(), "{}\n{}", loud.join("\n"), ended.output());
}

fn npm(watch: Watch, package: &str, proof: &str) {
    let stage = Stage::new(watch);
    stage.write("package.json", "{\"name\":\"app\",\"version\":\"1.0.0\",\"private\":true}");
    let mut line = words("npm install --prefer-offline");
    line.push(package.to_owned());
    stage.run(&line, &[("npm_config_build_from_source", "true")]);
    assert!(stage.has(proof), "{package} was not built: there is no {proof}");
}

/// The root project's own script, which writes into its git folder.
fn husky(watch: Watch) {
    let stage = Stage::new(watch);
    run(Command::new("git").args(["init", "--quiet"]).current_dir(stage.world.project()));
    let manifest = "{\"name\":\"app\",\"version\":\"1.0.0\",\"private\":true,\"scripts\":{\"prepare\":\"husky\"},\
                    \"devDependencies\":{\"husky\":\"9.1.7\"}}";
    stage.write("package.json", manifest);
    stage.run(&words("npm install --prefer-offline"), &[]);
    assert!(stage.has(".husky/_/pre-commit"), "husky did not run");
}

fn pip(watch: Watch, package: &str, proof: &str) {
    static FETCHING: Mutex<()> = Mutex::new(());
    let stage = Stage::new(watch);
    let sources = cache("sources");
    let fetching = FETCHING.lock();
    let complete = sources.join("complete");
    if !complete.exists() {
        let folder = sources.display();
        let wanted = "markupsafe==3.0.2 pyyaml==6.0.2";
        stage.run(&words(&format!("pip download --no-binary markupsafe,pyyaml -d {folder} {wanted}")), &[]);
        stage.run(&words(&format!("pip download -d {folder} setuptools wheel cython")), &[]);
        fs::write(complete, "").expect("note that everything is there");
    }
    drop(fetching);
    let folder = sources.display();
    let line =
        format!("pip install --no-cache-dir --no-index --find-links {folder} --no-binary markupsafe,pyyaml");
    stage.run(&words(&format!("{line} --target site {package}")), &[]);
    assert!(stage.has(proof), "{package} was not installed: there is no {proof}");
}

fn cargo(watch: Watch, package: &str) {
    let stage = Stage::new(watch);
    copy("cargo", "native", &stage.world.project());
    stage.run(&words(&format!("cargo build --locked --features {package}")), &[]);
    assert!(stage.has("target/debug/native"), "nothing was built");
}

/// Makes two tests of each: `block`, which comes first and so sees the registry, and `unwatched`.
macro_rules! benign {
    ($($name:ident => $run:expr;)+) => {$(
        mod $name {
            use super::*;

            #[test]
            #[ignore = "needs root, the built binary and, once, the registries"]
            fn block() {
                $run(Watch::Block);
            }

            #[test]
            #[ignore = "needs root, the built binary and, once, the registries"]
            fn unwatched() {
                $run(Watch::Bare);
            }
        }
    )+};
}

benign! {
    bufferutil => |watch| npm(watch, "bufferutil@4.1.0", "node_modules/bufferutil/build/Release/bufferutil.node");
    core_js => |watch| npm(watch, "core-js@3.51.0", "node_modules/core-js/package.json");
    esbuild => |watch| npm(watch, "esbuild@0.28.2", "node_modules/esbuild/bin/esbuild");
    husky_prepare => husky;
    libsqlite3_sys => |watch| cargo(watch, "libsqlite3-sys");
    libz_sys => |watch| cargo(watch, "libz-sys");
    markupsafe => |watch| pip(watch, "markupsafe==3.0.2", "site/markupsafe/_speedups.cpython");
    pyyaml => |watch| pip(watch, "pyyaml==6.0.2", "site/yaml/__init__.py");
    ring => |watch| cargo(watch, "ring");
}
