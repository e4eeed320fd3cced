//! All steps in order.

use std::collections::{BTreeSet, HashMap};

use monitor_common::label::MAX_SECRETS;
use monitor_common::object::{KERNEL_OBJECTS, KernelObject};
use monitor_common::policy::{Layout, MAX_AUTOMATON_WORDS, MAX_PORT_SETS};

use super::classify::{Classes, Groups, WORD_BUDGET, classify};
use super::environment::Environment;
use super::network::{Part, Sets, parts, sets};
use super::verdicts::{Cells, cells};
use super::{Names, Network, ObjectInfo, Policy, RuleInfo, identities};
use crate::rule::syntax::Rule;
use crate::rule::{Problem, Problems, RuleSet};

const _: () = assert!(WORD_BUDGET <= MAX_AUTOMATON_WORDS as usize);

impl Policy {
    /// Compiles checked rules for a machine.
    ///
    /// # Errors
    /// When the rules do not fit into the tables: names the pattern or the rules that are to blame.
    pub fn compile(set: &RuleSet, environment: &Environment) -> Result<Self, Problems> {
        Self::compile_within(set, environment, WORD_BUDGET)
    }

    /// [`Policy::compile`] with another limit for the words of the automata.
    ///
    /// # Errors
    /// As [`Policy::compile`].
    pub fn compile_within(set: &RuleSet, environment: &Environment, budget: usize) -> Result<Self, Problems> {
        compile(set, environment, budget).map_err(|problem| set.explain(vec![problem]))
    }
}

fn compile(set: &RuleSet, environment: &Environment, budget: usize) -> Result<Policy, Problem> {
    let mut names = names(set);
    identities::name(set, &mut names);
    let ways = identities::ways(set, &names);
    let actors = identities::tables(set, &names, &ways);
    let mut groups = Groups::new();
    let parts = parts(set, environment)?;
    let Classes { table, exec, domains, patterns } =
        classify(set, environment, &ways, &parts, &mut groups, budget)?;

    let objects = numbers(set);
    let nets = sets(&parts);
    let net_groups = net_groups("address", &nets.addresses, &nets, &parts, &mut groups)?;
    let domains: Vec<BTreeSet<u32>> = domains.into_iter().map(|parts| parts.into_iter().collect()).collect();
    let domain_groups = self::net_groups("domain", &domains, &nets, &parts, &mut groups)?;
    let kernel_objects = kernel_objects(set, &objects, &mut groups)?;
    let Cells { cells, outcomes } = cells(set, environment, &names, &objects, &groups.sets)?;

    let group_secrets = groups.sets.iter().map(|group| secrets(set, &names.secrets, group)).collect();
    let by_number: HashMap<u32, &str> = objects.iter().map(|(name, number)| (*number, *name)).collect();
    let name = |number: &u32| by_number.get(number).map(|name| (*name).to_owned());
    names.groups = groups.sets.iter().map(|group| group.iter().filter_map(name).collect()).collect();
    let layout = Layout {
        file_start: table.starts[0],
        exec_start: table.starts[1],
        command_start: table.starts[2],
        socket_start: table.starts[3],
        domain_start: table.starts[4],
        groups: groups.sets.len() as u32,
        port_sets: nets.ports.len() as u32,
        needs_exe: actors.needs_exe,
        needs_script: actors.needs_script,
        kernel_objects,
        classes: table.classes,
    };
    let network = |(prefix_len, address, set): &(u32, [u8; 16], usize)| Network {
        prefix_len: *prefix_len,
        address: *address,
        // Checked when the table of groups was made.
        set: *set as u16,
    };
    Ok(Policy {
        layout,
        states: table.states,
        patterns,
        words: table.words,
        exec_classes: exec,
        identities: actors.identities,
        actors: actors.actors,
        cells,
        outcomes,
        networks: nets.networks.iter().map(network).collect(),
        ports: nets.by_port.iter().map(|set| *set as u8).collect(),
        net_groups,
        domain_groups,
        group_secrets,
        names,
        environment: environment.clone(),
    })
}

