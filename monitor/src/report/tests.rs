//! One table of reports that every format is tried with.

use std::collections::BTreeMap;

use monitor_common::action::Action;
use monitor_common::verdict::{Achieved, Mode, Tier, Verdict};

use super::Report;
use super::human::Human;
use super::json::Json;
use super::layout::Screen;
use crate::event::Event;
use crate::event::log::{End, Host, Places, Rules, Run};
use crate::event::model::{Ancestor, Confidence, Object, Package, Process, Scope, Thing};
use crate::event::text::Text;
use crate::event::time::Timestamp;
use crate::finding::{Finding, PackageSummary, Summary};
use crate::rule::syntax::Severity;

mod browser;
mod hostile;
mod job_summary;
mod network;
pub(crate) mod recorded;
mod schema;

fn texts(words: &[&str]) -> Vec<Text> {
    words.iter().map(|word| Text::from(*word)).collect()
}

pub(crate) fn package() -> Package {
    Package {
        ecosystem: "npm".into(),
        name: "evil-npmrc".into(),
        version: Some("1.2.3".into()),
        script: Some("postinstall".into()),
        confidence: Confidence::Exact,
        source: "package-lock.json".into(),
        purl: Some("pkg:npm/evil-npmrc@1.2.3".into()),
        claims: None,
        candidates: Vec::new(),
    }
}

pub(crate) fn finding() -> Finding {
    let object = Object {
        classes: vec!["npmrc".into()],
        title: "npm credentials".into(),
        what: Thing::File { path: "/home/u/.npmrc".into() },
    };
    let ancestor = |pid, actor: &str, exe: &str, argv: &[&str]| Ancestor {
        pid,
        start: Some(Timestamp(u64::from(pid))),
        actor: actor.into(),
        exe: Some(exe.into()),
        argv: texts(argv),
    };
    Finding {
        id: "F1".into(),
        key: "3f9a1c04be".into(),
        time: Timestamp(1_795_132_799_000_000_000),
        rule: "PW-CRED-014".into(),
        title: "install script reads npm's credentials".into(),
        severity: Severity::High,
        why: "A token in there publishes packages in your name. Use npm login again if it leaked.".into(),
        attack: vec!["T1552.001".into()],
        asked: Verdict::Deny,
        achieved: Achieved::Killed,
        outcomes: BTreeMap::from([("killed".into(), 1)]),
        tier: Tier::Kill,
        action: Action::Read,
        samples: vec![object.clone()],
        object,
        actor: "script:npm".into(),
        process: Process {
            pid: 30,
            start: Timestamp(30),
            ppid: 20,
            uid: 1000,
            exe: Some("/usr/bin/node".into()),
            argv: texts(&["node", "install.js"]),
            cwd: Some("/p/node_modules/evil-npmrc".into()),
        },
        ancestry: vec![
            ancestor(20, "script:npm", "/usr/bin/dash", &["sh", "-c", "node install.js"]),
            ancestor(10, "manager:npm", "/usr/bin/node", &["npm install"]),
            ancestor(10, "script:command", "/usr/bin/env", &["/usr/bin/env", "node", "npm"]),
        ],
        tree: 10,
        scope: Some(Scope(0xabc)),
        package: Some(package()),
        count: 1,
        flags: vec![],
        marks: vec![],
    }
}

fn run() -> Run {
    Run {
        time: Timestamp(1_795_132_798_000_000_000),
        tier: Tier::Kill,
        mode: Mode::Block,
        command: texts(&["npm", "install"]),
        started_by: Vec::new(),
        rules: Rules { count: 2, sources: texts(&["built-in"]) },
        host: Host { kernel: "6.18.0".into(), arch: "x86_64".into() },
        version: "0.1.0".into(),
        places: Places::default(),
        observed: false,
    }
}

fn summary(findings: Vec<Finding>) -> Summary {
    let worst = findings.iter().map(|finding| finding.severity).max();
    let ids = findings.iter().map(|finding| finding.id.clone()).collect();
    Summary {
        run: run(),
        end: Some(End {
            time: Timestamp(1_795_132_800_000_000_000),
            exit_code: Some(137),
            lost: BTreeMap::new(),
            traffic: Vec::new(),
        }),
        findings,
        packages: vec![PackageSummary { package: package(), scopes: 1, programs: 2, findings: ids }],
        processes: 3,
        scopes: 1,
        left_out: 0,
        worst,
    }
}

