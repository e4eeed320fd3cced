//! The compiled rules at work in userspace, through the same evaluator as in the kernel.

mod holding;
mod line;

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use monitor_common::action::Action;
use monitor_common::label::{ActorId, SCOPE_COUNTERS, SCRIPT_SCOPE};
use monitor_common::object::KernelObject;
use monitor_common::policy::automaton::LEXICAL_DEPTH;
use monitor_common::policy::automaton::LexicalWalk;
use monitor_common::policy::decide::{Outcome, decide, secrets};
use monitor_common::policy::identity::{INTERPRETER, TRAMPOLINE, candidates, first};
use monitor_common::policy::{
    ANY_PORT, Automata, Decision, ExecClass, MAX_GROUPS, Past, Query, State, Verdicts,
};

use self::line::{base_name, command, script, words};
use super::domain;
use super::network::mapped;
use super::{Policy, RuleInfo};
use crate::rule::syntax::{Given, Verdict, Within};

/// Which of a query's groups is what.
pub mod slot {
    /// A file, an address, a socket, or the path of a program.
    pub const PATH: usize = 0;
    /// The script or module that a program runs.
    pub const SCRIPT: usize = 1;
    /// A name that is resolved, or that an address was resolved under. A second name goes into the next slot.
    pub const NAME: usize = 1;
    /// The command line.
    pub const COMMAND: usize = 2;
    /// What only the kernel recognises.
    pub const KERNEL: usize = 3;
}

impl Automata for Policy {
    fn word(&self, index: u32) -> u32 {
        self.words.get(index as usize).copied().unwrap_or(0)
    }

    fn class(&self, byte: u8) -> u32 {
        u32::from(self.layout.classes[usize::from(byte)])
    }
}

/// The verdict table together with one scope's counters.
pub struct Judge<'a> {
    policy: &'a Policy,
    /// The scope's counters.
    pub counts: [u32; SCOPE_COUNTERS],
}

impl<'a> Judge<'a> {
    /// A scope in which nothing was counted yet.
    #[must_use]
    pub fn new(policy: &'a Policy) -> Self {
        Self { policy, counts: [0; SCOPE_COUNTERS] }
    }

    /// Judges one act of the scope.
    pub fn judge(&mut self, query: &Query) -> Decision {
        decide(self, query)
    }
}

impl Verdicts for Judge<'_> {
    fn cell(&self, row: u32, group: u16) -> u16 {
        let layout = &self.policy.layout;
        if u32::from(group) >= layout.groups {
            return 0;
        }
        let index = row as usize * layout.groups as usize + usize::from(group);
        self.policy.cells.get(index).copied().unwrap_or(0)
    }

    fn outcome(&self, number: u16) -> Option<Outcome> {
        self.policy.outcomes.get(usize::from(number)).copied()
    }

    fn count(&mut self, counter: u8) -> u32 {
        let count = &mut self.counts[usize::from(counter) % SCOPE_COUNTERS];
        *count = count.saturating_add(1);
        *count
    }
}

/// A program about to be executed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program<'a> {
    /// Its path as the kernel resolves it; none if it does not matter.
    pub path: Option<&'a [u8]>,
    /// The absolute path of the script it runs, or `-m module`.
    pub script: Option<&'a [u8]>,
    /// Base name of the program or script, and its arguments, with NUL between them.
    pub command: &'a [u8],
}

/// What was said to an act, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// What the rules say.
    pub decision: Decision,
    /// The groups that were asked about.
    pub groups: [u16; MAX_GROUPS],
    /// For `exec`: what the process becomes.
    pub becomes: Option<ActorId>,
}

