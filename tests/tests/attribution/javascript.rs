//! npm, pnpm, yarn and bun: one project that gets a package in each way.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pkgwarden_tests::{run, words};
use serde_json::{Value, json};

use crate::bench::{Bench, Job, commit, write};
use crate::table::Row;
use crate::way::{Truth, Way};

/// Where an owner's global packages are.
const PREFIX: &str = ".npm-global";

/// One of them.
pub(crate) struct Manager {
    name: &'static str,
    /// Its folder among the managers that were fetched.
    folder: &'static str,
    /// What it needs beside the manifest.
    configure: fn(&Path),
    /// Its install, in the project.
    install: &'static str,
    /// The same by the lockfile that it wrote, with nothing else left.
    locked: &'static str,
    /// The same for the user.
    global: Option<&'static str>,
    /// The same for one command.
    one_shot: Option<&'static str>,
    /// What a git dependency runs, and what it runs when the manager has it prepared in its cache.
    git: [&'static [&'static str]; 2],
}

const NPM: Manager = Manager {
    name: "npm 10",
    folder: "npm-10",
    configure: |_| {},
    install: "npm install",
    locked: "npm ci",
    global: Some("npm install --global global-pkg"),
    one_shot: Some("npx --yes oneshot-pkg"),
    git: [&["postinstall", "prepare"], &["postinstall", "prepare"]],
};

pub(crate) const MANAGERS: [Manager; 6] = [
    NPM,
    Manager { name: "npm 11", folder: "npm-11", ..NPM },
    Manager {
        name: "pnpm 12",
        folder: "pnpm",
        configure: |project| {
            let settings =
                "packages: ['packages/*']\ndangerouslyAllowAllBuilds: true\nminimumReleaseAge: 0\n";
            write(&project.join("pnpm-workspace.yaml"), settings);
        },
        install: "pnpm install",
        locked: "pnpm install --frozen-lockfile",
        global: Some("pnpm add --global --allow-build=global-pkg global-pkg"),
        one_shot: Some("pnpm dlx oneshot-pkg"),
        git: [&["postinstall", "prepare"], &["postinstall"]],
    },
    Manager {
        name: "yarn 1",
        folder: "yarn-1",
        configure: |_| {},
        install: "yarn install",
        locked: "yarn install --frozen-lockfile",
        global: Some("yarn global add global-pkg"),
        one_shot: None,
        git: [&["postinstall", "prepare"], &["postinstall"]],
    },
    Manager {
        name: "yarn 4",
        folder: "yarn-berry",
        configure: |project| {
            write(&project.join("yarn.lock"), "");
            write(&project.join(".yarnrc.yml"), "approvedGitRepositories: [\"**\"]\n");
        },
        install: "yarn install",
        locked: "yarn install --immutable",
        global: None,
        one_shot: Some("yarn dlx oneshot-pkg"),
        git: [&["postinstall"], &["postinstall"]],
    },
    Manager {
        name: "bun 1",
        folder: "bun",
        configure: |_| {},
        install: "bun install",
        locked: "bun install --frozen-lockfile",
        global: Some("bun add --global --trust global-pkg"),
        one_shot: Some("bunx oneshot-pkg"),
        git: [&["postinstall", "prepare"], &["postinstall", "prepare"]],
    },
];

/// What lies in the registry: name, version, dependencies, way.
const PUBLISHED: [(&str, &str, &str, Option<Way>); 8] = [
    ("direct-pkg", "1.2.3", "", Some(Way::Direct)),
    ("parent-pkg", "1.0.0", "nested-pkg", None),
    ("nested-pkg", "1.0.0", "", None),
    ("nested-pkg", "2.4.6", "", Some(Way::Nested)),
    ("@acme/scoped-pkg", "2.0.1", "", Some(Way::Scoped)),
    ("real-name", "3.2.1", "", Some(Way::Alias)),
    ("global-pkg", "4.0.0", "", Some(Way::Global)),
    ("oneshot-pkg", "5.0.2", "", None),
];

