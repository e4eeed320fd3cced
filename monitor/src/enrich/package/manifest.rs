//! What packages say of themselves: JSON manifests, sectioned files (`Cargo.toml`, `pyproject.toml`, `setup.cfg`),
//! mail-like headers (`PKG-INFO`), and the arguments of `setup()`.
//!
//! Only a name and a version are wanted, so TOML is read line by line: a value that is no plain string on its own line
//! counts as absent.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use super::disk;

/// What a manifest says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
}

/// A `package.json`.
#[derive(Debug, Default)]
pub(super) struct PackageJson {
    pub(super) said: Said,
    /// Scripts in the order of their names.
    pub(super) scripts: Vec<(String, String)>,
    /// Dependencies of all kinds: the name they are to have, and what is asked for.
    pub(super) asks: HashMap<String, String>,
}

/// Where a `package.json` names its dependencies.
const DEPENDENCIES: [&str; 4] =
    ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];

/// Reads `package.json`; a broken one says nothing.
pub(super) fn package_json(directory: &Path) -> Option<PackageJson> {
    let bytes = disk::read(&directory.join("package.json"), disk::MANIFEST).ok()?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let Ok(Value::Object(mut manifest)) = serde_json::from_slice(bytes) else {
        return Some(PackageJson::default());
    };
    let mut text = |key: &str| match manifest.remove(key) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    };
    let said = Said { name: text("name"), version: text("version") };
    let scripts = match manifest.remove("scripts") {
        Some(Value::Object(scripts)) => {
            scripts.into_iter().filter_map(|(name, text)| Some((name, text.as_str()?.to_owned()))).collect()
        }
        _ => Vec::new(),
    };
    let mut asks = HashMap::new();
    for key in DEPENDENCIES {
        if let Some(Value::Object(dependencies)) = manifest.remove(key) {
            let texts =
                dependencies.into_iter().filter_map(|(name, what)| Some((name, what.as_str()?.to_owned())));
            asks.extend(texts);
        }
    }
    Some(PackageJson { said, scripts, asks })
}

/// Reads name and version from a section of a TOML or INI file.
pub(super) fn section(path: &Path, section: &str) -> Option<Said> {
    let bytes = disk::read(path, disk::MANIFEST).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let mut said = Said::default();
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(title) = line.strip_prefix('[') {
            inside = title.split(']').next().is_some_and(|title| title.trim() == section);
            continue;
        }
        if let Some((key, value)) = line.split_once('=')
            && inside
        {
            match key.trim() {
                "name" => said.name = said.name.or_else(|| plain(value)),
                "version" => said.version = said.version.or_else(|| plain(value)),
                _ => {}
            }
        }
    }
    Some(said)
}

/// A string on one line, quoted or not; `{ workspace = true }` and `attr: x` are none.
fn plain(value: &str) -> Option<String> {
    let value = value.trim();
    if let Some(quote) = value.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        let (inner, _) = value[1..].split_once(quote)?;
        return (!inner.is_empty() && !inner.contains('\\')).then(|| inner.to_owned());
    }
    let word = !value.is_empty()
        && !value.contains(|character: char| character.is_whitespace() || ":{[#".contains(character));
    word.then(|| value.to_owned())
}

/// Reads name and version from the headers of `PKG-INFO` or `METADATA`.
pub(super) fn headers(path: &Path) -> Option<Said> {
    let bytes = disk::read(path, disk::MANIFEST).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let mut said = Said::default();
    for line in text.lines().take_while(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix("Name:") {
            said.name = said.name.or_else(|| Some(name.trim().to_owned()));
        } else if let Some(version) = line.strip_prefix("Version:") {
            said.version = said.version.or_else(|| Some(version.trim().to_owned()));
        }
    }
    Some(said)
}

