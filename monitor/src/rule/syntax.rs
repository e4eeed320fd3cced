//! The format of a rule file. Every key is known; an unknown one is an error. The JSON Schema is generated from here.

use std::collections::BTreeMap;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One file of the rules folder. All files together form one rule set; names must be unique across files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RuleFile {
    /// Named classes of things that can be acted upon.
    pub objects: BTreeMap<String, Object>,
    /// Tools: programs of the machine with a known job. Names begin with `tool:`.
    pub actors: BTreeMap<String, Tool>,
    /// Package managers, by name (`npm` becomes the actor `manager:npm`, its scripts `script:npm`).
    pub managers: BTreeMap<String, Manager>,
    /// Who starts installs: `agent:NAME`, `ci:NAME`, `editor:NAME`, `terminal:NAME`.
    pub starters: BTreeMap<String, Starter>,
    /// Programs whose real subject is a script among their arguments.
    pub interpreters: Vec<String>,
    /// Programs of many names, known by their first argument (busybox).
    pub multicall: Vec<String>,
    /// Programs that only start another one (`env` in the first line of a script): the process stays what it was, and
    /// what it starts is judged as if it had been started directly. Only exact paths that no package can write to.
    pub trampolines: Vec<String>,
    /// Names of environment variables that hold secrets, which `run` withholds from its command in block mode: `*` is any
    /// run of characters, `?` one, `{a,b}` an alternative; `!` excludes, wherever it stands in any file. Upper and lower
    /// case are the same.
    pub environment: Vec<String>,
    /// What scripts may reach where `--network` does not say it; one file may.
    pub network: Option<Network>,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// A named class of files, programs, command lines, addresses, names of hosts or sockets.
///
/// Patterns are globs over absolute paths, byte by byte, and match the whole path. `*` (any run) and `?` (one byte) stay
/// inside one component; the component `**` is any number of components, none included, and at the end of a pattern at
/// least one (`dir/**` is everything below `dir`, not `dir`); `[a-z]`, `[!a-z]` are sets, `{a,b}` is an alternative,
/// a backslash takes the special meaning away. A leading `!` excludes, wherever it stands in the list.
///
/// A pattern begins with `/`; `~/`, every home directory on the machine; `$PROJECT/`, the directory the install was
/// started in; `$NAME/`, the path in that environment variable of the invoking user (a pattern whose variable is not set
/// matches nothing); or `**/`, any depth.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Object {
    /// What it is, in a few words for a finding: "SSH private key".
    pub title: String,
    /// Paths of files, as the kernel resolves them.
    pub files: Vec<String>,
    /// Paths of programs or of the scripts they run.
    pub executables: Vec<String>,
    /// Command lines: the program's or script's base name and its arguments, word by word (`gh auth token`). In a
    /// word, `*` is any run of bytes, `/` included; the word `**` is any number of words; more words may follow the
    /// pattern. A blank inside a word is written `\ `.
    pub commands: Vec<String>,
    /// Addresses or networks (`169.254.169.254`, `10.0.0.0/8`, `!127.0.0.0/8`); the most specific entry decides,
    /// of two equal ones the exclusion. Only exclusions are any other address. `::/0` holds no IPv4 address.
    pub addresses: Vec<String>,
    /// Names of hosts: `example.org` is that name, `*.example.org` any name below it, but not itself; `*` is any
    /// name; `!` excludes. Upper and lower case are the same, a last dot means nothing, and other alphabets are
    /// written as they are read (`bücher.example`). An address counts by the names it was resolved under. An object
    /// with addresses and domains is both, each with its ports.
    pub domains: Vec<String>,
    /// The registries of this ecosystem (`npm`, `pypi`, `cargo`, `gem`, `composer`, `golang`) that the machine's own
    /// files name when the run starts, each at its own port: `.npmrc`, `pip.conf`, `.cargo/config.toml` and so on.
    pub registries: Option<String>,
    /// Ports (`443`, `6881-6999`, `!80`) that an address must have; empty is any, only exclusions are
    /// any other. An object with ports and neither addresses nor domains is any address with such a port. To
    /// resolve a name has no port, so that `resolve` is about all domains of an object.
    pub ports: Vec<String>,
    /// Unix sockets: path patterns, or `@name` for the abstract namespace.
    pub sockets: Vec<String>,
    /// What kind of secret a file of this class holds (`ssh`, `aws`, ...), if it is one.
    pub secret: Option<String>,
}

