//! Composer: packages in `vendor`, and the project's own scripts.
//!
//! Plugins run inside Composer itself. What one does there cannot be told from what another does: then all plugins
//! are candidates. A program that a plugin starts from its own directory is known.

use std::path::Path;

use serde_json::Value;

use super::{Found, Start, base_name, components, disk};
use crate::event::text::Text;

/// What Composer wrote down of what it installed, and of what it is going to install.
const RECORDS: [&str; 2] = ["vendor/composer/installed.json", "composer.lock"];
/// The most bytes of those.
const MAX_BYTES: u64 = 16 << 20;

/// The innermost `vendor/VENDOR/NAME` on the way to `path`.
pub(super) fn directory(path: &[u8]) -> Option<&[u8]> {
    let mut found = None;
    let mut components = components(path);
    while let Some((name, _)) = components.next() {
        if name == b"vendor"
            && let Some((vendor, _)) = components.next()
            && !matches!(vendor, b"bin" | b"composer")
        {
            found = components.next().map(|(_, end)| end).or(found);
        }
    }
    found
}

/// A package in `vendor`.
pub(super) fn installed(directory: &[u8], start: &Start<'_>) -> Option<Found> {
    let name = name(directory)?;
    let project = directory.strip_suffix(name.as_bytes())?.strip_suffix(b"/vendor/")?;
    let script = Some(String::from_utf8_lossy(base_name(start.script)).into_owned());
    let recorded = recorded(Text::from(project).as_path());
    let (version, source) = recorded
        .iter()
        .find(|(known, ..)| *known == name)
        .map_or((None, "vendor"), |(_, version, _, source)| (version.clone(), source));
    let exact = version.is_some();
    Some(Found {
        name: name.into_bytes(),
        version: version.map(String::into_bytes),
        script: script.filter(|script| !script.is_empty()),
        exact,
        source: source.to_owned(),
        ..Found::default()
    })
}

/// `VENDOR/NAME` at the end of a path.
fn name(directory: &[u8]) -> Option<String> {
    let package = base_name(directory);
    let vendor = base_name(directory.strip_suffix(package)?.strip_suffix(b"/")?);
    String::from_utf8([vendor, b"/", package].concat()).ok()
}

/// A script of the project itself.
pub(super) fn elsewhere(start: &Start<'_>) -> Option<Found> {
    let manifest = object(&Text::from(start.cwd).as_path().join("composer.json"))?;
    let text = start.argv.iter().position(|word| *word == b"-c").and_then(|flag| start.argv.get(flag + 1))?;
    let is_text = |value: &Value| value.as_str().is_some_and(|known| known.as_bytes() == *text);
    let script = manifest["scripts"].as_object().and_then(|scripts| {
        scripts.iter().find(|(_, value)| {
            is_text(value) || value.as_array().is_some_and(|list| list.iter().any(is_text))
        })
    });
    // What no script of the project says, a plugin does: then the program it starts may tell which.
    let (name, _) = script?;
    let own = manifest["name"]
        .as_str()
        .map_or_else(|| base_name(start.cwd).to_vec(), |name| name.as_bytes().to_vec());
    Some(Found {
        name: own,
        version: manifest["version"].as_str().map(|version| version.as_bytes().to_vec()),
        script: Some(name.clone()),
        source: "composer.json of the project".to_owned(),
        own: true,
        ..Found::default()
    })
}

/// The plugins of a project, any of which may be what runs inside Composer.
pub(super) fn plugins(project: &[u8]) -> Vec<(String, Option<String>)> {
    let mut plugins: Vec<(String, Option<String>)> = recorded(Text::from(project).as_path())
        .into_iter()
        .filter(|(_, _, is_plugin, _)| *is_plugin)
        .map(|(name, version, ..)| (name, version))
        .collect();
    plugins.sort();
    plugins.dedup();
    plugins
}

/// Name, version, whether it is a plugin, and the file that says so.
fn recorded(project: &Path) -> Vec<(String, Option<String>, bool, &'static str)> {
    let mut list = Vec::new();
    for file in RECORDS {
        let Some(record) = object(&project.join(file)) else { continue };
        for key in ["packages", "packages-dev"] {
            for package in record[key].as_array().into_iter().flatten() {
                let Some(name) = package["name"].as_str() else { continue };
                let version = package["version"].as_str().map(str::to_owned);
                list.push((name.to_owned(), version, package["type"] == "composer-plugin", file));
            }
        }
    }
    list
}

fn object(path: &Path) -> Option<Value> {
    serde_json::from_slice(&disk::read(path, MAX_BYTES).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_found_in_vendor() {
        for (path, expected) in [
            ("/p/vendor/acme/tool/bin/x.php", Some("/p/vendor/acme/tool")),
            ("/p/vendor/acme/tool/vendor/b/c/x", Some("/p/vendor/acme/tool/vendor/b/c")),
            ("/p/vendor/bin/tool", None),
            ("/p/vendor/composer/ClassLoader.php", None),
            ("/p/vendor/acme", None),
            ("/p/src", None),
        ] {
            assert_eq!(directory(path.as_bytes()), expected.map(str::as_bytes), "{path}");
        }
    }

    #[test]
    fn plugins_are_those_that_were_installed() {
        let project = tempfile::tempdir().unwrap();
        let path = project.path().as_os_str().as_encoded_bytes();
        assert_eq!(plugins(path), []);
        std::fs::write(project.path().join("composer.lock"), "{\"packages\":[").unwrap();
        assert_eq!(plugins(path), []);
        let lock =
            r#"{"packages":[{"name":"a/b","version":"1.0.0","type":"composer-plugin"},{"name":"c/d"},{}]}"#;
        std::fs::write(project.path().join("composer.lock"), lock).unwrap();
        assert_eq!(plugins(path), [("a/b".to_owned(), Some("1.0.0".to_owned()))]);
    }
}