/// Reads the literal arguments `name` and `version` of `setup()` in a `setup.py`.
pub(super) fn setup_py(path: &Path) -> Option<Said> {
    let bytes = disk::read(path, disk::MANIFEST).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let call = &text[text.find("setup(")? + "setup(".len()..];
    Some(Said { name: keyword(call, "name"), version: keyword(call, "version") })
}

/// Reads the literal assignments to `.name` and `.version` in a Ruby specification.
pub(super) fn assignments(path: &Path) -> Option<Said> {
    let bytes = disk::read(path, disk::MANIFEST).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let literal = |member: &str| {
        text.lines().find_map(|line| {
            let (variable, value) = line.split_once('=')?;
            let is_it = variable.trim_end().ends_with(member);
            if is_it && value.trim_start().starts_with(['"', '\'']) { plain(value.trim()) } else { None }
        })
    };
    Some(Said { name: literal(".name"), version: literal(".version") })
}

/// The literal behind `key=`.
fn keyword(call: &str, key: &str) -> Option<String> {
    call.match_indices(key).find_map(|(at, _)| {
        let before = call[..at].chars().next_back();
        if before.is_some_and(|before| before.is_alphanumeric() || before == '_') {
            return None;
        }
        let value = call[at + key.len()..].trim_start().strip_prefix('=')?.trim_start();
        if value.starts_with(['"', '\'']) { plain(value.lines().next()?) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: Option<&str>, version: Option<&str>) -> Option<Said> {
        Some(Said { name: name.map(str::to_owned), version: version.map(str::to_owned) })
    }

    fn with(text: &str, read: impl Fn(&Path) -> Option<Said>) -> Option<Said> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path())
    }

    #[test]
    fn sections_are_read_by_line() {
        let cargo = "[workspace]\nname = \"no\"\n[package] # x\nname = \"a\"\nversion.workspace = true\n[dependencies]\nversion = \"9\"\n";
        assert_eq!(with(cargo, |path| section(path, "package")), said(Some("a"), None));
        let project = "[project]\nname='b'\nversion = \"1.0\" # c\n";
        assert_eq!(with(project, |path| section(path, "project")), said(Some("b"), Some("1.0")));
        let cfg = "[metadata]\nname = c\nversion = attr: c.__version__\n";
        assert_eq!(with(cfg, |path| section(path, "metadata")), said(Some("c"), None));
    }

    #[test]
    fn headers_end_at_the_first_blank_line() {
        let info = "Metadata-Version: 2.1\nName: a\nVersion: 1.0\n\nName: evil\n";
        assert_eq!(with(info, headers), said(Some("a"), Some("1.0")));
    }

    #[test]
    fn literal_arguments_of_setup_are_read() {
        let setup =
            "name='x'\nsetup(\n  long_name='no', name = \"evil\", version=VERSION, package_name='n')\n";
        assert_eq!(with(setup, setup_py), said(Some("evil"), None));
        assert_eq!(with("print()", setup_py), None);
    }

    #[test]
    fn a_broken_or_odd_package_json_says_nothing() {
        let directory = tempfile::tempdir().unwrap();
        assert!(package_json(directory.path()).is_none());
        for text in ["", "{", "[]", "{\"name\":5,\"scripts\":[]}", "\u{feff}{\"name\":\"\"}"] {
            std::fs::write(directory.path().join("package.json"), text).unwrap();
            let manifest = package_json(directory.path()).unwrap();
            assert_eq!(manifest.said, Said::default(), "{text}");
            assert!(manifest.scripts.is_empty());
        }
        nix::unistd::mkfifo(&directory.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::fs::remove_file(directory.path().join("package.json")).unwrap();
        std::os::unix::fs::symlink("pipe", directory.path().join("package.json")).unwrap();
        assert!(package_json(directory.path()).is_none());
        std::fs::rename(directory.path().join("pipe"), directory.path().join("package.json")).unwrap();
        assert!(package_json(directory.path()).is_none(), "a pipe must not block");
    }
}