/// A question that cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// The rules have no such actor.
    #[error("there is no actor `{0}`; write an exact one such as `script:npm`, `manager:pip` or `tool:git`")]
    Actor(String),
    /// There is no such action.
    #[error(
        "there is no action `{0}`; the actions are exec, read, write, create, link, rename, remove, connect, send, resolve, listen, unix-connect, attach, load and signal"
    )]
    Action(String),
    /// Nothing recognises this object but its name.
    #[error("there is no kernel object `{0}`; write a file as `path`")]
    Object(String),
    /// No rule sets this mark.
    #[error("no rule sets the mark `{0}`")]
    Mark(String),
    /// Not an address with a port.
    #[error("`{0}` is no address with a port; write `203.0.113.7:443` or `[2001:db8::1]:443`")]
    Address(String),
    /// A name of a host that cannot be one.
    #[error("`{0}` is no name of a host: {1}")]
    Domain(String, String),
    /// A name, but no port.
    #[error("the port is missing; add one to the name `{0}`, or an address with one")]
    Port(String),
    /// A path that stands nowhere.
    #[error("the path `{0}` does not begin with `/`, `~` or a variable that is set; write an absolute path")]
    Path(String),
}

impl Policy {
    /// What a path of the kernel accepts: walked as it is, byte by byte.
    #[must_use]
    pub fn accepts(&self, start: State, bytes: &[u8]) -> u32 {
        Automata::accepts(self, bytes.iter().fold(start, |state, byte| self.step(state, *byte)))
    }

    /// Group of a file; `path` as somebody wrote it, `..` and all.
    #[must_use]
    pub fn file_group(&self, path: &[u8]) -> u16 {
        self.lexical(self.layout.file_start, path) as u16
    }

    /// Group of a unix socket: a path, or `@` and a name of the abstract namespace.
    #[must_use]
    pub fn socket_group(&self, name: &[u8]) -> u16 {
        if name.starts_with(b"/") {
            self.lexical(self.layout.socket_start, name) as u16
        } else {
            self.accepts(self.layout.socket_start, name) as u16
        }
    }

    /// Class of a program's path, or of the path or module of a script.
    #[must_use]
    pub fn exec_class(&self, name: &[u8]) -> ExecClass {
        let number = if name.starts_with(b"/") {
            self.lexical(self.layout.exec_start, name)
        } else {
            self.accepts(self.layout.exec_start, name)
        };
        self.exec_classes.get(number as usize).copied().unwrap_or_default()
    }

    /// Group of a command line.
    #[must_use]
    pub fn command_group(&self, command: &[u8]) -> u16 {
        let number = self.accepts(self.layout.command_start, command);
        self.exec_classes.get(number as usize).map_or(0, |class| class.group)
    }

    /// Group of an address (`::ffff:a.b.c.d` for IPv4) and port.
    #[must_use]
    pub fn net_group(&self, address: [u8; 16], port: u16) -> u16 {
        let bits = u128::from_be_bytes(address);
        let covers = |length: u32, network: [u8; 16]| {
            length == 0 || (bits ^ u128::from_be_bytes(network)).leading_zeros() >= length
        };
        let hits = self.networks.iter().filter(|network| covers(network.prefix_len, network.address));
        let set = hits.max_by_key(|network| network.prefix_len).map_or(0, |network| network.set);
        let ports = self.ports.get(usize::from(port)).copied().unwrap_or(0);
        let index = usize::from(set) * self.layout.port_sets as usize + usize::from(ports);
        self.net_groups.get(index).copied().unwrap_or(0)
    }

    /// Domain set of a name of a host; lower case, no dot at the end.
    #[must_use]
    pub fn domain_set(&self, name: &[u8]) -> u16 {
        let start = self.layout.domain_start;
        let end = name.iter().rev().fold(start, |state, byte| self.step(state, *byte));
        Automata::accepts(self, end) as u16
    }

    /// Group of a name of a host (lower case, no dot at the end) and a port; without one, of the name as it is resolved.
    #[must_use]
    pub fn domain_group(&self, name: &[u8], port: Option<u16>) -> u16 {
        let ports = port.map_or(ANY_PORT as usize, |port| {
            usize::from(self.ports.get(usize::from(port)).copied().unwrap_or(0))
        });
        let index = usize::from(self.domain_set(name)) * self.layout.port_sets as usize + ports;
        self.domain_groups.get(index).copied().unwrap_or(0)
    }

