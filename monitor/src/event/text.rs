//! Bytes that a stranger chose: paths, arguments, package names.
//!
//! Their one written form, in JSON and on a terminal, is reversible and harmless: a backslash is `\\`, and every byte
//! that is not part of a visible UTF-8 character is `\xNN`.

use std::fmt::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of unknown origin.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Box<[u8]>);

impl Text {
    /// The bytes as they are.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes as a path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        use std::os::unix::ffi::OsStrExt as _;
        Path::new(std::ffi::OsStr::from_bytes(&self.0))
    }

    /// The text if nothing in it needs escaping.
    #[must_use]
    pub fn as_plain(&self) -> Option<&str> {
        let text = std::str::from_utf8(&self.0).ok()?;
        text.chars().all(|character| character != '\\' && is_visible(character)).then_some(text)
    }

    /// The bytes behind the last slash.
    #[must_use]
    pub fn base_name(&self) -> Text {
        let start = self.0.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
        Text::from(&self.0[start..])
    }

    /// The bytes that a written form stands for.
    ///
    /// # Errors
    /// When a backslash begins neither `\\` nor `\xNN`.
    pub fn parse(written: &str) -> Result<Self, TextError> {
        let mut bytes = Vec::with_capacity(written.len());
        let mut rest = written.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            if byte != b'\\' {
                bytes.push(byte);
                continue;
            }
            match rest {
                [b'\\', after @ ..] => {
                    bytes.push(b'\\');
                    rest = after;
                }
                [b'x', high, low, after @ ..] => {
                    let digit = |byte: u8| char::from(byte).to_digit(16);
                    let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
                        return Err(TextError(written.len() - rest.len() - 1));
                    };
                    bytes.push((high * 16 + low) as u8);
                    rest = after;
                }
                _ => return Err(TextError(written.len() - rest.len() - 1)),
            }
        }
        Ok(Self(bytes.into()))
    }
}

/// A backslash that begins no known escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the backslash at byte {0} begins neither `\\\\` nor `\\xNN`")]
pub struct TextError(pub usize);

/// Whether a terminal shows the character as itself: no control, no direction mark, nothing invisible.
#[must_use]
pub fn is_visible(character: char) -> bool {
    !(character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'))
}

/// JSON in which everything invisible is escaped as `\uXXXX`. Only strings hold such characters, so it stays the same
/// JSON; a program escapes controls below 0x20 by itself, and no others.
#[must_use]
pub fn visible_json(json: Vec<u8>) -> Vec<u8> {
    if json.iter().all(|byte| (b' '..0x7f).contains(byte) || *byte == b'\n') {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 64);
    for character in String::from_utf8_lossy(&json).chars() {
        if is_visible(character) || character == '\n' {
            out.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out.into_bytes()
}

impl fmt::Display for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character == '\\' {
                    out.write_str("\\\\")?;
                } else if is_visible(character) {
                    out.write_char(character)?;
                } else {
                    write_hex(out, character.encode_utf8(&mut [0; 4]).as_bytes())?;
                }
            }
            write_hex(out, chunk.invalid())?;
        }
        Ok(())
    }
}

fn write_hex(out: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(out, "\\x{byte:02x}"))
}

impl fmt::Debug for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\"{self}\"")
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl From<&Path> for Text {
    fn from(path: &Path) -> Self {
        Self::from(path.as_os_str().as_encoded_bytes())
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into_bytes().into())
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&written).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_bytes_are_written_without_harm() {
        for (bytes, written) in [
            (&b"/home/u/.npmrc"[..], "/home/u/.npmrc"),
            (b"a\\b", "a\\\\b"),
            (b"a\x1b[2Jb", "a\\x1b[2Jb"),
            (b"\xff\xfe", "\\xff\\xfe"),
            ("caf\u{e9}".as_bytes(), "caf\u{e9}"),
            ("gpj\u{202e}.sh".as_bytes(), "gpj\\xe2\\x80\\xae.sh"),
            ("\u{9b}2J".as_bytes(), "\\xc2\\x9b2J"),
            ("\u{200b}".as_bytes(), "\\xe2\\x80\\x8b"),
            (b"line\nbreak\0", "line\\x0abreak\\x00"),
        ] {
            assert_eq!(Text::from(bytes).to_string(), written);
        }
    }

    #[test]
    fn unknown_escapes_are_refused_by_place() {
        assert_eq!(Text::parse("ab\\n"), Err(TextError(2)));
        assert_eq!(Text::parse("\\xg0"), Err(TextError(0)));
        assert_eq!(Text::parse("abc\\"), Err(TextError(3)));
        assert_eq!(Text::parse("\\x4"), Err(TextError(0)));
    }

    #[test]
    fn only_harmless_text_is_plain() {
        assert_eq!(Text::from("left-pad").as_plain(), Some("left-pad"));
        assert_eq!(Text::from("a\\b").as_plain(), None);
        assert_eq!(Text::from(&b"\xff"[..]).as_plain(), None);
    }

    #[test]
    fn json_is_shown_without_harm_and_means_the_same() {
        let value = serde_json::json!({"a\u{9b}": "x\u{202e}y\u{7f}\u{e0001}\u{e9}\n"});
        let json = visible_json(serde_json::to_vec(&value).unwrap());
        let text = String::from_utf8(json.clone()).unwrap();
        assert_eq!(text, "{\"a\\u009b\":\"x\\u202ey\\u007f\\udb40\\udc01\u{e9}\\n\"}");
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&json).unwrap(), value);
    }

    proptest! {
        #[test]
        fn every_byte_string_survives_json(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = Text::from(bytes);
            let json = serde_json::to_string(&text).unwrap();
            prop_assert!(json.bytes().all(|byte| byte >= 0x20 && byte != 0x7f));
            prop_assert_eq!(serde_json::from_str::<Text>(&json).unwrap(), text.clone());
            prop_assert!(text.to_string().chars().all(is_visible));
        }
    }
}
