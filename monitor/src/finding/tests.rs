//! From bytes to findings, and from findings through the log and back.

use std::sync::Arc;

use monitor_common::action::Action;
use monitor_common::event::{Header, Kind, NEW_SCOPE, Subject, UNRESOLVED};
use monitor_common::verdict::{Achieved, Mode, Tier, Verdict};

mod network;

use proptest::prelude::*;

use super::*;
use crate::event::decode::tests::encode;
use crate::event::log::{Entry, Host, Places, Reader, Rules, Writer};
use crate::event::model::{Scope, Thing};
use crate::event::text::Text;
use crate::policy::{Names, ObjectInfo, RuleInfo};

const SCOPE: u64 = 0x1234_5678_9abc_de01;

fn names() -> Arc<Names> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    Arc::new(Names {
        actors: words(&["", "manager:npm", "script:npm"]),
        ecosystems: BTreeMap::from([(1, "npm".to_owned()), (2, "npm".to_owned())]),
        rules: vec![RuleInfo {
            id: "PW-CRED-014".into(),
            title: "install script reads npm's credentials".into(),
            severity: Severity::High,
            verdict: crate::rule::syntax::Verdict::Deny,
            attack: words(&["T1552.001"]),
            why: "because".into(),
            mark: None,
            objects: words(&["npmrc"]),
            file: "credentials.yaml".into(),
        }],
        groups: vec![vec![], words(&["home", "npmrc"]), words(&["bpf"])],
        marks: words(&["secret-read"]),
        objects: BTreeMap::from([(
            "npmrc".to_owned(),
            ObjectInfo { title: "npm credentials".into(), secret: Some("npm".into()) },
        )]),
        ..Names::default()
    })
}

struct Script {
    pipeline: Pipeline,
    events: Vec<Event>,
    time: u64,
}

impl Script {
    fn new() -> Self {
        Self { pipeline: Pipeline::new(names(), Tier::Kill, 1000), events: Vec::new(), time: 100 }
    }

    fn push(&mut self, header: Header, strings: &[&[u8]]) -> &Event {
        self.time += 1;
        let event =
            self.pipeline.push(&encode(Header { time: self.time, tree: 10, ..header }, strings)).unwrap();
        self.events.push(event);
        self.events.last().unwrap()
    }

    fn install(directory: &str) -> Self {
        let mut script = Self::new();
        let manager = Header { tgid: 10, start: 10, actor: 1, uid: 1000, scope: 10, ..Header::default() };
        let child =
            Header { tgid: 20, start: 20, ppid: 10, actor: 2, uid: 1000, scope: SCOPE, ..Header::default() };
        script.push(
            Header { kind: Kind::Exec as u8, ..manager },
            &[
                b"/usr/bin/node",
                b"node\0/usr/lib/npm-cli.js\0install\0--token\0s3cret\0",
                b"/p",
                b"/usr/lib/npm-cli.js",
            ],
        );
        script.push(Header { kind: Kind::Fork as u8, detail: 20, ..manager }, &[]);
        script.push(
            Header { kind: Kind::Exec as u8, flags: NEW_SCOPE, ..child },
            &[b"/usr/bin/dash", b"sh\0-c\0node x.js\0", directory.as_bytes(), b""],
        );
        script
    }

    fn read(&mut self, path: &[u8], achieved: Achieved, flags: u16) -> &Event {
        let header = Header {
            kind: Kind::Verdict as u8,
            subject: Subject::File as u8,
            tgid: 20,
            start: 20,
            ppid: 10,
            actor: 2,
            scope: SCOPE,
            marks: 1,
            action: Action::Read as u8,
            asked: Verdict::Deny as u8,
            achieved: achieved as u8,
            group: 1,
            flags,
            syscall: 257,
            ..Header::default()
        };
        self.push(header, &[path])
    }
}

fn run() -> Run {
    Run {
        time: Timestamp(1),
        tier: Tier::Kill,
        mode: Mode::Block,
        command: vec!["npm".into()],
        started_by: Vec::new(),
        rules: Rules::default(),
        host: Host::default(),
        version: "0".into(),
        places: Places::default(),
        observed: false,
    }
}

