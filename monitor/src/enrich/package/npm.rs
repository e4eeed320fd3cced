//! npm, npx, pnpm, yarn, bun: packages in `node_modules`, and those that a project links to.

mod asked;
mod script;
mod store;

use std::path::{Path, PathBuf};

use self::asked::Asked;
use super::disk::Unread;
use super::lockfile::{Entry, Lockfiles};
use super::manifest;
use super::{Found, Start, base_name, components};
use crate::event::text::Text;

/// Lockfiles, the one that npm prefers first.
const LOCKFILES: [&str; 5] =
    ["npm-shrinkwrap.json", "package-lock.json", "bun.lock", "yarn.lock", "node_modules/.package-lock.json"];
/// The most nested `node_modules` and projects that are asked for a lockfile.
const MAX_PROJECTS: usize = 8;

/// The innermost `node_modules/NAME` or `node_modules/@SCOPE/NAME` on the way to `path`.
pub(super) fn directory(path: &[u8]) -> Option<&[u8]> {
    let mut found = None;
    let mut components = components(path);
    while let Some((name, _)) = components.next() {
        if name != b"node_modules" {
            continue;
        }
        let Some((name, end)) = components.next() else {
            break;
        };
        match name {
            // Two in a row: the second begins again, which no manager makes.
            b"node_modules" => break,
            // `.bin`, `.cache`, `.pnpm` and the like are no packages.
            // While it builds, pnpm gives a passing name to a package in the store for all projects.
            [b'.', ..] if !name.starts_with(b".pnpm-") => {}
            [b'@', ..] => found = components.next().map(|(_, end)| end).or(found),
            _ => found = Some(end),
        }
    }
    found
}

/// A package in `node_modules`.
pub(super) fn installed(directory: &[u8], start: &Start<'_>, lockfiles: &mut Lockfiles) -> Found {
    let manifest = manifest::package_json(Text::from(directory).as_path()).unwrap_or_default();
    let (prefix, name) = split_at_last_modules(directory);
    let script = script::of(start, &manifest);
    let said = manifest.said;
    let found = |name: Vec<u8>, version: Option<Vec<u8>>, exact: bool, source: String| Found {
        claims: said.name.clone().filter(|said| said.as_bytes() != name),
        name,
        version,
        script: script.clone(),
        exact,
        source,
        ..Found::default()
    };
    let said_version = || said.version.clone().map(String::into_bytes);
    if let Some(stored) = store::of(prefix, name) {
        let exact = stored.version.is_some();
        let version = stored.version.or_else(said_version);
        let name = stored.name.unwrap_or_else(|| name.to_vec());
        let source =
            if exact { stored.source.to_owned() } else { format!("{} and package.json", stored.source) };
        return found(name, version, exact, source);
    }
    let mut note = "";
    let mut stale = None;
    for (project, key) in projects_above(directory) {
        match joined(&project, &key, said.version.as_deref(), lockfiles) {
            Joined::Agrees(entry, file) => {
                let name = entry.name.as_deref().map_or(name, str::as_bytes).to_vec();
                let version = entry.version.map(|version| version.into_boxed_bytes().into_vec());
                return found(name, version, true, file.to_owned());
            }
            Joined::Differs(entry) => stale = stale.or(Some(entry)),
            Joined::TooLarge => note = ", its lockfile is too large to read",
            Joined::Missing => {}
        }
    }
    if stale.is_some() {
        note = ", its lockfile names another version";
    }
    let source = format!("package.json{note}");
    let alias = stale.and_then(|entry| entry.name).map(|name| Asked::Alias(name.into()));
    let disagrees = said.name.as_deref().is_some_and(|said| said.as_bytes() != name);
    match alias.or_else(|| if disagrees { asked(directory, prefix, name) } else { None }) {
        Some(Asked::Alias(real)) => {
            found(real.into_bytes(), said_version(), false, format!("{source}, and who asked for it"))
        }
        Some(Asked::Elsewhere) => {
            Found { claims: None, ..found(name.to_vec(), said_version(), false, source) }
        }
        Some(Asked::Itself) | None => found(name.to_vec(), said_version(), false, source),
    }
}

/// What those who can have asked for it say: the owner of the `node_modules`, the projects above, its neighbours.
fn asked(directory: &[u8], prefix: &[u8], name: &[u8]) -> Option<Asked> {
    let name = std::str::from_utf8(name).ok()?;
    let above = projects_above(directory).into_iter().rev();
    above.map(|(project, _)| project).find_map(|project| asked::by(&project, name)).or_else(|| {
        // A neighbour can have asked for it under another name; that it asks for it plainly says nothing new.
        asked::beside(prefix, name).filter(|asked| *asked != Asked::Itself)
    })
}

