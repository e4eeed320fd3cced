//! The evaluator, over tables that no compiler made: it must not panic, read without bound, or go on for ever.

use std::cell::Cell;

use arbitrary::{Arbitrary, Result, Unstructured};
use monitor::bpf::tables::sizes;
use monitor::policy::{Environment, Judge, Names, Network, Policy, Program};
use monitor::rule::syntax::Given;
use monitor_common::action::Action;
use monitor_common::label::SCOPE_COUNTERS;
use monitor_common::object::{KERNEL_OBJECTS, KernelObject};
use monitor_common::policy::automaton::{LEXICAL_DEPTH, LexicalWalk, state};
use monitor_common::policy::decide::{Outcome, Sum, chain, decide};
use monitor_common::policy::identity::{candidates, first};
use monitor_common::policy::{
    Actor, Automata, ExecClass, Identity, Layout, MAX_CHAIN, MAX_GROUPS, Past, Query, State, Verdicts,
};

/// Table reads for one byte of a path: two half steps, and two more behind a slash.
const READS_A_BYTE: usize = 4;
/// Table reads for what a state accepts: two rows, and what they say together.
const READS_AT_END: usize = 4;
/// Outcomes that one group can ask for: the chain, and the best of it once more.
const READS_A_GROUP: usize = MAX_CHAIN + 1;

/// Builds tables from `bytes` and asks them everything that can be asked.
pub fn run(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let Ok(policy) = policy(&mut input) else { return };
    // What is left of the input is one question after the other; an empty one still asks about "nothing".
    loop {
        let Ok(question) = Question::arbitrary(&mut input) else { return };
        ask(&policy, &question);
        if input.is_empty() {
            return;
        }
    }
}

#[derive(Arbitrary, Debug)]
struct Question<'a> {
    actor: u8,
    child: u8,
    action: u8,
    groups: [u16; MAX_GROUPS],
    marks: u32,
    secrets: u64,
    counts: u8,
    address: [u8; 16],
    port: u16,
    path: &'a [u8],
    script: Option<&'a [u8]>,
}

/// A number below `bound`, or now and then any number: most tables must hang together for the walk to get anywhere.
fn near(input: &mut Unstructured<'_>, bound: usize) -> Result<u32> {
    let number = u16::arbitrary(input)?;
    match number {
        0xff00.. => u32::arbitrary(input),
        _ => Ok(u32::from(number) % (bound as u32 + 2)),
    }
}

/// Up to `most` pieces.
fn list<'a, T>(
    input: &mut Unstructured<'a>,
    most: usize,
    mut piece: impl FnMut(&mut Unstructured<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    let length = usize::from(u16::arbitrary(input)?) % (most + 1);
    (0..length).map(|_| piece(input)).collect()
}

