//! What is wrong with rule files is said once, at its place, with the next step.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use monitor::rule::load::{MAX_FILE_BYTES, load_only};
use monitor::rule::syntax::Network;

/// A rules folder with one file.
fn folder(name: &str, content: impl AsRef<[u8]>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join(name), content).expect("a file in it");
    folder
}

/// Everything that is wrong with the folder, as a terminal without colours shows it. The folder itself is called DIR.
fn shown(folder: &Path) -> String {
    let problems = load_only(&[folder.to_owned()]).expect_err("the rules are wrong");
    let text = problems.render(false).replace(folder.to_str().expect("a plain name"), "DIR");
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// One line for each problem: place, sentence, hint.
fn said(folder: &Path) -> Vec<String> {
    let problems = load_only(&[folder.to_owned()]).expect_err("the rules are wrong");
    let text = problems.to_string().replace(folder.to_str().expect("a plain name"), "DIR");
    text.lines().map(str::to_owned).collect()
}

const RULE: &str = "
rules:
  - id: R-1
    title: a title
    severity: high
    when: { actor: script, does: read, object: keys }
    then: deny
    why: a reason
objects:
  keys: { files: [\"~/.ssh/id_*\"] }
";

#[test]
fn a_sound_file_is_read() {
    let folder = folder("a.yaml", RULE);
    fs::create_dir(folder.path().join("more")).unwrap();
    fs::write(folder.path().join("more/empty.yaml"), "# nothing yet\n").unwrap();
    fs::write(folder.path().join("README.md"), "not a rule").unwrap();
    let set = load_only(&[folder.path().to_owned()]).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(set.rules.len(), 1);
    assert_eq!(set.objects.len(), 1);
}

#[test]
fn an_unknown_key_is_shown_with_the_nearest() {
    let folder = folder("a.yaml", "objects:\n  keys:\n    fils: [\"/etc/shadow\"]\n");
    assert_eq!(
        shown(folder.path()),
        "\
× unknown key `fils`
   ╭─[DIR/a.yaml:3:5]
 2 │   keys:
 3 │     fils: [\"/etc/shadow\"]
   ·     ────
   ╰────
  help: did you mean `files`?"
    );
}

#[test]
fn an_impossible_glob_is_shown_where_it_stands() {
    let folder = folder("a.yaml", RULE.replace("~/.ssh/id_*", "~/.ssh/[z-a]"));
    assert_eq!(
        shown(folder.path()),
        "\
× the entry `~/.ssh/[z-a]` cannot be used: the range `z-a` runs backwards
    ╭─[DIR/a.yaml:10:19]
  9 │ objects:
 10 │   keys: { files: [\"~/.ssh/[z-a]\"] }
    ·                   ──────────────
    ╰────
  help: put the smaller character first"
    );
}

#[test]
fn wrong_values_name_what_was_expected() {
    for (wrong, right, expected) in [
        ("severity: hihg", "severity: high", "a.yaml:5: unknown word `hihg`; did you mean `high`?"),
        (
            "then: refuse",
            "then: deny",
            "a.yaml:7: unknown word `refuse`; the words here are allow, alert, deny, kill",
        ),
        ("actor: scripts", "actor: script", "a.yaml:6: there is no actor `scripts`; did you mean `script`?"),
        ("does: raed", "does: read", "a.yaml:6: there is no action `raed`; did you mean `read`?"),
        ("object: key ", "object: keys", "a.yaml:6: there is no object `key`; did you mean `keys`?"),
        ("object: droped", "object: keys", "a.yaml:6: there is no object `droped`; did you mean `dropped`?"),
        ("marks: [seen], object: keys", "object: keys", "a.yaml:6: no rule sets the mark `seen`"),
        (
            "after: 3, actor: script, does: exec",
            "actor: script, does: read",
            "counts acts that are not about files",
        ),
        ("does: connect", "does: read", "the object `keys` holds nothing that this action is about"),
        ("why: ''", "why: a reason", "a.yaml:8: the rule `R-1` does not say why"),
        ("id: R 1", "id: R-1", "a.yaml:3: `R 1` is no id for a rule"),
        ("files: /etc/shadow", "files: [\"~/.ssh/id_*\"]", "a.yaml:10: expected "),
        ("object: { a: b }", "object: keys", "a.yaml:6: expected a word or a list of words"),
        ("files: []", "files: [\"~/.ssh/id_*\"]", "a.yaml:10: the object `keys` holds nothing"),
        ("files: [\"!/etc/x\"]", "files: [\"~/.ssh/id_*\"]", "nothing but exclusions under `files`"),
        (
            "ports: [\"70000\"]",
            "files: [\"~/.ssh/id_*\"]",
            "a.yaml:10: the entry `70000` cannot be used: `70000` is no port",
        ),
        ("addresses: [\"10.0.0.1/8\"]", "files: [\"~/.ssh/id_*\"]", "write `10.0.0.0/8`"),
    ] {
        assert!(RULE.contains(right), "{right}");
        let folder = folder("a.yaml", RULE.replace(right, wrong));
        let said = said(folder.path()).join("\n");
        assert!(said.contains(expected), "{wrong}: {said}");
    }
}

#[test]
fn a_missing_key_and_broken_yaml_have_a_line() {
    let missing = folder("a.yaml", RULE.replace("    why: a reason\n", ""));
    let said_missing = said(missing.path());
    assert!(said_missing[0].contains("the key `why` is missing; add `why: ..` here"), "{said_missing:?}");
    let broken = folder("a.yaml", "objects:\n  keys: { files: [\"/a\"\n");
    assert!(said(broken.path())[0].starts_with("DIR/a.yaml:"), "{:?}", said(broken.path()));
    let twice = folder("a.yaml", "objects:\n  a: { files: [/a] }\n  a: { files: [/b] }\n");
    assert!(said(twice.path())[0].contains("the key `a` is here twice"), "{:?}", said(twice.path()));
}

#[test]
fn names_are_unique_across_files() {
    let folder = folder("a.yaml", RULE);
    fs::write(folder.path().join("b.yaml"), RULE).unwrap();
    assert_eq!(
        said(folder.path()),
        [
            "DIR/b.yaml:10: the object `keys` is defined twice; the other one is in DIR/a.yaml; rename or remove one of them",
            "DIR/b.yaml:3: the rule `R-1` is defined twice; the other one is in DIR/a.yaml; choose another id",
        ]
    );
}

#[test]
fn how_far_scripts_may_reach_is_said_once() {
    let folder = folder("a.yaml", "network: registry\n");
    let set = load_only(&[folder.path().to_owned()]).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(set.network, Some(Network::Registry));
    fs::write(folder.path().join("b.yaml"), "rules: []\nnetwork: deny\n").unwrap();
    assert_eq!(
        said(folder.path()),
        [
            "DIR/b.yaml:2: the key `network` is defined twice; the other one is in DIR/a.yaml; rename or remove one of them"
        ]
    );
}

#[test]
fn what_is_no_name_of_a_host_is_shown_where_it_stands() {
    let text = "objects:\n  a:\n    domains:\n      - \"*.example.org\"\n      - \"https://example.org/x\"\n  b: { registries: nmp }\n  c: { domains: [\"!*.example.org\"] }\n";
    let said = said(folder("a.yaml", text).path());
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].starts_with("DIR/a.yaml:5:") && said[0].contains("`example.org`"), "{said:?}");
    assert!(said[1].starts_with("DIR/a.yaml:6:") && said[1].contains("did you mean `npm`?"), "{said:?}");
    assert!(said[2].starts_with("DIR/a.yaml:7:") && said[2].contains("add `*`"), "{said:?}");
}

#[test]
fn several_problems_are_shown_together() {
    let folder = folder("a.yaml", RULE.replace("read", "raed").replace("~/.ssh", "ssh"));
    fs::write(folder.path().join("b.yaml"), "actors:\n  tool:x: { exe: [/x], started-by: [tool:y] }\n")
        .unwrap();
    let said = said(folder.path());
    assert_eq!(said.len(), 3, "{said:?}");
}

#[test]
fn tools_that_wait_for_each_other_are_refused() {
    let text = "actors:\n  tool:x: { exe: [/x], started-by: [tool:y] }\n  tool:y: { exe: [/y], started-by: [tool:x] }\n";
    let said = said(folder("a.yaml", text).path());
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("nobody can ever start `tool:x`"), "{said:?}");
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let folder = folder("a.yaml", b"rules:\n  # caf\xe9\n");
    assert_eq!(
        shown(folder.path()),
        "× the rule file DIR/a.yaml is not UTF-8: byte 14, line 2\n  help: save it as UTF-8"
    );
}

#[test]
fn a_huge_file_is_not_read() {
    let folder = folder("a.yaml", "");
    let file = fs::File::create(folder.path().join("a.yaml")).unwrap();
    file.set_len(100 << 20).unwrap();
    assert_eq!(MAX_FILE_BYTES, 4 << 20);
    assert_eq!(
        shown(folder.path()),
        "× the rule file DIR/a.yaml is larger than 4 MiB\n  help: split it into several files"
    );
}

#[test]
fn symbolic_links_may_not_lead_back() {
    let folder = folder("a.yaml", RULE);
    symlink(folder.path(), folder.path().join("again")).unwrap();
    symlink("self.yaml", folder.path().join("self.yaml")).unwrap();
    assert_eq!(
        said(folder.path()),
        [
            "DIR/again is a symbolic link that leads back to itself; remove the link, or let it point outside the rules folder",
            "DIR/self.yaml is a symbolic link that leads back to itself; remove the link, or let it point outside the rules folder",
        ]
    );
}

#[test]
fn what_is_no_folder_of_rules_is_refused() {
    let missing = PathBuf::from("/nonexistent/rules");
    let problems = load_only(&[missing]).expect_err("there is no such folder").to_string();
    assert_eq!(
        problems,
        "the rules folder /nonexistent/rules cannot be read: no such file or directory; check the name"
    );
    let with_file = folder("a.yaml", RULE);
    let file = with_file.path().join("a.yaml");
    let problems = load_only(&[file]).expect_err("a file is no folder").to_string();
    assert!(problems.contains("not a directory; name the folder that holds the file"), "{problems}");
    let empty = tempfile::tempdir().unwrap();
    assert!(said(empty.path())[0].contains("DIR holds no rule file"));
    let short = folder("a.yml", RULE);
    assert!(said(short.path())[0].contains("ends in .yml; rename it to .yaml"));
}

#[test]
fn a_named_pipe_does_not_block() {
    let folder = tempfile::tempdir().unwrap();
    nix::unistd::mkfifo(&folder.path().join("a.yaml"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert!(said(folder.path())[0].contains("is no regular file"));
}

#[test]
fn an_unreadable_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    // Root may open everything, but the first page of a process is never there.
    symlink("/proc/self/mem", folder.path().join("a.yaml")).unwrap();
    assert_eq!(
        said(folder.path()),
        ["the rule file DIR/a.yaml cannot be read: input/output error; check the file system"]
    );
}

#[test]
fn names_of_files_may_be_odd() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(OsStr::from_bytes(b"caf\xe9.yaml")), "rules: 1").unwrap();
    assert_eq!(said(folder.path()).len(), 1);
}