/// Numbers of the objects: those of the rules in the order of their names, then those that the kernel knows.
fn numbers(set: &RuleSet) -> HashMap<&str, u32> {
    let kernel = KernelObject::ALL.iter().map(|object| object.word());
    set.objects.keys().map(String::as_str).chain(kernel).zip(0..).collect()
}

/// Classes of the secrets among objects, as bits.
fn secrets(set: &RuleSet, classes: &[String], objects: &[u32]) -> u64 {
    let class = |number: &u32| set.objects.values().nth(*number as usize)?.secret.as_ref();
    let bit = |class: &String| classes.iter().position(|known| known == class).unwrap_or(0);
    objects.iter().filter_map(class).map(bit).fold(0, |all, bit| all | 1 << (bit % MAX_SECRETS))
}

fn names(set: &RuleSet) -> Names {
    let secrets: BTreeSet<&String> =
        set.objects.values().filter_map(|object| object.secret.as_ref()).collect();
    let marks: BTreeSet<&String> = set.rules.iter().filter_map(|rule| rule.mark.as_ref()).collect();
    let info = |(index, rule): (usize, &Rule)| RuleInfo {
        id: rule.id.clone(),
        title: rule.title.clone(),
        severity: rule.severity,
        verdict: rule.then,
        attack: rule.attack.clone(),
        why: rule.why.clone(),
        mark: rule.mark.clone(),
        objects: rule.when.object.words().to_vec(),
        file: set
            .source(&["rules".to_owned(), index.to_string()])
            .map(|(source, _)| source.name.clone())
            .unwrap_or_default(),
    };
    let objects = set.objects.iter().map(|(name, object)| {
        (name.clone(), ObjectInfo { title: object.title.clone(), secret: object.secret.clone() })
    });
    Names {
        rules: set.rules.iter().enumerate().map(info).collect(),
        marks: marks.into_iter().cloned().collect(),
        secrets: secrets.into_iter().cloned().collect(),
        objects: objects.collect(),
        ..Names::default()
    }
}

/// Group of each pair of an address set, or a domain set, and a port set.
fn net_groups(
    what: &str,
    rows: &[BTreeSet<u32>],
    nets: &Sets,
    parts: &[Part],
    groups: &mut Groups,
) -> Result<Vec<u16>, Problem> {
    for (what, count, most) in
        [("port", nets.ports.len(), MAX_PORT_SETS as usize), (what, rows.len(), usize::from(u16::MAX))]
    {
        if count > most {
            return Err(Problem::new(
                format!("the objects need {count} different sets of {what}s, and only {most} fit"),
                format!("let objects share their lists of {what}s"),
                &[],
            ));
        }
    }
    let mut table = Vec::with_capacity(rows.len() * nets.ports.len());
    for row in rows {
        for ports in &nets.ports {
            // Parts are in the order of their objects, of which one can have several.
            let mut objects: Vec<u32> =
                row.intersection(ports).map(|part| parts[*part as usize].object).collect();
            objects.dedup();
            table.push(groups.number(objects)?);
        }
    }
    Ok(table)
}

/// Group of each kernel object that a rule is about.
fn kernel_objects(
    set: &RuleSet,
    objects: &HashMap<&str, u32>,
    groups: &mut Groups,
) -> Result<[u16; KERNEL_OBJECTS], Problem> {
    let mut table = [0; KERNEL_OBJECTS];
    for object in KernelObject::ALL {
        let named = |rule: &Rule| rule.when.object.words().iter().any(|word| word == object.word());
        if let Some(number) = objects.get(object.word()).filter(|_| set.rules.iter().any(named)) {
            table[*object as usize % KERNEL_OBJECTS] = groups.number(vec![*number])?;
        }
    }
    Ok(table)
}
