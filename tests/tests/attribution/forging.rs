//! Packages that say they are another: by their manifest, by their environment, by where they go. They are named by what
//! was installed, and that they said otherwise is a finding.

use std::fs;
use std::io::Write as _;
use std::process::Command;

use pkgwarden_tests::{deadline, run, words};
use serde_json::{Value, json};

use crate::bench::{Bench, Job, Told, Watched, write};
use crate::javascript;
use crate::python;

/// The rule about names.
const CLAIM: &str = "PW-NAME-001";

/// What pretends, in the shell: variables as npm sets them, the directory of the victim, another program name.
const PRETEND: &str = "export npm_package_name=innocent npm_package_version=9.9.9 npm_lifecycle_event=test; \
                       cd ../innocent || cd /; exec -a innocent cat \"$HOME/.ssh/id_direct\" > /dev/null";

/// The registry serves it as `forger`, and what is inside says `innocent`.
pub(crate) fn npm() {
    let mut bench = Bench::new();
    bench.world.internet_mut().npm(&[]);
    let innocent = bench.folder("published/innocent");
    write(&innocent.join("package.json"), &json!({ "name": "innocent", "version": "9.9.9" }).to_string());
    bench.world.internet().publish_npm(&innocent);
    put_up(&bench);
    for folder in ["npm-10", "npm-11", "pnpm", "yarn-1", "yarn-berry", "bun"] {
        let prefix = bench.install(&format!("managers/{folder}"), ".npm-global");
        let project = bench.folder(&format!("home/work/{folder}"));
        let manifest = json!({
            "name": "app", "version": "1.0.0", "private": true, "trustedDependencies": ["forger"],
            "dependencies": { "forger": "1.2.3", "innocent": "9.9.9" },
        });
        write(&project.join("package.json"), &manifest.to_string());
        write(
            &project.join("pnpm-workspace.yaml"),
            "dangerouslyAllowAllBuilds: true\nminimumReleaseAge: 0\n",
        );
        let line = match folder {
            "pnpm" => "pnpm install",
            "yarn-1" => "yarn install",
            "yarn-berry" => {
                // Else the project is taken for an old one.
                write(&project.join("yarn.lock"), "");
                "yarn install"
            }
            "bun" => "bun install",
            _ => "npm install",
        };
        let watched = bench.watch(&javascript::job(&bench, &prefix, line, &project));
        named(&watched, "forger", "innocent");
    }
}

/// Publishes what npm itself would refuse to: a document and an archive that disagree.
fn put_up(bench: &Bench) {
    let staging = bench.folder("published/forger");
    let inside = json!({
        "name": "innocent", "version": "1.2.3", "dependencies": { "innocent": "9.9.9" },
        "scripts": { "postinstall": format!("bash -c '{PRETEND}'") },
    });
    write(&staging.join("package/package.json"), &inside.to_string());
    let archive = staging.join("forger-1.2.3.tgz");
    run(Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(&staging).arg("package"));
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).arg(&archive).output().expect("start a helper");
        String::from_utf8_lossy(&output.stdout).split_whitespace().next().unwrap_or_default().to_owned()
    };
    let outside = json!({
        "name": "forger", "version": "1.2.3", "hasInstallScript": true, "scripts": inside["scripts"],
        "dependencies": inside["dependencies"],
        "dist": {
            "shasum": said("sha1sum", &[]),
            "tarball": "https://npm.packages.example/forger/-/forger-1.2.3.tgz",
        },
    });
    let document = json!({
        "_id": "forger", "name": "forger", "dist-tags": { "latest": "1.2.3" }, "versions": { "1.2.3": outside },
        "_attachments": { "forger-1.2.3.tgz": {
            "content_type": "application/octet-stream",
            "data": said("base64", &["--wrap=0"]),
            "length": fs::metadata(&archive).expect("look at the archive").len(),
        } },
    });
    let file = staging.join("document.json");
    write(&file, &document.to_string());
    let mut put = Command::new("curl");
    put.args(["--silent", "--fail", "-X", "PUT", "-H", "Content-Type: application/json"]);
    put.args(["-H", "Authorization: Bearer anybody", "--data-binary"]).arg(format!("@{}", file.display()));
    put.arg("http://127.0.0.1:4873/forger");
    bench.world.internet().internet().enter(|| run(&mut put));
}

/// Source distributions whose metadata names another package.
pub(crate) fn python() {
    let mut bench = Bench::new();
    bench.world.internet_mut().pypi(&[]);
    let staging = bench.folder("published");
    python::source(&staging.join("forger-1.2.3"), "innocent", "1.2.3", "", Some(crate::way::Way::Direct));
    python::publish(&bench, &staging, "forger-1.2.3");
    let job = |line: &str, project: &str| Job {
        line: words(line),
        cwd: bench.folder(&format!("home/work/{project}")),
        environment: Vec::new(),
    };
    named(
        &bench.watch(&job("pip install --no-cache-dir --target site forger==1.2.3", "pip")),
        "forger",
        "innocent",
    );
    let uv = python::installed_uv(&bench, "uv").display().to_string();
    let line = format!("{uv} pip install --python python3 --target site forger==1.2.3");
    named(&bench.watch(&job(&line, "uv")), "forger", "innocent");
}

/// Whoever read the decoy is told by its true name, and that it claims another one is told once for each script.
fn named(watched: &Watched, truth: &str, claim: &str) {
    let told = watched.told(".ssh/id_direct");
    let story = || format!("{told:#?}\n{}", watched.ended.output());
    assert!(!told.is_empty(), "nothing was read\n{}", story());
    for Told { name, version, .. } in &told {
        assert_eq!((name.as_str(), version.as_str()), (truth, "1.2.3"), "{}", story());
    }
    let claims: Vec<&Value> = watched.events.iter().filter(|event| event["rule"] == CLAIM).collect();
    assert!(!claims.is_empty(), "no finding about the name\n{}", story());
    for event in claims {
        assert_eq!(event["package"]["name"], truth, "{}", story());
        assert_eq!(event["package"]["claims"], claim, "{}", story());
    }
}