/// What a format must not break on; the names say what is odd about each.
fn table() -> Vec<(&'static str, Summary)> {
    let mut hostile = finding();
    hostile.object.what = Thing::File { path: Text::from(&b"/home/\x1b[2J\xff/\xe2\x80\xae/.npmrc"[..]) };
    hostile.samples = vec![hostile.object.clone()];
    hostile.process.argv = vec![Text::from(&b"no\nde\x07"[..])];
    hostile.package = Some(Package { name: Text::from(&b"ev\x1bil\x9b"[..]), version: None, ..package() });
    hostile.flags = vec!["path-too-deep".into(), "after-the-fact".into()];
    let mut missed = finding();
    missed.achieved = Achieved::Missed;
    missed.count = 3;
    missed.outcomes = BTreeMap::from([("killed".into(), 2), ("missed".into(), 1)]);
    missed
        .samples
        .push(Object { what: Thing::File { path: "/root/.npmrc".into() }, ..missed.object.clone() });
    let mut observed = finding();
    observed.achieved = Achieved::Observed;
    observed.outcomes = BTreeMap::from([("observed".into(), 1)]);
    let mut connect = finding();
    connect.id = "F2".into();
    connect.rule = "PW-NET-001".into();
    connect.title = "install script connects to a bare address".into();
    connect.severity = Severity::Critical;
    connect.action = Action::Connect;
    connect.achieved = Achieved::Denied;
    connect.outcomes = BTreeMap::from([("denied".into(), 1)]);
    connect.object = Object {
        classes: vec!["public-addresses".into()],
        title: String::new(),
        what: Thing::Address {
            address: "203.0.113.7".parse().unwrap(),
            port: 443,
            protocol: 6,
            domain: None,
            server_name: None,
        },
    };
    connect.samples = vec![connect.object.clone()];
    let mut ownerless = finding();
    ownerless.package = None;
    ownerless.ancestry = vec![];
    ownerless.process.exe = None;
    ownerless.process.argv = vec![];
    let mut forged = finding();
    let odd = || "a\u{1b}[2J\u{9b}\u{202e}b".to_owned();
    (forged.rule, forged.title, forged.why, forged.actor, forged.package) =
        (odd(), odd(), odd(), odd(), None);
    forged.object =
        Object { classes: vec![odd()], title: odd(), what: Thing::Kernel { kernel: odd(), detail: 0 } };
    (forged.outcomes, forged.flags) = (BTreeMap::from([("killed".into(), 1), (odd(), 2)]), vec![odd()]);
    forged.ancestry[0].actor = "manager:".to_owned() + &odd();
    let mut lossy = summary(vec![]);
    lossy.end = lossy.end.map(|end| End { lost: BTreeMap::from([("ring-full".into(), 12)]), ..end });
    let cut = Summary { end: None, left_out: 4, ..summary(vec![]) };
    vec![
        ("nothing", summary(vec![])),
        ("killed", summary(vec![finding()])),
        ("two", summary(vec![finding(), connect])),
        ("missed", summary(vec![missed])),
        ("observed", summary(vec![observed])),
        ("hostile", summary(vec![hostile])),
        ("ownerless", summary(vec![ownerless])),
        ("forged", summary(vec![forged])),
        ("lossy", lossy),
        ("cut", cut),
    ]
}

fn case(name: &str) -> Summary {
    table().into_iter().find(|(known, _)| *known == name).unwrap().1
}

fn render(report: &dyn Report, summary: &Summary) -> String {
    render_events(report, summary, Vec::new())
}

