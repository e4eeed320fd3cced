//! cargo: build scripts, known by the directory cargo compiled them to, and procedural macros, which run inside the
//! compiler.

use std::path::Path;

use super::manifest::{self, Said};
use super::{Found, Start, base_name, components, looks_like_version};
use crate::event::text::Text;

/// How far up a workspace is looked for.
const MAX_PARENTS: usize = 6;

/// The package of a build script: `build/NAME-HASH/build-script-build`, or `build/NAME/HASH/...` in newer layouts.
pub(super) fn identify(start: &Start<'_>) -> Option<Found> {
    let program = base_name(start.exe);
    let target = program.strip_prefix(b"build-script-").or_else(|| program.strip_prefix(b"build_script_"))?;
    let name = name(start.exe)?;
    let script = match target {
        b"build" => "build.rs".to_owned(),
        other => format!("{}.rs", String::from_utf8_lossy(other)),
    };
    let (version, source) = version(name, start.cwd);
    let exact = version.is_some();
    Some(Found { name: name.to_vec(), version, script: Some(script), exact, source, ..Found::default() })
}

/// The package that the path of a build script names.
fn name(exe: &[u8]) -> Option<&[u8]> {
    let names: Vec<&[u8]> = components(exe).map(|(name, _)| name).collect();
    let build = names.iter().rposition(|name| *name == b"build")?;
    let [package, rest @ ..] = &names[build + 1..] else {
        return None;
    };
    let is_hash = |text: &[u8]| text.len() >= 16 && text.iter().all(u8::is_ascii_hexdigit);
    if rest.len() > 1 && is_hash(rest[0]) {
        return Some(package);
    }
    let dash = package.iter().rposition(|byte| *byte == b'-')?;
    (is_hash(&package[dash + 1..]) && dash > 0).then(|| &package[..dash])
}

/// The version, from the directory that cargo unpacked the crate to, or from the manifest that cargo itself reads.
fn version(name: &[u8], directory: &[u8]) -> (Option<Vec<u8>>, String) {
    let names: Vec<&[u8]> = components(directory).map(|(name, _)| name).collect();
    if let [.., b"registry", b"src", _, unpacked] = names[..]
        && let Some(version) = unpacked.strip_prefix(name).and_then(|rest| rest.strip_prefix(b"-"))
        && looks_like_version(version)
    {
        return (Some(version.to_vec()), "registry directory".to_owned());
    }
    let place = Text::from(directory);
    let said = manifest::section(&place.as_path().join("Cargo.toml"), "package").unwrap_or_default();
    if said.name.as_deref().map(str::as_bytes) != Some(name) {
        return (None, "build directory".to_owned());
    }
    let version = said.version.or_else(|| workspace_version(place.as_path()));
    (version.map(String::into_bytes), "Cargo.toml".to_owned())
}

/// The version that members of a workspace inherit.
fn workspace_version(directory: &Path) -> Option<String> {
    directory.ancestors().take(MAX_PARENTS).find_map(|directory| {
        let said = manifest::section(&directory.join("Cargo.toml"), "workspace.package");
        said.and_then(|Said { version, .. }| version)
    })
}

/// The procedural macros that a compiler loads, by its command line, with their names and versions by cargo's own
/// record of what they were made of.
pub(super) fn macros(argv: &[Text]) -> Vec<(String, Option<String>)> {
    let mut found: Vec<(String, Option<String>)> = argv
        .iter()
        .filter_map(|word| std::str::from_utf8(word.as_bytes()).ok())
        .filter_map(|word| word.split_once('=').map(|(_, path)| path))
        .filter(|path| path.starts_with('/') && Path::new(path).extension().is_some_and(|end| end == "so"))
        .filter_map(|path| made_of(Path::new(path)))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The package of `deps/libNAME-HASH.so`: the sources are listed in `deps/NAME-HASH.d`.
fn made_of(library: &Path) -> Option<(String, Option<String>)> {
    let stem = library.file_stem()?.to_str()?;
    let stem = stem.strip_prefix("lib").unwrap_or(stem);
    let (crate_name, _) = stem.rsplit_once('-')?;
    let record = super::disk::read(&library.with_file_name(format!("{stem}.d")), super::disk::MANIFEST).ok();
    let record = record.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let source = record.lines().find_map(|line| line.split_once(": ").map(|(_, sources)| sources));
    let source = source.and_then(|sources| sources.split(' ').next()).map(Path::new);
    // The directory with the manifest; sources lie one or a few levels below.
    let said = source.and_then(|source| {
        source.ancestors().skip(1).take(MAX_PARENTS).find_map(|directory| {
            let said = manifest::section(&directory.join("Cargo.toml"), "package")?;
            let name = said.name?;
            let (version, _) = version(name.as_bytes(), directory.as_os_str().as_encoded_bytes());
            Some((name, version.and_then(|version| String::from_utf8(version).ok())))
        })
    });
    Some(said.unwrap_or_else(|| (crate_name.to_owned(), None)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_scripts_are_named_by_their_directory() {
        for (exe, expected) in [
            ("/p/target/debug/build/libz-sys-0123456789abcdef/build-script-build", Some("libz-sys")),
            (
                "/p/target/x86_64-unknown-linux-gnu/release/build/a-0123456789abcdef/build-script-main",
                Some("a"),
            ),
            ("/p/target/debug/build/ring/0123456789abcdef/out/build-script-build", Some("ring")),
            ("/p/target/debug/build/ring/build-script-build", None),
            ("/tmp/build-script-build", None),
            ("/p/build/-0123456789abcdef/build-script-build", None),
        ] {
            assert_eq!(name(exe.as_bytes()), expected.map(str::as_bytes), "{exe}");
        }
    }
}
