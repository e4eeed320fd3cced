//! Packages and their lines in lockfiles and manifests.
//!
//! Only lines are looked for, so nothing here needs to understand a file in full: what it does not recognise gives no
//! entry. Files come from a project that may be hostile; the worst they can do is a wrong line.

use super::json;

/// A package and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Name as written.
    pub(super) name: String,
    /// Version, where the file fixes one.
    pub(super) version: Option<String>,
    /// Counted from 1.
    pub(super) line: usize,
}

impl Entry {
    pub(super) fn new(name: &str, version: Option<&str>, line: usize) -> Self {
        Self { name: name.to_owned(), version: version.map(str::to_owned), line }
    }
}

/// How to read a file.
type Scan = fn(&str) -> Vec<Entry>;

/// Files that name packages: by ecosystem, those that fix versions first.
const FILES: [(&str, &str, Scan); 21] = [
    ("npm", "package-lock.json", json::npm_lock),
    ("npm", "npm-shrinkwrap.json", json::npm_lock),
    ("npm", "pnpm-lock.yaml", pnpm),
    ("npm", "yarn.lock", yarn),
    ("npm", "bun.lock", bun),
    ("npm", "package.json", json::manifest),
    ("pypi", "uv.lock", toml_lock),
    ("pypi", "poetry.lock", toml_lock),
    ("pypi", "pdm.lock", toml_lock),
    ("pypi", "Pipfile.lock", json::pipfile_lock),
    ("pypi", "requirements.txt", requirements),
    ("pypi", "pyproject.toml", pyproject),
    ("pypi", "Pipfile", toml_keys),
    ("cargo", "Cargo.lock", toml_lock),
    ("cargo", "Cargo.toml", toml_keys),
    ("gem", "Gemfile.lock", gem_lock),
    ("gem", "gems.locked", gem_lock),
    ("gem", "Gemfile", gemfile),
    ("gem", "gems.rb", gemfile),
    ("composer", "composer.lock", json::composer_lock),
    ("composer", "composer.json", json::manifest),
];

/// The files of an ecosystem, in the order in which they are asked.
pub(super) fn files(ecosystem: &str) -> impl Iterator<Item = (&'static str, Scan)> {
    FILES.iter().filter(move |(of, ..)| *of == ecosystem).map(|(_, file, scan)| (*file, *scan))
}

/// The file that a project of an ecosystem has if it has nothing else.
pub(super) fn manifest(ecosystem: &str) -> Option<&'static str> {
    Some(match ecosystem {
        "npm" => "package.json",
        "pypi" => "pyproject.toml",
        "cargo" => "Cargo.toml",
        "gem" => "Gemfile",
        "composer" => "composer.json",
        _ => return None,
    })
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(|character| matches!(character, '"' | '\''))
}

/// `name@version`, where the name can begin with `@`.
fn split_at_sign(text: &str) -> Option<(&str, &str)> {
    let sign = text.get(1..)?.find('@')? + 1;
    Some((&text[..sign], &text[sign + 1..]))
}

/// `packages:` of pnpm-lock.yaml: `  name@1.2.3:`, before version 9 with a slash in front, before 6 `  /name/1.2.3:`.
fn pnpm(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut inside = false;
    for (number, line) in numbered(text) {
        if !line.starts_with(' ') && !line.is_empty() {
            inside = line.trim_end() == "packages:";
            continue;
        }
        let key = line.strip_prefix("  ").filter(|key| inside && !key.starts_with([' ', '#']));
        let Some(key) = key.and_then(|key| key.trim_end().strip_suffix(':')) else { continue };
        let key = unquoted(key);
        // Peers are written behind the version.
        let key = key.split_once('(').map_or(key, |(key, _)| key);
        let old = key.strip_prefix('/');
        let key = old.unwrap_or(key);
        let oldest = key
            .rsplit_once('/')
            .filter(|(_, version)| version.starts_with(|first: char| first.is_ascii_digit()));
        let split = oldest.filter(|_| old.is_some()).or_else(|| split_at_sign(key));
        if let Some((name, version)) = split {
            let version = version.split_once('_').map_or(version, |(version, _)| version);
            entries.push(Entry::new(name, Some(version), number));
        }
    }
    entries
}

/// yarn.lock, classic and berry: a line of `name@range` specifiers, below it the version.
fn yarn(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut names: (usize, Vec<&str>) = (0, Vec::new());
    for (number, line) in numbered(text) {
        if let Some(specifiers) = line.strip_suffix(':').filter(|line| !line.starts_with([' ', '#'])) {
            let specifiers = unquoted(specifiers).split(", ").map(unquoted);
            names = (number, specifiers.filter_map(split_at_sign).map(|(name, _)| name).collect());
            names.1.dedup();
        } else if let Some(version) = line.trim_start().strip_prefix("version") {
            let version = unquoted(version.trim_start_matches([':', ' ']));
            entries.extend(names.1.drain(..).map(|name| Entry::new(name, Some(version), names.0)));
        } else if let Some(real) = line.trim_start().strip_prefix("resolution: ")
            && let Some((name, version)) = split_at_sign(unquoted(real))
        {
            // What an alias leads to.
            let version = version.strip_prefix("npm:").unwrap_or(version);
            entries.push(Entry::new(name, Some(version), names.0));
        }
    }
    entries
}

