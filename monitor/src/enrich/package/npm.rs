//! npm, npx, pnpm, yarn, bun: packages in `node_modules`, and those that a project links to.

use std::path::{Path, PathBuf};

use super::disk::Unread;
use super::lockfile::{Entry, Lockfiles};
use super::manifest::{self, PackageJson};
use super::{Found, Start, base_name, components, looks_like_version};
use crate::event::text::Text;

/// Lifecycle scripts in the order npm runs them; of two with the same text the first is named.
const LIFECYCLE: [&str; 9] = [
    "preinstall",
    "install",
    "postinstall",
    "prepublish",
    "preprepare",
    "prepare",
    "postprepare",
    "prepack",
    "postpack",
];
/// Lockfiles, the one that npm prefers first.
const LOCKFILES: [&str; 3] = ["npm-shrinkwrap.json", "package-lock.json", "node_modules/.package-lock.json"];
/// The most nested `node_modules` and projects that are asked for a lockfile.
const MAX_PROJECTS: usize = 8;
/// The most entries of `node_modules` that are searched for a link.
const MAX_LINKS: usize = 5000;

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
            [b'.', ..] => {}
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
    let script = script(start, &manifest);
    if let Some((version, source)) = store_version(prefix, name) {
        return Found { name: name.to_vec(), version: Some(version), script, exact: true, source };
    }
    let said = manifest.said.version.as_deref();
    let mut note = "";
    let mut stale = None;
    for (project, key) in projects_above(directory) {
        match joined(&project, &key, said, lockfiles) {
            Joined::Agrees(entry, file) => {
                let name = entry.name.as_deref().map_or(name, str::as_bytes).to_vec();
                let version = entry.version.map(|version| version.into_boxed_bytes().into_vec());
                return Found { name, version, script, exact: true, source: file.to_owned() };
            }
            Joined::Differs(entry) => stale = stale.or(Some(entry)),
            Joined::TooLarge => note = ", its lockfile is too large to read",
            Joined::Missing => {}
        }
    }
    if stale.is_some() {
        note = ", its lockfile names another version";
    }
    let alias = stale.and_then(|entry| entry.name);
    Found {
        name: alias.as_deref().map_or(name, str::as_bytes).to_vec(),
        version: manifest.said.version.map(String::into_bytes),
        script,
        exact: false,
        source: format!("package.json{note}"),
    }
}

