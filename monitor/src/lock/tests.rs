//! Events to lockfiles, and lockfiles against each other.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::compare::{Change, State, check, diff, unknown_versions};
use super::format::{Act, Lock};
use super::recorder::{Recorded, Recorder};
use super::store::{Store, StoreError, parse, read, render};
use super::words;
use crate::event::log::Reader;
use crate::event::text::Text;
use crate::rule::Source;

mod broken;

const RUN: &str = r#"{"schema":"pkgwarden.event/1","kind":"run","time":"2026-11-20T00:00:00Z","tier":"kill","mode":"audit","command":["npm","i"],"observed":true,"places":{"project":"/home/ada/app","home":"/home/ada"}}"#;
const END: &str =
    r#"{"schema":"pkgwarden.event/1","kind":"end","time":"2026-11-20T00:00:09Z","exit_code":0,"lost":{}}"#;

/// One line of a script of `colours`, of this version.
fn line(version: &str, what: &str) -> String {
    format!(
        r#"{{"schema":"pkgwarden.event/1","time":"2026-11-20T00:00:01Z","tree":7,"scope":"1f","actor":"script:npm","process":{{"pid":9,"start":"2026-11-20T00:00:00Z","ppid":7,"uid":0,"exe":"/usr/bin/dash","argv":["sh"],"cwd":"/home/ada/app/node_modules/colours"}},"package":{{"ecosystem":"npm","name":"colours","version":"{version}","script":"postinstall","confidence":"exact","source":"x"}},{what}}}"#
    )
}

const BEGIN: &str = r#""kind":"exec","new_scope":true"#;
const NODE: &str = r#""kind":"exec","script":"/home/ada/app/node_modules/colours/install.js""#;
const OWN: &str = r#""kind":"act","action":"create","object":{"classes":[],"type":"file","path":"/home/ada/app/node_modules/colours/x"}"#;
const OTHER: &str = r#""kind":"act","action":"write","object":{"classes":[],"type":"file","path":"/home/ada/app/node_modules/ethers/lib/index.js"}"#;
const NAME: &str = r#""kind":"act","action":"resolve","object":{"classes":["any-name"],"type":"name","domain":"example.org","record":1,"resolver":"127.0.0.53","port":53,"protocol":17}"#;
const AWS: &str = r#""kind":"verdict","rule":"PW-CRED-200","title":"t","severity":"high","asked":"deny","achieved":"observed","tier":"kill","action":"read","object":{"classes":["aws-credentials","home-files"],"type":"file","path":"/home/ada/.aws/credentials"},"ancestry":[]"#;
const REACH: &str = r#""kind":"verdict","rule":"PW-NET-002","title":"t","severity":"high","asked":"deny","achieved":"observed","tier":"kill","action":"connect","object":{"classes":["public-odd-port"],"type":"address","address":"203.0.113.7","port":8000,"protocol":6},"ancestry":[]"#;

fn recorded(lines: &[String]) -> Recorded {
    let text = [&[RUN.to_owned()], lines, &[END.to_owned()]].concat().join("\n");
    let (mut reader, mut recorder) = (Reader::new(text.as_bytes()), Recorder::new());
    while let Some(entry) = reader.next_entry().unwrap() {
        recorder.entry(&entry);
    }
    recorder.finish()
}

fn harmless() -> Lock {
    recorded(&[line("1.2.3", BEGIN), line("1.2.3", NODE), line("1.2.3", OWN), line("1.2.3", NAME)]).lock
}

fn harmful() -> Lock {
    let lines = [BEGIN, NODE, OTHER, NAME, AWS, REACH].map(|what| line("1.2.4", what));
    recorded(&lines).lock
}

fn source(text: &str) -> Source {
    Source { name: "pkgwarden.lock".to_owned(), text: Arc::from(text) }
}

fn acts(change: &Change) -> Vec<String> {
    change.added.iter().map(|act| format!("{} {}", act.action.word(), act.object)).collect()
}

