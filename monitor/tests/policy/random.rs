//! Random rules and acts from a small alphabet, so that they meet often.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use monitor::rule::syntax::{
    Manager, Object, OneOrMany, Recognise, Rule, RuleFile, Severity, Tool, Verdict, When,
};
use monitor_common::action::Action;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Somebody does something.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    pub(crate) actor: String,
    pub(crate) action: Action,
    pub(crate) thing: Thing,
}

/// What it is done to.
#[derive(Clone, Debug)]
pub(crate) enum Thing {
    File {
        path: String,
        dropped: bool,
    },
    Program {
        path: String,
        script: Option<String>,
        command: Vec<String>,
    },
    Socket(String),
    /// An address, a port, and perhaps the name it was resolved under.
    Address(IpAddr, u16, Option<String>),
    /// A name that is resolved.
    Name(String),
}

const ACTORS: [&str; 8] =
    ["script:command", "manager:m", "script:m", "manager:n", "script:n", "tool:s", "tool:t", "tool:u"];

fn words(list: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    select(list).prop_map(str::to_owned)
}

fn component() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => words(&["a", "b", "ab", ".x", "h", "root"]),
        3 => words(&["*", "?", "a*", "*b", "*a*", "?b", "[ab]", "[a-b]*", "{a,b}", "{a,ab}*", "a{,b}", "\\a", "[.a]?"]),
        2 => Just("**".to_owned()),
    ]
}

fn path_pattern() -> impl Strategy<Value = String> {
    let anchor =
        words(&["/", "/", "~/", "~/", "$PROJECT/", "**/", "**/", "/h/", "$SET/", "$UNSET/", "/h/a/"]);
    prop_oneof![
        12 => (anchor, vec(component(), 1..4)).prop_map(|(anchor, rest)| format!("{anchor}{}", rest.join("/"))),
        1 => words(&["~", "$PROJECT", "**", "/h/{a,b}/ab", "/{h/a,root}/**/b"]),
    ]
}

fn command_pattern() -> impl Strategy<Value = String> {
    let word = words(&["a", "b", "ab", "*", "a*", "*b", "?", "[ab]", "{a,-x}", "**", "-*", "a*b*", "/b*"]);
    (words(&["a", "b", "ab", "a*", "*", "**", "*b"]), vec(word, 0..3))
        .prop_map(|(first, rest)| [vec![first], rest].concat().join(" "))
}

/// At least one entry that is no exclusion.
fn list(entry: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = Vec<String>> {
    vec((entry, prop::bool::weighted(0.3)), 1..5).prop_map(|entries| {
        let sign = |(index, (text, excluded)): (usize, (String, bool))| {
            if excluded && index > 0 { format!("!{text}") } else { text }
        };
        entries.into_iter().enumerate().map(sign).collect()
    })
}

fn addresses() -> impl Strategy<Value = Vec<String>> {
    let network = words(&[
        "0.0.0.0/0",
        "10.0.0.0/8",
        "10.1.0.0/16",
        "10.1.2.3",
        "127.0.0.0/8",
        "::/0",
        "fd00::/8",
        "fd00::1",
        "::1",
    ]);
    vec((network, any::<bool>()), 0..5).prop_map(|entries| {
        let sign = |(text, excluded)| if excluded { format!("!{text}") } else { text };
        entries.into_iter().map(sign).collect()
    })
}

fn domains() -> impl Strategy<Value = Vec<String>> {
    let name = words(&[
        "a",
        "b.a",
        "*.a",
        "*.b.a",
        "ab",
        "*.ab",
        "*",
        "A.B.",
        "c.b.a",
        "*.C.b.a",
        "é.a",
        "a-b",
        "xn--9ca.a",
    ]);
    option::weighted(0.4, list(name)).prop_map(Option::unwrap_or_default)
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        words(&[
            "a",
            "b.a",
            "c.b.a",
            "d.c.b.a",
            "ab",
            "x.ab",
            "bb.a",
            "a.b",
            "xn--9ca.a",
            "a-b",
            "a.a.a",
            "ba"
        ]),
        "[ab-]{1,3}(\\.[abc]{1,2}){0,3}",
    ]
}

fn ports() -> impl Strategy<Value = Vec<String>> {
    vec(words(&["80", "443", "1-1024", "!22", "!80-90", "65535", "0"]), 0..3)
}

