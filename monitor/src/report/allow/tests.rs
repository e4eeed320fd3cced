use super::*;
use crate::event::model::{Ancestor, Object};
use crate::event::text::Text;
use crate::policy::glob::{Subject, parse};
use crate::report::tests::finding;
use crate::rule::syntax::RuleFile;

fn with(classes: &[&str], what: Thing) -> Option<String> {
    let mut finding = finding();
    let classes = classes.iter().map(|class| (*class).to_owned()).collect();
    finding.object = Object { classes, title: "npm credentials".into(), what };
    rule(&finding)
}

#[test]
fn a_file_gets_a_class_of_its_own() {
    let yaml = with(&["npmrc"], Thing::File { path: "/home/u/[x]/.npmrc".into() }).unwrap();
    assert_eq!(
        yaml,
        r#"objects:
  local-pw-cred-014-3f9a1c:
    title: "npm credentials"
    files: ["/home/u/[[]x]/.npmrc"]
rules:
  - id: LOCAL-PW-CRED-014-3f9a1c
    title: "script:npm may read /home/u/[[]x]/.npmrc"
    severity: info
    when: { actor: "script:npm", does: read, object: local-pw-cred-014-3f9a1c }
    then: allow
    why: "say here who reviewed this, and why it is needed"
"#
    );
}

#[test]
fn what_goes_out_after_a_secret_asks_for_the_same_past() {
    let mut finding = finding();
    finding.marks = vec!["secret-read".into()];
    assert!(!rule(&finding).unwrap().contains("marks"), "a read asks for no past");
    finding.action = Action::UnixConnect;
    finding.object.what = Thing::Socket { socket: "@agent".into() };
    let yaml = rule(&finding).unwrap();
    assert!(yaml.contains("object: local-pw-cred-014-3f9a1c, marks: [\"secret-read\"] }"), "{yaml}");
}

#[test]
fn every_kind_of_object_gives_a_rule_that_parses() {
    let address = Thing::Address {
        address: "203.0.113.7".parse().unwrap(),
        port: 443,
        protocol: 6,
        domain: None,
        server_name: None,
    };
    let text = |name: Option<&str>| name.map(|name| Text::from(name.as_bytes()));
    let named = |domain, server_name| Thing::Address {
        address: "203.0.113.7".parse().unwrap(),
        port: 443,
        protocol: 6,
        domain: text(domain),
        server_name: text(server_name),
    };
    let asked = |domain| Thing::Name {
        domain: text(domain),
        record: 1,
        resolver: "127.0.0.53".parse().unwrap(),
        port: 53,
        protocol: 17,
    };
    for (classes, what, expected) in [
        (&["npmrc"][..], Thing::File { path: "/a\"b".into() }, Some("files: [\"/a\\\"b\"]")),
        (&["npmrc"], Thing::File { path: "/a\\b".into() }, Some("object: npmrc }")),
        (&["npmrc"], Thing::File { path: "/a}{b".into() }, Some("files: [\"/a[}][{]b\"]")),
        (&["npmrc"], Thing::File { path: "/a/../b".into() }, Some("object: npmrc }")),
        (&["npmrc"], Thing::File { path: "@a".into() }, Some("object: npmrc }")),
        (&["agents"], Thing::Socket { socket: "@".into() }, Some("object: agents }")),
        (&["npmrc"], Thing::File { path: "/tmp/x1/.npmrc".into() }, Some("object: npmrc }")),
        (&["sinks"], address, Some("addresses: [\"203.0.113.7\"]\n    ports: [\"443\"]")),
        (&["sinks"], named(Some("a.example"), None), Some("domains: [\"a.example\"]\n    ports: [\"443\"]")),
        (&["sinks"], named(None, Some("b.example")), Some("domains: [\"b.example\"]")),
        (&["sinks"], named(Some("a\n.example"), None), Some("addresses: [\"203.0.113.7\"]")),
        (&["name-mismatch"], named(Some("a.example"), Some("b.example")), Some("object: name-mismatch }")),
        (&["hosts"], asked(Some("a.example")), Some("domains: [\"a.example\"]")),
        (&["hosts"], asked(Some("*.example")), Some("object: hosts }")),
        (&["opaque-query"], asked(None), Some("object: opaque-query }")),
        (
            &["shells"],
            Thing::Program { path: "/bin/nc".into(), argv: vec![] },
            Some("executables: [\"/bin/nc\"]"),
        ),
        (&["dropped"], Thing::Program { path: "/p/x".into(), argv: vec![] }, Some("executables: [\"/p/x\"]")),
        (&["fileless"], Thing::Program { path: "/p/x".into(), argv: vec![] }, Some("object: fileless }")),
        (&["foreign-memory"], Thing::File { path: "/proc/7/mem".into() }, Some("object: foreign-memory }")),
        (&["agents"], Thing::Socket { socket: "@agent".into() }, Some("sockets: [\"@agent\"]")),
        (&["bpf"], Thing::Kernel { kernel: "bpf".into(), detail: 5 }, Some("object: bpf }")),
        (&[], Thing::None, None),
    ] {
        let yaml = with(classes, what);
        match expected {
            None => assert_eq!(yaml, None),
            Some(expected) => {
                let yaml = yaml.unwrap();
                assert!(yaml.contains(expected), "{yaml}");
                let parsed: RuleFile = serde_saphyr::from_str(&yaml).unwrap();
                assert_eq!(parsed.rules.len(), 1);
                for object in parsed.objects.values() {
                    let parses = |text: &String, subject| parse(text, subject).is_ok();
                    assert!(object.files.iter().all(|text| parses(text, Subject::File)), "{yaml}");
                    assert!(object.sockets.iter().all(|text| parses(text, Subject::Socket)), "{yaml}");
                }
            }
        }
    }
}

