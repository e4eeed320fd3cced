use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use super::*;
use crate::event::log::{Entry, Reader};
use crate::policy::Environment;
use crate::report::tests::recorded::LOG;
use crate::rule::load::{built_in, from_texts};
use crate::rule::set::Source;

/// The built-in rules: compiling them takes a while.
static KNOWN: LazyLock<Policy> = LazyLock::new(|| policy(""));

fn policy(more: &str) -> Policy {
    let mut sources = built_in();
    if !more.is_empty() {
        sources.push(Source { name: "ours.yaml".into(), text: Arc::from(more) });
    }
    let set = from_texts(sources).unwrap();
    let environment = Environment {
        homes: vec![PathBuf::from("/tmp/demo/home")],
        project: PathBuf::from("/tmp/demo/shop"),
        ..Environment::default()
    };
    Policy::compile(&set, &environment).unwrap()
}

fn recorded() -> Vec<Event> {
    let mut reader = Reader::new(LOG.as_bytes());
    let entries = std::iter::from_fn(move || reader.next_entry().unwrap());
    entries.filter_map(|entry| if let Entry::Event(event) = entry { Some(*event) } else { None }).collect()
}

fn replay(more: &str, events: Vec<Event>) -> (Vec<Said>, BTreeMap<Doubt, u64>) {
    let ours = (!more.is_empty()).then(|| policy(more));
    let mut replay = match &ours {
        Some(ours) => Replay::new(ours, Some(&KNOWN)),
        None => Replay::new(&KNOWN, None),
    };
    let mut said: Vec<Said> = events.into_iter().flat_map(|event| replay.push(event)).collect();
    said.extend(replay.finish());
    (said, replay.doubts().clone())
}

fn changes(said: &[Said]) -> Vec<(Change, Option<&str>, Option<&str>)> {
    let id = |answer: &'_ Answer| -> Option<&'static str> {
        answer.rule.as_ref().map(|rule| &*Box::leak(rule.clone().into_boxed_str()))
    };
    said.iter().map(|said| (said.change, id(&said.then), id(&said.now))).collect()
}

const READS: &str = r#"
rules:
  - id: LOCAL-1
    title: scripts may read npm's settings
    severity: info
    when: { actor: "script:npm", does: read, object: npmrc }
    then: allow
    why: test
"#;

#[test]
fn the_same_rules_say_the_same_of_a_real_run() {
    let (said, doubts) = replay("", recorded());
    assert!(said.iter().all(|said| said.change == Change::Same && !said.by_class), "{said:#?}");
    assert_eq!(said.iter().filter(|said| said.then.verdict == Verdict::Deny).count(), 4, "{said:#?}");
    assert_eq!(doubts, BTreeMap::new());
}

#[test]
fn an_exception_shows_as_what_it_allows_and_nothing_else() {
    let (said, doubts) = replay(READS, recorded());
    let changed: Vec<_> = changes(&said).into_iter().filter(|(change, ..)| *change != Change::Same).collect();
    assert_eq!(changed, [(Change::NowAllowed, Some("PW-CRED-040"), Some("LOCAL-1")); 2]);
    assert_eq!(doubts, BTreeMap::from([(Doubt::UnknownSequel, 2)]));
}

#[test]
fn programs_that_nobody_spoke_of_are_judged_too() {
    let rule = r#"
objects: { locals: { commands: ["node install.js", "install.js"] } }
rules:
  - id: LOCAL-2
    title: no install.js
    severity: high
    when: { actor: "script:npm", does: exec, object: locals }
    then: deny
    why: test
"#;
    let (said, _) = replay(rule, recorded());
    let denied: Vec<&Said> = said.iter().filter(|said| said.change == Change::NowDenied).collect();
    let packages: Vec<String> =
        denied.iter().map(|said| said.package.as_ref().unwrap().name.to_string()).collect();
    assert!(packages.contains(&"quick-colours".to_owned()), "{denied:#?}");
    assert!(denied.iter().all(|said| said.then == Answer::SILENCE), "{denied:#?}");
}

/// A read that was refused and then a connection of the same scope.
fn thief() -> Vec<Event> {
    let template = recorded();
    let read = template.iter().find(|event| rule_of(event) == "PW-CRED-040").unwrap().clone();
    let mut connect = template.iter().find(|event| rule_of(event) == "PW-NET-001").unwrap().clone();
    (connect.scope, connect.process) = (read.scope, read.process.clone());
    if let What::Verdict(judgement) = &mut connect.what {
        judgement.rule = "PW-NET-050".to_owned();
        judgement.marks = vec!["secret-read".to_owned()];
        judgement.object.classes = vec!["any-other-machine".to_owned()];
        judgement.object.what = Thing::Address {
            address: "93.184.216.34".parse().unwrap(),
            port: 443,
            protocol: 6,
            domain: Some("example.org".into()),
            server_name: None,
        };
    }
    vec![read, connect]
}

