//! Objects and identities into automata: every list of patterns goes into the graph, and what the states accept is
//! numbered.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;

use monitor_common::policy::ExecClass;
use monitor_common::policy::identity::{INTERPRETER, MULTICALL, TRAMPOLINE};

use super::determinise::{Failure, Kind, Table, determinise};
use super::environment::Environment;
use super::glob::{self, Anchor, Component, Element, Pattern, Subject};
use super::identities::Way;
use super::network::Part;
use super::nfa::{Label, Nfa, SubjectId};
use crate::rule::{Place, Problem, RuleSet};

/// The most words that all automata may have together (64 MiB); more is a mistake in a pattern.
pub const WORD_BUDGET: usize = 1 << 24;

/// Sets of objects that occur together, numbered. Number 0 is the empty set.
#[derive(Debug)]
pub(super) struct Groups {
    pub(super) sets: Vec<Vec<u32>>,
    numbers: HashMap<Vec<u32>, u16>,
}

impl Groups {
    pub(super) fn new() -> Self {
        Self { sets: vec![Vec::new()], numbers: HashMap::from([(Vec::new(), 0)]) }
    }

    /// Number of a sorted set.
    pub(super) fn number(&mut self, objects: Vec<u32>) -> Result<u16, Problem> {
        if let Some(number) = self.numbers.get(&objects) {
            return Ok(*number);
        }
        let number = u16::try_from(self.sets.len()).map_err(|_| {
            Problem::new(
                format!("the objects overlap in more than {} ways", u16::MAX),
                "let fewer objects share files: split off what they have in common",
                &[],
            )
        })?;
        self.sets.push(objects.clone());
        self.numbers.insert(objects, number);
        Ok(number)
    }
}

/// What compiling the patterns gives.
#[derive(Debug)]
pub(super) struct Classes {
    pub(super) table: Table,
    pub(super) exec: Vec<ExecClass>,
    /// Parts of objects by number of the domain set; set 0 is empty.
    pub(super) domains: Vec<Vec<u32>>,
    /// Patterns that went in, after alternatives.
    pub(super) patterns: usize,
}

/// Subjects above the objects.
#[derive(Clone, Copy)]
struct Numbering {
    objects: u32,
    ways: u32,
}

impl Numbering {
    fn exe(self, way: usize) -> SubjectId {
        self.objects + way as u32
    }

    fn script(self, way: usize) -> SubjectId {
        self.objects + self.ways + way as u32
    }

    fn interpreter(self) -> SubjectId {
        self.objects + 2 * self.ways
    }

    fn multicall(self) -> SubjectId {
        self.interpreter() + 1
    }

    fn trampoline(self) -> SubjectId {
        self.interpreter() + 2
    }

    /// The class of a program or script that matches `subjects`.
    fn class(self, subjects: &[SubjectId], groups: &mut Groups) -> Result<ExecClass, Problem> {
        let objects = subjects.iter().copied().filter(|subject| *subject < self.objects).collect();
        let mut class = ExecClass { group: groups.number(objects)?, ..ExecClass::default() };
        for subject in subjects.iter().filter_map(|subject| subject.checked_sub(self.objects)) {
            match subject {
                way if way < self.ways => set_bit(&mut class.exe, way),
                way if way < 2 * self.ways => set_bit(&mut class.script, way - self.ways),
                other if other == 2 * self.ways => class.flags |= INTERPRETER,
                other if other == 2 * self.ways + 1 => class.flags |= MULTICALL,
                _ => class.flags |= TRAMPOLINE,
            }
        }
        Ok(class)
    }
}

fn set_bit(set: &mut [u64; 2], bit: u32) {
    set[(bit / 64 % 2) as usize] |= 1 << (bit % 64);
}

/// Puts patterns into the graph.
struct Collector<'a> {
    nfa: Nfa,
    environment: &'a Environment,
    origins: Vec<(Place, String)>,
    patterns: usize,
}