fn policy(input: &mut Unstructured<'_>) -> Result<Policy> {
    let rows = usize::from(u8::arbitrary(input)?) * 4 + 1;
    let words = list(input, rows, |input| near(input, rows))?;
    let mut start = || -> Result<State> { Ok(state(near(input, rows)?, near(input, rows)?)) };
    let (file_start, exec_start, command_start, socket_start) = (start()?, start()?, start()?, start()?);
    let domain_start = start()?;
    let pattern: [u8; 8] = input.arbitrary()?;
    let mut classes = [0; 256];
    for (class, byte) in classes.iter_mut().zip(pattern.iter().cycle()) {
        *class = *byte % 16;
    }
    classes[usize::from(b'/')] = pattern[0];
    let mut kernel_objects = [0; KERNEL_OBJECTS];
    kernel_objects.fill(input.arbitrary()?);
    let layout = Layout {
        file_start,
        exec_start,
        command_start,
        socket_start,
        domain_start,
        groups: near(input, 16)?,
        port_sets: near(input, 4)?,
        needs_exe: input.arbitrary()?,
        needs_script: input.arbitrary()?,
        kernel_objects,
        classes,
    };
    let outcomes = list(input, 64, |input| {
        Ok(Outcome {
            rank: input.arbitrary()?,
            needs: input.arbitrary()?,
            sets: input.arbitrary()?,
            rule: input.arbitrary()?,
            next: near(input, 64)? as u16,
            after: u16::from(u8::arbitrary(input)?),
            counter: input.arbitrary()?,
            verdict: input.arbitrary()?,
            secrets: u8::arbitrary(input)? % 8,
            reserved: [0; 3],
        })
    })?;
    Ok(Policy {
        layout,
        words,
        exec_classes: list(input, 16, |input| {
            let (group, flags) = (near(input, 16)? as u16, input.arbitrary()?);
            Ok(ExecClass { group, flags, reserved: 0, exe: input.arbitrary()?, script: input.arbitrary()? })
        })?,
        identities: list(input, 130, |input| {
            Ok(Identity { actor: input.arbitrary()?, ..Identity::default() })
        })?,
        actors: list(input, 8, |input| {
            let (kind, child, may_start) = (input.arbitrary()?, input.arbitrary()?, input.arbitrary()?);
            Ok(Actor { kind, child, may_start, ..Actor::default() })
        })?,
        cells: list(input, 512, |input| Ok(near(input, 64)? as u16))?,
        outcomes,
        networks: list(input, 8, |input| {
            let (prefix_len, address) = (near(input, 128)?, input.arbitrary()?);
            Ok(Network { prefix_len, address, set: near(input, 8)? as u16 })
        })?,
        ports: list(input, 512, u8::arbitrary)?,
        net_groups: list(input, 64, |input| Ok(near(input, 16)? as u16))?,
        group_secrets: list(input, 64, u64::arbitrary)?,
        domain_groups: list(input, 64, |input| Ok(near(input, 16)? as u16))?,
        states: 0,
        patterns: 0,
        names: Names { actors: vec![String::new(), "script:x".to_owned()], ..Names::default() },
        environment: Environment::default(),
    })
}

/// The tables behind a counter of what is read from them.
struct Counted<'a> {
    policy: &'a Policy,
    reads: Cell<usize>,
    counts: [u32; SCOPE_COUNTERS],
}

impl<'a> Counted<'a> {
    fn new(policy: &'a Policy) -> Self {
        Self { policy, reads: Cell::new(0), counts: [0; SCOPE_COUNTERS] }
    }

    fn read(&self) {
        self.reads.set(self.reads.get() + 1);
    }

    /// Panics if more was read since the last time than `bound`.
    fn assert_reads(&self, what: &str, bound: usize) {
        let reads = self.reads.replace(0);
        assert!(reads <= bound, "{what}: {reads} reads, where {bound} are enough");
    }
}

impl Automata for Counted<'_> {
    fn word(&self, index: u32) -> u32 {
        self.read();
        self.policy.word(index)
    }

    fn class(&self, byte: u8) -> u32 {
        self.policy.class(byte)
    }
}

impl Verdicts for Counted<'_> {
    fn cell(&self, row: u32, group: u16) -> u16 {
        Judge::new(self.policy).cell(row, group)
    }

    fn outcome(&self, number: u16) -> Option<Outcome> {
        self.read();
        Judge::new(self.policy).outcome(number)
    }

    fn count(&mut self, counter: u8) -> u32 {
        // An index that the evaluator must keep inside.
        self.counts[usize::from(counter)] += 1;
        self.counts[usize::from(counter)]
    }
}