    /// Group of an object that only the kernel recognises.
    #[must_use]
    pub fn kernel_group(&self, object: KernelObject) -> u16 {
        self.layout.kernel_objects.get(object as usize).copied().unwrap_or(0)
    }

    /// Groups of a program; the last one is left free.
    #[must_use]
    pub fn program_groups(&self, program: &Program) -> [u16; MAX_GROUPS] {
        let mut groups = [0; MAX_GROUPS];
        groups[slot::PATH] = program.path.map_or(0, |path| self.exec_class(path).group);
        groups[slot::SCRIPT] = program.script.map_or(0, |script| self.exec_class(script).group);
        groups[slot::COMMAND] = self.command_group(program.command);
        groups
    }

    /// What a process of `starter` becomes by executing `program`, where its label says that an unrecognised program
    /// becomes `child`.
    #[must_use]
    pub fn identify(&self, starter: ActorId, child: ActorId, program: &Program) -> ActorId {
        let exe = program.path.map_or_else(ExecClass::default, |path| self.exec_class(path));
        if exe.flags & TRAMPOLINE != 0 {
            return starter;
        }
        let script = program.script.map_or([0; 2], |script| self.exec_class(script).script);
        let may_start = self.actors.get(usize::from(starter)).map_or([0; 2], |actor| actor.may_start);
        let found = first(candidates(&self.layout, &exe, script, may_start));
        let identity = found.and_then(|number| self.identities.get(number as usize));
        identity.map_or(child, |identity| identity.actor)
    }

    /// Classes of secrets that a scope is to note after a decision.
    #[must_use]
    pub fn secrets(&self, groups: [u16; MAX_GROUPS], decision: &Decision) -> u64 {
        let of = |group| self.group_secrets.get(usize::from(group)).copied().unwrap_or(0);
        secrets(groups, decision.marked, of)
    }

    /// What the rules say to an act.
    ///
    /// # Errors
    /// When the question names something that the rules do not know.
    pub fn judge(&self, given: &Given) -> Result<Judgement, QuestionError> {
        let actor =
            self.names.actor(&given.actor).ok_or_else(|| QuestionError::Actor(given.actor.clone()))?;
        let action =
            Action::from_word(&given.does).ok_or_else(|| QuestionError::Action(given.does.clone()))?;
        let mut marks = 0;
        for mark in &given.marks {
            let bit = self.names.marks.iter().position(|known| known == mark);
            marks |= 1 << bit.ok_or_else(|| QuestionError::Mark(mark.clone()))?;
        }
        if given.scope == Some(Within::Script) {
            marks |= SCRIPT_SCOPE;
        }
        let mut groups = [0; MAX_GROUPS];
        let mut becomes = None;
        if action == Action::Exec {
            (groups, becomes) = self.given_program(actor, given)?;
        } else if let Some(path) = &given.path {
            groups[slot::PATH] = self.file_group(&self.path(path)?);
        }
        let mut port = given.port;
        if let Some(address) = &given.address {
            let bad = |_| QuestionError::Address(address.clone());
            let address: std::net::SocketAddr = address.parse().map_err(bad)?;
            groups[slot::PATH] = self.net_group(mapped(address.ip()), address.port());
            port = Some(address.port());
        }
        if let Some(text) = &given.domain {
            let name = domain::parse_name(text)
                .map_err(|error| QuestionError::Domain(text.clone(), error.to_string()))?;
            let port = if action == Action::Resolve { None } else { port };
            if port.is_none() && action != Action::Resolve {
                return Err(QuestionError::Port(text.clone()));
            }
            groups[slot::NAME] = self.domain_group(name.as_bytes(), port);
        }
        if let Some(socket) = &given.socket {
            let name = if socket.starts_with('@') { socket.clone().into_bytes() } else { self.path(socket)? };
            groups[slot::PATH] = self.socket_group(&name);
        }
        if let Some(word) = &given.object {
            let object = KernelObject::from_word(word).ok_or_else(|| QuestionError::Object(word.clone()))?;
            groups[slot::KERNEL] = self.kernel_group(object);
        }
        let mut judge = Judge { policy: self, counts: [u32::from(given.before); SCOPE_COUNTERS] };
        let past = Past { marks, classes: u32::from(given.secrets) };
        let decision = judge.judge(&Query { actor, action, groups, past });
        Ok(Judgement { decision, groups, becomes })
    }