#[test]
fn events_become_a_file_that_reads_back() {
    let lock = harmful();
    let text = render(&lock).unwrap();
    let expected = "\
packages:
  npm:
    colours:
      \"1.2.4\":
        postinstall:
          exec:
          - /usr/bin/dash
          - /usr/bin/dash <package>/install.js
          read:
            ~/.aws/credentials: [aws-credentials]
          write:
            ./node_modules/ethers/lib/index.js: []
          connect:
            \"203.0.113.7:8000\": [public-odd-port]
          resolve:
            example.org: []
";
    assert!(text.ends_with(expected), "{text}");
    assert!(text.lines().any(|line| line == "schema: pkgwarden.lock/1"), "{text}");
    assert_eq!(parse(&source(&text)).unwrap(), lock);
    assert_eq!(render(&parse(&source(&text)).unwrap()).unwrap(), text);
}

#[test]
fn a_version_that_does_more_is_found_and_named() {
    let changes = check(&harmless(), &harmful());
    let [change] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!(change.state, State::Changed);
    assert_eq!(
        acts(change),
        ["read ~/.aws/credentials", "write ./node_modules/ethers/lib/index.js", "connect 203.0.113.7:8000"]
    );
    let told = "\
colours 1.2.4 (npm, postinstall) does what 1.2.3 did not
  reads ~/.aws/credentials (aws-credentials)
  writes ./node_modules/ethers/lib/index.js
  connects to 203.0.113.7:8000 (public-odd-port)
";
    assert_eq!(words::news(&changes), told);
    let told = words::differences(&diff(&harmless(), &harmful()));
    assert!(
        told.starts_with("colours 1.2.3 -> 1.2.4 (npm, postinstall) does something new\n  now reads ~/.aws"),
        "{told}"
    );
    let back = words::differences(&diff(&harmful(), &harmless()));
    assert!(back.contains("  no longer connects to 203.0.113.7:8000"), "{back}");
}

#[test]
fn what_is_known_is_nothing_new() {
    let lock = harmful();
    assert_eq!(check(&lock, &lock), []);
    assert_eq!(diff(&lock, &lock), []);
    // Less than is known is nothing new either.
    let mut both = lock.clone();
    both.merge(&harmless());
    assert_eq!(check(&both, &harmless()), []);
    // A version that is known is held to what it did, not to what another one did.
    let tamed = recorded(&[line("1.2.3", BEGIN), line("1.2.3", AWS)]).lock;
    let [change] = &check(&both, &tamed)[..] else { panic!() };
    assert_eq!((acts(change), change.from.len()), (vec!["read ~/.aws/credentials".to_owned()], 1));
    let next = recorded(&[line("1.2.5", BEGIN), line("1.2.5", NODE)]).lock;
    assert_eq!(check(&both, &next), []);
    let version = unknown_versions(&both, &next).pop().unwrap();
    assert_eq!(version.map(|text| text.to_string()), ["npm", "colours", "1.2.5"]);
    assert_eq!(unknown_versions(&both, &harmful()), Vec::<[Text; 3]>::new());
}

#[test]
fn packages_and_scripts_that_are_new_are_new_whatever_they_do() {
    let known = harmless();
    let named = |from: &str, to: &str| recorded(&[line("1.2.3", BEGIN).replace(from, to)]).lock;
    let state = |lock: &Lock| check(&known, lock).iter().map(|change| change.state).collect::<Vec<_>>();
    assert_eq!(state(&named("\"colours\"", "\"flavours\"")), [State::NewPackage]);
    assert_eq!(state(&named("postinstall", "preinstall")), [State::NewScript]);
    let states: Vec<State> = diff(&known, &Lock::default()).iter().map(|change| change.state).collect();
    assert_eq!(states, [State::GonePackage]);
}

#[test]
fn runs_add_up_in_any_order() {
    let (one, two) = (harmless(), harmful());
    let mut forwards = one.clone();
    forwards.merge(&two);
    let mut backwards = two.clone();
    backwards.merge(&one);
    assert_eq!(render(&forwards).unwrap(), render(&backwards).unwrap());
    let mut again = forwards.clone();
    again.merge(&one);
    assert_eq!(again, forwards);
}

