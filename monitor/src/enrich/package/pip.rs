//! pip, uv, poetry and others that build Python packages: the directory a source distribution was unpacked to.

use std::path::Path;

use super::manifest::{self, Said};
use super::pylock::{self, Locked};
use super::{Found, Start, base_name, components, looks_like_version, split_version};
use crate::event::text::Text;

/// PEP 517 and 660 hooks, long names first: one contains another.
const HOOKS: [&str; 8] = [
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
    "build_editable",
    "build_sdist",
    "build_wheel",
];
/// The most directory entries that are looked through for a downloaded archive.
const MAX_ENTRIES: usize = 4096;

/// A name as PyPI compares it.
pub(super) fn normalise(name: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(name.len());
    for byte in name {
        if matches!(byte, b'-' | b'_' | b'.') {
            if out.last() != Some(&b'-') {
                out.push(b'-');
            }
        } else {
            out.push(byte.to_ascii_lowercase());
        }
    }
    out
}

/// The innermost directory on the way to `path` that pip or uv made for one package.
pub(super) fn directory(path: &[u8]) -> Option<&[u8]> {
    let mut found = None;
    let mut components = components(path);
    while let Some((name, end)) = components.next() {
        if name.starts_with(b"pip-install-") {
            found = components.next().map(|(_, end)| end).or(found);
        } else if name.starts_with(b"pip-req-build-") {
            found = Some(end);
        } else if name.starts_with(b"sdists-v") {
            // Then: kind, name and version or a hash, revision, `src`.
            found =
                components.by_ref().take(6).find(|(name, _)| *name == b"src").map(|(_, end)| end).or(found);
        }
    }
    found
}

/// What the manager's own directory names tell.
#[derive(Debug, Default, PartialEq, Eq)]
struct Named {
    name: Option<Vec<u8>>,
    version: Option<Vec<u8>>,
}

fn named(directory: &[u8]) -> Named {
    let names: Vec<&[u8]> = components(directory).map(|(name, _)| name).collect();
    let after =
        |prefix: &[u8]| names.iter().rposition(|name| name.starts_with(prefix)).map(|at| &names[at + 1..]);
    if let Some([name, ..]) = after(b"pip-install-") {
        // pip appends a random hexadecimal number to the name.
        let hash = name.iter().rposition(|byte| *byte == b'_').filter(|at| {
            let tail = &name[at + 1..];
            tail.len() == 32 && tail.iter().all(u8::is_ascii_hexdigit)
        });
        return Named { name: Some(name[..hash.unwrap_or(name.len())].to_vec()), version: None };
    }
    match after(b"sdists-v") {
        Some([b"pypi", name, version, ..] | [b"index", _, name, version, ..])
            if looks_like_version(version) =>
        {
            Named { name: Some(name.to_vec()), version: Some(version.to_vec()) }
        }
        _ => Named::default(),
    }
}

/// A package in a directory that pip or uv made for it.
pub(super) fn unpacked(directory: &[u8], start: &Start<'_>) -> Found {
    let script = script(start);
    let place = Text::from(directory);
    let Named { name, version } = named(directory);
    if let (Some(name), Some(version)) = (&name, &version) {
        let (name, version) = (name.clone(), Some(version.clone()));
        let source = "uv's cache directory".to_owned();
        let said = metadata(place.as_path()).and_then(|(said, _)| said.name);
        let claims = said.filter(|said| normalise(said.as_bytes()) != normalise(&name));
        return Found { name, version, script, exact: true, source, claims, ..Found::default() };
    }
    let (said, source) = metadata(place.as_path())
        .or_else(|| metadata(Text::from(start.cwd).as_path()))
        .unwrap_or((Said::default(), "directory"));
    let said_name = said.name.map(String::into_bytes);
    let said_version = said.version.map(String::into_bytes);
    let agrees = match (&name, &said_name) {
        (Some(name), Some(said)) => normalise(name) == normalise(said),
        _ => false,
    };
    let claims = if agrees || name.is_none() { None } else { said_name.clone() };
    let downloaded = agrees
        && said_version.as_deref().is_some_and(|version| archive(place.as_path(), name.as_deref(), version));
    let source = if downloaded { format!("{source} and the downloaded archive") } else { source.to_owned() };
    Found {
        name: name.or(said_name).unwrap_or_default(),
        version: said_version,
        script,
        exact: downloaded,
        source,
        claims: claims.and_then(|name| String::from_utf8(name).ok()),
        ..Found::default()
    }
}

/// A project that is built where it lies, or where poetry or uv have put it: their lockfiles say what it can be.
pub(super) fn elsewhere(start: &Start<'_>) -> Option<Found> {
    let here = Text::from(start.cwd);
    let (said, source) = metadata(here.as_path())?;
    let found = Found {
        name: said.name.clone().map_or_else(|| base_name(start.cwd).to_vec(), String::into_bytes),
        version: said.version.clone().map(String::into_bytes),
        script: script(start),
        source: source.to_owned(),
        ..Found::default()
    };
    let projects = start.image.ancestors().filter_map(|image| image.program().cwd.as_ref());
    let Some((locked, file)) = projects.map(Text::as_path).find_map(pylock::of) else {
        return Some(found);
    };
    // An archive is unpacked to a directory of this form; its name is the package's own choice.
    let from_archive = split_version(base_name(start.cwd)).is_some();
    let name = said.name.unwrap_or_default();
    let (fitting, others): (Vec<Locked>, Vec<Locked>) =
        locked.into_iter().partition(|entry| entry.fits(from_archive));
    if fitting.iter().any(|entry| entry.is(&name, said.version.as_deref())) {
        return Some(Found { exact: true, source: file.to_owned(), ..found });
    }
    if !from_archive && !others.iter().any(|entry| entry.is(&name, None)) {
        // The user's own, which is in no lockfile.
        return Some(found);
    }
    // It says that it is something which is not built here: it is one of those that are.
    let candidates = fitting.into_iter().map(|entry| (entry.name, entry.version)).collect();
    let source = format!("{file}, against its own word");
    Some(Found { claims: Some(name), candidates, source, ..found })
}

