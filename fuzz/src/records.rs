//! Bytes of the ring, from the decoder to everything that is shown or written: nothing may panic, everything must be
//! whole JSON or harmless text, and a log must read back as what was written.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::{Arc, LazyLock};

use arbitrary::{Arbitrary, Unstructured};
use monitor::event::log::{End, Entry, Host, Places, Reader, Rules, Run, Writer};
use monitor::event::model::What;
use monitor::event::text::Text;
use monitor::event::{Event, Timestamp};
use monitor::finding::{Finding, Pipeline};
use monitor::policy::{Environment, Names, Policy};
use monitor::report::Report;
use monitor::report::allow;
use monitor::report::ecs::Ecs;
use monitor::report::html::Html;
use monitor::report::human::{Human, one_line};
use monitor::report::json::Json;
use monitor::report::layout::Screen;
use monitor::report::markdown::Markdown;
use monitor::report::ocsf::Ocsf;
use monitor::report::sarif::Sarif;
use monitor::rule::{Source, load, problem};
use monitor_common::action::Action;
use monitor_common::event::{ABI, HEADER, Kind, MAX_RECORD, SPANS, STRINGS, Subject};
use monitor_common::verdict::{Achieved, Mode, Tier, Verdict};

use crate::visible::{assert_styled, assert_visible};

/// The most records of one input: what a pipeline keeps is bounded, and a tree is not deeper by then.
const MOST: usize = 200;
/// Rules of the run that is played.
const RULES: &str = include_str!("records.yaml");

static NAMES: LazyLock<Arc<Names>> = LazyLock::new(|| {
    let set = load::from_texts(vec![source("played", RULES)]).expect("the rules that are played");
    let policy = Policy::compile(&set, &Environment::for_tests(&set)).expect("the tables that are played");
    Arc::new(policy.names)
});

fn source(name: &str, text: &str) -> Source {
    Source { name: name.to_owned(), text: Arc::from(text) }
}