/// A directory outside `node_modules`: what a project links to, a git dependency while it is prepared, or the project.
pub(super) fn elsewhere(start: &Start<'_>, lockfiles: &mut Lockfiles) -> Option<Found> {
    let here = Text::from(start.cwd);
    let manifest = manifest::package_json(here.as_path())?;
    let script = script::of(start, &manifest);
    let said = manifest.said.version.as_deref();
    let own = manifest.said.name.as_deref().map_or(base_name(start.cwd), str::as_bytes).to_vec();
    let version = manifest.said.version.clone().map(String::into_bytes);
    if components(start.cwd).any(|(name, _)| name.starts_with(b"git-clone")) {
        let source = "package.json of a git clone".to_owned();
        return Some(Found { name: own, version, script, source, ..Found::default() });
    }
    let mut projects: Vec<&Path> =
        start.image.ancestors().filter_map(|image| image.program().cwd.as_ref()).map(Text::as_path).collect();
    projects.dedup();
    for project in projects.into_iter().filter(|project| *project != here.as_path()).take(MAX_PROJECTS) {
        let key = relative(project, here.as_path());
        let linked = asked::link_to(project, here.as_path());
        let Some(key) = key.to_str() else { continue };
        if let Joined::Agrees(entry, file) = joined(project, key, said, lockfiles) {
            let name =
                entry.name.map_or_else(|| linked.unwrap_or(own), |name| name.into_boxed_bytes().into_vec());
            let source = file.to_owned();
            return Some(Found { name, version, script, exact: true, source, ..Found::default() });
        }
        if let Some(name) = linked {
            let source = "package.json behind a link in node_modules".to_owned();
            return Some(Found { name, version, script, source, ..Found::default() });
        }
    }
    let source = "package.json of the project".to_owned();
    Some(Found { name: own, version, script, source, own: true, ..Found::default() })
}

enum Joined {
    /// A lockfile has the directory, with the version that lies there.
    Agrees(Entry, &'static str),
    /// A lockfile has it with another version: it is from before this install, or the package lies.
    Differs(Entry),
    TooLarge,
    Missing,
}

fn joined(project: &Path, key: &str, said: Option<&str>, lockfiles: &mut Lockfiles) -> Joined {
    let mut result = Joined::Missing;
    for file in LOCKFILES {
        let key = match file {
            // bun has the names on the way, and its parts of the project by their names.
            "bun.lock" => match key.strip_prefix("node_modules/") {
                Some(key) => key.replace("/node_modules/", "/"),
                None => continue,
            },
            // yarn does not say where a package lies; it is known to have put that version somewhere.
            "yarn.lock" => match (key.rsplit("node_modules/").next(), said) {
                (Some(name), Some(version)) => format!("{name}@{version}"),
                _ => continue,
            },
            // The hidden lockfile names its directories as the others do.
            _ => key.to_owned(),
        };
        match lockfiles.look_up(&project.join(file), &key) {
            Ok(Some(entry))
                if entry.version.is_some() && (said.is_none() || entry.version.as_deref() == said) =>
            {
                return Joined::Agrees(entry, file);
            }
            Ok(Some(entry)) => result = Joined::Differs(entry),
            Err(Unread::TooLarge) if matches!(result, Joined::Missing) => result = Joined::TooLarge,
            Ok(None) | Err(_) => {}
        }
    }
    result
}

/// Splits `A/node_modules/NAME` into `A` and `NAME`.
fn split_at_last_modules(directory: &[u8]) -> (&[u8], &[u8]) {
    const MODULES: &[u8] = b"/node_modules/";
    let at = directory.windows(MODULES.len()).rposition(|window| window == MODULES);
    at.map_or((directory, base_name(directory)), |at| (&directory[..at], &directory[at + MODULES.len()..]))
}

/// Directories above that may hold the lockfile, the outermost first, because a package can write inner ones; each
/// with the key that `directory` has there.
fn projects_above(directory: &[u8]) -> Vec<(PathBuf, String)> {
    let mut projects: Vec<(PathBuf, String)> = components(directory)
        .filter(|(name, _)| *name == b"node_modules")
        .filter_map(|(name, end)| {
            let project = &directory[..end.len() - name.len() - 1];
            let key = std::str::from_utf8(&directory[project.len() + 1..]).ok()?;
            Some((Text::from(project).as_path().to_owned(), key.to_owned()))
        })
        .collect();
    projects.truncate(MAX_PROJECTS);
    projects
}

/// `to` as seen from `from`; both are absolute and without `..`.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let common = from.components().zip(to.components()).take_while(|(one, other)| one == other).count();
    let up = from.components().skip(common).map(|_| std::path::Component::ParentDir);
    up.chain(to.components().skip(common)).collect()
}
