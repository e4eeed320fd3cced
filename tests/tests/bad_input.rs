//! When protection cannot be had nothing is run, and one line says what is wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use pkgwarden_tests::{Ended, Program, Stage, World, binary};

/// Exit code for wrong usage or rules.
const USAGE: i32 = 2;
/// Exit code when protection could not be switched on.
const UNPROTECTED: i32 = 121;

/// Runs `pkgwarden run OPTIONS -- touch MARKER`.
fn run(world: &World, options: &[&str]) -> Ended {
    let (binary, marker) = (binary().display().to_string(), world.marker().display().to_string());
    let line: Vec<&str> = [binary.as_str(), "run"]
        .iter()
        .chain(options)
        .chain(&["--", "touch", marker.as_str()])
        .copied()
        .collect();
    let program = world.program(&line);
    world.namespace().enter(|| program.run(&world.folder("results")))
}

/// Nothing was run, and the complaint is one error that has these words in it.
fn assert_refused(world: &World, ended: &Ended, codes: &[i32], words: &[&str]) {
    assert!(codes.contains(&ended.code()), "{}", ended.output());
    assert!(!world.marker().exists(), "the command was run\n{}", ended.output());
    assert!(ended.stdout.is_empty(), "{}", ended.output());
    let complaint = String::from_utf8_lossy(&ended.stderr).into_owned();
    for word in words {
        assert!(complaint.contains(word), "{word:?} is not in the complaint\n{}", ended.output());
    }
    assert!(!complaint.contains("panicked"), "{}", ended.output());
    let errors = complaint.lines().filter(|line| line.trim_start().to_lowercase().starts_with("error"));
    assert!(errors.count() <= 1, "more than one error\n{}", ended.output());
}

fn refuses_rules(name: &str, text: &[u8], words: &[&str]) {
    let world = World::new();
    let folder = world.folder("rules");
    fs::write(folder.join(name), text).expect("write a rule file");
    let ended = run(&world, &["--rules", &folder.display().to_string()]);
    assert_refused(&world, &ended, &[USAGE], words);
}

const RULE: &str = "rules:
  - id: LOCAL-001
    title: something is read
    severity: high
    when: { actor: script, does: read, object: things }
    then: deny
    why: because