fn object() -> impl Strategy<Value = Object> {
    let files = option::weighted(0.7, list(path_pattern()));
    let programs =
        option::weighted(0.4, list(prop_oneof![4 => path_pattern(), 1 => words(&["-m a", "-m *"])]));
    let commands = option::weighted(0.4, list(command_pattern()));
    let sockets =
        option::weighted(0.3, list(prop_oneof![3 => path_pattern(), 1 => words(&["@a", "@a/*", "@*"])]));
    let secret = option::weighted(0.5, words(&["s", "t", "u"]));
    (files, programs, commands, sockets, addresses(), domains(), ports(), secret).prop_map(
        |(files, executables, commands, sockets, addresses, domains, ports, secret)| {
            let mut object = Object {
                files: files.unwrap_or_default(),
                executables: executables.unwrap_or_default(),
                commands: commands.unwrap_or_default(),
                sockets: sockets.unwrap_or_default(),
                addresses,
                domains,
                ports,
                secret,
                ..Object::default()
            };
            // Every kind is there in some object, so that every action has one.
            if object.files.is_empty() {
                object.files.push("/h/**".to_owned());
            }
            object
        },
    )
}

/// Which objects fit which actions, and a rule about them.
fn rule(objects: &[(String, Object)]) -> impl Strategy<Value = Rule> + use<> {
    let named = |fits: &dyn Fn(&Object) -> bool| -> Vec<String> {
        objects.iter().filter(|(_, object)| fits(object)).map(|(name, _)| name.clone()).collect()
    };
    let mut files = named(&|object| !object.files.is_empty());
    files.push("dropped".to_owned());
    let mut kinds = vec![
        (vec!["read", "write"], files.clone()),
        (vec!["read"], files),
        (vec!["exec"], named(&|object| !object.executables.is_empty() || !object.commands.is_empty())),
        (
            vec!["connect"],
            named(&|object| {
                !object.addresses.is_empty() || !object.ports.is_empty() || !object.domains.is_empty()
            }),
        ),
        (vec!["resolve"], named(&|object| !object.domains.is_empty())),
        (vec!["unix-connect"], named(&|object| !object.sockets.is_empty())),
    ];
    kinds.retain(|(_, objects)| !objects.is_empty());
    let selector = words(&["any", "script", "manager:*", "tool:*", "script:m", "manager:n", "tool:s"]);
    let about = select(kinds).prop_flat_map(|(does, objects)| (Just(does), vec(select(objects), 1..4)));
    let severity = select(vec![Severity::Info, Severity::Medium, Severity::Critical]);
    let then = select(vec![Verdict::Allow, Verdict::Alert, Verdict::Deny, Verdict::Kill]);
    let mark = option::weighted(0.3, words(&["x", "y", "z"]));
    let marks = vec(words(&["x", "y", "z"]), 0..2);
    let secrets = prop_oneof![6 => Just(0), 1 => 1..4_u8];
    (
        vec(selector, 1..3),
        about,
        severity,
        then,
        mark,
        (marks, secrets),
        prop_oneof![3 => Just(0), 1 => 1..3_u16],
    )
        .prop_map(|(actor, (does, object), severity, then, mark, (marks, secrets), after)| Rule {
            id: String::new(),
            title: "a title".to_owned(),
            severity,
            when: When {
                actor: OneOrMany::Many(actor),
                does: OneOrMany::Many(does.iter().map(|word| (*word).to_owned()).collect()),
                object: OneOrMany::Many(object),
                marks,
                secrets,
                scope: None,
                after: if does[0] == "read" { after } else { 0 },
            },
            then,
            network: Vec::new(),
            started_by: Vec::new(),
            mark,
            attack: Vec::new(),
            why: "a reason".to_owned(),
            tests: Vec::new(),
        })
}

fn way() -> impl Strategy<Value = Recognise> {
    let scripts = list(prop_oneof![3 => path_pattern(), 1 => words(&["-m a"])]);
    (option::of(list(path_pattern())), option::of(scripts)).prop_map(|(exe, script)| {
        let script = script.unwrap_or_default();
        let exe = exe.unwrap_or_default();
        let exe = if exe.is_empty() && script.is_empty() { vec!["/a".to_owned()] } else { exe };
        Recognise { exe, script }
    })
}

fn tool() -> impl Strategy<Value = Tool> {
    let starters = vec(words(&["manager:*", "script:m", "tool:s", "any"]), 0..3);
    (way(), starters).prop_map(|(Recognise { exe, script }, mut started_by)| {
        // Nobody may wait for himself.
        if !started_by.is_empty() {
            started_by.push("manager:m".to_owned());
        }
        Tool { exe, script, started_by, trusted_writer: false }
    })
}