/// A directory outside `node_modules`: what a project links to, a git dependency while it is prepared, or the project.
pub(super) fn elsewhere(start: &Start<'_>, lockfiles: &mut Lockfiles) -> Option<Found> {
    let here = Text::from(start.cwd);
    let manifest = manifest::package_json(here.as_path())?;
    let script = script(start, &manifest);
    let said = manifest.said.version.as_deref();
    let own = manifest.said.name.as_deref().map_or(base_name(start.cwd), str::as_bytes).to_vec();
    let version = manifest.said.version.clone().map(String::into_bytes);
    if components(start.cwd).any(|(name, _)| name.starts_with(b"git-clone")) {
        let source = "package.json of a git clone".to_owned();
        return Some(Found { name: own, version, script, exact: false, source });
    }
    let mut projects: Vec<&Path> =
        start.image.ancestors().filter_map(|image| image.program().cwd.as_ref()).map(Text::as_path).collect();
    projects.dedup();
    for project in projects.into_iter().filter(|project| *project != here.as_path()).take(MAX_PROJECTS) {
        let key = relative(project, here.as_path());
        let linked = link_to(project, here.as_path());
        let Some(key) = key.to_str() else { continue };
        if let Joined::Agrees(entry, file) = joined(project, key, said, lockfiles) {
            let name =
                entry.name.map_or_else(|| linked.unwrap_or(own), |name| name.into_boxed_bytes().into_vec());
            return Some(Found { name, version, script, exact: true, source: file.to_owned() });
        }
        if let Some(name) = linked {
            let source = "package.json behind a link in node_modules".to_owned();
            return Some(Found { name, version, script, exact: false, source });
        }
    }
    Some(Found { name: own, version, script, exact: false, source: "package.json of the project".to_owned() })
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
        match lockfiles.look_up(&project.join(file), key) {
            // The hidden lockfile names its directories as the others do.
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

/// The version in a directory that pnpm or yarn named: `.pnpm/NAME@VERSION...`, `.yarn/unplugged/NAME-npm-VERSION-HASH`.
fn store_version(prefix: &[u8], name: &[u8]) -> Option<(Vec<u8>, String)> {
    let slug = base_name(prefix);
    let store = base_name(&prefix[..prefix.len().checked_sub(slug.len() + 1)?]);
    let flat = |separator: u8| -> Vec<u8> {
        name.iter().map(|byte| if *byte == b'/' { separator } else { *byte }).collect()
    };
    let (version, source) = match store {
        b".pnpm" => {
            let version = slug.strip_prefix(&flat(b'+')[..])?.strip_prefix(b"@")?;
            let end = version.iter().position(|byte| matches!(byte, b'_' | b'(')).unwrap_or(version.len());
            (&version[..end], "pnpm's directory")
        }
        b"unplugged" => {
            let version = slug.strip_prefix(&flat(b'-')[..])?.strip_prefix(b"-npm-")?;
            let end = version.iter().rposition(|byte| *byte == b'-')?;
            (&version[..end], "yarn's directory")
        }
        _ => return None,
    };
    looks_like_version(version).then(|| (version.to_vec(), source.to_owned()))
}

/// `to` as seen from `from`; both are absolute and without `..`.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let common = from.components().zip(to.components()).take_while(|(one, other)| one == other).count();
    let up = from.components().skip(common).map(|_| std::path::Component::ParentDir);
    up.chain(to.components().skip(common)).collect()
}

/// The name under which `node_modules` of a project links to `directory`.
fn link_to(project: &Path, directory: &Path) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt as _;
    let modules = project.join("node_modules");
    let mut left = MAX_LINKS;
    let mut list = |at: &Path| -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(at) else {
            return Vec::new();
        };
        let entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).take(left).collect();
        left -= entries.len();
        entries
    };
    let is_scope = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"@"));
    let (scopes, mut names): (Vec<PathBuf>, Vec<PathBuf>) = list(&modules).into_iter().partition(is_scope);
    for scope in scopes {
        names.extend(list(&scope));
    }
    let link = names.into_iter().find(|name| {
        let Ok(target) = std::fs::read_link(name) else {
            return false;
        };
        // Compared as written first: resolving asks the file system for every component.
        target.file_name() == directory.file_name()
            && std::fs::canonicalize(name).is_ok_and(|real| real == directory)
    })?;
    Some(link.strip_prefix(&modules).ok()?.as_os_str().as_bytes().to_vec())
}

/// Which script of the manifest the shell was given, as `sh -c TEXT`.
fn script(start: &Start<'_>, manifest: &PackageJson) -> Option<String> {
    let flag = start.argv.iter().position(|word| *word == b"-c")?;
    let text = std::str::from_utf8(start.argv[flag + 1..].iter().find(|word| **word != b"--")?).ok()?;
    let named =
        |name: &&str| manifest.scripts.iter().any(|(known, command)| known == name && command == text);
    if let Some(name) = LIFECYCLE.iter().find(|name| named(name)) {
        return Some((*name).to_owned());
    }
    // npm adds this one itself where a binding.gyp lies.
    if text == "node-gyp rebuild" {
        return Some("install (binding.gyp)".to_owned());
    }
    let other = manifest.scripts.iter().find(|(_, command)| {
        // `npm run NAME -- ARGUMENTS` appends them.
        !command.is_empty()
            && text
                .strip_prefix(command.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    });
    other.map(|(name, _)| name.clone())
}