";
const OBJECT: &str = "objects:
  things: { title: things, files: [\"/things/*\"] }
";

#[test]
#[ignore = "needs root and the built binary"]
fn rules_that_are_right() {
    let world = World::new();
    let folder = world.folder("rules");
    fs::write(folder.join("local.yaml"), format!("{OBJECT}{RULE}")).expect("write a rule file");
    let ended = run(&world, &["--rules", &folder.display().to_string()]);
    assert_eq!(ended.code(), 0, "{}", ended.output());
    assert!(world.marker().exists(), "{}", ended.output());
}

#[test]
#[ignore = "needs root and the built binary"]
fn rules_folder_that_is_missing() {
    let world = World::new();
    let ended = run(&world, &["--rules", "/nowhere/rules"]);
    assert_refused(&world, &ended, &[USAGE], &["/nowhere/rules"]);
}

#[test]
#[ignore = "needs root and the built binary"]
fn rules_folder_that_is_a_loop() {
    let world = World::new();
    let path = world.folder("results").join("loop");
    std::os::unix::fs::symlink(&path, &path).expect("make a loop");
    let ended = run(&world, &["--rules", &path.display().to_string()]);
    assert_refused(&world, &ended, &[USAGE], &["loop"]);
}

#[test]
#[ignore = "needs root and the built binary"]
fn unknown_key() {
    let text = format!("{OBJECT}{}", RULE.replace("then:", "than:"));
    refuses_rules("local.yaml", text.as_bytes(), &["local.yaml", "than"]);
}

#[test]
#[ignore = "needs root and the built binary"]
fn wrong_type() {
    let text = format!("{OBJECT}{}", RULE.replace("severity: high", "severity: 7"));
    refuses_rules("local.yaml", text.as_bytes(), &["local.yaml"]);
}

#[test]
#[ignore = "needs root and the built binary"]
fn duplicate_id() {
    let second = RULE.replace("rules:\n", "");
    refuses_rules("local.yaml", format!("{OBJECT}{RULE}{second}").as_bytes(), &["LOCAL-001"]);
}

#[test]
#[ignore = "needs root and the built binary"]
fn unknown_object() {
    refuses_rules("local.yaml", RULE.as_bytes(), &["local.yaml", "things"]);
}

#[test]
#[ignore = "needs root and the built binary"]
fn impossible_glob() {
    let text = format!("{}{RULE}", OBJECT.replace("/things/*", "/things/[a-"));
    refuses_rules("local.yaml", text.as_bytes(), &["/things/[a-"]);
}

#[test]
#[ignore = "needs root and the built binary"]
fn rules_that_are_not_text() {
    refuses_rules("local.yaml", b"rules: \xff\xfe\n", &["local.yaml"]);
}

#[test]
#[ignore = "needs root and the built binary"]
fn rules_that_are_too_much() {
    let text = vec![b'#'; 100 * 1024 * 1024];
    refuses_rules("local.yaml", &text, &["local.yaml"]);
}

#[test]
#[ignore = "needs root and the built binary"]
fn unknown_option() {
    let world = World::new();
    assert_refused(&world, &run(&world, &["--modes", "block"]), &[USAGE], &["--modes"]);
    assert_refused(&world, &run(&world, &["--mode", "blok"]), &[USAGE], &["blok"]);
    assert_refused(&world, &run(&world, &["--tier", "best"]), &[USAGE], &["best"]);
}

#[test]
#[ignore = "needs root and the built binary"]
fn no_command() {
    let world = World::new();
    let line = [binary().display().to_string(), "run".to_owned()];
    let ended = world.program(&line).run(&world.folder("results"));
    assert_eq!(ended.code(), USAGE, "{}", ended.output());
}

#[test]
#[ignore = "needs root and the built binary"]
fn report_that_cannot_be_written() {
    let world = World::new();
    let ended = run(&world, &["--report", "/nowhere/report.json"]);
    assert_refused(&world, &ended, &[USAGE, UNPROTECTED], &["/nowhere/report.json"]);
}

/// Somebody without rights, and a copy of the binary that is in their reach.
struct Nobody {
    world: World,
    folder: tempfile::TempDir,
}

impl Nobody {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("make a directory");
        let copy = folder.path().join("pkgwarden");
        fs::copy(binary(), &copy).expect("copy the binary");
        for (path, mode) in [(folder.path(), 0o777), (copy.as_path(), 0o755)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("open it to everybody");
        }
        Self { world: World::new(), folder }
    }

    fn run(&self, options: &[&str]) -> Ended {
        let (place, marker) = (self.folder.path(), self.marker());
        let binary = place.join("pkgwarden").display().to_string();
        let marker = marker.display().to_string();
        let become_nobody =
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary.as_str(), "run"];
        let line: Vec<&str> =
            become_nobody.iter().chain(options).chain(&["--", "touch", marker.as_str()]).copied().collect();
        let program = Program::new(&line, Stage { home: place, cwd: place, tmp: place });
        self.world.namespace().enter(|| program.run(&self.world.folder("results")))
    }

    fn marker(&self) -> std::path::PathBuf {
        Path::new(self.folder.path()).join("marker")
    }
}

#[test]
#[ignore = "needs root and the built binary"]
fn not_root() {
    let nobody = Nobody::new();
    let ended = nobody.run(&[]);
    assert!(!nobody.marker().exists(), "the command was run\n{}", ended.output());
    assert_refused(&nobody.world, &ended, &[UNPROTECTED], &["sudo"]);
}

#[test]
#[ignore = "needs root and the built binary"]
fn not_root_but_told_to_go_on() {
    let nobody = Nobody::new();
    let ended = nobody.run(&["--allow-unprotected"]);
    assert_eq!(ended.code(), 0, "{}", ended.output());
    assert!(nobody.marker().exists(), "the command was not run\n{}", ended.output());
    let complaint = String::from_utf8_lossy(&ended.stderr).to_lowercase();
    assert!(
        complaint.contains("unprotected") || complaint.contains("without protection"),
        "{}",
        ended.output()
    );
}
