//! Package URLs: `pkg:npm/%40scope/name@1.2.3`.

use std::fmt::Write as _;

/// The package URL, if the name is text.
pub(super) fn purl(ecosystem: &str, name: &[u8], version: Option<&[u8]>) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    let mut url = format!("pkg:{ecosystem}/");
    if ecosystem == "pypi" {
        encode(&mut url, &super::pip::normalise(name.as_bytes()), false);
    } else {
        encode(&mut url, name.as_bytes(), matches!(ecosystem, "npm" | "composer"));
    }
    if let Some(version) = version {
        url.push('@');
        encode(&mut url, version, false);
    }
    Some(url)
}

fn encode(url: &mut String, text: &[u8], slash: bool) {
    for &byte in text {
        let plain = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':')
            || (slash && byte == b'/');
        if plain {
            url.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_as_their_ecosystem_wants() {
        for (ecosystem, name, version, expected) in [
            ("npm", "left-pad", Some("1.3.0"), "pkg:npm/left-pad@1.3.0"),
            ("npm", "@scope/pkg", Some("1.0.0-rc.1+b"), "pkg:npm/%40scope/pkg@1.0.0-rc.1%2Bb"),
            ("pypi", "Foo_Bar.baz", None, "pkg:pypi/foo-bar-baz"),
            ("cargo", "libz-sys", Some("1.1.20"), "pkg:cargo/libz-sys@1.1.20"),
            ("npm", "a b\u{202e}", None, "pkg:npm/a%20b%E2%80%AE"),
        ] {
            let url = purl(ecosystem, name.as_bytes(), version.map(str::as_bytes));
            assert_eq!(url.as_deref(), Some(expected));
        }
    }
}