#[test]
fn a_verdict_has_everything_a_reader_needs() {
    let directory = tempfile::tempdir().unwrap();
    let package = directory.path().join("node_modules/evil");
    std::fs::create_dir_all(&package).unwrap();
    let manifest = r#"{"name":"evil","version":"1.2.3","scripts":{"postinstall":"node x.js"}}"#;
    std::fs::write(package.join("package.json"), manifest).unwrap();
    let mut script = Script::install(package.to_str().unwrap());
    let event = script.read(b"/home/u/.npm\xffrc", Achieved::Killed, UNRESOLVED);
    let mut json = serde_json::to_value(event).unwrap();
    json["process"]["cwd"] = "CWD".into();
    let expected: serde_json::Value = serde_json::from_str(
        r#"{
        "time": "1970-01-01T00:00:00.000001104Z",
        "tree": 10,
        "scope": "123456789abcde01",
        "actor": "script:npm",
        "process": {
            "pid": 20, "start": "1970-01-01T00:00:00.000001020Z", "ppid": 10, "uid": 0,
            "exe": "/usr/bin/dash", "argv": ["sh", "-c", "node x.js"], "cwd": "CWD"
        },
        "package": {
            "ecosystem": "npm", "name": "evil", "version": "1.2.3", "script": "postinstall",
            "confidence": "likely", "source": "package.json", "purl": "pkg:npm/evil@1.2.3"
        },
        "flags": ["unresolved"],
        "kind": "verdict",
        "rule": "PW-CRED-014",
        "title": "install script reads npm's credentials",
        "severity": "high",
        "why": "because",
        "attack": ["T1552.001"],
        "asked": "deny",
        "achieved": "killed",
        "tier": "kill",
        "action": "read",
        "object": {
            "classes": ["npmrc", "home"], "title": "npm credentials", "type": "file", "path": "/home/u/.npm\\xffrc"
        },
        "ancestry": [{
            "pid": 10, "start": "1970-01-01T00:00:00.000001010Z", "actor": "manager:npm", "exe": "/usr/bin/node",
            "argv": ["node", "/usr/lib/npm-cli.js", "install", "--token", "[redacted]"]
        }],
        "marks": ["secret-read"],
        "syscall": 257
    }"#,
    )
    .unwrap();
    assert_eq!(json, expected);
}

#[test]
fn one_finding_for_one_rule_scope_package_and_class() {
    let mut script = Script::install("/p/node_modules/evil");
    for path in ["/a", "/b", "/c", "/d", "/e", "/f", "/a"] {
        script.read(path.as_bytes(), Achieved::Killed, 0);
    }
    script.read(b"/worst", Achieved::Missed, UNRESOLVED);
    script.read(b"/later", Achieved::Killed, 0);
    let [finding] = script.pipeline.findings() else { panic!("{:?}", script.pipeline.findings()) };
    assert_eq!((finding.count, finding.id.as_str()), (9, "F1"));
    assert_eq!(finding.achieved, Achieved::Missed);
    assert_eq!(finding.outcomes, BTreeMap::from([("killed".to_owned(), 8), ("missed".to_owned(), 1)]));
    assert_eq!(finding.object.what, Thing::File { path: "/worst".into() });
    let paths = ["/a", "/b", "/c", "/d", "/worst"].map(|path| Thing::File { path: path.into() });
    assert!(finding.samples.iter().map(|sample| &sample.what).eq(&paths), "{:?}", finding.samples);
    assert_eq!(finding.flags, ["unresolved"]);
    assert_eq!(finding.time, Timestamp(1104));
}

#[test]
fn another_scope_is_another_finding() {
    let mut script = Script::install("/p/node_modules/evil");
    script.read(b"/a", Achieved::Killed, 0);
    let header = Header {
        kind: Kind::Verdict as u8,
        subject: Subject::Kernel as u8,
        tgid: 30,
        start: 30,
        actor: 9,
        rule: 77,
        group: 2,
        detail: 5,
        action: Action::Load as u8,
        ..Header::default()
    };
    let event = script.push(header, &[]);
    assert_eq!(event.actor, "actor-9");
    let What::Verdict(judgement) = &event.what else { panic!("{event:?}") };
    assert_eq!((judgement.rule.as_str(), judgement.severity), ("rule-77", Severity::High));
    assert_eq!(judgement.object.what, Thing::Kernel { kernel: "bpf".into(), detail: 5 });
    assert_eq!(script.pipeline.findings().len(), 2);
}

