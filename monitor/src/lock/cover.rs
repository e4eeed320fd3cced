//! `dir/**` in place of many files: what a package unpacks into a cache is one line for those who read it.
//!
//! Only files that no rule is about are put together, and never those right in a home, a project or a top directory.

use std::collections::BTreeMap;

use super::format::Objects;
use crate::event::text::Text;

/// Everything below a directory.
const ALL: &[u8] = b"/**";
/// Entries of one directory that are told one by one.
const MOST: usize = 16;
/// Directories of python's own, for what it has compiled.
const COMPILED: &[u8] = b"/__pycache__";
/// Directories in which each program has one of its own.
const SHELVES: [&[u8]; 3] = [b"~/.cache/", b"~/.local/share/", b"~/.local/state/"];

/// Whether the object is there, by itself or with a directory and everything below it.
pub(super) fn covers(objects: &Objects, object: &Text) -> bool {
    objects.contains_key(object) || is_below(objects, object)
}

/// Whether a directory stands for the object.
fn is_below(objects: &Objects, object: &Text) -> bool {
    let bytes = object.as_bytes();
    // What stands for a directory does not stand for itself.
    let (own, bytes) = match bytes.strip_suffix(ALL) {
        Some(directory) => (None, directory),
        None => (Some(bytes), bytes),
    };
    own.into_iter()
        .chain(directories(bytes))
        .any(|directory| objects.contains_key(&Text::from([directory, ALL].concat())))
}

/// Puts many files of one directory together. Doing it twice changes nothing.
pub(super) fn fold(objects: &mut Objects) {
    let shelved: Vec<(Text, Text)> = objects
        .iter()
        .filter(|(_, classes)| classes.0.is_empty())
        .filter_map(|(object, _)| shelf(object))
        .collect();
    for (object, directory) in shelved {
        objects.remove(&object);
        objects.entry(directory).or_default();
    }
    // The deepest first, for a directory can become one of many in its own.
    loop {
        let mut entries: BTreeMap<&[u8], usize> = BTreeMap::new();
        for (object, classes) in objects.iter() {
            let bytes = object.as_bytes();
            let bytes = bytes.strip_suffix(ALL).unwrap_or(bytes);
            if classes.0.is_empty()
                && let Some(directory) = directories(bytes).next()
            {
                *entries.entry(directory).or_default() += 1;
            }
        }
        let full = entries.iter().filter(|(directory, count)| **count > MOST && is_deep(directory));
        let Some(directory) = full.map(|(directory, _)| directory).max_by_key(|directory| directory.len())
        else {
            break;
        };
        let directory = Text::from([directory, ALL].concat());
        objects.entry(directory).or_default();
        drop_covered(objects);
    }
    drop_covered(objects);
}

/// Removes what a directory stands for.
fn drop_covered(objects: &mut Objects) {
    let covered: Vec<Text> = objects
        .iter()
        .filter(|(object, classes)| classes.0.is_empty() && is_below(objects, object))
        .map(|(object, _)| object.clone())
        .collect();
    for object in covered {
        objects.remove(&object);
    }
}

/// The object and what stands for it, if it lies in a program's own directory of a shelf, or among compiled modules.
fn shelf(object: &Text) -> Option<(Text, Text)> {
    let bytes = object.as_bytes();
    let compiled = directories(bytes).find(|directory| directory.ends_with(COMPILED));
    let directory = match SHELVES.iter().find(|shelf| bytes.starts_with(shelf)) {
        Some(shelf) => {
            let program = bytes[shelf.len()..].split(|byte| *byte == b'/').next()?;
            (!program.is_empty()).then(|| [shelf, program, ALL].concat())?
        }
        None => [compiled?, ALL].concat(),
    };
    (directory != bytes).then(|| (object.clone(), Text::from(directory)))
}

/// The directories an object lies in, the innermost first.
fn directories(object: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = object;
    std::iter::from_fn(move || {
        let slash = rest.iter().rposition(|byte| *byte == b'/')?;
        rest = &rest[..slash];
        (!rest.is_empty()).then_some(rest)
    })
}

/// Whether a directory is far enough below a place to stand for what it holds.
fn is_deep(directory: &[u8]) -> bool {
    directory.iter().filter(|byte| **byte == b'/').count() >= 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lock::format::Classes;

    fn folded(lines: impl IntoIterator<Item = String>) -> Vec<String> {
        let mut objects: Objects =
            lines.into_iter().map(|line| (Text::from(line), Classes::default())).collect();
        fold(&mut objects);
        objects.keys().map(ToString::to_string).collect()
    }

    #[test]
    fn many_files_are_their_directory() {
        let many = |directory: &str| (0..20).map(|n| format!("{directory}/f{n}")).collect::<Vec<_>>();
        assert_eq!(folded(many("/opt/tool/share")), ["/opt/tool/share/**"]);
        assert_eq!(folded(many("~/.config")).len(), 20);
        assert_eq!(folded(many("/etc")).len(), 20);
        assert_eq!(folded(["~/.cache/puppeteer/chrome/a".into()]), ["~/.cache/puppeteer/**"]);
        assert_eq!(folded(["~/.cache/x".into(), "~/.cache/x/y/z".into()]), ["~/.cache/x/**"]);
        let compiled = ["/usr/lib/a/__pycache__".into(), "/usr/lib/a/__pycache__/m.cpython-311.pyc".into()];
        assert_eq!(folded(compiled), ["/usr/lib/a/__pycache__/**"]);
        let nested = (0..20).flat_map(|n| many(&format!("/opt/tool/d{n}/e"))).collect::<Vec<_>>();
        assert_eq!(folded(nested).len(), 20);
        let few = folded(["/opt/tool/a/b".into(), "/opt/tool/a/c".into()]);
        assert_eq!(few, ["/opt/tool/a/b", "/opt/tool/a/c"]);
    }

    #[test]
    fn what_a_rule_is_about_stays() {
        let class = Classes(["services".to_owned()].into());
        let mut objects: Objects =
            (0..20).map(|n| (Text::from(format!("/opt/tool/etc/f{n}")), class.clone())).collect();
        fold(&mut objects);
        assert_eq!(objects.len(), 20);
        objects.insert(Text::from("/opt/tool/**"), Classes::default());
        fold(&mut objects);
        assert_eq!(objects.len(), 21);
        assert!(covers(&objects, &Text::from("/opt/tool/x/y")));
        assert!(!covers(&objects, &Text::from("/opt/other")));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_twice_is_once(
            lines in proptest::collection::vec("(~|/opt/a|~/\\.cache)(/[a-c]{1,2}){1,4}", 0..120)
        ) {
            let mut objects: Objects =
                lines.iter().map(|line| (Text::from(line.as_str()), Classes::default())).collect();
            fold(&mut objects);
            for line in &lines {
                prop_assert!(covers(&objects, &Text::from(line.as_str())), "{}", line);
            }
            let once = objects.clone();
            fold(&mut objects);
            prop_assert_eq!(once, objects);
        }
    }
}