/// What the ring gives.
#[derive(Arbitrary, Debug)]
enum Piece<'a> {
    /// Any bytes.
    Raw(&'a [u8]),
    /// A record that decodes: numbers of closed lists are made to be known.
    Record(Box<Played<'a>>),
    /// The same, with a part of it overwritten.
    Broken(Box<Played<'a>>, u8, u32),
    /// Not from the ring: a process that outlived the command.
    Survivor(u8, u8, u64),
}

/// Fields as far as they matter, in the order of the header.
#[derive(Arbitrary, Debug)]
struct Played<'a> {
    kind: u8,
    subject: u8,
    time: u64,
    start: u64,
    /// Few processes, scopes and trees, so that records meet.
    tgid: u8,
    ppid: u8,
    scope: u8,
    tree: u8,
    uid: u32,
    marks: u32,
    actor: u8,
    verdict: [u8; 3],
    rule: u8,
    flags: u16,
    group: u8,
    port: u16,
    syscall: i32,
    detail: u64,
    address: [u8; 16],
    strings: [&'a [u8]; SPANS],
}

/// The number of one of `all`.
fn one_of<T: Copy>(all: &[T], number: u8) -> T {
    all[usize::from(number) % all.len()]
}

impl Played<'_> {
    /// In the order of `monitor_common::event::Header`.
    fn bytes(&self) -> Vec<u8> {
        let mut tail = Vec::new();
        let mut spans = Vec::new();
        for string in self.strings {
            let string = &string[..string.len().min(STRINGS - tail.len())];
            spans.extend([tail.len() as u16, string.len() as u16].map(u16::to_ne_bytes).concat());
            tail.extend_from_slice(string);
        }
        let mut bytes = Vec::with_capacity(HEADER + tail.len());
        bytes.extend(ABI.to_ne_bytes());
        bytes.extend([one_of(Kind::ALL, self.kind) as u8, one_of(Subject::ALL, self.subject) as u8]);
        bytes.extend(((HEADER + tail.len()) as u32).to_ne_bytes());
        bytes.extend([self.time, self.start].map(u64::to_ne_bytes).concat());
        let [tgid, ppid] = [self.tgid, self.ppid].map(|pid| u32::from(pid % 16));
        bytes.extend([tgid, tgid, ppid, self.uid].map(u32::to_ne_bytes).concat());
        bytes.extend(u64::from(self.scope % 8).to_ne_bytes());
        bytes.extend([u32::from(self.tree % 4), self.marks].map(u32::to_ne_bytes).concat());
        let [action, asked, achieved] = self.verdict;
        bytes.extend([
            self.actor % 8,
            one_of(Action::ALL, action) as u8,
            one_of(Verdict::ALL, asked) as u8,
            one_of(Achieved::ALL, achieved) as u8,
        ]);
        let [rule, group] = [self.rule, self.group].map(|number| u16::from(number % 16));
        bytes.extend([rule, self.flags, group, self.port].map(u16::to_ne_bytes).concat());
        bytes.extend(self.syscall.to_ne_bytes());
        bytes.extend(self.detail.to_ne_bytes());
        bytes.extend(self.address);
        bytes.extend(spans);
        assert_eq!(bytes.len(), HEADER);
        bytes.extend(tail);
        bytes
    }
}

/// Plays `bytes` as a run, from its first record to its reports.
pub fn run(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let (offset, tier) = <(i64, u8)>::arbitrary(&mut input).unwrap_or_default();
    let mut pipeline = Pipeline::new(Arc::clone(&NAMES), one_of(Tier::ALL, tier), offset);
    let mut log = Log::new();
    for _ in 0..MOST {
        if input.is_empty() {
            break;
        }
        let Ok(piece) = Piece::arbitrary(&mut input) else { break };
        let record = match piece {
            Piece::Raw(bytes) => bytes.to_vec(),
            Piece::Record(played) => {
                let bytes = played.bytes();
                assert!(bytes.len() <= MAX_RECORD && monitor::event::decode::decode(&bytes).is_ok());
                bytes
            }
            Piece::Broken(played, place, with) => {
                let mut bytes = played.bytes();
                let place = usize::from(place) % HEADER.saturating_sub(4);
                bytes[place..place + 4].copy_from_slice(&with.to_ne_bytes());
                bytes
            }
            Piece::Survivor(pid, achieved, linger) => {
                let event = pipeline.survivor((pid % 16).into(), one_of(Achieved::ALL, achieved), linger);
                log.event(event);
                continue;
            }
        };
        match pipeline.push(&record) {
            Ok(event) => log.event(event),
            Err(error) => drop(assert_visible("error", error.to_string().as_bytes())),
        }
    }
    report(&pipeline, &log.events);
    log.assert_reads_back();
}

fn begin() -> Run {
    Run {
        time: Timestamp(1),
        tier: Tier::Kill,
        mode: Mode::Block,
        command: vec![Text::from("npm")],
        started_by: Vec::new(),
        rules: Rules::default(),
        host: Host::default(),
        version: String::new(),
        places: Places::default(),
        observed: false,
    }
}

/// The log of the run, and what must come out of it.
struct Log {
    writer: Writer<Vec<u8>>,
    events: Vec<Event>,
}

impl Log {
    fn new() -> Self {
        let mut writer = Writer::new(Vec::new());
        writer.run(&begin()).expect("memory can be written to");
        Self { writer, events: Vec::new() }
    }

    fn event(&mut self, event: Event) {
        self.writer.event(&event).expect("memory can be written to");
        if let What::Verdict(judgement) = &event.what {
            let line = one_line(&event, judgement);
            assert!(!assert_visible("line", line.as_bytes()).contains('\n'), "{line:?}");
        }
        self.events.push(event);
    }

    fn assert_reads_back(self) {
        let bytes = self.writer.into_inner();
        let text = assert_visible("log", &bytes);
        assert_eq!(text.lines().count(), self.events.len() + 1);
        for line in text.lines() {
            let value: serde_json::Value = serde_json::from_str(line).expect(line);
            assert_eq!(value["schema"], monitor::event::log::SCHEMA);
        }
        let mut reader = Reader::new(Cursor::new(&bytes));
        assert_eq!(reader.next_entry().expect("the first line"), Some(Entry::Run(begin())));
        for event in self.events {
            assert_eq!(reader.next_entry().expect("a line of the log"), Some(Entry::Event(Box::new(event))));
        }
        assert_eq!(reader.next_entry().expect("the end of the log"), None);
    }
}

fn report(pipeline: &Pipeline, events: &[Event]) {
    let end = End { time: Timestamp(2), exit_code: Some(1), lost: BTreeMap::new(), traffic: Vec::new() };
    let summary = pipeline.summary(begin(), Some(end));
    let mut json = Vec::new();
    Json.render(&summary, &mut std::iter::empty(), &mut json).expect("memory can be written to");
    let value: serde_json::Value =
        serde_json::from_str(assert_visible("JSON report", &json)).expect("a report is JSON");
    assert_eq!(value["findings"].as_array().map(Vec::len), Some(summary.findings.len()));
    for screen in [Screen { width: 80, unicode: true }, Screen { width: 40, unicode: false }] {
        let mut text = Vec::new();
        Human { screen }
            .render(&summary, &mut std::iter::empty(), &mut text)
            .expect("memory can be written to");
        assert_styled("report", &text);
        assert!(screen.unicode || text.is_ascii(), "{text:?}");
    }
    let formats: [(&str, &dyn Report); 5] =
        [("HTML", &Html), ("Markdown", &Markdown), ("SARIF", &Sarif), ("OCSF", &Ocsf), ("ECS", &Ecs)];
    for (name, format) in formats {
        let mut out = Vec::new();
        format.render(&summary, &mut events.iter().cloned(), &mut out).expect("memory can be written to");
        let text = assert_visible(name, &out);
        match name {
            "HTML" => {
                assert_eq!(text.matches("<script").count(), 2, "{text}");
                let data = text.split_once("id=\"data\">").and_then(|(_, rest)| rest.split_once("</script>"));
                let data = data.expect("a page has data").0;
                assert!(serde_json::from_str::<serde_json::Value>(data).is_ok(), "{data}");
            }
            "Markdown" => assert!(out.len() <= monitor::report::markdown::MOST, "{}", out.len()),
            "SARIF" => assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}"),
            _ => {
                assert_eq!(text.lines().count(), events.len() + summary.findings.len());
                let is_json = |line: &str| serde_json::from_str::<serde_json::Value>(line).is_ok();
                assert!(text.lines().all(is_json), "{text}");
            }
        }
    }
    for finding in &summary.findings {
        allowed(finding);
    }
}

/// The rule that a report offers must be one that pkgwarden takes.
fn allowed(finding: &Finding) {
    let known = NAMES.actors.contains(&finding.actor)
        && finding.object.classes.iter().any(|class| NAMES.objects.contains_key(class));
    let Some(text) = allow::rule(finding).filter(|_| known) else { return };
    if let Err(problems) = load::from_texts(vec![source("played", RULES), source("allowed", &text)]) {
        let real: Vec<&str> = problems
            .iter()
            .map(problem::Finding::message)
            // A ring that pairs an action with an object of another kind is a broken one.
            .filter(|message| !message.contains("this action is about") && !message.contains("can be met by"))
            .collect();
        assert!(real.is_empty(), "{real:?}\n{text}");
    }
}