/// A program of the machine with a known job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Tool {
    /// Paths of the program, as the kernel resolves them (symbolic links followed).
    pub exe: Vec<String>,
    /// For an interpreter: paths of the script it must run, or `-m module`.
    pub script: Vec<String>,
    /// Actors it must be started by; empty is anybody. Started by somebody else it is what its starter is.
    pub started_by: Vec<String>,
    /// Files it writes are build products, not `dropped` ones: linkers, assemblers, archivers.
    pub trusted_writer: bool,
}

/// A package manager.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Manager {
    /// Its name for people: "npm".
    pub title: String,
    /// purl type of its packages: `npm`, `pypi`, `cargo`, `gem`, `composer`, `golang`.
    pub ecosystem: String,
    /// What it reads of its environment.
    pub environment: Reads,
    /// Ways to recognise it; any one is enough.
    pub recognise: Vec<Recognise>,
}

/// Variables that a manager reads itself: kept when it is what `run` runs, though their names are those of secrets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Reads {
    /// Names that it is typed by; a version behind them does not count (`pip` is also `pip3.13`).
    pub commands: Vec<String>,
    /// Names of variables, as under `environment`, without exclusions.
    pub variables: Vec<String>,
}

/// One way to recognise a manager: all conditions given must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Recognise {
    /// Paths of the program, as the kernel resolves them.
    pub exe: Vec<String>,
    /// Paths of the script an interpreter runs as its command line names them (symbolic links not followed), or `-m module`.
    pub script: Vec<String>,
}

/// Somebody who starts installs, looked for among the processes above the run when it begins. Any one of the ways is
/// enough.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Starter {
    /// Its name for people.
    pub title: String,
    /// Names of programs: of the file, or as it was called.
    pub programs: Vec<String>,
    /// Ends of paths of scripts that an interpreter runs: `bin/aider`.
    pub scripts: Vec<String>,
    /// Variables in the environment of the run that it leaves there.
    pub variables: Vec<String>,
    /// How far scripts may reach then, where neither `--network` nor `network:` says it.
    pub network: Option<Network>,
}

/// One rule: who, what, to what; then what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rule {
    /// Stable and unique: `PW-CRED-001`.
    pub id: String,
    /// One line, lower case: "install script reads an SSH private key".
    pub title: String,
    /// How bad a match is.
    pub severity: Severity,
    /// What it is about.
    pub when: When,
    /// What follows.
    pub then: Verdict,
    /// The rule exists only where scripts may reach this much (`--network`); empty is always.
    #[serde(default)]
    pub network: Vec<Network>,
    /// The rule exists only where one of these started the run: `agent:*`, `ci:github`; empty is always.
    #[serde(default)]
    pub started_by: Vec<String>,
    /// A mark that the scope gets on a match, and its secrets with it, unless another rule allows the act; other rules
    /// can ask for it. Scripts that a scope starts inherit it.
    #[serde(default)]
    pub mark: Option<String>,
    /// MITRE ATT&CK techniques: `T1552.004`.
    #[serde(default)]
    pub attack: Vec<String>,
    /// Why this is no business of an install, and what to do when it is. Shown next to a denial.
    pub why: String,
    /// Proof that it fires, and that a neighbour does not.
    #[serde(default)]
    pub tests: Vec<Test>,
}

