//! Text that a terminal shows as it is.

use monitor::event::text::is_visible;

/// The style codes of `monitor::report::layout`, and no others.
const STYLES: [&str; 6] = ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[1;31m", "\x1b[32m", "\x1b[33m"];

/// Panics if the text is not UTF-8 or holds something that a terminal would obey or hide.
pub(crate) fn assert_visible<'a>(what: &str, bytes: &'a [u8]) -> &'a str {
    let text = std::str::from_utf8(bytes).unwrap_or_else(|error| panic!("{what}: {error}: {bytes:?}"));
    let bad = text.chars().find(|character| *character != '\n' && !is_visible(*character));
    assert_eq!(bad, None, "{what}: {text:?}");
    text
}

/// As [`assert_visible`], for output that is coloured: pkgwarden's own style codes are taken out first.
pub(crate) fn assert_styled(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let plain = STYLES.iter().fold(text.into_owned(), |text, style| text.replace(style, ""));
    assert_visible(what, plain.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_coloured_text_passes() {
        assert_eq!(assert_visible("text", "caf\u{e9}\n".as_bytes()), "caf\u{e9}\n");
        assert_styled("text", b"\x1b[1;31mno\x1b[0m\n");
    }

    #[test]
    #[should_panic(expected = "text")]
    fn an_escape_does_not() {
        assert_styled("text", b"\x1b[2J");
    }

    #[test]
    #[should_panic(expected = "text")]
    fn a_stray_byte_does_not() {
        assert_visible("text", b"\xff");
    }
}