#[test]
fn the_command_is_a_script_and_what_its_managers_do_is_not() {
    let by = |actor: &str, what: &str| {
        let line = line("1", what).replace("script:npm", actor);
        let (before, rest) = line.split_once("\"package\"").unwrap();
        format!("{before}{}", rest.split_once("},").unwrap().1)
    };
    let begin = r#""kind":"exec","new_scope":true,"script":"/home/ada/app/install.sh""#;
    let lock = recorded(&[
        by("script:command", begin),
        by("manager:npm", r#""kind":"exec","script":"/usr/bin/npm""#),
        by("manager:npm", NAME),
        by("script:command", REACH),
    ])
    .lock;
    let [(key, behaviour)] = &lock.scripts().collect::<Vec<_>>()[..] else { panic!("{lock:?}") };
    assert_eq!(key.map(ToString::to_string), ["command", "install.sh", "(unknown)", "command"]);
    assert_eq!((behaviour.exec.len(), behaviour.connect.len(), behaviour.resolve.len()), (2, 1, 0));
}

#[test]
fn what_is_told_otherwise_or_nobody_s_business_is_left_out() {
    let resolver = r#""kind":"act","action":"connect","object":{"classes":[],"type":"address","address":"192.0.2.53","port":53,"protocol":17}"#;
    let shelf = r#""kind":"act","action":"create","object":{"classes":["home-files"],"type":"file","path":"/home/ada/.cache"}"#;
    let cache =
        r#""kind":"act","action":"create","object":{"classes":[],"type":"file","path":"/opt/npm-cache/x"}"#;
    let exec = r#""kind":"verdict","rule":"PW-EXEC-001","title":"t","severity":"high","asked":"deny","achieved":"killed","tier":"kill","action":"exec","object":{"classes":["download-tools"],"type":"program","path":"/usr/bin/curl"},"ancestry":[]"#;
    let manager = line("1", cache).replace("script:npm", "manager:npm");
    let lines = [line("1", BEGIN), line("1", resolver), line("1", shelf), manager, line("1", exec)];
    assert_eq!(recorded(&lines).lock.acts(), 1);
    // A script that does the same is told, and so is a program that was refused before it could begin.
    let denied = exec.replace("killed", "denied");
    let lines = [line("1", BEGIN), line("1", cache), line("1", &denied)];
    assert_eq!(recorded(&lines).lock.acts(), 3);
}

#[test]
fn a_flood_is_cut_and_counted() {
    let reach = |n: u32| line("1", &REACH.replace("8000", &(n % 30_000 + 1).to_string()));
    let mut lines = vec![line("1", BEGIN)];
    lines.extend((0..5000).map(reach));
    let recorded = recorded(&lines);
    assert_eq!(recorded.lock.acts(), 4096);
    assert_eq!(recorded.left_out, 5001 - 4096);
}

#[test]
fn the_file_fits_its_schema() {
    let schema = serde_json::to_value(schemars::schema_for!(Lock)).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let value = serde_json::to_value(harmful()).unwrap();
    assert!(validator.is_valid(&value), "{:?}", validator.iter_errors(&value).next());
    let mut wrong = value;
    wrong["packages"]["npm"]["colours"]["1.2.4"]["postinstall"]["reads"] = serde_json::json!({});
    assert!(!validator.is_valid(&wrong));
}

proptest! {
    #[test]
    fn any_text_survives(
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 5..6),
        word in "[~*&!%@`#?:,\\[\\]{}>|'\"\\\\. 0-9a-zyYnN-]{0,12}",
    ) {
        let mut lock = Lock::default();
        let text = |index: usize| Text::from(parts[index].clone());
        let behaviour = lock.entry(&text(0), &text(1), &text(2), &text(3));
        let act = |action, object: Text| Act { action, object, classes: Default::default() };
        behaviour.add(act(monitor_common::action::Action::Exec, Text::from(word.as_str())));
        behaviour.add(act(monitor_common::action::Action::Read, Text::from(word)));
        behaviour.add(act(monitor_common::action::Action::UnixConnect, text(4)));
        let written = render(&lock).unwrap();
        prop_assert!(written.chars().all(|character| character == '\n' || crate::event::text::is_visible(character)));
        let back = parse(&source(&written)).map_err(|finding| TestCaseError::fail(format!("{finding}\n{written}")))?;
        prop_assert_eq!(&back, &lock);
        prop_assert_eq!(render(&back).unwrap(), written);
    }
}
