//! The format `pkgwarden.lock/1`. Every key is known; an unknown one is an error. The JSON Schema is generated from here.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use monitor_common::action::Action;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_saphyr::FlowSeq;

use super::cover;
use crate::event::text::Text;

/// Name and version of the format.
pub const SCHEMA: &str = "pkgwarden.lock/1";

/// Scripts of one version, by name: `postinstall`, `build.rs`.
pub type Scripts = BTreeMap<Text, Behaviour>;
/// Versions of one package.
pub type Versions = BTreeMap<Text, Scripts>;
/// Packages of one ecosystem, by name.
pub type Packages = BTreeMap<Text, Versions>;

/// What the scripts of packages did. Sorted, and without anything that differs between two runs of the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// `pkgwarden.lock/1`.
    pub schema: String,
    /// By ecosystem (`npm`, `pypi`, `cargo`, `gem`; `command` for the command itself), name, version and script.
    #[serde(default)]
    pub packages: BTreeMap<Text, Packages>,
}

impl Default for Lock {
    fn default() -> Self {
        Self { schema: SCHEMA.to_owned(), packages: BTreeMap::new() }
    }
}

/// What was done to what: the object, and what the rules call it.
pub type Objects = BTreeMap<Text, Classes>;

/// What a script did, by action.
///
/// Paths begin with `~` (the home), `.` (the project), `<package>`, `<tmp>` or `/`; what differs from run to run is `*`;
/// `dir/**` is `dir` and everything below. Text that a stranger chose is written as in `pkgwarden.event/1`: a backslash is
/// `\\`, and every byte that is no part of a visible character is `\xNN`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Behaviour {
    /// Programs that were started; behind an interpreter, a blank and its script.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub exec: BTreeSet<Text>,
    /// Files that were opened for reading, if a rule is about them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub read: Objects,
    /// Files that were opened for writing, truncated, or whose mode or owner was changed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub write: Objects,
    /// Files, directories, links and sockets that were made; new names of files; kernel objects.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub create: Objects,
    /// Files that were given another name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub link: Objects,
    /// Old names of files that were renamed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rename: Objects,
    /// Files and directories that were removed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub remove: Objects,
    /// Hosts or addresses, with ports, that were connected.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub connect: Objects,
    /// Hosts or addresses, with ports, that datagrams were sent to.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub send: Objects,
    /// Names that resolvers were asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub resolve: Objects,
    /// Addresses and ports that were listened at.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub listen: Objects,
    /// Unix sockets that were connected.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unix_connect: Objects,
    /// Processes that were reached into, if a rule is about them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attach: Objects,
    /// Kernel machinery that was asked for, if a rule is about it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub load: Objects,
    /// Processes outside the tree that were signalled, if a rule is about it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub signal: Objects,
}

/// Names that the rules have for an object, for those who read: two objects are the same if their text is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Classes(pub BTreeSet<String>);

impl Serialize for Classes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FlowSeq(self.0.iter().collect::<Vec<_>>()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Classes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeSet::deserialize(deserializer).map(Self)
    }
}

impl JsonSchema for Classes {
    fn schema_name() -> Cow<'static, str> {
        "Classes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array",
            "items": { "type": "string" },
            "uniqueItems": true,
            "description": "Names that the rules have for the object, for those who read.",
        })
    }
}

impl JsonSchema for Text {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// One thing that a script did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Act {
    /// What was done.
    #[serde(with = "crate::event::model::word")]
    pub action: Action,
    /// To what.
    pub object: Text,
    /// What the rules call it.
    pub classes: BTreeSet<String>,
}

impl Behaviour {
    /// What was done to objects by this action; programs have no classes and are in [`Behaviour::exec`].
    #[must_use]
    pub fn objects(&self, action: Action) -> Option<&Objects> {
        Some(match action {
            Action::Exec => return None,
            Action::Read => &self.read,
            Action::Write => &self.write,
            Action::Create => &self.create,
            Action::Link => &self.link,
            Action::Rename => &self.rename,
            Action::Remove => &self.remove,
            Action::Connect => &self.connect,
            Action::Send => &self.send,
            Action::Resolve => &self.resolve,
            Action::Listen => &self.listen,
            Action::UnixConnect => &self.unix_connect,
            Action::Attach => &self.attach,
            Action::Load => &self.load,
            Action::Signal => &self.signal,
        })
    }

