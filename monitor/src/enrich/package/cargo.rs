//! cargo: build scripts, known by the directory cargo compiled them to.

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
    Some(Found { name: name.to_vec(), version, script: Some(script), exact, source })
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
