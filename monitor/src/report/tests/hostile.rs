//! One table of strange and secret text, put wherever a stranger can put it, in every format.

use monitor_common::action::Action;
use monitor_common::verdict::{Achieved, Tier, Verdict};

use super::recorded::{Told, told};
use super::{finding, job_summary, package, render_events, run};
use crate::cli::format::Format;
use crate::event::Event;
use crate::event::Traffic;
use crate::event::log::End;
use crate::event::model::{Judgement, Object, Thing, What};
use crate::event::text::{Text, is_visible};
use crate::event::time::Timestamp;
use crate::report::layout::Screen;
use crate::rule::syntax::Severity;

/// Text that some format or screen would obey, and what must therefore not be in any output as it is.
const NASTY: [(&[u8], &str); 24] = [
    (b"a\x1b[2J\x1b]0;pwned\x07b", "\u{1b}"),
    (b"a\xc2\x9b2Jb", "\u{9b}"),
    ("gpj\u{202e}.exe".as_bytes(), "\u{202e}"),
    ("a\u{200b}b\u{feff}".as_bytes(), "\u{200b}"),
    ("a\u{2028}b".as_bytes(), "\u{2028}"),
    ("a\u{e0041}b".as_bytes(), "\u{e0041}"),
    (b"a\0b", "\0"),
    (b"a\xff\xfe\xc3b", "\u{fffd}"),
    (b"<script>alert(1)</script>", "<script>alert"),
    (b"</script><script>alert(2)//", "<script>alert"),
    (b"<!--<script>", "<!--"),
    (b"\"><img src=x onerror=alert(3)>", "<img"),
    (b"' onmouseover='alert(4)", "' onmouseover='"),
    (b"</title></style></code></pre></details>", "</details></"),
    (b"&lt;b&gt;&#60;", "&lt;b&gt;&#60;\u{0}"),
    (b"a|b|c||", "|b|c||\u{0}"),
    (b"``` `x` ```", "``` `x` ```\u{0}"),
    (b"[click](https://203.0.113.7/)", "](https"),
    (b"![x](https://203.0.113.7/x.png)", "](https"),
    (b"a\n# heading\n\n- [ ] list\n", "\n# heading"),
    (b"a\r\nb", "\r"),
    (b"**bold** @everyone #1 :tada:", "\0"),
    (b"{0} {{1}} ${x} $(id) %n", "\0"),
    (b"javascript:alert(5)", "href=\"javascript"),
];

/// Secrets in every shape that they are known to come in, and the part that must be nowhere.
const SECRETS: [(&[u8], &str); 12] = [
    (b"NPM_TOKEN=aS3cretValue1", "aS3cretValue1"),
    (b"--password=aS3cretValue2", "aS3cretValue2"),
    (b"https://user:aS3cretValue3@host/x", "aS3cretValue3"),
    (b"https://host/x?access_token=aS3cretValue4", "aS3cretValue4"),
    (b"/tmp/npm_aS3cretValue5abcdefghijklmnopqrstu/x", "aS3cretValue5"),
    (b"/home/u/.cache/ghp_aS3cretValue6abcdefghijklmn.json", "aS3cretValue6"),
    (b"/x/AWS_SECRET_ACCESS_KEY=aS3cretValue7", "aS3cretValue7"),
    (b"Authorization: Bearer aS3cretValue8", "aS3cretValue8"),
    (b"eyJaS3cretValue9abcdefghijklmnopqrstuvwxyzabcdefghijk", "aS3cretValue9"),
    (b"AKIAAS3CRETVALUE1234", "AKIAAS3CRETVALUE1234"),
    (b"sh -c 'curl -H \"X-Api-Key: aS3cretValueA\"'", "aS3cretValueA"),
    (b"git+https://aS3cretValueB@host/x.git", "aS3cretValueB"),
];

fn event(text: &[u8], what: What, number: u64) -> Event {
    let mut process = finding().process;
    let text = Text::from(text);
    (process.exe, process.cwd) = (Some(text.clone()), Some(text.clone()));
    process.argv = vec![text.clone(), text.clone()];
    let mut package = package();
    (package.name, package.version, package.script) = (text.clone(), Some(text.clone()), Some(text));
    Event {
        time: Timestamp(1_795_132_799_000_000_000 + number),
        tree: 10,
        scope: finding().scope,
        actor: "script:npm".into(),
        process,
        package: Some(package),
        flags: vec![],
        what,
    }
}