/// A world with a registry, a repository and a directory.
pub(crate) fn furnish() -> Bench {
    let mut bench = Bench::new();
    bench.world.internet_mut().npm(&[]);
    for (name, version, dependency, way) in PUBLISHED {
        let folder = bench.folder(&format!("published/{}-{version}", name.replace('/', "-")));
        let mut manifest = manifest(name, version, way);
        if !dependency.is_empty() {
            manifest["dependencies"] = json!({ dependency: "2.4.6" });
        }
        if name == "oneshot-pkg" {
            manifest["bin"] = json!({ "oneshot-pkg": "cli.js" });
            let read = "require('fs').readFileSync(process.env.HOME + '/.ssh/id_one-shot')";
            write(&folder.join("cli.js"), &format!("#!/usr/bin/env node\n{read}\n"));
        }
        write(&folder.join("package.json"), &manifest.to_string());
        bench.world.internet().publish_npm(&folder);
    }
    let repository = bench.folder("repository");
    let served = bench.folder("internet/git").join("from-git.git");
    let mut from_git = manifest("from-git", "0.3.0", Some(Way::Git));
    from_git["scripts"]["prepare"] = json!(format!("cat \"$HOME/{}\"", Way::Git.decoy()));
    write(&repository.join("package.json"), &from_git.to_string());
    commit(&repository);
    run(Command::new("git").args(["clone", "--quiet", "--bare"]).arg(&repository).arg(&served));
    run(Command::new("git").arg("update-server-info").current_dir(&served));
    let directory = bench.folder("somewhere");
    write(&directory.join("package.json"), &manifest("from-file", "0.7.0", Some(Way::File)).to_string());
    bench
}

fn manifest(name: &str, version: &str, way: Option<Way>) -> Value {
    let mut manifest = json!({ "name": name, "version": version, "license": "MIT" });
    if let Some(way) = way {
        manifest["scripts"] = json!({ "postinstall": format!("cat \"$HOME/{}\" > /dev/null", way.decoy()) });
    }
    manifest
}

impl Manager {
    /// What is said of each package, without a lockfile and with one.
    pub(crate) fn rows(&self, bench: &Bench) -> [Row; 2] {
        let prefix = bench.install(&format!("managers/{}", self.folder), PREFIX);
        let project = bench.folder(&format!("home/work/{}", self.folder));
        self.lay_out(&project);
        let watched = bench.watch(&job(bench, &prefix, self.install, &project));
        let mut row = Row::new(self.name).add(&self.truths(0), &watched);
        let elsewhere = bench.folder("home/elsewhere");
        if let Some(line) = self.global {
            let watched = bench.watch(&job(bench, &prefix, line, &elsewhere));
            row = row.add(&[npm(Way::Global, "global-pkg", "4.0.0", &["postinstall"])], &watched);
        }
        if let Some(line) = self.one_shot {
            let watched = bench.watch(&job(bench, &prefix, line, &elsewhere));
            row = row.add(&[npm(Way::OneShot, "oneshot-pkg", "5.0.2", &["oneshot-pkg"])], &watched);
        }
        for made in ["node_modules", "packages/member/node_modules", ".yarn", ".pnp.cjs"] {
            let made = project.join(made);
            if made.is_dir() { fs::remove_dir_all(&made) } else { fs::remove_file(&made) }.ok();
        }
        let watched = bench.watch(&job(bench, &prefix, self.locked, &project));
        let locked = Row::new(format!("{}, locked", self.name)).add(&self.truths(1), &watched);
        [row, locked]
    }

