//! Lockfiles that have a package on one line or under one heading: `bun.lock`, and `yarn.lock` of both kinds.

use std::io::{BufRead, Read};

use super::{Entries, Entry, MAX_ENTRIES};

/// The longest line that is read; longer ones end the reading.
const MAX_LINE: u64 = 1 << 16;

/// `bun.lock`: `"a/b": ["b@1.0.0", ...],` below `packages`.
pub(super) fn read_bun(input: impl BufRead, entries: &mut Entries) {
    let mut inside = false;
    each_line(input, |line| {
        let line = line.trim();
        if line.starts_with("\"packages\":") {
            inside = true;
        } else if inside
            && let Some((key, rest)) = line.strip_prefix('"').and_then(|line| line.split_once("\": [\""))
            && let Some((what, _)) = rest.split_once('"')
            && let Some((name, version)) = split(what)
        {
            insert(entries, key, name, version);
        }
    });
}

/// `yarn.lock`: a heading with what was asked for, and below it, indented, the version; in the second kind also the
/// resolution, which has the real name.
pub(super) fn read_yarn(input: impl BufRead, entries: &mut Entries) {
    let mut heading: Option<String> = None;
    let mut version: Option<String> = None;
    each_line(input, |line| {
        if let Some(asked) = line.strip_suffix(':').filter(|line| !line.starts_with([' ', '#'])) {
            heading = Some(asked.to_owned());
            version = None;
            return;
        }
        let Some(asked) = &heading else { return };
        let mut words = line.trim().splitn(2, [' ', ':']);
        let (key, value) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let value = value.trim().trim_matches('"');
        match key {
            "version" => {
                version = Some(value.to_owned());
                // The key is what others call it, the name what it is.
                for pattern in asked.split(", ").map(|pattern| pattern.trim_matches('"')) {
                    if let Some((called, range)) = split(pattern) {
                        let real =
                            range.strip_prefix("npm:").and_then(split).map_or(called, |(name, _)| name);
                        insert(entries, &format!("{called}@{value}"), real, value);
                    }
                }
            }
            "resolution" => {
                if let (Some((name, _)), Some(version)) = (split(value), &version) {
                    for pattern in asked.split(", ").map(|pattern| pattern.trim_matches('"')) {
                        if let Some((called, _)) = split(pattern) {
                            insert(entries, &format!("{called}@{version}"), name, version);
                        }
                    }
                }
            }
            _ => {}
        }
    });
}

/// Splits `NAME@VERSION`, where a name can begin with an at sign.
pub(in crate::enrich::package) fn split(text: &str) -> Option<(&str, &str)> {
    let at = text.get(1..)?.find('@')? + 1;
    Some((&text[..at], &text[at + 1..]))
}

fn insert(entries: &mut Entries, key: &str, name: &str, version: &str) {
    if entries.len() < MAX_ENTRIES {
        entries.insert(key.into(), Entry { name: Some(name.into()), version: Some(version.into()) });
    }
}

fn each_line(mut input: impl BufRead, mut take: impl FnMut(&str)) {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        if read.is_err() || line.is_empty() || (line.last() != Some(&b'\n') && line.len() as u64 == MAX_LINE)
        {
            return;
        }
        take(String::from_utf8_lossy(&line).trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, read: impl Fn(&[u8], &mut Entries)) -> Vec<(String, String, String)> {
        let mut entries = Entries::new();
        read(text.as_bytes(), &mut entries);
        let text = |text: Option<Box<str>>| text.map(String::from).unwrap_or_default();
        let mut list: Vec<_> = entries
            .into_iter()
            .map(|(key, entry)| (key.into(), text(entry.name), text(entry.version)))
            .collect();
        list.sort();
        list
    }

    fn list(entries: &[[&str; 3]]) -> Vec<(String, String, String)> {
        entries
            .iter()
            .map(|[key, name, version]| ((*key).into(), (*name).into(), (*version).into()))
            .collect()
    }

    #[test]
    fn bun_names_places() {
        let text = "{\n  \"workspaces\": {\n    \"\": [\"x@1\"],\n  },\n  \"packages\": {\n    \"@s/a\": [\"@s/a@1.0.0\", \"\", {}, \"sha\"],\n\n    \"a/b\": [\"b@2.0.0\", {}],\n    \"aka\": [\"real@3.0.0\"],\n    \"broken\": [\n";
        assert_eq!(
            read(text, |input, entries| read_bun(input, entries)),
            list(&[["@s/a", "@s/a", "1.0.0"], ["a/b", "b", "2.0.0"], ["aka", "real", "3.0.0"]])
        );
    }

    #[test]
    fn both_kinds_of_yarn_name_versions() {
        let first = "# yarn lockfile v1\n\n\"@s/a@^1.0.0\", \"@s/a@~1.0\":\n  version \"1.0.4\"\n  resolved \"x\"\n\naka@npm:real@3:\n  version \"3.0.0\"\n";
        assert_eq!(
            read(first, |input, entries| read_yarn(input, entries)),
            list(&[["@s/a@1.0.4", "@s/a", "1.0.4"], ["aka@3.0.0", "real", "3.0.0"]])
        );
        let second = "__metadata:\n  version: 8\n\n\"aka@npm:real@3.0.0\":\n  version: 3.0.0\n  resolution: \"real@npm:3.0.0\"\n";
        let entries = read(second, |input, entries| read_yarn(input, entries));
        assert_eq!(entries, list(&[["aka@3.0.0", "real", "3.0.0"]]));
    }

    #[test]
    fn nonsense_and_long_lines_say_nothing() {
        let long = format!("\"a@1\":\n{}", "x".repeat(1 << 17));
        for text in ["", ":", "a:\n", "@:\n  version \"1\"\n", "\u{202e}@:\n version", long.as_str()] {
            assert_eq!(read(text, |input, entries| read_yarn(input, entries)), [], "{text:.20}");
            assert_eq!(read(text, |input, entries| read_bun(input, entries)), [], "{text:.20}");
        }
    }
}