/// The condition of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct When {
    /// Who: `any`, `script` (every `script:*`), `script:npm`, `manager:*`, `manager:npm`, `tool:*`, `tool:git`.
    pub actor: OneOrMany,
    /// What it does.
    pub does: OneOrMany,
    /// To which class of object: a name under `objects`, or one the kernel knows (`dropped`, `fileless`, ...).
    pub object: OneOrMany,
    /// Only if the scope already has these marks. What such a rule refuses or allows stands above every `allow` that
    /// asks for no mark.
    #[serde(default)]
    pub marks: Vec<String>,
    /// Only after the scope has read secrets of this many classes (`secret:` of an object) by rules that mark it; as
    /// `marks` in everything else.
    #[serde(default)]
    pub secrets: u8,
    /// Only in the scope of a script: what it started is held to the same, whichever actor that is.
    #[serde(default)]
    pub scope: Option<Within>,
    /// Only after this many matches in one scope.
    #[serde(default)]
    pub after: u16,
}

/// A word or a list of words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a word or a list of words")]
pub enum OneOrMany {
    /// `script`
    One(String),
    /// `[script, manager:*]`
    Many(Vec<String>),
}

impl OneOrMany {
    /// The words.
    #[must_use]
    pub fn words(&self) -> &[String] {
        match self {
            Self::One(word) => std::slice::from_ref(word),
            Self::Many(words) => words,
        }
    }
}

/// How bad a match is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

/// What follows a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Allow,
    Alert,
    Deny,
    Kill,
}

/// How far scripts may reach: which rules about the network there are.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Public web addresses are reported, the worst is refused
    #[default]
    Audit,
    /// Nothing but what the install itself listens with on this machine
    Deny,
    /// As `deny`, and the registries of their ecosystem as configured on this machine
    Registry,
    /// As `audit`, without a word about public web addresses
    Allow,
}

/// Whose scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Within {
    /// One that a script opened.
    Script,
}

impl Rule {
    /// Whether the rule is there where scripts may reach this much.
    #[must_use]
    pub fn holds_in(&self, network: Network) -> bool {
        self.network.is_empty() || self.network.contains(&network)
    }

    /// Whether the rule is there where these started the run.
    #[must_use]
    pub fn holds_for(&self, starters: &[String]) -> bool {
        let is = |selector: &String, name: &String| match selector.strip_suffix('*') {
            Some(kind) => name.starts_with(kind),
            None => selector == name,
        };
        self.started_by.is_empty()
            || self.started_by.iter().any(|selector| starters.iter().any(|name| is(selector, name)))
    }

    /// Whether it asks what the scope has done before.
    #[must_use]
    pub fn asks_for_the_past(&self) -> bool {
        self.when.secrets > 0 || !self.when.marks.is_empty()
    }
}

/// A test embedded in a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Test {
    /// The act.
    pub given: Given,
    /// Other actions of which the same is expected.
    #[serde(default)]
    pub also: Vec<String>,
    /// What the whole rule set must say of it.
    pub expect: Verdict,
    /// How far scripts may reach in this test; empty is wherever the rule exists.
    #[serde(default)]
    pub network: Vec<Network>,
}

impl Test {
    /// The acts: the given one, and the same by each of the other actions.
    pub fn acts(&self) -> impl Iterator<Item = Given> {
        let others = self.also.iter().map(|does| Given { does: does.clone(), ..self.given.clone() });
        std::iter::once(self.given.clone()).chain(others)
    }
}

/// An act, for tests and for questions (`rules explain --given`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Given {
    /// Exact actor: `script:npm`, `manager:npm`, `tool:ssh`.
    pub actor: String,
    /// Action.
    pub does: String,
    /// Path of a file, or of a program for `exec`. `~` is the first home directory.
    pub path: Option<String>,
    /// For `exec`: the command line.
    pub command: Option<String>,
    /// `203.0.113.7:8000`, `[fd00::1]:80`.
    pub address: Option<String>,
    /// Name of a host: the one that is resolved, or under which the address was resolved.
    pub domain: Option<String>,
    /// Port, where there is a name but no address.
    pub port: Option<u16>,
    /// Unix socket path or `@name`.
    pub socket: Option<String>,
    /// A kernel object: `dropped`, `raw-socket`, ...
    pub object: Option<String>,
    /// Marks the scope already has.
    pub marks: Vec<String>,
    /// Of how many classes the scope has read secrets.
    pub secrets: u8,
    /// Whose scope it is, where that matters.
    pub scope: Option<Within>,
    /// How often the same was done before in the scope.
    pub before: u16,
}