    fn objects_mut(&mut self, action: Action) -> Option<&mut Objects> {
        Some(match action {
            Action::Exec => return None,
            Action::Read => &mut self.read,
            Action::Write => &mut self.write,
            Action::Create => &mut self.create,
            Action::Link => &mut self.link,
            Action::Rename => &mut self.rename,
            Action::Remove => &mut self.remove,
            Action::Connect => &mut self.connect,
            Action::Send => &mut self.send,
            Action::Resolve => &mut self.resolve,
            Action::Listen => &mut self.listen,
            Action::UnixConnect => &mut self.unix_connect,
            Action::Attach => &mut self.attach,
            Action::Load => &mut self.load,
            Action::Signal => &mut self.signal,
        })
    }

    /// Everything, in the order of actions and objects.
    pub fn acts(&self) -> impl Iterator<Item = Act> + '_ {
        let act = |action, object: &Text, classes: &BTreeSet<String>| Act {
            action,
            object: object.clone(),
            classes: classes.clone(),
        };
        let none = BTreeSet::new();
        let programs = self.exec.iter().map(move |program| act(Action::Exec, program, &none));
        programs.chain(Action::ALL.iter().flat_map(move |action| {
            let objects = self.objects(*action).into_iter().flatten();
            objects.map(move |(object, classes)| act(*action, object, &classes.0))
        }))
    }

    /// How much it is.
    #[must_use]
    pub fn len(&self) -> usize {
        let objects = |action: &Action| self.objects(*action).map_or(0, BTreeMap::len);
        self.exec.len() + Action::ALL.iter().map(objects).sum::<usize>()
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an act.
    pub fn add(&mut self, act: Act) {
        match self.objects_mut(act.action) {
            Some(objects) => objects.entry(act.object).or_default().0.extend(act.classes),
            None => {
                self.exec.insert(act.object);
            }
        }
    }

    /// Whether the act is there, by itself or with everything below a directory.
    #[must_use]
    pub fn covers(&self, act: &Act) -> bool {
        match self.objects(act.action) {
            // Who made a file may write to it; whether that is told too differs from tier to tier.
            Some(objects) => {
                cover::covers(objects, &act.object)
                    || (act.action == Action::Write && cover::covers(&self.create, &act.object))
            }
            None => self.exec.contains(&act.object),
        }
    }

    /// Adds everything.
    pub fn merge(&mut self, other: &Self) {
        other.acts().for_each(|act| self.add(act));
    }

    /// Puts many files of one directory together.
    pub fn fold(&mut self) {
        for action in [Action::Write, Action::Create, Action::Link, Action::Rename, Action::Remove] {
            if let Some(objects) = self.objects_mut(action) {
                cover::fold(objects);
            }
        }
        let create = &self.create;
        self.write.retain(|object, classes| !classes.0.is_empty() || !cover::covers(create, object));
    }
}

impl Lock {
    /// What a script did; nothing if it is new.
    pub fn entry(&mut self, ecosystem: &Text, name: &Text, version: &Text, script: &Text) -> &mut Behaviour {
        let packages = self.packages.entry(ecosystem.clone()).or_default();
        packages
            .entry(name.clone())
            .or_default()
            .entry(version.clone())
            .or_default()
            .entry(script.clone())
            .or_default()
    }

    /// Every script: ecosystem, name, version, script, what it did.
    pub fn scripts(&self) -> impl Iterator<Item = ([&Text; 4], &Behaviour)> {
        self.packages.iter().flat_map(|(ecosystem, packages)| {
            packages.iter().flat_map(move |(name, versions)| {
                versions.iter().flat_map(move |(version, scripts)| {
                    scripts
                        .iter()
                        .map(move |(script, behaviour)| ([ecosystem, name, version, script], behaviour))
                })
            })
        })
    }

    /// Adds everything that `other` has.
    pub fn merge(&mut self, other: &Self) {
        for ([ecosystem, name, version, script], behaviour) in other.scripts() {
            let known = self.entry(ecosystem, name, version, script);
            known.merge(behaviour);
            known.fold();
        }
    }

    /// How many packages there are.
    #[must_use]
    pub fn packages(&self) -> usize {
        self.packages.values().map(BTreeMap::len).sum()
    }

    /// How many acts there are.
    #[must_use]
    pub fn acts(&self) -> usize {
        self.scripts().map(|(_, behaviour)| behaviour.len()).sum()
    }
}