impl Collector<'_> {
    fn list(
        &mut self,
        automata: Kind,
        kind: Subject,
        place: &[&str],
        list: &[String],
        subject: SubjectId,
    ) -> Result<(), Problem> {
        for (index, text) in list.iter().enumerate() {
            let index = index.to_string();
            let place = [place, &[index.as_str()]].concat();
            let entry =
                glob::parse(text, kind).map_err(|error| Problem::new(error.message, error.hint, &place))?;
            let origin = self.origins.len() as u32;
            self.origins.push((place.iter().map(|step| (*step).to_owned()).collect(), text.clone()));
            let label = Label::new(subject, entry.excluded);
            let without = entry.patterns.iter().filter(|_| kind == Subject::Program).filter_map(without_usr);
            for pattern in entry.patterns.iter().chain(&without.collect::<Vec<_>>()) {
                self.patterns += 1;
                let root = if floats(pattern) { automata.floating } else { automata.fixed };
                if kind == Subject::Command {
                    self.nfa.command(root, pattern, label, origin);
                    continue;
                }
                let directory = match &pattern.anchor {
                    // A pattern whose variable is not set matches nothing.
                    Anchor::Variable(name) => match self.environment.directory(name) {
                        Some(directory) => directory,
                        None => continue,
                    },
                    _ => std::path::PathBuf::new(),
                };
                self.nfa.path(root, pattern, directory.as_os_str().as_bytes(), label, origin);
            }
        }
        Ok(())
    }
}

impl Collector<'_> {
    fn domains(&mut self, automata: Kind, part: &Part, subject: SubjectId) {
        for (index, entry) in part.domains.iter().enumerate() {
            let mut place = part.place.clone();
            // What the machine's own files name has no line in the rules.
            if place.len() > 2 {
                place.push(index.to_string());
            }
            let origin = self.origins.len() as u32;
            self.origins.push((place, entry.to_string()));
            self.patterns += 1;
            let label = Label::new(subject, entry.excluded);
            self.nfa.domain(automata.fixed, &entry.name, entry.below, label, origin);
        }
    }
}

/// The same place by its old name: where /bin is a link to /usr/bin, a script is called by whichever comes first in the
/// search path, and its name is what was written.
fn without_usr(pattern: &Pattern) -> Option<Pattern> {
    let is = |component: &Component, name: &[u8]| match component {
        Component::Name(elements) => {
            elements.iter().cloned().eq(name.iter().map(|byte| Element::Byte(*byte)))
        }
        Component::Deep => false,
    };
    let [usr, bin, ..] = &pattern.components[..] else { return None };
    let moved = pattern.anchor == Anchor::Root && is(usr, b"usr") && (is(bin, b"bin") || is(bin, b"sbin"));
    moved.then(|| Pattern { anchor: Anchor::Root, components: pattern.components[1..].to_vec() })
}

/// Whether a pattern begins at any depth, of the file system or of a directory such as `~`.
fn floats(pattern: &Pattern) -> bool {
    match pattern.components.first() {
        Some(Component::Deep) => pattern.components.len() > 1 || pattern.anchor == Anchor::Root,
        Some(Component::Name(elements)) => {
            pattern.anchor == Anchor::Start && elements.first() == Some(&Element::Star)
        }
        None => false,
    }
}

