//! `rules check`: how large the compiled rules are.

use std::process::ExitCode;
use std::time::Instant;

use serde::Serialize;

use super::{RulesArgs, print, print_json};
use crate::policy::Policy;
use crate::rule::RuleSet;

/// Numbers about a rule set and its tables.
#[derive(Debug, Serialize)]
struct Size {
    rules: usize,
    tests: usize,
    objects: usize,
    managers: usize,
    tools: usize,
    patterns: usize,
    states: usize,
    byte_classes: usize,
    automata_kib: usize,
    groups: usize,
    cells_kib: usize,
    outcomes: usize,
    networks: usize,
    read_ms: u128,
    compile_ms: u128,
}

pub(super) fn run(args: &RulesArgs) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    let set = args.load()?;
    let read_ms = start.elapsed().as_millis();
    let start = Instant::now();
    let policy = args.compile_here(&set)?;
    let size = size(&set, &policy, read_ms, start.elapsed().as_millis());
    if args.json { print_json(&size) } else { print(&text(&size)) }
}

fn size(set: &RuleSet, policy: &Policy, read_ms: u128, compile_ms: u128) -> Size {
    Size {
        rules: set.rules.len(),
        tests: set.rules.iter().map(|rule| rule.tests.len()).sum(),
        objects: set.objects.len(),
        managers: set.managers.len(),
        tools: set.tools.len(),
        patterns: policy.patterns,
        states: policy.states,
        byte_classes: policy.layout.classes.iter().map(|class| usize::from(*class) + 1).max().unwrap_or(0),
        automata_kib: (policy.words.len() * size_of::<u32>()).div_ceil(1024),
        groups: policy.names.groups.len() - 1,
        cells_kib: (policy.cells.len() * size_of::<u16>()).div_ceil(1024),
        outcomes: policy.outcomes.len() - 1,
        networks: policy.networks.len(),
        read_ms,
        compile_ms,
    }
}

fn text(size: &Size) -> String {
    let Size { rules, tests, objects, managers, tools, patterns, states, byte_classes, automata_kib, .. } =
        size;
    let Size { groups, cells_kib, outcomes, networks, read_ms, compile_ms, .. } = size;
    format!(
        "rules     {rules} with {tests} tests, about {objects} objects, {managers} managers and {tools} tools\n\
         patterns  {patterns} in {states} states of {byte_classes} byte classes, {automata_kib} KiB\n\
         verdicts  {groups} groups, {cells_kib} KiB of cells, {outcomes} outcomes, {networks} networks\n\
         time      {read_ms} ms to read, {compile_ms} ms to compile\n"
    )
}