fn rule_of(event: &Event) -> &str {
    if let What::Verdict(judgement) = &event.what { &judgement.rule } else { "" }
}

#[test]
fn what_a_scope_has_done_is_followed() {
    let (said, doubts) = replay("", thief());
    assert!(said.iter().all(|said| said.change == Change::Same), "{said:#?}");
    assert_eq!(doubts, BTreeMap::new());
    // Who may read has not stolen, so what comes after is judged as if nothing had been.
    let (said, _) = replay(READS, thief());
    assert_eq!(said[0].change, Change::NowAllowed);
    assert!(matches!(said[1].change, Change::NowAlerted | Change::NowAllowed), "{said:#?}");
}

#[test]
fn a_mark_that_nothing_recorded_explains_is_believed_and_told() {
    let connect = thief().remove(1);
    let marked = r#"
rules:
  - id: LOCAL-3
    title: marked
    severity: critical
    when: { actor: "script:npm", does: connect, object: any-other-machine, marks: [secret-read] }
    then: kill
    why: test
"#;
    let (said, doubts) = replay(marked, vec![connect]);
    assert_eq!(changes(&said), [(Change::NowKilled, Some("PW-NET-050"), Some("LOCAL-3"))]);
    assert_eq!(doubts[&Doubt::MarkAssumed], 1);
}

#[test]
fn rules_that_count_go_on_counting() {
    let mut event = thief().remove(0);
    let policy = &*KNOWN;
    let counting = policy.outcomes.iter().skip(1).find(|outcome| outcome.after > 0).unwrap();
    let rule = policy.names.rule(counting.rule).unwrap();
    let set = from_texts(built_in()).unwrap();
    let written = set.rules.iter().find(|known| known.id == rule.id).unwrap();
    assert!(written.when.does.words().contains(&"remove".to_owned()), "{}", rule.id);
    if let What::Verdict(judgement) = &mut event.what {
        judgement.rule.clone_from(&rule.id);
        judgement.action = Action::Remove;
        judgement.object.what = Thing::File { path: "/tmp/demo/home/photos/1.jpg".into() };
        judgement.object.classes = rule.objects.clone();
        judgement.asked = match written.then {
            Verdict::Kill => monitor_common::verdict::Verdict::Kill,
            Verdict::Deny => monitor_common::verdict::Verdict::Deny,
            _ => monitor_common::verdict::Verdict::Alert,
        };
    }
    let (said, doubts) = replay("", vec![event.clone(), event]);
    assert!(said.iter().all(|said| said.change == Change::Same), "{said:#?}");
    assert_eq!((said.len(), doubts[&Doubt::CountAssumed]), (2, 1));
}

#[test]
fn what_cannot_be_judged_is_told() {
    let (mut nobody, mut nothing) = (thief().remove(0), thief().remove(0));
    nobody.actor = "script:elsewhere".to_owned();
    if let What::Verdict(judgement) = &mut nothing.what {
        judgement.object.classes = vec!["ours-of-old".to_owned()];
        judgement.object.what = Thing::File { path: "/opt/ours/key".into() };
    }
    // Another process: the first would explain who this one is.
    nothing.process.pid += 1;
    let (said, doubts) = replay("", vec![nobody, nothing]);
    assert_eq!(said, []);
    assert_eq!(doubts, BTreeMap::from([(Doubt::UnknownActor, 1), (Doubt::UnknownObject, 1)]));
}

#[test]
fn a_home_of_another_machine_is_known_by_its_class() {
    let mut event = thief().remove(0);
    if let What::Verdict(judgement) = &mut event.what {
        judgement.object.what = Thing::File { path: "/export/people/ann/.npmrc".into() };
    }
    let (said, doubts) = replay("", vec![event]);
    assert_eq!(said[0].change, Change::Same);
    assert!(said[0].by_class);
    assert_eq!(doubts[&Doubt::ByClass], 1);
}

#[test]
fn a_manager_of_ours_is_a_manager_in_the_replay() {
    let manager = r#"
managers:
  builder: { title: builder, ecosystem: npm, recognise: [{ script: ["/tmp/demo/shop/node_modules/quick-colours/install.js"] }] }
"#;
    let (said, doubts) = replay(manager, recorded());
    assert_eq!(doubts[&Doubt::OtherActor], 1, "{doubts:?}");
    assert!(said.iter().any(|said| said.actor == "manager:builder"), "{said:#?}");
}
