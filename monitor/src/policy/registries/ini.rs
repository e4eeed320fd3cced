//! Files of keys and values: npm's and pip's dialects, as far as registries need them.

/// One key, with the section it is in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) section: &'a str,
    pub(super) key: &'a str,
    /// The lines of the value: pip goes on in lines that are indented.
    pub(super) values: Vec<&'a str>,
}

/// Entries in the order of the file. Lines that are none of a section, a key and a comment are left out.
pub(super) fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut section = "";
    for line in text.lines() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim();
            continue;
        }
        let indented = line.starts_with([' ', '\t']);
        match (bare.split_once('='), entries.last_mut()) {
            (_, Some(last)) if indented && last.section == section && !is_key(bare) => last.values.push(bare),
            (Some((key, value)), _) => {
                let value = value.trim();
                let values = if value.is_empty() { Vec::new() } else { vec![value] };
                entries.push(Entry { section, key: key.trim(), values });
            }
            (None, _) => {}
        }
    }
    entries
}

/// An address may have a `=` of its own; a key has no slash in front of it.
fn is_key(line: &str) -> bool {
    line.split_once('=').is_some_and(|(key, _)| !key.contains('/'))
}
