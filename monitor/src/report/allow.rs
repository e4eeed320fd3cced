//! The rule that would allow what a finding is about: the narrowest one, ready to be pasted.

use std::fmt::Write as _;

use monitor_common::action::Action;
use monitor_common::object::KernelObject;

use crate::event::model::{Object, Thing};
use crate::event::text::Text;
use crate::finding::Finding;
use crate::policy::glob::{Subject, parse};
use crate::report::redact;

/// Places whose names are random: a rule about one path there would never match again.
const FLEETING: [&str; 4] = ["/tmp/", "/var/tmp/", "/dev/shm/", "/run/"];

/// YAML that allows this actor this action on this object, and nothing else. None where no class is known.
#[must_use]
pub fn rule(finding: &Finding) -> Option<String> {
    if finding.action == Action::Exec && matches!(finding.object.what, Thing::Process { .. }) {
        // A process that outlived the command: no rule is about that.
        return None;
    }
    let mut yaml = String::new();
    let id = format!("LOCAL-{}", finding.rule);
    let (object, title) = match exact(&finding.object) {
        Some((key, lines)) => {
            let name = format!("local-{}", finding.rule.to_ascii_lowercase()).replace(['_', '.'], "-");
            yaml.push_str("objects:\n");
            let title = plain(&finding.object.title).unwrap_or("reviewed object");
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(yaml, "  {name}:\n    title: {}", quote(title));
            for (key, value) in
                [(key, &lines[0])].into_iter().chain(lines.get(1).map(|ports| ("ports", ports)))
            {
                let _ = writeln!(yaml, "    {key}: [{}]", quote(value));
            }
            (name, lines[0].clone())
        }
        None => {
            let class = finding.object.classes.first()?;
            (class.clone(), class.clone())
        }
    };
    let title = format!("{} may {} {title}", finding.actor, finding.action.word());
    yaml.push_str("rules:\n");
    let _ = writeln!(yaml, "  - id: {id}");
    let _ = writeln!(yaml, "    title: {}", quote(&title));
    yaml.push_str("    severity: info\n");
    let actor = quote(&finding.actor);
    // After a secret nothing goes out, whatever is allowed to others: the exception must ask for the same past.
    let marks = match finding.action {
        Action::Connect | Action::Send | Action::Resolve | Action::UnixConnect => past(&finding.marks),
        _ => String::new(),
    };
    let action = finding.action.word();
    let _ = writeln!(yaml, "    when: {{ actor: {actor}, does: {action}, object: {object}{marks} }}");
    yaml.push_str("    then: allow\n    why: \"say here who reviewed this, and why it is needed\"\n");
    Some(yaml)
}

/// The condition on marks, if there are any whose names are known.
fn past(marks: &[String]) -> String {
    let nameless = |mark: &str| mark.strip_prefix("mark-").is_some_and(|rest| rest.parse::<u32>().is_ok());
    let marks: Vec<String> = marks.iter().filter(|mark| !nameless(mark)).map(|mark| quote(mark)).collect();
    if marks.is_empty() { String::new() } else { format!(", marks: [{}]", marks.join(", ")) }
}

/// The key and values of an object class that has only this object; none where the class must do.
fn exact(object: &Object) -> Option<(&'static str, Vec<String>)> {
    // What only the kernel recognises is not told by its path: a rule on the path would allow other files too.
    let by_kernel = object.classes.iter().all(|class| KernelObject::from_word(class).is_some());
    let fleeting = |path: &Text| FLEETING.iter().any(|place| path.as_bytes().starts_with(place.as_bytes()));
    match &object.what {
        Thing::File { path } if !by_kernel && !fleeting(path) => {
            Some(("files", vec![glob(path, Subject::File)?]))
        }
        Thing::Program { path, .. } if !by_kernel && !fleeting(path) => {
            Some(("executables", vec![glob(path, Subject::Program)?]))
        }
        Thing::Socket { socket } => Some(("sockets", vec![glob(socket, Subject::Socket)?])),
        // What was said is about a name, wherever it went.
        Thing::Address { server_name: Some(_), .. } if by_kernel => None,
        Thing::Address { server_name: Some(name), port, .. }
        | Thing::Address { server_name: None, domain: Some(name), port, .. }
            if !by_kernel && host(name).is_some() =>
        {
            let name = host(name)?.to_owned();
            Some(("domains", if *port == 0 { vec![name] } else { vec![name, port.to_string()] }))
        }
        Thing::Name { domain: Some(name), .. } if !by_kernel => {
            Some(("domains", vec![host(name)?.to_owned()]))
        }
        Thing::Address { address, port: 0, .. } => Some(("addresses", vec![address.to_string()])),
        Thing::Address { address, port, .. } => {
            Some(("addresses", vec![address.to_string(), port.to_string()]))
        }
        _ => None,
    }
}

/// A name that is a pattern of itself.
pub(super) fn host(name: &Text) -> Option<&str> {
    let plain = |name: &&str| {
        name.contains('.') && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    name.as_plain().filter(plain)
}

/// A pattern that matches this path only; none where patterns cannot say it.
fn glob(path: &Text, subject: Subject) -> Option<String> {
    // Where a secret stood, nobody knows what did.
    let path = path.as_plain().filter(|path| path.starts_with(['/', '@']) && !path.contains(redact::MARK))?;
    let mut pattern = String::new();
    for character in path.chars() {
        if matches!(character, '*' | '?' | '[' | '{' | '}') {
            pattern.extend(['[', character, ']']);
        } else {
            pattern.push(character);
        }
    }
    // A path that was read from a program's memory may be one that the kernel never has.
    parse(&pattern, subject).is_ok().then_some(pattern)
}

fn plain(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// A YAML string in double quotes.
/// A string of YAML.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod unit {
    use super::*;
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
  local-pw-cred-014:
    title: "npm credentials"
    files: ["/home/u/[[]x]/.npmrc"]
rules:
  - id: LOCAL-PW-CRED-014
    title: "script:npm may read /home/u/[[]x]/.npmrc"
    severity: info
    when: { actor: "script:npm", does: read, object: local-pw-cred-014 }
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
        assert!(yaml.contains("object: local-pw-cred-014, marks: [\"secret-read\"] }"), "{yaml}");
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
            (
                &["sinks"],
                named(Some("a.example"), None),
                Some("domains: [\"a.example\"]\n    ports: [\"443\"]"),
            ),
            (&["sinks"], named(None, Some("b.example")), Some("domains: [\"b.example\"]")),
            (&["sinks"], named(Some("a\n.example"), None), Some("addresses: [\"203.0.113.7\"]")),
            (
                &["name-mismatch"],
                named(Some("a.example"), Some("b.example")),
                Some("object: name-mismatch }"),
            ),
            (&["hosts"], asked(Some("a.example")), Some("domains: [\"a.example\"]")),
            (&["hosts"], asked(Some("*.example")), Some("object: hosts }")),
            (&["opaque-query"], asked(None), Some("object: opaque-query }")),
            (
                &["shells"],
                Thing::Program { path: "/bin/nc".into(), argv: vec![] },
                Some("executables: [\"/bin/nc\"]"),
            ),
            (&["dropped"], Thing::Program { path: "/p/x".into(), argv: vec![] }, Some("object: dropped }")),
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
}
