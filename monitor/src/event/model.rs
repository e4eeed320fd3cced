//! [`Event`]: one record with names for its numbers, its process, where that came from, and the package it works for.
//!
//! The serialised form is the public format `pkgwarden.event/1`: docs/events.md describes every field.

use std::fmt;
use std::net::IpAddr;

use monitor_common::action::Action;
use monitor_common::label::TreeId;
use monitor_common::verdict::{Achieved, Tier, Verdict};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text::Text;
use super::time::Timestamp;
use crate::rule::syntax::Severity;

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub time: Timestamp,
    /// In which tree.
    pub tree: TreeId,
    /// In which scope; a manager and its helpers have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// As what the process acted: `script:npm`, `manager:npm`, `tool:git`.
    pub actor: String,
    /// Who. Forks and exits name only the process; execs and verdicts describe it in full.
    pub process: Process,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<Package>,
    /// Words on how far the record can be relied upon, see [`FLAGS`](super::flags::FLAGS).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum What {
    /// The process started another.
    Fork {
        /// Process id of the new one.
        child: u32,
    },
    /// The process became another program, the one in `process`.
    Exec {
        /// Script that an interpreter was given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        script: Option<Text>,
        /// Whether a scope begins here.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        new_scope: bool,
    },
    /// The process ended.
    Exit {
        /// Its exit code, if it ended by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<u8>,
        /// The signal that ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<u8>,
    },
    /// A rule matched.
    Verdict(Box<Judgement>),
    /// The process did what no rule is about, or what one allows; told only to those who record.
    Act {
        /// What.
        #[serde(with = "word")]
        action: Action,
        /// To what.
        object: Object,
    },
    /// The kernel saw that the agent of the tree is dead.
    Orphaned,
    /// The process was answered an address for a name.
    Resolved {
        /// The name, in lower case.
        domain: Text,
        /// IPv4 or IPv6.
        address: IpAddr,
        /// For how many seconds the answer may be kept.
        ttl: u32,
    },
}

/// A rule, what it asked for, and what it met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Rule.
    pub rule: String,
    /// What the rule is about, one line.
    pub title: String,
    /// How bad that is.
    pub severity: Severity,
    /// Why, and what to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// ATT&CK techniques.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attack: Vec<String>,
    /// What the rule asks for.
    #[serde(with = "word")]
    pub asked: Verdict,
    /// What became of the act.
    #[serde(with = "word")]
    pub achieved: Achieved,
    /// What this kernel let us do.
    #[serde(with = "word")]
    pub tier: Tier,
    /// What was done.
    #[serde(with = "word")]
    pub action: Action,
    /// To what.
    pub object: Object,
    /// Where the process came from: its parent first, the root of the tree last.
    pub ancestry: Vec<Ancestor>,
    /// Marks the scope had before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<String>,
    /// Number of the system call on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syscall: Option<u32>,
}

/// A scope's key. Written in hexadecimal, because many readers of JSON keep only 53 bits of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(pub u64);

impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:x}", self.0)
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16)
            .map(Scope)
            .map_err(|_| serde::de::Error::custom(format!("`{text}` is no scope: a hexadecimal number is")))
    }
}

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Process id, initial namespace.
    pub pid: u32,
    /// When it was started. Together with `pid` it names a process for good.
    pub start: Timestamp,
    /// Process id of its parent now; [`Judgement::ancestry`] has the one that started it.
    pub ppid: u32,
    /// Effective user.
    pub uid: u32,
    /// Program, as the kernel resolved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<Text>,
    /// Arguments, secrets removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<Text>,
    /// Working directory when the program was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<Text>,
}

/// A process further up. One that changed its program appears once for each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ancestor {
    /// Process id.
    pub pid: u32,
    /// When it was started, if seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// What it was.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub actor: String,
    /// Program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<Text>,
    /// Arguments, secrets removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<Text>,
}

/// What was acted upon.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Object {
    /// Names of its classes in the rules.
    pub classes: Vec<String>,
    /// What it is, in a few words.
    #[serde(default)]
    pub title: String,
    /// The thing itself.
    #[serde(flatten)]
    pub what: Thing,
}