fn judgement(what: Thing, action: Action, achieved: Achieved, text: &Text) -> What {
    let mut ancestry = finding().ancestry;
    for ancestor in &mut ancestry {
        (ancestor.exe, ancestor.argv) = (Some(text.clone()), vec![text.clone()]);
    }
    // Every kind of object has a rule of its own, so that each is a finding.
    let rule = format!("PW-{}-001", action.word().to_uppercase());
    What::Verdict(Box::new(Judgement {
        rule,
        title: "a rule of the test".into(),
        severity: Severity::Critical,
        why: "Because. And more.".into(),
        attack: vec!["T1552.001".into(), "T1195".into()],
        asked: Verdict::Deny,
        achieved,
        tier: Tier::Kill,
        action,
        object: Object { classes: vec![format!("class-{}", action.word())], title: "a thing".into(), what },
        ancestry,
        marks: vec!["secret-read".into()],
        syscall: Some(257),
    }))
}

/// A run in which `text` stands wherever a stranger's text can stand, with every action and kind of object.
pub(super) fn played(text: &[u8]) -> Told {
    let strange = Text::from(text);
    let address = |host: &str, named: Option<&Text>| Thing::Address {
        address: host.parse().unwrap(),
        port: 443,
        protocol: 6,
        domain: named.cloned(),
        server_name: named.cloned(),
    };
    let question = |domain: Option<Text>| Thing::Name {
        domain,
        record: 16,
        resolver: "127.0.0.53".parse().unwrap(),
        port: 53,
        protocol: 17,
    };
    let things = [
        Thing::File { path: strange.clone() },
        Thing::Program { path: strange.clone(), argv: vec![strange.clone()] },
        Thing::Socket { socket: strange.clone() },
        address("203.0.113.7", Some(&strange)),
        address("2001:db8::7", None),
        question(Some(strange.clone())),
        question(None),
        Thing::Process { pid: 77 },
        Thing::Kernel { kernel: "bpf".into(), detail: 5 },
        Thing::None,
    ];
    let mut whats = vec![
        What::Exec { script: Some(strange.clone()), new_scope: true },
        What::Fork { child: 31 },
        What::Exit { code: Some(3), signal: None },
        What::Exit { code: None, signal: Some(9) },
        What::Orphaned,
        What::Resolved { domain: strange.clone(), address: "203.0.113.7".parse().unwrap(), ttl: 300 },
    ];
    let outcomes =
        [Achieved::Missed, Achieved::Observed, Achieved::Alerted, Achieved::Killed, Achieved::Denied];
    for (number, action) in Action::ALL.iter().enumerate() {
        for (of, thing) in things.iter().enumerate() {
            whats.push(judgement(thing.clone(), *action, outcomes[(number + of) % 5], &strange));
            let object = Object { classes: Vec::new(), title: String::new(), what: thing.clone() };
            whats.push(What::Act { action: *action, object });
        }
    }
    let events =
        whats.into_iter().enumerate().map(|(number, what)| event(text, what, number as u64)).collect();
    let mut run = run();
    run.command = vec!["npm".into(), strange.clone()];
    let strange_domain = strange.clone();
    run.rules.sources = vec![strange];
    crate::report::redact::run(&mut run);
    let traffic = Traffic {
        tree: 10,
        scope: finding().scope,
        actor: "script:npm".into(),
        package: event(text, What::Orphaned, 0).package,
        address: "203.0.113.7".parse().unwrap(),
        port: 443,
        protocol: 6,
        domain: Some(strange_domain),
        sent: 1234,
        refused: 0,
    };
    let mut end = End {
        time: Timestamp(1_795_132_800_000_000_000),
        exit_code: Some(0),
        traffic: vec![traffic],
        ..End::default()
    };
    crate::report::redact::end(&mut end);
    told(run, events, Some(end))
}

pub(super) const FORMATS: [Format; 7] =
    [Format::Human, Format::Html, Format::Md, Format::Sarif, Format::Json, Format::Ocsf, Format::Ecs];

pub(super) fn rendered(format: Format, (summary, events): &Told) -> String {
    let screen = Screen { width: 100, unicode: true };
    let text = render_events(&*format.report(screen), summary, events.clone());
    if format == Format::Human { anstream::adapter::strip_str(&text).to_string() } else { text }
}