    fn lay_out(&self, project: &Path) {
        let manifest = json!({
            "name": "app", "version": "1.0.0", "private": true, "workspaces": ["packages/*"],
            "trustedDependencies": [
                "direct-pkg", "nested-pkg", "@acme/scoped-pkg", "from-git", "from-file", "aka", "real-name",
            ],
            "dependencies": {
                "direct-pkg": "1.2.3",
                "parent-pkg": "1.0.0",
                "nested-pkg": "1.0.0",
                "@acme/scoped-pkg": "2.0.1",
                "from-git": "git+https://forge.packages.example/from-git.git",
                "from-file": "file:../../../somewhere",
                "aka": "npm:real-name@3.2.1",
            },
        });
        write(&project.join("package.json"), &manifest.to_string());
        let member = self::manifest("ws-member", "0.4.0", Some(Way::Workspace));
        write(&project.join("packages/member/package.json"), &member.to_string());
        (self.configure)(project);
    }

    fn truths(&self, git: usize) -> [Truth; 7] {
        let script = &["postinstall"];
        [
            npm(Way::Direct, "direct-pkg", "1.2.3", script),
            npm(Way::Nested, "nested-pkg", "2.4.6", script),
            npm(Way::Scoped, "@acme/scoped-pkg", "2.0.1", script),
            npm(Way::Workspace, "ws-member", "0.4.0", script),
            npm(Way::Git, "from-git", "0.3.0", self.git[git]),
            npm(Way::File, "from-file", "0.7.0", script),
            npm(Way::Alias, "real-name", "3.2.1", script),
        ]
    }
}

fn npm(way: Way, name: &'static str, version: &'static str, scripts: &'static [&'static str]) -> Truth {
    Truth { way, ecosystem: "npm", name, version, scripts }
}

/// A command line whose program is the manager in the prefix.
pub(crate) fn job(bench: &Bench, prefix: &Path, line: &str, cwd: &Path) -> Job {
    let mut line = words(line);
    let program = match line[0].as_str() {
        name @ ("bun" | "bunx") => bun(bench, prefix, name),
        name => prefix.join("bin").join(name),
    };
    line[0] = program.display().to_string();
    let own = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(
        [
            program.parent().expect("a program in a directory").to_owned(),
            prefix.join("bin"),
            bench.world.home().path().join(".local/share/pnpm/bin"),
        ]
        .into_iter()
        .chain(std::env::split_paths(&own)),
    );
    let environment: Vec<(&str, OsString)> = vec![
        ("PATH", path.expect("a search path")),
        ("npm_config_prefix", prefix.into()),
        ("YARN_ENABLE_TELEMETRY", "0".into()),
        ("YARN_ENABLE_IMMUTABLE_INSTALLS", "0".into()),
        ("YARN_ENABLE_SCRIPTS", "1".into()),
        ("YARN_NPM_MINIMAL_AGE_GATE", "0".into()),
        ("YARN_NPM_REGISTRY_SERVER", "https://npm.packages.example".into()),
        ("PNPM_HOME", bench.world.home().path().join(".local/share/pnpm").into()),
    ];
    let mut job = Job { line, cwd: cwd.to_owned(), environment };
    if prefix.join("lib/node_modules/yarn").is_dir() {
        // For root, yarn 1 has these outside the home.
        let home = bench.world.home().path();
        job.environment.push(("YARN_CACHE_FOLDER", home.join(".cache/yarn").into()));
        job.environment.push(("YARN_GLOBAL_FOLDER", home.join(".config/yarn/global").into()));
    }
    job
}

/// bun's own installer puts it somewhere else.
fn bun(bench: &Bench, prefix: &Path, name: &str) -> PathBuf {
    let folder = bench.world.home().path().join(".bun/bin");
    if !folder.join("bun").exists() {
        fs::create_dir_all(&folder).expect("make a directory for bun");
        fs::copy(prefix.join("lib/node_modules/bun/bin/bun.exe"), folder.join("bun")).expect("copy bun");
        std::os::unix::fs::symlink("bun", folder.join("bunx")).expect("link bunx");
    }
    folder.join(name)
}
