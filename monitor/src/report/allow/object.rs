//! The object of an exception: a class that has only what was met, where patterns can say that.

use monitor_common::action::Action;
use monitor_common::object::KernelObject;

use super::command;
use crate::event::model::{Object, Thing};
use crate::event::text::Text;
use crate::finding::Finding;
use crate::policy::glob::{Subject, parse};
use crate::report::redact;

/// Places whose names are random: a rule about one path there would never match again.
const FLEETING: [&str; 5] = ["/tmp/", "/var/tmp/", "/dev/shm/", "/run/", "/proc/"];

/// What an object is named by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The words of a command line.
    Command,
    /// A path, address, or name.
    Exact,
    /// Its class in the rules.
    Class,
}

/// An object of a rule.
pub(super) struct Named {
    /// Its name in the rules.
    pub(super) object: String,
    /// What it is, for a title.
    pub(super) title: String,
    /// Key and values of a class that has to be defined, and its ports.
    pub(super) definition: Option<(&'static str, Vec<String>, Vec<String>)>,
    /// What it has besides what was met.
    pub(super) wider: Vec<&'static str>,
}

/// The narrowest object that has what the finding is about; with a way, that one.
pub(super) fn name(finding: &Finding, way: Option<Way>) -> Option<Named> {
    let object = &finding.object;
    let mut wider = Vec::new();
    let exact = match way {
        None => command::patterns(finding, &mut wider).or_else(|| exact(object, finding.action, &mut wider)),
        Some(Way::Command) => command::patterns(finding, &mut wider),
        Some(Way::Exact) => exact(object, finding.action, &mut wider),
        Some(Way::Class) => None,
    };
    if let Some((key, values, ports)) = exact {
        let name = format!("local-{}-{}", finding.rule, finding.key.get(..6).unwrap_or_default());
        let name = name.to_ascii_lowercase().replace(['_', '.'], "-");
        let title = values[0].clone();
        return Some(Named { object: name, title, definition: Some((key, values, ports)), wider });
    }
    let class = object.classes.first()?.clone();
    wider.push(match &object.what {
        Thing::File { path } | Thing::Program { path, .. } if is_fleeting(path) => {
            "the path is in a place where names are random, so the rule is about the whole class"
        }
        Thing::File { .. } | Thing::Program { .. } => {
            "no pattern says this path or command line alone, so the rule is about the whole class"
        }
        _ => "only the kernel recognises this, so the rule is about the whole class",
    });
    Some(Named { title: class.clone(), object: class, definition: None, wider })
}

type Definition = (&'static str, Vec<String>, Vec<String>);

/// The key and values of an object class that has only this object; none where the class must do.
fn exact(object: &Object, action: Action, wider: &mut Vec<&'static str>) -> Option<Definition> {
    // What only the kernel recognises is not told by its path, except where the path is asked about as well.
    let by_kernel = object.classes.iter().all(|class| KernelObject::from_word(class).is_some());
    let one = |key, value| Some((key, vec![value], Vec::new()));
    match &object.what {
        Thing::File { path } if !by_kernel && !is_fleeting(path) => one("files", glob(path, Subject::File)?),
        Thing::Program { path, .. } if !is_fleeting(path) && (!by_kernel || is_about_program(object)) => {
            let pattern = glob(path, Subject::Program)?;
            if action == Action::Exec {
                wider.push(
                    "whatever its arguments, for rules that look at the program alone are asked without them",
                );
            }
            one("executables", pattern)
        }
        Thing::Socket { socket } if !by_kernel => one("sockets", glob(socket, Subject::Socket)?),
        // What was said is about a name, wherever it went.
        Thing::Address { server_name: Some(_), .. } if by_kernel => None,
        Thing::Address { server_name: Some(name), port, .. }
        | Thing::Address { server_name: None, domain: Some(name), port, .. }
            if !by_kernel && host(name).is_some() =>
        {
            Some(("domains", vec![host(name)?.to_owned()], ports(*port)))
        }
        Thing::Name { domain: Some(name), .. } if !by_kernel => one("domains", host(name)?.to_owned()),
        Thing::Address { address, port, .. } => Some(("addresses", vec![address.to_string()], ports(*port))),
        _ => None,
    }
}

fn ports(port: u16) -> Vec<String> {
    if port == 0 { Vec::new() } else { vec![port.to_string()] }
}

/// Whether the kernel recognised a program whose path is asked about in the same question.
fn is_about_program(object: &Object) -> bool {
    object.classes.iter().all(|class| {
        [KernelObject::Dropped, KernelObject::SetuidRoot].iter().any(|known| known.word() == class)
    })
}

fn is_fleeting(path: &Text) -> bool {
    FLEETING.iter().any(|place| path.as_bytes().starts_with(place.as_bytes()))
}

/// A name that is a pattern of itself.
pub(in crate::report) fn host(name: &Text) -> Option<&str> {
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