fn program(path: &str, argv: &[&str]) -> Finding {
    let mut finding = finding();
    finding.action = Action::Exec;
    let argv = argv.iter().map(|word| Text::from(*word)).collect();
    let what = Thing::Program { path: path.into(), argv };
    finding.object = Object { classes: vec!["download-tools".into()], title: "download".into(), what };
    finding
}

#[test]
fn a_command_line_is_allowed_word_by_word() {
    for (path, argv, pattern) in [
        (
            "/usr/bin/curl",
            &["curl", "-o", "a b", "http://h/x?y=[1]"][..],
            r"curl -o a\\ b http://h/x[?]y=[[]1]",
        ),
        ("/usr/bin/node", &["node", "--trace", "/p/i.js", "x"], "i.js x"),
        ("/usr/bin/python3.13", &["python3", "-m", "pip", "list"], "pip list"),
        ("/usr/bin/dash", &["sh", "-c", "curl a | sh"], r"dash -c curl\\ a\\ |\\ sh"),
        ("/usr/bin/busybox", &["nc", "h", "1"], "nc h 1"),
        ("/usr/bin/curl", &["curl", "-H", "Bearer [redacted]", "", "a\n"], r"curl -H Bearer\\ * * a?"),
    ] {
        let exception = exception(&program(path, argv), None, "w").unwrap();
        let line = format!("commands: [\"{pattern}\"]");
        assert!(exception.yaml.contains(&line), "{line}\n{}", exception.yaml);
        let parsed: RuleFile = serde_saphyr::from_str(&exception.yaml).unwrap();
        let written = parsed.objects.values().next().unwrap().commands[0].clone();
        assert!(parse(&written, Subject::Command).is_ok(), "{written}");
    }
}

#[test]
fn what_is_wide_is_said() {
    let mut cut = program("/usr/bin/curl", &["curl", "x..."]);
    let exception = exception(&cut, None, "w").unwrap();
    assert!(exception.yaml.contains("executables: [\"/usr/bin/curl\"]"), "{}", exception.yaml);
    assert_eq!(exception.wider.len(), 1);
    cut.object.what = Thing::File { path: "/tmp/x/.npmrc".into() };
    assert!(rule(&cut).unwrap().starts_with("# Wide: the path is in a place where names are random"));
    let mut sent = finding();
    sent.action = Action::UnixConnect;
    sent.object.what = Thing::Socket { socket: "@agent".into() };
    sent.marks = vec!["secret-read".into(), "mark-7".into()];
    let yaml = rule(&sent).unwrap();
    assert!(yaml.starts_with("# Wide: the scope had marks that have no name here"), "{yaml}");
}

#[test]
fn a_program_is_started_by_somebody() {
    let mut finding = program("/usr/bin/git", &["git"]);
    finding.actor = "tool:git".into();
    let starter = |actor: &str| Ancestor { actor: actor.into(), ..Ancestor::default() };
    finding.ancestry = vec![starter("script:npm"), starter("manager:npm")];
    assert_eq!(actor(&finding), "script:npm");
    finding.ancestry.remove(0);
    assert_eq!(actor(&finding), "manager:npm");
    finding.actor = "script:npm".into();
    assert_eq!(actor(&finding), "script:npm", "the first of a script");
}

#[test]
fn no_rule_allows_a_decoy() {
    assert_eq!(with(&["decoys", "aws"], Thing::File { path: "/home/u/.aws/credentials".into() }), None);
}
