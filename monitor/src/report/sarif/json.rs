//! Packages and their lines in JSON files. Where a value stands is told by its address in the text.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::entry::Entry;

/// How deep lockfiles of npm 6 are followed.
const DEEPEST: usize = 32;

type Members<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// Lines of a text, to be asked for often.
struct Lines<'a> {
    text: &'a str,
    /// Where each begins.
    begins: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let begins = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, begins }
    }

    /// The line of a value that was borrowed from the text, counted from 1.
    fn line(&self, value: &RawValue) -> usize {
        let offset = (value.get().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        self.begins.partition_point(|begin| *begin <= offset)
    }
}

#[derive(Default, Deserialize)]
struct NpmEntry<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    version: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    dependencies: Option<&'a RawValue>,
}

fn parse<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

/// package-lock.json: `packages` by directory, or `dependencies` in each other before npm 7.
pub(super) fn npm_lock(text: &str) -> Vec<Entry> {
    #[derive(Deserialize)]
    struct Root<'a> {
        #[serde(borrow, default)]
        packages: Members<'a>,
        #[serde(borrow, default)]
        dependencies: Members<'a>,
    }
    let Ok(root) = serde_json::from_str::<Root<'_>>(text) else { return Vec::new() };
    let lines = Lines::of(text);
    let mut entries = Vec::new();
    for (directory, value) in &root.packages {
        let entry: NpmEntry<'_> = parse(value).unwrap_or_default();
        let installed = directory.rsplit_once("node_modules/").map(|(_, name)| name);
        let name = entry.name.as_deref().or(installed).unwrap_or(directory);
        entries.push(Entry::new(name, entry.version.as_deref(), lines.line(value)));
    }
    if entries.is_empty() {
        nested(&root.dependencies, &lines, &mut entries, 0);
    }
    entries
}

fn nested<'a>(members: &Members<'a>, lines: &Lines<'_>, entries: &mut Vec<Entry>, depth: usize) {
    for (name, value) in members {
        let entry: NpmEntry<'a> = parse(value).unwrap_or_default();
        entries.push(Entry::new(name, entry.version.as_deref(), lines.line(value)));
        if let Some(below) = entry.dependencies.and_then(parse::<Members<'_>>)
            && depth < DEEPEST
        {
            nested(&below, lines, entries, depth + 1);
        }
    }
}

/// Members of the objects `keys` of `text`.
fn members_of(text: &str, keys: &[&str], version: impl Fn(&RawValue) -> Option<String>) -> Vec<Entry> {
    let Ok(root) = serde_json::from_str::<Members<'_>>(text) else { return Vec::new() };
    let lines = Lines::of(text);
    let tables = keys.iter().filter_map(|key| parse::<Members<'_>>(root.get(*key)?));
    let mut entries = Vec::new();
    for table in tables {
        entries.extend(table.iter().map(|(name, value)| Entry {
            name: name.clone().into_owned(),
            version: version(value),
            line: lines.line(value),
        }));
    }
    entries
}

/// package.json and composer.json.
pub(super) fn manifest(text: &str) -> Vec<Entry> {
    let keys = [
        "dependencies",
        "devDependencies",
        "optionalDependencies",
        "peerDependencies",
        "require",
        "require-dev",
    ];
    members_of(text, &keys, |_| None)
}

/// Pipfile.lock.
pub(super) fn pipfile_lock(text: &str) -> Vec<Entry> {
    members_of(text, &["default", "develop"], |value| {
        let entry: NpmEntry<'_> = parse(value)?;
        Some(entry.version?.trim_start_matches('=').to_owned())
    })
}

/// composer.lock: lists of packages.
pub(super) fn composer_lock(text: &str) -> Vec<Entry> {
    #[derive(Deserialize)]
    struct Root<'a> {
        #[serde(borrow, default)]
        packages: Vec<Locked<'a>>,
        #[serde(borrow, default, rename = "packages-dev")]
        development: Vec<Locked<'a>>,
    }
    #[derive(Deserialize)]
    struct Locked<'a> {
        #[serde(borrow)]
        name: &'a RawValue,
        #[serde(borrow, default)]
        version: Option<Cow<'a, str>>,
    }
    let Ok(root) = serde_json::from_str::<Root<'_>>(text) else { return Vec::new() };
    let lines = Lines::of(text);
    let all = root.packages.iter().chain(&root.development);
    let entry = |locked: &Locked<'_>| {
        let name: String = parse(locked.name)?;
        let version = locked.version.as_deref().map(|version| version.trim_start_matches('v'));
        Some(Entry::new(&name, version, lines.line(locked.name)))
    };
    all.filter_map(entry).collect()
}