/// Builds the automata over files, programs, command lines, sockets and names of hosts, in this order.
pub(super) fn classify(
    set: &RuleSet,
    environment: &Environment,
    ways: &[Way],
    parts: &[Part],
    groups: &mut Groups,
    budget: usize,
) -> Result<Classes, Problem> {
    let mut collector = Collector { nfa: Nfa::new(), environment, origins: Vec::new(), patterns: 0 };
    let homes: Vec<&[u8]> = environment.homes.iter().map(|home| home.as_os_str().as_bytes()).collect();
    let mut kind = |separator, homes: &[&[u8]]| Kind {
        fixed: collector.nfa.root(separator, homes),
        floating: collector.nfa.root(separator, homes),
    };
    let [files, programs, sockets] = [(); 3].map(|()| kind(b'/', &homes));
    let commands = kind(0, &[]);
    let domains = kind(b'.', &[]);
    let numbering = Numbering { objects: set.objects.len() as u32, ways: ways.len() as u32 };
    for (id, (name, object)) in set.objects.iter().enumerate() {
        let id = id as u32;
        for (key, automata, kind, list) in [
            ("files", files, Subject::File, &object.files),
            ("executables", programs, Subject::Program, &object.executables),
            ("commands", commands, Subject::Command, &object.commands),
            ("sockets", sockets, Subject::Socket, &object.sockets),
        ] {
            collector.list(automata, kind, &["objects", name, key], list, id)?;
        }
    }
    for (number, part) in parts.iter().enumerate() {
        collector.domains(domains, part, number as u32);
    }
    for (number, way) in ways.iter().enumerate() {
        let place: Vec<&str> = way.place.iter().map(String::as_str).collect();
        let (exe, script) = (numbering.exe(number), numbering.script(number));
        collector.list(programs, Subject::Program, &[&place[..], &["exe"]].concat(), &way.exe, exe)?;
        collector.list(
            programs,
            Subject::Program,
            &[&place[..], &["script"]].concat(),
            &way.script,
            script,
        )?;
    }
    let (interpreter, multicall) = (numbering.interpreter(), numbering.multicall());
    collector.list(programs, Subject::Program, &["interpreters"], &set.interpreters, interpreter)?;
    collector.list(programs, Subject::Program, &["multicall"], &set.multicall, multicall)?;
    let trampoline = numbering.trampoline();
    collector.list(programs, Subject::Program, &["trampolines"], &set.trampolines, trampoline)?;

    let kinds = [files, programs, commands, sockets, domains];
    collector.nfa.share(&kinds.map(|kind| [kind.fixed, kind.floating]).concat());
    let mut exec = Interner { classes: vec![ExecClass::default()], numbers: HashMap::new() };
    let (mut domains, mut domain_numbers) = (vec![Vec::new()], HashMap::new());
    let table = determinise(&collector.nfa, &kinds, budget, |kind, subjects| match kind {
        1 | 2 => Ok(exec.number(numbering.class(subjects, groups)?)),
        4 => Ok(number_of(&mut domains, &mut domain_numbers, subjects)),
        _ => groups.number(subjects.to_vec()).map(u32::from),
    });
    let table = table.map_err(|failure| match failure {
        Failure::Accept(problem) => problem,
        Failure::Overflow(overflow) => {
            let (place, text) = collector.origins.get(overflow.origin as usize).cloned().unwrap_or_default();
            let place: Vec<&str> = place.iter().map(String::as_str).collect();
            Problem::new(
                format!(
                    "the patterns do not fit: they need more than {} states; `{text}` takes part in {} % of them",
                    overflow.states, overflow.percent
                ),
                "anchor the pattern (`/..`, `~/..`), or use fewer `**` and `*` in patterns that begin with `**/`",
                &place,
            )
        }
    })?;
    Ok(Classes { table, exec: exec.classes, domains, patterns: collector.patterns })
}

/// Number of a set of parts, in the order they are met.
fn number_of(sets: &mut Vec<Vec<u32>>, numbers: &mut HashMap<Vec<u32>, u32>, parts: &[u32]) -> u32 {
    if parts.is_empty() {
        return 0;
    }
    let next = sets.len() as u32;
    let number = *numbers.entry(parts.to_vec()).or_insert(next);
    if number == next {
        sets.push(parts.to_vec());
    }
    number
}

/// Classes of programs, numbered.
struct Interner {
    classes: Vec<ExecClass>,
    numbers: HashMap<ExecClass, u32>,
}

impl Interner {
    fn number(&mut self, class: ExecClass) -> u32 {
        if class == ExecClass::default() {
            return 0;
        }
        let next = self.classes.len() as u32;
        let number = *self.numbers.entry(class).or_insert(next);
        if number == next {
            self.classes.push(class);
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::{Subject, glob, without_usr};

    #[test]
    fn programs_of_the_machine_have_their_old_names_too() {
        let old = |text: &str| {
            let patterns = glob::parse(text, Subject::Program).unwrap().patterns;
            patterns.iter().filter_map(without_usr).collect::<Vec<_>>()
        };
        assert_eq!(old("/{usr,opt/x}/bin/npm"), glob::parse("/bin/npm", Subject::Program).unwrap().patterns);
        for other in ["/usr/local/bin/npm", "~/usr/bin/npm", "/usr/*/npm", "/usr", "**/bin/npm"] {
            assert_eq!(old(other), [], "{other}");
        }
    }
}
