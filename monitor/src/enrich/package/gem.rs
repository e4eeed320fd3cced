//! gem and bundler: native extensions, built where the gem was unpacked.

use std::path::Path;

use super::manifest::{self, Said};
use super::{Found, Start, base_name, components, split_version};
use crate::event::text::Text;

/// The most entries of a checkout that are searched for its specification.
const MAX_ENTRIES: usize = 1000;

/// Files that build an extension.
const BUILDERS: [&str; 5] = ["extconf.rb", "mkrf_conf.rb", "mkrf_conf", "Rakefile", "configure"];

/// The innermost `gems/NAME-VERSION` on the way to `path`.
pub(super) fn directory(path: &[u8]) -> Option<&[u8]> {
    let mut found = None;
    let mut components = components(path).peekable();
    while let Some((name, _)) = components.next() {
        if name == b"gems"
            && let Some((name, end)) = components.peek()
            && (split_version(name).is_some() || git_name(name).is_some())
        {
            found = Some(*end);
        }
    }
    found
}

/// `REPOSITORY-REVISION`, as bundler names a git checkout.
fn git_name(name: &[u8]) -> Option<&[u8]> {
    let dash = name.iter().rposition(|byte| *byte == b'-')?;
    let revision = &name[dash + 1..];
    (revision.len() == 12 && revision.iter().all(u8::is_ascii_hexdigit)).then(|| &name[..dash])
}

/// A gem in its directory.
pub(super) fn unpacked(directory: &[u8], start: &Start<'_>) -> Found {
    let place = Text::from(directory);
    let directory = base_name(directory);
    let script = start.argv.iter().chain([&start.script]).find_map(|word| {
        BUILDERS
            .iter()
            .find(|builder| builder.as_bytes() == base_name(word))
            .map(|builder| (*builder).to_owned())
    });
    match split_version(directory) {
        Some((name, version)) => {
            let version = Some(version.to_vec());
            let source = "gem directory".to_owned();
            Found { name: name.to_vec(), version, script, exact: true, source, ..Found::default() }
        }
        None => {
            // A checkout is called like its repository; bundler reads the specification that lies in it.
            if let Some(Said { name: Some(name), version }) = specification(place.as_path()) {
                let (name, version) = (name.into_bytes(), version.map(String::into_bytes));
                let source = "specification in a git checkout".to_owned();
                return Found { name, version, script, source, ..Found::default() };
            }
            let name = git_name(directory).unwrap_or(directory).to_vec();
            Found { name, script, source: "git checkout".to_owned(), ..Found::default() }
        }
    }
}

/// Name and version in the only `*.gemspec` of a directory, where they are written out.
fn specification(directory: &Path) -> Option<Said> {
    let entries = std::fs::read_dir(directory).ok()?.flatten().take(MAX_ENTRIES).map(|entry| entry.path());
    let mut files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "gemspec"));
    let file = files.next()?;
    files.next().is_none().then(|| manifest::assignments(&file)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gems_are_recognised() {
        for (path, expected) in [
            ("/var/lib/gems/3.1.0/gems/ffi-1.15.5/ext/ffi_c", Some("/var/lib/gems/3.1.0/gems/ffi-1.15.5")),
            ("/b/bundler/gems/thing-0123456789ab/ext", Some("/b/bundler/gems/thing-0123456789ab")),
            ("/usr/lib/ruby/gems/3.1.0/specifications", None),
            ("/gems", None),
        ] {
            assert_eq!(directory(path.as_bytes()), expected.map(str::as_bytes), "{path}");
        }
    }
}