/// bun.lock: `"name": ["name@1.2.3", ...`, one package a line.
fn bun(text: &str) -> Vec<Entry> {
    let entry = |(number, line): (usize, &str)| {
        let (_, list) = line.split_once(": [\"")?;
        let (name, version) = split_at_sign(&list[..list.find('"')?])?;
        Some(Entry::new(name, Some(version), number))
    };
    numbered(text).filter_map(entry).collect()
}

/// `key = "value"` of TOML.
fn toml_pair(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=')?;
    Some((unquoted(key.trim()), value.trim()))
}

/// Lockfiles with `[[package]]`, a name and a version.
fn toml_lock(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut inside = false;
    for (number, line) in numbered(text) {
        if line.starts_with('[') {
            inside = line.trim_end() == "[[package]]";
            continue;
        }
        match toml_pair(line).filter(|_| inside) {
            Some(("name", name)) => entries.push(Entry::new(unquoted(name), None, number)),
            Some(("version", version)) => {
                if let Some(entry) = entries.last_mut().filter(|entry| entry.version.is_none()) {
                    entry.version = Some(unquoted(version).to_owned());
                }
            }
            _ => {}
        }
    }
    entries
}

/// Manifests in TOML whose tables of dependencies have names as keys.
fn toml_keys(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut inside = false;
    for (number, line) in numbered(text) {
        if let Some(table) = line.strip_prefix('[').and_then(|line| line.trim_end().strip_suffix(']')) {
            inside = is_dependencies(table);
            if let Some((table, name)) = table.rsplit_once('.')
                && is_dependencies(table)
            {
                entries.push(Entry::new(unquoted(name), None, number));
            }
        } else if let Some((name, value)) =
            toml_pair(line).filter(|(name, _)| inside && !name.starts_with('#'))
        {
            entries.push(Entry::new(name, None, number));
            let renamed = value.split_once("package").and_then(|(_, rest)| rest.split('"').nth(1));
            entries.extend(renamed.map(|real| Entry::new(real, None, number)));
        }
    }
    entries
}

fn is_dependencies(table: &str) -> bool {
    table.ends_with("dependencies") || matches!(table, "packages" | "dev-packages")
}

/// The name that a requirement (PEP 508) begins with, and the version behind `==`.
fn requirement(text: &str) -> Option<(&str, Option<&str>)> {
    let text = text.trim();
    let end = text.find(|character: char| !character.is_ascii_alphanumeric() && !"._-".contains(character));
    let (name, rest) = text.split_at(end.unwrap_or(text.len()));
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(extras) => extras.split_once(']')?.1.trim_start(),
        None => rest,
    };
    let is_one =
        rest.is_empty() || rest.starts_with(['<', '>', '=', '!', '~', ';', '@', '(', ',', '#', '\\']);
    let version = rest.strip_prefix("==").map(|version| {
        let end = version.trim_start().find([' ', ';', ',', '\\', '#']);
        version.trim_start().split_at(end.unwrap_or(version.trim_start().len())).0
    });
    (!name.is_empty() && is_one).then_some((name, version))
}

/// requirements.txt.
pub(super) fn requirements(text: &str) -> Vec<Entry> {
    let line = |(number, line): (usize, &str)| {
        let (name, version) = requirement(line).filter(|(name, _)| !name.starts_with(['-', '.']))?;
        Some(Entry::new(name, version, number))
    };
    numbered(text).filter_map(line).collect()
}

/// Requirements in the strings of pyproject.toml, and the keys of poetry's tables.
fn pyproject(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut table = "";
    for (number, line) in numbered(text) {
        if line.starts_with('[') {
            table = line.trim().trim_matches(['[', ']']);
        } else if table.starts_with("project") || matches!(table, "dependency-groups" | "build-system") {
            let strings = line.split(['"', '\'']).skip(1).step_by(2);
            let found = strings.filter_map(requirement);
            entries.extend(found.map(|(name, version)| Entry::new(name, version, number)));
        } else if table.starts_with("tool.") && is_dependencies(table) {
            entries.extend(toml_pair(line).map(|(name, _)| Entry::new(name, None, number)));
        }
    }
    entries
}

/// `    name (1.2.3)` of Gemfile.lock; what it needs is indented further.
fn gem_lock(text: &str) -> Vec<Entry> {
    let entry = |(number, line): (usize, &str)| {
        let (name, version) = line.strip_prefix("    ")?.trim_end().strip_suffix(')')?.split_once(" (")?;
        (!name.starts_with(' ')).then(|| Entry::new(name, Some(version), number))
    };
    numbered(text).filter_map(entry).collect()
}

/// `gem "name"` of a Gemfile.
fn gemfile(text: &str) -> Vec<Entry> {
    let entry = |(number, line): (usize, &str)| {
        let rest = line.trim_start().strip_prefix("gem")?.trim_start_matches([' ', '(']);
        let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        Some(Entry::new(rest[1..].split_once(quote)?.0, None, number))
    };
    numbered(text).filter_map(entry).collect()
}

#[cfg(test)]
mod tests;