    /// The rule that decided, if one did.
    #[must_use]
    pub fn deciding(&self, decision: &Decision) -> Option<&RuleInfo> {
        if decision.rank == 0 { None } else { self.names.rule(decision.rule) }
    }

    fn given_program(
        &self,
        actor: ActorId,
        given: &Given,
    ) -> Result<([u16; MAX_GROUPS], Option<ActorId>), QuestionError> {
        let path = given.path.as_deref().map(|path| self.path(path)).transpose()?;
        let words = given.command.as_deref().map(words).unwrap_or_default();
        let class = path.as_deref().map_or_else(ExecClass::default, |path| self.exec_class(path));
        let interpreter = class.flags & INTERPRETER != 0;
        let script = if interpreter { script(&words) } else { None };
        let resolved = script
            .as_ref()
            .map(|script| self.path(&script.name).unwrap_or_else(|_| script.name.clone().into()));
        let command = match (&script, &path) {
            (Some(script), _) => command(&script.name, script.arguments),
            (None, _) if !words.is_empty() => command(words[0], &words[1..]),
            (None, Some(path)) => base_name(path).to_vec(),
            (None, None) => Vec::new(),
        };
        let program = Program { path: path.as_deref(), script: resolved.as_deref(), command: &command };
        let child = self.actors.get(usize::from(actor)).map_or(0, |actor| actor.child);
        let child = if child == 0 { actor } else { child };
        Ok((self.program_groups(&program), path.is_some().then(|| self.identify(actor, child, &program))))
    }

    /// A path in a question: `~` is the first home, `$PROJECT` and `$NAME` as in patterns.
    fn path(&self, text: &str) -> Result<Vec<u8>, QuestionError> {
        let (head, rest) = text.split_once('/').map_or((text, ""), |(head, rest)| (head, rest));
        let directory = match head.as_bytes() {
            [] => Some(PathBuf::from("/")),
            b"~" => self.environment.homes.first().cloned(),
            [b'$', ..] => self.environment.directory(&head[1..]),
            _ => None,
        };
        let directory = directory.ok_or_else(|| QuestionError::Path(text.to_owned()))?;
        let path = if rest.is_empty() { directory } else { directory.join(Path::new(rest)) };
        Ok(path.as_os_str().as_bytes().to_vec())
    }

    fn lexical(&self, start: State, path: &[u8]) -> u32 {
        let mut stack = [0; LEXICAL_DEPTH];
        let mut walk = LexicalWalk::new(self, start, &mut stack);
        for byte in path {
            walk.push(self, &mut stack, *byte);
        }
        // Deeper paths are opaque to the kernel's walk; here nothing limits it.
        if walk.overflow { self.accepts(start, &clean(path)) } else { walk.accepts(self) }
    }
}

/// The path without empty components, `.` and `..`.
pub(crate) fn clean(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    let mut clean: Vec<u8> = parts.iter().flat_map(|part| [b"/", *part].concat()).collect();
    if clean.is_empty() {
        clean.push(b'/');
    }
    clean
}

/// The word of the rules for a decision.
#[must_use]
pub fn verdict(decision: &Decision) -> Verdict {
    use monitor_common::verdict::Verdict as Asked;
    match Asked::from_raw(decision.verdict) {
        Some(Asked::Allow) => Verdict::Allow,
        Some(Asked::Deny) => Verdict::Deny,
        Some(Asked::Kill) => Verdict::Kill,
        // The compiler writes no other numbers; one would be worth a look.
        Some(Asked::Alert) | None => Verdict::Alert,
    }
}