/// What the package says of itself; the file that the manager's own tools wrote first.
fn metadata(directory: &Path) -> Option<(Said, &'static str)> {
    let pyproject = directory.join("pyproject.toml");
    let answers = [
        (manifest::headers(&directory.join("PKG-INFO")), "PKG-INFO"),
        (manifest::section(&pyproject, "project"), "pyproject.toml"),
        (manifest::section(&pyproject, "tool.poetry"), "pyproject.toml"),
        (manifest::section(&directory.join("setup.cfg"), "metadata"), "setup.cfg"),
        (manifest::setup_py(&directory.join("setup.py")), "setup.py"),
    ];
    let mut best = None;
    for (said, source) in answers {
        match said {
            Some(said) if said.name.is_some() && said.version.is_some() => return Some((said, source)),
            Some(said) if said.name.is_some() || best.is_none() => best = Some((said, source)),
            _ => {}
        }
    }
    best
}

/// Whether pip downloaded an archive of this name and version: it keeps it beside the build directories for as long
/// as it runs, named as the index names it.
fn archive(directory: &Path, name: Option<&[u8]>, version: &[u8]) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    let Some(temporary) = directory.parent().and_then(Path::parent) else {
        return false;
    };
    let list =
        |directory: &Path| std::fs::read_dir(directory).into_iter().flatten().flatten().take(MAX_ENTRIES);
    let Some(name) = name.map(normalise) else {
        return false;
    };
    list(temporary)
        .filter(|entry| entry.file_name().as_bytes().starts_with(b"pip-unpack-"))
        .flat_map(|unpack| list(&unpack.path()))
        .any(|file| {
            let file = file.file_name();
            let file = file.as_bytes();
            let stem = [&b".tar.gz"[..], b".zip", b".tar.bz2", b".tgz", b".tar.xz"]
                .iter()
                .find_map(|end| file.strip_suffix(*end));
            stem.and_then(split_version)
                .is_some_and(|(stem, found)| normalise(stem) == name && found == version)
        })
}

/// Which hook runs: the argument of pip's hook runner, the call in the text that uv runs, or the command of `setup.py`.
fn script(start: &Start<'_>) -> Option<String> {
    if let Some(hook) = HOOKS.iter().find(|hook| start.argv.contains(&hook.as_bytes())) {
        return Some((*hook).to_owned());
    }
    let text = start.argv.iter().position(|word| *word == b"-c").and_then(|flag| start.argv.get(flag + 1));
    let text = text.map(|text| String::from_utf8_lossy(text));
    if let Some(hook) = HOOKS.iter().find(|hook| text.as_ref().is_some_and(|text| text.contains(**hook))) {
        return Some((*hook).to_owned());
    }
    let setup = start.argv.iter().position(|word| {
        base_name(word) == b"setup.py"
            || text.as_ref().is_some_and(|text| text.as_bytes() == *word && text.contains("setup.py"))
    })?;
    let command = start.argv[setup + 1..].iter().find(|word| !word.starts_with(b"-"));
    let command = command.map(|command| String::from_utf8_lossy(command));
    Some(command.map_or_else(|| "setup.py".to_owned(), |command| format!("setup.py {command}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_recognised() {
        let hash = "0123456789abcdef0123456789abcdef";
        for (path, expected) in [
            (
                format!("/tmp/pip-install-ab/evil_{hash}/src/x"),
                Some(format!("/tmp/pip-install-ab/evil_{hash}")),
            ),
            ("/tmp/pip-req-build-xy/sub".to_owned(), Some("/tmp/pip-req-build-xy".to_owned())),
            (
                "/home/u/.cache/uv/sdists-v9/pypi/evil/1.0/rev/src/a".to_owned(),
                Some("/home/u/.cache/uv/sdists-v9/pypi/evil/1.0/rev/src".to_owned()),
            ),
            ("/tmp/pip-build-env-zz/overlay".to_owned(), None),
            ("/tmp/pip-install-ab".to_owned(), None),
        ] {
            assert_eq!(directory(path.as_bytes()), expected.as_deref().map(str::as_bytes), "{path}");
        }
    }

    #[test]
    fn the_managers_names_are_read() {
        let of = |path: &str| named(path.as_bytes());
        let with = |name: &str, version: Option<&str>| Named {
            name: Some(name.into()),
            version: version.map(Into::into),
        };
        assert_eq!(of("/t/pip-install-a/my_pkg_0123456789abcdef0123456789abcdef"), with("my_pkg", None));
        assert_eq!(of("/t/pip-install-a/my_pkg"), with("my_pkg", None));
        assert_eq!(of("/c/sdists-v9/pypi/evil/1.0/r/src"), with("evil", Some("1.0")));
        assert_eq!(of("/c/sdists-v9/index/00ff/evil/1.0/r/src"), with("evil", Some("1.0")));
        assert_eq!(of("/c/sdists-v9/url/00ff/r/src"), Named::default());
    }

    #[test]
    fn names_compare_as_pypi_does() {
        assert_eq!(normalise(b"Foo__Bar.-baz"), b"foo-bar-baz");
    }
}