/// A sound rule file.
pub(crate) fn rules() -> impl Strategy<Value = RuleFile> {
    let actors = (vec(way(), 1..3), vec(way(), 1..3), tool(), tool(), tool());
    (vec(object(), 1..6), actors).prop_flat_map(|(objects, (m, n, s, t, u))| {
        let objects: Vec<(String, Object)> =
            objects.into_iter().enumerate().map(|(index, object)| (format!("o{index}"), object)).collect();
        vec(rule(&objects), 1..9).prop_map(move |rules| {
            let manager =
                |recognise: &Vec<Recognise>| Manager { recognise: recognise.clone(), ..Manager::default() };
            let tools = [("tool:s", &s), ("tool:t", &t), ("tool:u", &u)];
            let objects: BTreeMap<String, Object> = objects.iter().cloned().collect();
            RuleFile {
                rules: sound(rules, &objects),
                objects,
                actors: tools.map(|(name, tool)| (name.to_owned(), tool.clone())).into(),
                managers: BTreeMap::from([("m".to_owned(), manager(&m)), ("n".to_owned(), manager(&n))]),
                ..RuleFile::default()
            }
        })
    })
}

/// Unique ids, no condition on a mark that nobody sets, and no more counters than there are.
fn sound(mut rules: Vec<Rule>, objects: &BTreeMap<String, Object>) -> Vec<Rule> {
    let set: Vec<String> = rules.iter().filter_map(|rule| rule.mark.clone()).collect();
    let classes = objects.values().filter_map(|object| object.secret.as_ref()).collect::<BTreeSet<_>>().len();
    for (index, rule) in rules.iter_mut().enumerate() {
        rule.when.secrets = rule.when.secrets.min(classes as u8);
        rule.id = format!("R-{index}");
        rule.when.marks.retain(|mark| set.contains(mark));
    }
    rules
}

fn path() -> impl Strategy<Value = String> {
    let start = words(&["", "", "/h", "/h/a", "/h/a/ab", "/root", "/h/b"]);
    let names = words(&["a", "b", "ab", ".x", "h", "root", "aab", "xb"]);
    (start, vec(names, 0..5))
        .prop_map(|(start, names)| format!("{start}/{}", names.join("/")))
        .prop_map(|path| path.trim_end_matches('/').to_owned())
        .prop_filter("the root directory is no file", |path| !path.is_empty())
}

fn act() -> impl Strategy<Value = Act> {
    let word = words(&["a", "b", "ab", "-x", "/b", "", "aab"]);
    let command = (words(&["a", "b", "ab", "c"]), vec(word, 0..4))
        .prop_map(|(first, rest)| [vec![first], rest].concat());
    let script = option::of(prop_oneof![3 => path(), 1 => words(&["-m a", "-m b"])]);
    let address = select(vec![
        "10.1.2.3",
        "10.1.9.9",
        "10.2.0.1",
        "127.0.0.1",
        "192.0.2.1",
        "::1",
        "fd00::1",
        "fd00::2",
        "2001:db8::1",
    ]);
    let files = select(vec![Action::Read, Action::Write]);
    let what = prop_oneof![
        3 => (files, path(), prop::bool::weighted(0.2))
            .prop_map(|(action, path, dropped)| (action, Thing::File { path, dropped })),
        2 => (path(), script, command)
            .prop_map(|(path, script, command)| (Action::Exec, Thing::Program { path, script, command })),
        1 => prop_oneof![path(), words(&["@a", "@a/b", "@b", "@ab"])]
            .prop_map(|name| (Action::UnixConnect, Thing::Socket(name))),
        2 => (address, select(vec![0_u16, 22, 80, 85, 443, 8000, 65535]), option::of(host())).prop_map(
            |(address, port, name)| (Action::Connect, Thing::Address(address.parse().unwrap(), port, name))
        ),
        1 => host().prop_map(|name| (Action::Resolve, Thing::Name(name))),
    ];
    (select(ACTORS.to_vec()), what).prop_map(|(actor, (action, thing))| Act {
        actor: actor.to_owned(),
        action,
        thing,
    })
}

/// Rules, and acts in one scope.
pub(crate) fn scenario() -> impl Strategy<Value = (RuleFile, Vec<Act>)> {
    (rules(), vec(act(), 1..40))
}