#[test]
fn findings_are_bounded_and_say_so() {
    let mut script = Script::install("/p");
    for number in 0..MAX_FINDINGS as u64 + 7 {
        let header = Header { kind: Kind::Verdict as u8, scope: 100 + number, tgid: 5, ..Header::default() };
        script.push(header, &[]);
    }
    let summary = script.pipeline.summary(run(), None);
    assert_eq!((summary.findings.len(), summary.left_out), (MAX_FINDINGS, 7));
    assert_eq!(summary.worst, Some(Severity::High));
}

#[test]
fn a_flood_of_small_findings_hides_no_big_one() {
    let mut script = Script::install("/p");
    let mut names = Names::clone(&names());
    names.rules.push(RuleInfo { id: "SMALL".into(), severity: Severity::Low, ..names.rules[0].clone() });
    script.pipeline = Pipeline::new(Arc::new(names), Tier::Kill, 0);
    for number in 0..MAX_FINDINGS as u64 + 1 {
        let header = Header { kind: Kind::Verdict as u8, scope: 100 + number, rule: 1, ..Header::default() };
        script.push(header, &[]);
    }
    assert_eq!(script.pipeline.findings().len(), MAX_FINDINGS);
    script.push(Header { kind: Kind::Verdict as u8, scope: 9999, ..Header::default() }, &[]);
    let last = script.pipeline.findings().last().unwrap();
    assert_eq!((last.rule.as_str(), script.pipeline.worst()), ("PW-CRED-014", Some(Severity::High)));
}

#[test]
fn exits_are_told_as_code_or_signal() {
    let mut script = Script::install("/p");
    let header = Header { kind: Kind::Exit as u8, tgid: 20, start: 20, detail: 3 << 8, ..Header::default() };
    assert_eq!(script.push(header, &[]).what, What::Exit { code: Some(3), signal: None });
    let header = Header { detail: 0x80 | 9, ..header };
    assert_eq!(script.push(header, &[]).what, What::Exit { code: None, signal: Some(9) });
}

#[test]
fn what_no_rule_is_about_is_an_act_and_no_finding() {
    let mut script = Script::install("/p");
    let mut names = Names::clone(&names());
    names.rules.push(RuleInfo { id: "(observer)".into(), ..names.rules[0].clone() });
    names.observer = Some(1);
    script.pipeline = Pipeline::new(Arc::new(names), Tier::Kill, 0);
    let header = Header {
        kind: Kind::Verdict as u8,
        subject: Subject::File as u8,
        tgid: 20,
        scope: SCOPE,
        action: Action::Create as u8,
        asked: Verdict::Alert as u8,
        achieved: Achieved::Alerted as u8,
        rule: 1,
        ..Header::default()
    };
    let event = script.push(header, &[b"/opt/x"]);
    let What::Act { action: Action::Create, object } = &event.what else { panic!("{event:?}") };
    assert_eq!(object.what, Thing::File { path: "/opt/x".into() });
    assert_eq!((script.pipeline.findings().len(), script.pipeline.worst()), (0, None));
    script.push(Header { rule: 0, ..header }, &[b"/opt/x"]);
    assert_eq!(script.pipeline.findings().len(), 1);
}

