//! `uv.lock` and `poetry.lock`: what was to be installed, for builds in directories whose names say nothing.

use std::path::Path;

use super::disk;
use super::pip::normalise;

/// The files, and the most bytes of one.
const FILES: [&str; 2] = ["uv.lock", "poetry.lock"];
const MAX_BYTES: u64 = 16 << 20;

/// One entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Locked {
    pub(super) name: String,
    pub(super) version: Option<String>,
    /// From a repository or a directory, not from an index.
    pub(super) elsewhere: bool,
    /// There is a wheel for every machine, so that it is never built.
    pub(super) universal: bool,
}

impl Locked {
    /// Whether it can be what is built here: unpacked from an archive of the index, or somewhere else.
    pub(super) fn fits(&self, from_archive: bool) -> bool {
        if from_archive { !self.elsewhere && !self.universal } else { self.elsewhere }
    }

    pub(super) fn is(&self, name: &str, version: Option<&str>) -> bool {
        normalise(self.name.as_bytes()) == normalise(name.as_bytes())
            && (version.is_none() || self.version.as_deref() == version)
    }
}

/// The entries of the lockfile of a project, and which file that is.
pub(super) fn of(project: &Path) -> Option<(Vec<Locked>, &'static str)> {
    FILES.iter().find_map(|file| {
        let bytes = disk::read(&project.join(file), MAX_BYTES).ok()?;
        Some((read(&String::from_utf8_lossy(&bytes)), *file))
    })
}

/// Both are written by machines, one thing a line.
fn read(text: &str) -> Vec<Locked> {
    let mut list: Vec<Locked> = Vec::new();
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if line.starts_with("[[") || (line.starts_with('[') && line.ends_with(']') && line.len() > 2) {
            section = line;
            if line == "[[package]]" {
                list.push(Locked::default());
            }
            continue;
        }
        let Some(entry) = list.last_mut() else { continue };
        entry.universal |= line.contains("-none-any.whl");
        let Some((key, value)) = line.split_once(" = ") else { continue };
        let plain = || value.trim_matches('"').to_owned();
        match (section, key) {
            ("[[package]]", "name") => entry.name = plain(),
            ("[[package]]", "version") => entry.version = Some(plain()),
            ("[[package]]", "source") => entry.elsewhere = !value.contains("registry ="),
            ("[package.source]", "type") => entry.elsewhere = value != "\"legacy\"",
            _ => {}
        }
    }
    list.retain(|entry| !entry.name.is_empty());
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked(name: &str, version: &str, elsewhere: bool, universal: bool) -> Locked {
        Locked { name: name.into(), version: Some(version.into()), elsewhere, universal }
    }

    #[test]
    fn both_kinds_are_read() {
        let uv = "version = 1\n[[package]]\nname = \"a\"\nversion = \"1.0\"\nsource = { registry = \"x\" }\n\
                  wheels = [\n    { url = \"x/a-1.0-py3-none-any.whl\" },\n]\n[package.metadata]\nname = \"no\"\n\
                  [[package]]\nname = \"b\"\nversion = \"2.0\"\nsource = { git = \"x\" }\n";
        let expected = [locked("a", "1.0", false, true), locked("b", "2.0", true, false)];
        assert_eq!(read(uv), expected);
        let poetry = "[[package]]\nname = \"a\"\nversion = \"1.0\"\nfiles = [\n    {file = \"a-1.0.tar.gz\"},\n]\n\n\
                      [package.source]\ntype = \"legacy\"\n[[package]]\nname = \"b\"\nversion = \"2.0\"\n\
                      [package.source]\ntype = \"git\"\n[metadata]\nname = \"no\"\n";
        let expected = [locked("a", "1.0", false, false), locked("b", "2.0", true, false)];
        assert_eq!(read(poetry), expected);
        for broken in ["", "[[package]]", "[[package]]\nname = ", "name = \"a\"\n", "[[\n]]"] {
            assert!(read(broken).iter().all(|entry| entry.version.is_none()), "{broken}");
        }
    }

    #[test]
    fn only_what_can_be_built_fits() {
        let built = locked("My.Pkg", "1.0", false, false);
        assert!(built.fits(true) && !built.fits(false) && !locked("a", "1", false, true).fits(true));
        assert!(
            built.is("my-pkg", Some("1.0")) && built.is("my_pkg", None) && !built.is("my-pkg", Some("2"))
        );
    }
}