#[test]
fn nothing_that_a_stranger_wrote_comes_through_raw() {
    for (text, raw) in NASTY {
        let told = played(text);
        let name = Text::from(text).to_string();
        for format in FORMATS {
            let out = rendered(format, &told);
            // The script and the style of the page are ours.
            let bad = out.chars().find(|character| *character != '\n' && !is_visible(*character));
            assert_eq!(bad, None, "{name} as {format:?}");
            assert!(!out.contains('\u{fffd}'), "{name} as {format:?} lost bytes");
            // What is said in JSON is held apart, see `assert_whole`.
            let markup = out.split_once("id=\"data\">").map_or(&out[..], |(markup, _)| markup);
            // What Markdown would make a link of means nothing to HTML.
            if format == Format::Md || (format == Format::Html && !raw.starts_with(']')) {
                assert!(!markup.contains(raw), "{name} as {format:?}: {raw}");
            }
            match format {
                Format::Md => job_summary::assert_plain(&name, &out),
                Format::Html => assert_whole(&name, &out),
                Format::Json | Format::Sarif => {
                    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
                    assert_strings(&name, &value);
                }
                Format::Ocsf | Format::Ecs => {
                    let lines = out.lines().inspect(|line| {
                        assert_strings(&name, &serde_json::from_str(line).unwrap());
                    });
                    assert_eq!(lines.count(), told.1.len() + told.0.findings.len(), "{name} as {format:?}");
                }
                Format::Human => {}
            }
        }
    }
}

/// What a program shows after it has read the JSON is visible too.
fn assert_strings(name: &str, value: &serde_json::Value) {
    match value {
        serde_json::Value::String(text) => {
            let bad = text.chars().find(|character| *character != '\n' && !is_visible(*character));
            assert_eq!(bad, None, "{name}: {text:?}");
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| assert_strings(name, value)),
        serde_json::Value::Object(members) => {
            for (key, value) in members {
                assert!(key.chars().all(is_visible), "{name}: {key:?}");
                assert_strings(name, value);
            }
        }
        _ => {}
    }
}

/// Every tag of the page is one of ours, with the attributes that we give it.
fn assert_whole(name: &str, page: &str) {
    let (markup, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    let (data, script) = rest.split_once("</script>").unwrap();
    assert!(!data.contains(['<', '>', '&']), "{name}: {data}");
    serde_json::from_str::<serde_json::Value>(data).unwrap();
    assert_eq!(script.matches("</script").count(), 1, "{name}");
    let (head, markup) = markup.split_once("<style>").unwrap();
    let (_, body) = markup.split_once("</style>").unwrap();
    for piece in [head, body].iter().flat_map(|part| part.split('<').skip(1)) {
        let (tag, text) = piece.split_once('>').unwrap_or_else(|| panic!("{name}: <{piece}"));
        assert!(!text.contains('>'), "{name}: {piece}");
        let element = tag.trim_start_matches('/').split(' ').next().unwrap();
        let known = [
            "!doctype", "html", "head", "meta", "title", "body", "header", "p", "h1", "h2", "h3", "code",
            "dl", "div", "dt", "dd", "nav", "a", "main", "section", "article", "span", "bdi", "ul", "li",
            "details", "summary", "pre", "table", "thead", "tbody", "tr", "th", "td", "noscript", "footer",
        ];
        assert!(known.contains(&element), "{name}: <{tag}>");
        let attributes = [
            "class",
            "id",
            "href",
            "scope",
            "data-sort",
            "data-label",
            "data-value",
            "title",
            "tabindex",
            "aria-label",
            "aria-labelledby",
            "lang",
            "charset",
            "http-equiv",
            "content",
            "name",
            "html",
        ];
        for attribute in tag.split("=\"").map(|part| part.rsplit(' ').next().unwrap()) {
            let is_known = attributes.contains(&attribute) || attribute == tag || tag.ends_with(attribute);
            assert!(is_known, "{name}: {attribute} of <{tag}>");
        }
    }
}

#[test]
fn no_secret_is_in_any_format() {
    for (text, secret) in SECRETS {
        let told = played(text);
        for format in FORMATS {
            let out = rendered(format, &told);
            assert!(!out.contains(secret), "{} as {format:?}", Text::from(text));
            assert!(out.contains("redacted"), "{} as {format:?}", Text::from(text));
        }
    }
}

#[test]
fn the_same_events_give_the_same_bytes() {
    let told = played(b"/tmp/x");
    for format in FORMATS {
        assert_eq!(rendered(format, &told), rendered(format, &told), "{format:?}");
    }
}
