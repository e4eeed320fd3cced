//! Directories that pnpm, yarn 4 and bun name after what is in them.

use super::super::{base_name, looks_like_version};

/// What the directory's name tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// The name, where the directory in `node_modules` has a passing one.
    pub(super) name: Option<Vec<u8>>,
    /// The version; only the name, which is the directory's own, where the package is from no registry.
    pub(super) version: Option<Vec<u8>>,
    /// Whose directory it is.
    pub(super) source: &'static str,
}

const PNPM: &str = "pnpm's directory";
const YARN: &str = "yarn's directory";
const BUN: &str = "bun's directory";

/// The package `name` below `prefix`, in `PREFIX/node_modules/NAME`.
///
/// | who | prefix |
/// |---|---|
/// | pnpm | `.pnpm/NAME@VERSION...`, `.pnpm/NAME@file+...`, and for all projects `links/@/NAME/VERSION/HASH` |
/// | bun | the same in `.bun` |
/// | yarn 4 | `.yarn/unplugged/NAME-npm-VERSION-HASH`, `NAME-file-HASH`, `NAME-virtual-HASH`, and `NAME-npm-VERSION-HASH-HASH.zip` |
pub(super) fn of(prefix: &[u8], name: &[u8]) -> Option<Stored> {
    let slug = base_name(prefix);
    let above = |path: &[u8], levels: usize| -> Vec<u8> {
        path.rsplit(|byte| *byte == b'/').nth(levels).unwrap_or_default().to_vec()
    };
    let flat = |separator: u8| -> Vec<u8> {
        name.iter().map(|byte| if *byte == b'/' { separator } else { *byte }).collect()
    };
    let version = |text: &[u8]| looks_like_version(text).then(|| text.to_vec());
    let above_it = above(prefix, 1);
    if above_it == b".pnpm" || above_it == b".bun" {
        let source = if above_it == b".bun" { BUN } else { PNPM };
        let rest = slug.strip_prefix(&flat(b'+')[..])?.strip_prefix(b"@")?;
        let end = rest.iter().position(|byte| matches!(byte, b'_' | b'(' | b'+')).unwrap_or(rest.len());
        return Some(Stored { name: None, version: version(&rest[..end]), source });
    }
    let names: Vec<&[u8]> = prefix.rsplit(|byte| *byte == b'/').take(5).collect();
    if let [_, middle, own, scope, b"links"] = names[..] {
        let full = if scope == b"@" { own.to_vec() } else { [scope, b"/", own].concat() };
        let passing = name.starts_with(b".pnpm-");
        return (passing || name == full).then(|| Stored {
            name: passing.then_some(full),
            version: version(middle),
            source: PNPM,
        });
    }
    let zip = slug.strip_suffix(b".zip");
    if above_it == b"unplugged" || zip.is_some() {
        let rest = zip.unwrap_or(slug).strip_prefix(&flat(b'-')[..])?.strip_prefix(b"-")?;
        let version = rest.strip_prefix(b"npm-").and_then(|rest| {
            // A checksum, and behind it in archives another one or the version of the cache.
            let cut = |rest: &[u8]| Some(rest[..rest.iter().rposition(|byte| *byte == b'-')?].to_vec());
            let rest = if zip.is_some() { cut(rest)? } else { rest.to_vec() };
            version(&cut(&rest)?)
        });
        return Some(Stored { name: None, version, source: YARN });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_stores_are_read() {
        for (prefix, name, expected) in [
            ("/p/node_modules/.pnpm/@s+a@1.2.3_b@2.0.0", "@s/a", Some((Some("1.2.3"), PNPM))),
            ("/p/node_modules/.pnpm/a@file+..+a", "a", Some((None, PNPM))),
            ("/p/node_modules/.bun/a@1.2.3+00ff", "a", Some((Some("1.2.3"), BUN))),
            ("/p/node_modules/.pnpm/other@1.0.0", "a", None),
            ("/s/links/@/a/1.2.3/00ff", "a", Some((Some("1.2.3"), PNPM))),
            ("/s/links/@s/a/1.2.3/00ff", "@s/a", Some((Some("1.2.3"), PNPM))),
            ("/s/links/@s/a/1.2.3/00ff", ".pnpm-0123", Some((Some("1.2.3"), PNPM))),
            ("/s/links/@s/a/1.2.3/00ff", "b", None),
            ("/p/.yarn/unplugged/@s-a-npm-1.2.3-rc.1-0123456789", "@s/a", Some((Some("1.2.3-rc.1"), YARN))),
            ("/p/.yarn/unplugged/a-virtual-0123456789", "a", Some((None, YARN))),
            ("/c/a-npm-1.2.3-0123456789-10c0.zip", "a", Some((Some("1.2.3"), YARN))),
            ("/p", "a", None),
            ("", "", None),
        ] {
            let found = of(prefix.as_bytes(), name.as_bytes());
            let found = found.map(|stored| (stored.version, stored.source));
            let expected =
                expected.map(|(version, source)| (version.map(|text| text.as_bytes().to_vec()), source));
            assert_eq!(found, expected, "{prefix}");
        }
    }
}
