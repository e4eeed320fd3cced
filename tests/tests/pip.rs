//! Python packages that do harm while they are built, or whenever python starts afterwards.

use std::fs;

use pkgwarden_tests::online::place::Family;
use pkgwarden_tests::{Ended, Harm, Install, Scenario, World, emulate, sdist, words};

emulate! {
    /// The build backend reads the upload token: the shortest way.
    upload_token => Scenario::pip("evil-backend").harm(Harm::Leak).rule("PW-CRED-").ancestors(&["python"]);

    /// E7: many secrets, by way of openssl, tar and curl.
    packed_with_tar => Scenario::pip("evil-tar").harm(Harm::Leak).rule("PW-CRED-").ancestors(&["python", "python"]);

    /// E6, first half: a wheel brings a file that python runs whenever it starts.
    start_file => Scenario::new(Install::Other(None, wheel_with_start_file))
        .harm(Harm::Changed("project/venv/lib/python/site-packages/zz-setup.pth"))
        .rule("PW-AUTO-")
        .only_told();

    /// E6, second half: python starts, and the file steals.
    python_start => Scenario::new(Install::Other(None, infected_python)).harm(Harm::Leak).rule("PW-CRED-");

    /// The same, and the thief has a name.
    python_start_by_name => Scenario::new(Install::Other(None, infected_python))
        .online(Family::Both)
        .env("THIEF", "collect.thief.example")
        .harm(Harm::Leak)
        .rule("PW-CRED-")
        .later_rule("PW-NET-");
}

/// A virtual environment in the project; where its packages are does not depend on python's version.
fn environment(world: &World) {
    must(world, &words("python3 -m venv --without-pip venv"));
    let library = world.project().join("venv/lib");
    let versioned =
        fs::read_dir(&library).expect("list the library").next().expect("a version").expect("its name");
    std::os::unix::fs::symlink(versioned.file_name(), library.join("python")).expect("give it a fixed name");
}

/// A wheel, already built; installing it runs none of its code.
fn wheel_with_start_file(world: &mut World) -> Vec<String> {
    environment(world);
    let dist = world.folder("dist");
    let source = sdist("evil-pth", &dist).display().to_string();
    let mut line = words("pip wheel --no-index --no-build-isolation --wheel-dir wheels");
    line.push(source);
    must(world, &line);
    words("pip --python venv/bin/python install --no-index --find-links wheels evil-pth==1.2.3")
}

fn infected_python(world: &mut World) -> Vec<String> {
    let install = wheel_with_start_file(world);
    must(world, &install);
    words("venv/bin/python -c pass")
}

/// Runs a step of the preparation, unwatched.
fn must(world: &World, line: &[String]) -> Ended {
    let program = world.program(line);
    let ended = world.namespace().enter(|| program.run(&world.folder("preparation")));
    assert!(ended.status.success(), "{line:?}: {}", ended.output());
    ended
}
