//! Commands that a manager fetches, runs once and forgets: npx, `pnpm dlx`, `yarn dlx`, bunx, uvx, pipx.
//!
//! Their code does not run where it lies but where the user is, so the working directory says nothing; the program or
//! script that is executed in the end does.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::lockfile::Lockfiles;
use super::manifest;
use super::{Found, Start, absolute, base_name, components, npm};
use crate::event::text::Text;

/// The most distributions of an environment that are asked for a command.
const MAX_DISTRIBUTIONS: usize = 2000;

/// The package of a command in a store for such commands, and its purl type.
pub(super) fn identify(start: &Start<'_>, lockfiles: &mut Lockfiles) -> Option<(Found, &'static str)> {
    let script = absolute(start.cwd, start.script);
    [&script[..], start.exe].into_iter().find_map(|path| {
        if is_javascript(path) {
            let real = resolved(path);
            let directory = npm::directory(&real)?;
            let found = npm::installed(directory, start, lockfiles);
            let command = String::from_utf8_lossy(command(path)?).into_owned();
            return Some((Found { script: Some(command), ..found }, "npm"));
        }
        Some((python(path)?, "pypi"))
    })
}

/// `_npx/HASH`, `dlx/...`, `dlx-PID`, `bunx-UID-NAME`, `.bunx-UID/NAME`; yarn 4 runs out of the archives of its cache.
fn is_javascript(path: &[u8]) -> bool {
    components(path).any(|(name, _)| {
        matches!(name, b"_npx" | b"dlx")
            || name.starts_with(b"dlx-")
            || name.starts_with(b"bunx-")
            || name.starts_with(b".bunx-")
            || (name.ends_with(b".zip") && npm::directory(path).is_some())
    })
}

/// The command's own name: its link's, where there is one.
fn command(path: &[u8]) -> Option<&[u8]> {
    let name = base_name(path);
    if path.strip_suffix(name)?.ends_with(b"/.bin/") {
        return Some(name);
    }
    // Run by its path in the package; the package's name is what was typed.
    npm::directory(path).map(base_name)
}

/// Where a link leads; managers put links to commands into `.bin`.
fn resolved(path: &[u8]) -> Vec<u8> {
    std::fs::canonicalize(Text::from(path).as_path())
        .map_or_else(|_| path.to_vec(), |real| real.as_os_str().as_bytes().to_vec())
}

/// A command of an environment that uv or pipx made: `ENVIRONMENT/bin/NAME`, and what its distributions say they bring.
fn python(path: &[u8]) -> Option<Found> {
    let command = base_name(path);
    let bin = path.strip_suffix(command)?.strip_suffix(b"/")?;
    let environment = bin.strip_suffix(b"/bin")?;
    let names: Vec<&[u8]> = components(environment).map(|(name, _)| name).collect();
    let made = names.iter().any(|name| name.starts_with(b"archive-v"))
        || names.windows(2).any(|pair| {
            matches!(pair, [b"uv", b"tools"] | [b"pipx", b"venvs" | b".cache"] | [b".cache", b"pipx"])
        });
    if !made {
        return None;
    }
    let command = std::str::from_utf8(command).ok()?;
    let environment = Text::from(environment);
    let info = distributions(environment.as_path()).into_iter().find(|info| brings(info, command))?;
    let said = manifest::headers(&info.join("METADATA"))?;
    // The installer named the directory.
    let stem = info.file_stem()?.to_str()?.split_once('-');
    let (name, version) = stem.map_or((None, None), |(name, version)| (Some(name), Some(version)));
    Some(Found {
        name: said.name.clone().or_else(|| name.map(str::to_owned))?.into_bytes(),
        version: version.map(|version| version.as_bytes().to_vec()),
        script: Some(command.to_owned()),
        exact: true,
        source: "the environment's metadata".to_owned(),
        ..Found::default()
    })
}

/// The `.dist-info` directories of an environment.
fn distributions(environment: &Path) -> Vec<PathBuf> {
    let list = |directory: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        entries.take(MAX_DISTRIBUTIONS).map(|entry| entry.path()).collect()
    };
    list(&environment.join("lib"))
        .iter()
        .flat_map(|python| list(&python.join("site-packages")))
        .filter(|path| path.extension().is_some_and(|extension| extension == "dist-info"))
        .collect()
}

/// Whether a distribution brings a command, by its entry points or by the list of its files.
fn brings(info: &Path, command: &str) -> bool {
    let lines = |name: &str| {
        let bytes = super::disk::read(&info.join(name), super::disk::MANIFEST).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let is_entry = |line: &str| line.split_once('=').is_some_and(|(name, _)| name.trim() == command);
    lines("entry_points.txt").lines().any(is_entry)
        || lines("RECORD").lines().any(|line| {
            line.split(',')
                .next()
                .is_some_and(|file| file.rsplit_once("/bin/").is_some_and(|(_, name)| name == command))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_in_what_the_installer_recorded() {
        let home = tempfile::tempdir().unwrap();
        let site = "uv/archive-v0/00ff/lib/python3.11/site-packages";
        for (name, entries) in [
            ("other-1.0", "[console_scripts]\ntool2 = x:y\n"),
            ("a_tool-2.5", "[console_scripts]\ntool = a:b\n"),
        ] {
            let info = home.path().join(site).join(format!("{name}.dist-info"));
            std::fs::create_dir_all(&info).unwrap();
            std::fs::write(info.join("entry_points.txt"), entries).unwrap();
            std::fs::write(
                info.join("METADATA"),
                format!("Name: {}\nVersion: 9\n", name.split_once('-').unwrap().0),
            )
            .unwrap();
        }
        let path = |name: &str| home.path().join("uv/archive-v0/00ff/bin").join(name).into_os_string();
        let found = python(path("tool").as_bytes()).unwrap();
        assert_eq!((found.name, found.version), (b"a_tool".to_vec(), Some(b"2.5".to_vec())));
        assert_eq!(python(path("nothing").as_bytes()), None);
        assert_eq!(python(home.path().join("venv/bin/tool").as_os_str().as_bytes()), None);
    }

    #[test]
    fn stores_of_commands_are_recognised() {
        for (path, expected) in [
            ("/h/.npm/_npx/00ff/node_modules/.bin/a", true),
            ("/h/.cache/pnpm/dlx/00ff/1/node_modules/a/cli.js", true),
            ("/t/xfs-1/dlx-20/node_modules/a/cli.js", true),
            ("/t/bunx-0-a@latest/node_modules/.bin/a", true),
            ("/c/a-npm-1.2.3-00ff.zip/node_modules/a/cli.js", true),
            ("/p/node_modules/.bin/a", false),
            ("/p/a.zip/cli.js", false),
        ] {
            assert_eq!(is_javascript(path.as_bytes()), expected, "{path}");
        }
    }
}