/// A thing that can be acted upon.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Thing {
    /// A file.
    File {
        /// Its path.
        path: Text,
    },
    /// A program.
    Program {
        /// Its path.
        path: Text,
        /// Its arguments, secrets removed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        argv: Vec<Text>,
    },
    /// An IP endpoint.
    Address {
        /// IPv4 or IPv6.
        address: IpAddr,
        /// Port.
        port: u16,
        /// Number of the protocol: 6 is TCP, 17 is UDP.
        #[serde(default)]
        protocol: u64,
        /// A name that a resolver of this machine gave the address to; none was seen if it is absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        domain: Option<Text>,
        /// The name that the program itself sent: in the first message of TLS, or as the host of HTTP.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        server_name: Option<Text>,
    },
    /// A name that a resolver is asked for.
    Name {
        /// The name, in lower case; absent if the query could not be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        domain: Option<Text>,
        /// Number of the type of record: 1 is A, 16 is TXT, 28 is AAAA.
        #[serde(default)]
        record: u64,
        /// Who was asked.
        resolver: IpAddr,
        /// At which port.
        port: u16,
        /// Number of the protocol: 6 is TCP, 17 is UDP.
        #[serde(default)]
        protocol: u64,
    },
    /// A unix socket.
    Socket {
        /// Its path, or `@` and an abstract name.
        socket: Text,
    },
    /// A process.
    Process {
        /// Its id.
        pid: u64,
    },
    /// Something of the kernel.
    Kernel {
        /// Its name in the rules: `bpf`, `raw-socket`, ...
        kernel: String,
        /// A detail such as the bpf command or the socket type.
        #[serde(default)]
        detail: u64,
    },
    /// Nothing that can be named.
    None,
}

/// Which package a scope works for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Package {
    /// purl type: `npm`, `pypi`, `cargo`, `gem`, `composer`.
    pub ecosystem: String,
    /// Name; `A or B` where there are candidates.
    pub name: Text,
    /// Version, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Text>,
    /// Which of its scripts runs: `postinstall`, `build.rs`, `build_wheel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<Text>,
    /// How sure that is.
    pub confidence: Confidence,
    /// What it was learnt from: `package-lock.json`, `directory`, `PKG-INFO`, ...
    pub source: String,
    /// Package URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purl: Option<String>,
    /// What the package's own manifest calls it, where that is another name than it was installed under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<Text>,
    /// Package URLs of all that it can be, where it cannot be told which.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Text>,
}

/// How sure the identity of a package is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Name or version could not be told.
    None,
    /// The package says so itself, or it follows from a place that others can write to.
    Likely,
    /// The package manager says so: its lockfile, or a directory that it named.
    Exact,
}

/// Serialises the closed lists of `monitor_common` as their words.
pub mod word {
    use serde::{Deserialize, Deserializer, Serializer};

    /// A closed list of words.
    pub trait Word: Copy + Sized + 'static {
        /// Every member.
        const EVERY: &'static [Self];
        /// The word of a member.
        fn spelled(self) -> &'static str;
    }

    macro_rules! words {
        ($($list:path),*) => {
            $(impl Word for $list {
                const EVERY: &'static [Self] = <$list>::ALL;
                fn spelled(self) -> &'static str {
                    self.word()
                }
            })*
        };
    }
    words!(
        monitor_common::action::Action,
        monitor_common::verdict::Verdict,
        monitor_common::verdict::Achieved,
        monitor_common::verdict::Tier,
        monitor_common::verdict::Mode
    );

    /// Writes the word.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<T: Word, S: Serializer>(member: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(member.spelled())
    }

    /// Reads the word.
    ///
    /// # Errors
    /// When no member has that word.
    pub fn deserialize<'de, T: Word, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        T::EVERY.iter().copied().find(|member| member.spelled() == text).ok_or_else(|| {
            let words: Vec<&str> = T::EVERY.iter().map(|member| member.spelled()).collect();
            serde::de::Error::custom(format!("`{text}` is none of {}", words.join(", ")))
        })
    }
}