fn ask(policy: &Policy, question: &Question<'_>) {
    walk(policy, question.path);
    judge(policy, question);

    let program = Program { path: Some(question.path), script: question.script, command: question.path };
    let groups = policy.program_groups(&program);
    assert_eq!(groups[MAX_GROUPS - 1], 0, "the last group of a program is left free");
    let _ = policy.identify(question.actor, question.child, &program);
    let _ = policy.socket_group(question.path);
    let _ = policy.net_group(question.address, question.port);
    let _ = policy.domain_group(question.path, Some(question.port));
    let _ = policy.domain_group(question.path, None);
    for object in KernelObject::ALL {
        let _ = policy.kernel_group(*object);
    }
    let path = String::from_utf8_lossy(question.path).into_owned();
    for action in Action::ALL {
        let given = Given {
            actor: "script:x".to_owned(),
            does: action.word().to_owned(),
            path: Some(path.clone()),
            command: Some(path.clone()),
            domain: Some(path.clone()),
            port: Some(question.port),
            socket: question.script.map(|name| String::from_utf8_lossy(name).into_owned()),
            before: question.port,
            ..Given::default()
        };
        let _ = policy.judge(&given);
    }
    assert!(sizes(policy).iter().all(|(_, elements)| *elements > 0), "a map without elements");
}

/// The walks of a path: bounded, and the lexical one agrees with the plain one of the clean path.
fn walk(policy: &Policy, path: &[u8]) {
    let tables = Counted::new(policy);
    for start in [policy.layout.file_start, policy.layout.exec_start, policy.layout.socket_start] {
        let mut stack = [0; LEXICAL_DEPTH];
        let mut walk = LexicalWalk::new(&tables, start, &mut stack);
        tables.assert_reads("the first slash", READS_A_BYTE);
        for byte in path {
            walk.push(&tables, &mut stack, *byte);
            tables.assert_reads("a byte of a path", READS_A_BYTE);
        }
        let accepted = walk.accepts(&tables);
        tables.assert_reads("the end of a path", READS_AT_END);
        if !walk.overflow {
            assert_eq!(accepted, policy.accepts(start, &clean(path)), "{path:?}");
        }
    }
}

/// The path without empty components, `.` and `..`.
fn clean(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    if parts.is_empty() {
        b"/".to_vec()
    } else {
        parts.iter().flat_map(|part| [b"/", *part].concat()).collect()
    }
}

/// The decision: bounded, and never more than the outcomes say.
fn judge(policy: &Policy, question: &Question<'_>) {
    let action = Action::ALL[usize::from(question.action) % Action::ALL.len()];
    let past = Past::new(question.marks, question.secrets);
    let query = Query { actor: question.actor, action, groups: question.groups, past };
    let mut tables = Counted::new(policy);
    tables.counts.fill(question.counts.into());
    let decision = decide(&mut tables, &query);
    // The one that decides is looked at once more.
    tables.assert_reads("a decision", MAX_GROUPS * READS_A_GROUP + 1);
    assert!(usize::from(decision.slot) < MAX_GROUPS);
    let all = policy.outcomes.iter().fold(0, |all, outcome| all | outcome.sets);
    assert_eq!(decision.sets & !all, 0, "marks that no outcome sets");
    let source = policy.outcomes.iter().any(|outcome| {
        (outcome.rank, outcome.verdict, outcome.rule) == (decision.rank, decision.verdict, decision.rule)
    });
    assert!(decision.rank == 0 || source, "a decision that no outcome makes: {decision:?}");

    // The same by the reader that `rules test` uses.
    let mut judge = Judge::new(policy);
    judge.counts.fill(question.counts.into());
    assert_eq!(judge.judge(&query), decision);
    let _ = policy.secrets(question.groups, &decision);

    for number in question.groups {
        let sum = chain(&mut tables, number, past);
        tables.assert_reads("a chain", READS_A_GROUP);
        assert_eq!(Sum::unpack(sum.pack()), sum);
    }
    let wanted = candidates(&policy.layout, &ExecClass::default(), [u64::MAX; 2], [u64::MAX; 2]);
    let lowest = (0..128).find(|bit| wanted[bit / 64] & (1 << (bit % 64)) != 0);
    assert_eq!(first(wanted).map(|bit| bit as usize), lowest);
}