fn render_events(report: &dyn Report, summary: &Summary, events: Vec<Event>) -> String {
    let mut out = Vec::new();
    report.render(summary, &mut events.into_iter(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn human(name: &str, screen: Screen) -> String {
    // Only our own codes: anything else is a hole.
    ["0", "1", "2", "1;31", "32", "33"]
        .iter()
        .fold(render(&Human { screen }, &case(name)), |text, code| text.replace(&format!("\x1b[{code}m"), ""))
}

const WIDE: Screen = Screen { width: 80, unicode: true };
const NARROW: Screen = Screen { width: 40, unicode: false };

#[test]
fn no_format_lets_a_control_character_through() {
    for (name, summary) in table() {
        let bad = |character: &char| *character != '\n' && !crate::event::text::is_visible(*character);
        for screen in [WIDE, NARROW] {
            let text = human(name, screen);
            assert_eq!(text.chars().find(bad), None, "{name}: {text}");
            assert!(screen.unicode || text.is_ascii(), "{name}: {text}");
        }
        let json = render(&Json, &summary);
        assert_eq!(json.chars().find(bad), None, "{name}");
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["schema"], "pkgwarden.report/1", "{name}");
        assert_eq!(value["findings"].as_array().map(Vec::len), Some(summary.findings.len()), "{name}");
    }
}

#[test]
fn lines_fit_the_screen_unless_they_are_to_be_copied() {
    for (name, _) in table() {
        for screen in [WIDE, NARROW] {
            for line in human(name, screen).lines().filter(|line| !line.starts_with("    ")) {
                let width = super::layout::width(line);
                assert!(width <= screen.width, "{name}, {width} columns: {line}");
            }
        }
    }
}

#[test]
fn nothing_found_is_one_quiet_line() {
    assert_eq!(
        human("nothing", Screen { width: 200, unicode: true }),
        "pkgwarden: nothing found (3 processes, 1 script, 1 package watched; kill tier, block mode)\n"
    );
}

#[test]
fn what_nobody_has_to_look_at_is_a_note() {
    let note = |id: &str, count| Finding { id: id.into(), count, severity: Severity::Info, ..finding() };
    let text = render(&Human { screen: WIDE }, &summary(vec![note("F1", 2), note("F2", 1)]));
    let text = anstream::adapter::strip_str(&text).to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("pkgwarden: nothing found ("), "{text}");
    assert_eq!(lines.last(), Some(&"note: install script reads npm's credentials (3 times, PW-CRED-014)"));
    assert!(!text.contains("To allow it"), "{text}");
}

#[test]
fn a_killed_read_is_told_with_its_rule_and_the_way_out() {
    assert_eq!(
        human("killed", WIDE),
        r#"pkgwarden: 1 finding (3 processes, 1 script, 1 package watched; kill tier, block
mode)

evil-npmrc 1.2.3 (npm, postinstall)
└─ read /home/u/.npmrc                       killed  PW-CRED-014 high 3f9a1c04be
   npm > sh > node install.js
   this tier cannot make a call fail, so the process was killed

PW-CRED-014: install script reads npm's credentials
  A token in there publishes packages in your name.
  To allow it, put this into a folder and add --rules FOLDER:
    objects:
      local-pw-cred-014-3f9a1c:
        title: "npm credentials"
        files: ["/home/u/.npmrc"]
    rules:
      - id: LOCAL-PW-CRED-014-3f9a1c
        title: "script:npm may read /home/u/.npmrc"
        severity: info
        when: { actor: "script:npm", does: read, object: local-pw-cred-014-3f9a1c }
        then: allow
        why: "say here who reviewed this, and why it is needed"
"#
    );
}

#[test]
fn the_worst_outcome_is_never_hidden() {
    let text = human("missed", WIDE);
    assert!(text.contains("NOT STOPPED  PW-CRED-014 high"), "{text}");
    assert!(text.contains("(3 times)"), "{text}");
    assert!(text.contains("outcomes: killed 2, missed 1"), "{text}");
    assert!(text.contains("also /root/.npmrc"), "{text}");
    let text = human("observed", WIDE);
    assert!(text.contains("audit mode: block mode would deny it"), "{text}");
    assert!(!text.contains("To allow it"), "{text}");
}

#[test]
fn the_worst_comes_first() {
    let text = human("two", WIDE);
    let place = |needle: &str| text.find(needle).unwrap_or_else(|| panic!("{needle}: {text}"));
    assert!(place("connect 203.0.113.7:443") < place("read /home/u/.npmrc"));
    assert!(text.contains("├─ connect"), "{text}");
}

#[test]
fn ascii_screens_get_ascii() {
    let text = human("hostile", NARROW);
    assert!(text.contains("ev\\x1bil\\x9b (npm, postinstall)"), "{text}");
    assert!(text.contains("`- read "), "{text}");
    assert!(text.contains("the beginning of the path is"), "{text}");
}

#[test]
fn losses_are_said() {
    assert!(human("lossy", WIDE).contains("ring-full 12"));
    assert!(human("cut", WIDE).contains("breaks off"));
    let value: serde_json::Value = serde_json::from_str(&render(&Json, &case("lossy"))).unwrap();
    assert_eq!(value["lost"]["ring-full"], 12);
    assert_eq!(value["complete"], false);
}

#[test]
fn an_unknown_package_is_said_to_be_so() {
    let text = human("ownerless", WIDE);
    assert!(text.contains("a script run by npm (package unknown)"), "{text}");
}

#[test]
fn the_json_report_is_stable() {
    assert_eq!(render(&Json, &case("killed")), include_str!("tests/killed.json"));
}
