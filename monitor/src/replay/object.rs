//! A recorded object, as a question to the rules.

use std::collections::BTreeSet;

use monitor_common::action::Action;
use monitor_common::object::KernelObject;
use monitor_common::policy::MAX_GROUPS;
use monitor_common::policy::identity::MULTICALL;

use crate::event::model::{Object, Thing};
use crate::event::text::Text;
use crate::policy::evaluate::slot;
use crate::policy::network::mapped;
use crate::policy::{Policy, Program};

/// The groups of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// As they are asked about.
    pub groups: [u16; MAX_GROUPS],
    /// Whether one of them follows from the classes that are recorded, not from path, address or name: a file that was
    /// known under another name, a home of another machine, a place where a secret was removed.
    pub by_class: bool,
}

/// The groups of `object` by the rules of `policy`; `script` is what an interpreter runs.
#[must_use]
pub fn question(policy: &Policy, action: Action, object: &Object, script: Option<&Text>) -> Question {
    let mut groups = [0; MAX_GROUPS];
    let special = kernel_groups(policy, &object.classes);
    match &object.what {
        Thing::File { path } => {
            groups[slot::PATH] = policy.file_group(path.as_bytes());
            groups[slot::KERNEL] = special;
        }
        Thing::Program { path, .. } if only_mapped(&object.classes) => {
            // A shared object is judged as what it is, not by its name.
            let _ = path;
            groups[slot::KERNEL] = special;
        }
        Thing::Program { path, argv } => {
            let class = class_of(script);
            let command = command_line(policy, path, argv, script);
            let program =
                Program { path: Some(path.as_bytes()), script: class.as_deref(), command: &command };
            groups = policy.program_groups(&program);
            groups[slot::KERNEL] = special;
        }
        Thing::Address { address, port, domain, server_name, .. } => match server_name {
            // What was said is judged by itself.
            Some(_) if special != 0 => groups[slot::KERNEL] = special,
            Some(name) => groups[slot::NAME] = policy.domain_group(name.as_bytes(), Some(*port)),
            None => {
                groups[slot::PATH] = policy.net_group(mapped(*address), *port);
                groups[slot::NAME] =
                    domain.as_ref().map_or(0, |name| policy.domain_group(name.as_bytes(), Some(*port)));
                groups[slot::KERNEL] = special;
            }
        },
        // The name, whom it goes to and its shape are judged one by one, so one of them is meant.
        Thing::Name { .. } if special != 0 => groups[slot::KERNEL] = special,
        Thing::Name { domain, .. } => {
            groups[slot::NAME] = domain.as_ref().map_or(0, |name| policy.domain_group(name.as_bytes(), None));
        }
        Thing::Socket { socket } => groups[slot::PATH] = policy.socket_group(socket.as_bytes()),
        Thing::Process { .. } | Thing::Kernel { .. } | Thing::None => groups[slot::KERNEL] = special,
    }
    let by_class = add_classes(policy, action, object, &mut groups);
    Question { groups, by_class }
}

/// The path or module of a script as rules name it.
pub(super) fn class_of(script: Option<&Text>) -> Option<Vec<u8>> {
    script.map(|script| {
        let bytes = script.as_bytes();
        if bytes.starts_with(b"/") { bytes.to_vec() } else { [b"-m ", bytes].concat() }
    })
}

/// The command line as it is judged: the name of what really runs and what follows it, or, if that says nothing, the name
/// it was called by.
pub(super) fn command_line(policy: &Policy, path: &Text, argv: &[Text], script: Option<&Text>) -> Vec<u8> {
    let base = |bytes: &[u8]| bytes.rsplit(|byte| *byte == b'/').next().unwrap_or(bytes).to_vec();
    let line = |name: Vec<u8>, arguments: &[Text]| {
        arguments.iter().fold(name, |line, word| [&line[..], b"\0", word.as_bytes()].concat())
    };
    if let Some(script) = script {
        let name = base(script.as_bytes());
        let at = argv.iter().skip(1).position(|word| base(word.as_bytes()) == name);
        return line(name, at.and_then(|at| argv.get(at + 2..)).unwrap_or(&[]));
    }
    let rest = argv.get(1..).unwrap_or(&[]);
    let called = argv.first().map(|word| base(word.as_bytes())).unwrap_or_default();
    let class = policy.exec_class(path.as_bytes());
    if class.flags & MULTICALL != 0 {
        return line(called, rest);
    }
    let own = line(base(path.as_bytes()), rest);
    let by_call = line(called, rest);
    if policy.command_group(&own) == 0 && policy.command_group(&by_call) != 0 { by_call } else { own }
}

/// The group of the first class that only the kernel recognises.
fn kernel_groups(policy: &Policy, classes: &[String]) -> u16 {
    let known = classes.iter().filter_map(|class| KernelObject::from_word(class));
    known.map(|object| policy.kernel_group(object)).find(|group| *group != 0).unwrap_or(0)
}

fn only_mapped(classes: &[String]) -> bool {
    classes.iter().any(|class| class == KernelObject::DroppedLibrary.word())
}

/// Where the recorded classes are not among those that were found, the group that has them is asked about too.
fn add_classes(policy: &Policy, action: Action, object: &Object, groups: &mut [u16; MAX_GROUPS]) -> bool {
    let found: BTreeSet<&String> = groups.iter().flat_map(|group| policy.names.group(*group)).collect();
    let missing: BTreeSet<&String> = object
        .classes
        .iter()
        .filter(|class| policy.names.objects.contains_key(*class) && !found.contains(class))
        .collect();
    // Of a name in a query only the name counts; of a program the classes of its command line are found or redacted.
    if missing.is_empty() || action == Action::Resolve && groups[slot::NAME] != 0 {
        return false;
    }
    let has_all = |(number, names): &(usize, &Vec<String>)| {
        *number != 0 && missing.iter().all(|class| names.contains(class))
    };
    let smallest =
        policy.names.groups.iter().enumerate().filter(has_all).min_by_key(|(_, names)| names.len());
    let free = groups.iter().position(|group| *group == 0);
    match (smallest, free) {
        (Some((number, _)), Some(free)) => {
            groups[free] = u16::try_from(number).unwrap_or(0);
            true
        }
        _ => false,
    }
}