/// Lockfiles and names that are traps: what is installed is told, and nothing is lost.
pub(crate) fn bad_input() {
    let bench = Bench::new();
    let prefix = bench.install("managers/npm-11", ".npm-global");
    let cat = format!("cat \"$HOME/{}\"", crate::way::Way::Direct.decoy());
    for (number, lockfile) in [
        "{\"lockfileVersion\": 3, \"packages\": {\"packages/odd\": {\"version\": \"1.0.",
        "\u{0}\u{1}\u{fffd}",
        "[[[[[[[[",
    ]
    .into_iter()
    .map(str::to_owned)
    // 50 MB, of which all is true.
    .chain([format!(
        "{{\"name\": \"app\", \"lockfileVersion\": 3, \"packages\": {{{}\"z\": {{}}}}}}",
        format!("\"node_modules/{}\": {{\"version\": \"1.0.0\", \"dev\": true}},", "x".repeat(60))
            .repeat(500_000)
    )])
    .enumerate()
    {
        let project = bench.folder(&format!("home/work/{number}"));
        let name = "odd\u{1b}[31m\u{202e}name";
        let member = json!({ "name": name, "version": "1.0.0\u{7}", "scripts": { "postinstall": cat } });
        write(&project.join("node_modules/odd/package.json"), &member.to_string());
        write(&project.join("package-lock.json"), &lockfile);
        // A circle, and a link to nowhere.
        std::os::unix::fs::symlink("circle", project.join("node_modules/circle")).expect("make a link");
        std::os::unix::fs::symlink("../..", project.join("node_modules/odd/up")).expect("make a link");
        write(&project.join("package.json"), "{ broken");
        let line = format!("npm explore odd -- {cat}");
        let mut job = javascript::job(&bench, &prefix, "npm explore odd --", &project);
        job.line.push(cat.clone());
        let watched = bench.watch(&job);
        let told = watched.told(".ssh/id_direct");
        assert!(
            !told.is_empty(),
            "{line} with lockfile {number}: nothing was told\n{}",
            watched.ended.output()
        );
        for Told { name, .. } in &told {
            assert_eq!(name, "odd", "{told:#?}");
        }
        let all = watched.ended.output();
        assert!(
            !all.contains(['\u{1b}', '\u{202e}', '\u{7}']),
            "a control character on the terminal: {all:?}"
        );
        assert!(!all.contains("panicked"), "{all}");
        let lost = &watched.events.last().expect("an end")["lost"];
        assert!(lost.as_object().is_none_or(serde_json::Map::is_empty), "{lost}");
    }
}

/// 200 scripts that are all running at the same moment, each of another package.
pub(crate) fn crowd() {
    const SIZE: usize = 200;
    let bench = Bench::new();
    let prefix = bench.install("managers/pnpm", ".npm-global");
    let home = bench.world.home().path().to_owned();
    let (project, arrived) = (bench.folder("home/work/crowd"), bench.folder("home/arrived"));
    let gate = home.join("gate");
    run(Command::new("mkfifo").arg(&gate));
    let mut dependencies = serde_json::Map::new();
    for number in 0..SIZE {
        write(&home.join(format!(".ssh/id_crowd_{number}")), "a decoy\n");
        let script = format!(
            ": > \"$HOME/arrived/{number}\"; dd bs=1 count=1 if=\"$HOME/gate\" of=/dev/null 2> /dev/null; cat \"$HOME/.ssh/id_crowd_{number}\" > /dev/null"
        );
        let manifest = json!({
            "name": format!("crowd-{number}"), "version": format!("1.0.{number}"), "scripts": { "install": script },
        });
        write(&bench.folder(&format!("crowd/{number}")).join("package.json"), &manifest.to_string());
        dependencies.insert(format!("crowd-{number}"), json!(format!("file:../../../crowd/{number}")));
    }
    let manifest = json!({ "name": "app", "version": "1.0.0", "dependencies": dependencies });
    write(&project.join("package.json"), &manifest.to_string());
    let settings = format!("dangerouslyAllowAllBuilds: true\nchildConcurrency: {SIZE}\n");
    write(&project.join("pnpm-workspace.yaml"), &settings);
    let job = javascript::job(&bench, &prefix, "pnpm install --offline", &project);
    // Both ends of it, so that nobody waits for the other.
    let mut keeper = fs::OpenOptions::new().read(true).write(true).open(&gate).expect("open the gate");
    let (watched, together) = std::thread::scope(|scope| {
        let opener = scope.spawn(|| {
            let all = || fs::read_dir(&arrived).map_or(0, Iterator::count) == SIZE;
            let together = deadline::until(deadline::INSTALL, all);
            // One byte lets one pass.
            keeper.write_all(&[b'x'; SIZE]).expect("open the gate for everybody");
            together
        });
        (bench.watch(&job), opener.join().expect("the thread at the gate"))
    });
    assert!(together, "they were not there at the same time\n{}", watched.ended.output());
    for number in 0..SIZE {
        let told: Vec<Told> = watched.told(&format!(".ssh/id_crowd_{number}")).into_iter().collect();
        let [Told { name, version, script, .. }] = &told[..] else {
            panic!("{number}: {told:#?}\n{}", watched.ended.output());
        };
        let expected = (format!("crowd-{number}"), format!("1.0.{number}"), "install".to_owned());
        assert_eq!((name, version, script), (&expected.0, &expected.1, &expected.2));
    }
}
