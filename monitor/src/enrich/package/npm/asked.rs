//! What a package was asked for as: by the manifest of whoever depends on it.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::super::lockfile::split;
use super::super::manifest;
use crate::event::text::Text;

/// The most entries of `node_modules` that are searched.
const MAX_ENTRIES: usize = 5000;

/// What a manifest asks for under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// That package of the registry.
    Itself,
    /// Another one, which is to have this name here.
    Alias(String),
    /// Something that is in no registry: its own manifest may call it something else.
    Elsewhere,
}

/// What the manifest of `directory` asks for under this name.
pub(super) fn by(directory: &Path, name: &str) -> Option<Asked> {
    let manifest = manifest::package_json(directory)?;
    let specifier = manifest.asks.get(name)?;
    Some(match specifier.strip_prefix("npm:") {
        Some(real) => Asked::Alias(split(real).map_or(real, |(name, _)| name).to_owned()),
        None if specifier.contains([':', '/']) => Asked::Elsewhere,
        None => Asked::Itself,
    })
}

/// The same of all packages that lie beside it; what nobody asks for is nothing.
pub(super) fn beside(prefix: &[u8], name: &str) -> Option<Asked> {
    packages(&Text::from(prefix).as_path().join("node_modules")).iter().find_map(|package| by(package, name))
}

/// The entries of a `node_modules`, those of scopes included.
fn packages(modules: &Path) -> Vec<PathBuf> {
    let mut left = MAX_ENTRIES;
    let mut list = |at: &Path| -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(at) else {
            return Vec::new();
        };
        let entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).take(left).collect();
        left -= entries.len();
        entries
    };
    let is_scope = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"@"));
    let (scopes, mut names): (Vec<PathBuf>, Vec<PathBuf>) = list(modules).into_iter().partition(is_scope);
    for scope in scopes {
        names.extend(list(&scope));
    }
    names
}

/// The name under which `node_modules` of a project links to `directory`.
pub(super) fn link_to(project: &Path, directory: &Path) -> Option<Vec<u8>> {
    let modules = project.join("node_modules");
    let link = packages(&modules).into_iter().find(|name| {
        let Ok(target) = std::fs::read_link(name) else {
            return false;
        };
        // Compared as written first: resolving asks the file system for every component.
        target.file_name() == directory.file_name()
            && std::fs::canonicalize(name).is_ok_and(|real| real == directory)
    })?;
    Some(link.strip_prefix(&modules).ok()?.as_os_str().as_bytes().to_vec())
}
