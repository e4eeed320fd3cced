//! Packages that do harm in their install scripts: `npm install` of a project that depends on one.

use std::fs;
use std::process::Command;

use pkgwarden_tests::{Harm, Install, Scenario, Subject, World, deed, emulate, run, words};

emulate! {
    /// E1: the registry token.
    npmrc_thief => Scenario::npm("evil-npmrc").harm(Harm::Leak).rule("PW-CRED-").script("postinstall").ancestors(&["node"]);

    /// E2: a second stage from a bare address, left running.
    second_stage => Scenario::npm("evil-drop")
        .prepare(|world| world.sink().serve("/ld.py", stage(&world.marker().display().to_string())))
        .harm(Harm::Contact("203.0.113.7:8000"))
        .harm(Harm::Marker)
        .rule("PW-EXEC-003")
        .later_rule("PW-NET-002")
        .script("postinstall")
        .ancestors(&["node"]);

    /// E3: a runtime of its own that outlives the install and steals afterwards.
    own_runtime => Scenario::npm("evil-runtime")
        .prepare(|world| world.sink().serve("/runtime", fs::read(deed()).expect("read the deed program")))
        .harm(Harm::Leak)
        .rule("PW-KERN-001")
        .later_rule("PW-CRED-")
        .script("preinstall");

    /// E4: no install script at all, only a build description.
    phantom_gyp => Scenario::npm("evil-gyp").harm(Harm::Leak).rule("PW-CRED-").ancestors(&["sh", "python", "node"]);

    /// E5: a git dependency that steals while npm prepares it; optional, so the install succeeds all the same.
    git_prepare => Scenario::new(Install::Other(Some(GIT), git_dependency))
        .harm(Harm::Leak)
        .rule("PW-CRED-")
        .script("prepare")
        .spares_command();

    /// E12: everything in one process, many kinds of secrets.
    harvest => Scenario::npm("evil-harvest").harm(Harm::Leak).rule("PW-CRED-").script("postinstall");

    /// E18: a copy of a program, hidden in the directory for temporary files.
    hidden_daemon => Scenario::npm("evil-sshd")
        .prepare(|world| world.litter(format!("/tmp/.sshd-{}", world.id()).as_ref()))
        .harm(Harm::Marker)
        .rule("PW-")
        .spares_command();
}

/// E13: tools the user trusts, with their safety off.
mod assistants {
    use super::*;

    fn scenario(variant: &'static str, rule: &'static str) -> Scenario {
        let fake = |world: &mut World| {
            for name in ["claude", "gemini", "gh"] {
                world.fake(name, "#!/bin/sh\necho \"$@\" > \"$HOME/harm\"\n");
            }
        };
        let scenario = Scenario::npm("evil-assistant").env("VARIANT", variant).prepare(fake);
        scenario.harm(Harm::Marker).rule(rule).script("postinstall")
    }

    emulate! {
        claude => scenario("claude", "PW-EXEC-011");
        gemini => scenario("gemini", "PW-EXEC-011");
        token_printer => scenario("gh", "PW-EXEC-031");
    }
}

const GIT: Subject = Subject { ecosystem: "npm", name: "evil-git" };

/// A repository on disk, and a project for which it is an optional dependency.
fn git_dependency(world: &mut World) -> Vec<String> {
    let repository = world.folder("repository");
    pkgwarden_tests::copy("npm", GIT.name, &repository);
    for arguments in
        ["init --quiet", "add .", "-c user.name=x -c user.email=x@decoy.invalid commit --quiet -m x"]
    {
        run(Command::new("git").args(words(arguments)).current_dir(&repository).env_clear().envs(path()));
    }
    let manifest = serde_json::json!({
        "name": "victim",
        "version": "1.0.0",
        "optionalDependencies": { GIT.name: format!("git+file://{}", repository.display()) },
    });
    fs::write(world.project().join("package.json"), manifest.to_string()).expect("write the manifest");
    words("npm install")
}

fn path() -> Option<(&'static str, std::ffi::OsString)> {
    Some(("PATH", std::env::var_os("PATH")?))
}

/// A second stage in python that writes the marker.
fn stage(marker: &str) -> Vec<u8> {
    format!("open({marker:?}, 'w').write('done')\n").into_bytes()
}