#[test]
fn the_log_says_the_same_as_the_pipeline() {
    let mut script = Script::install("/p/node_modules/evil");
    script.read(b"/home/\x1b\xff\\/.npmrc", Achieved::Killed, 0);
    script.read(b"/b", Achieved::Observed, 0);
    script.push(Header { kind: Kind::Exit as u8, tgid: 20, start: 20, detail: 9, ..Header::default() }, &[]);
    script.push(Header { kind: Kind::Orphaned as u8, tgid: 10, start: 10, ..Header::default() }, &[]);
    let end = End {
        time: Timestamp(9),
        exit_code: Some(137),
        lost: BTreeMap::from([("ring-full".into(), 1)]),
        traffic: Vec::new(),
    };
    let mut writer = Writer::new(Vec::new());
    writer.run(&run()).unwrap();
    for event in &script.events {
        writer.event(event).unwrap();
    }
    writer.end(&end).unwrap();
    let log = writer.into_inner();
    for line in log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        assert!(line.starts_with(b"{\"schema\":\"pkgwarden.event/1\","), "{}", Text::from(line));
        assert!(!line.iter().any(u8::is_ascii_control), "{}", Text::from(line));
    }
    let mut reader = Reader::new(&log[..]);
    let mut events = Vec::new();
    let mut findings = Findings::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        match entry {
            Entry::Run(read) => assert_eq!(read, run()),
            Entry::End(read) => assert_eq!(read, end),
            Entry::Event(event) => {
                findings.push(&event);
                events.push(*event);
            }
        }
    }
    assert_eq!(events, script.events);
    assert_eq!(findings.summary(run(), None), script.pipeline.summary(run(), None));
    let summary = findings.summary(run(), None);
    assert_eq!((summary.processes, summary.scopes, summary.packages.len()), (2, 1, 1));
}

#[test]
fn survivors_are_findings_of_their_package() {
    let mut script = Script::install("/p/node_modules/evil");
    let child = Header { tgid: 20, start: 20, actor: 2, scope: SCOPE, ..Header::default() };
    script.push(Header { kind: Kind::Fork as u8, detail: 21, ..child }, &[]);
    let event = script.pipeline.survivor(21, Achieved::Killed, 5);
    assert_eq!((event.tree, event.scope, event.actor.as_str()), (10, Some(Scope(SCOPE)), "script:npm"));
    assert_eq!(event.package.map(|package| package.name), Some("evil".into()));
    let stranger = script.pipeline.survivor(999, Achieved::Observed, 5);
    assert_eq!((stranger.process.pid, stranger.package), (999, None));
    let mut out = Vec::new();
    let human = crate::report::human::Human::default();
    let summary = script.pipeline.summary(run(), None);
    crate::report::Report::render(&human, &summary, &mut std::iter::empty(), &mut out).unwrap();
    let text = anstream::adapter::strip_str(std::str::from_utf8(&out).unwrap()).to_string();
    assert!(text.contains("outlive the command: process 21 "), "{text}");
    assert!(!text.contains("To allow it"), "{text}");
}

#[test]
fn bytes_that_are_no_record_do_no_harm() {
    let mut script = Script::install("/p");
    assert!(script.pipeline.push(b"short").is_err());
    assert_eq!(script.read(b"/a", Achieved::Killed, 0).tree, 10);
}

proptest! {
    /// Whatever order records come in, whatever is missing: no panic, and every event survives its log.
    #[test]
    fn any_order_of_records_gives_events_that_survive(
        records in proptest::collection::vec((1_u8..=5, 0_u8..=6, 1_u32..6, 0_u64..4, 1_u32..6, any::<u16>(), any::<u64>()), 1..60)
    ) {
        let mut script = Script::new();
        for (kind, subject, tgid, start, ppid, flags, detail) in records {
            let header = Header {
                kind, subject, tgid, start, ppid, flags, detail,
                actor: flags as u8 % 4,
                scope: detail % 3,
                action: detail as u8 % 15,
                asked: flags as u8 % 4,
                achieved: detail as u8 % 6,
                rule: flags % 2,
                group: flags % 5,
                port: flags,
                address: [detail as u8; 16],
                ..Header::default()
            };
            let event = script.push(header, &[b"/a\xff\x1b", b"x\0--token\0y", b"/nonexistent/w", b"s"]).clone();
            let json = serde_json::to_string(&event).unwrap();
            prop_assert!(!json.contains("\"y\""), "a secret: {json}");
            prop_assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
        }
        let summary = script.pipeline.summary(run(), None);
        let verdicts = script.events.iter().filter(|event| matches!(event.what, What::Verdict(_))).count() as u64;
        prop_assert_eq!(summary.findings.iter().map(|finding| finding.count).sum::<u64>(), verdicts);
        for finding in &summary.findings {
            prop_assert_eq!(finding.outcomes.values().sum::<u64>(), finding.count);
            prop_assert!(finding.outcomes.contains_key(finding.achieved.word()));
        }
    }
}
