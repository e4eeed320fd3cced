//! One component of a pattern: bytes, sets and stars.

use super::GlobError;
use super::braces::set_length;

/// A set of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSet([u64; 4]);

impl ByteSet {
    /// Adds one.
    pub fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    /// Takes one out.
    pub fn remove(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] &= !(1 << (byte & 63));
    }

    /// Whether it is in.
    #[must_use]
    pub fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    /// The others.
    #[must_use]
    pub fn complement(&self) -> Self {
        Self(self.0.map(|word| !word))
    }
}

/// One step inside a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Element {
    /// Exactly this byte.
    Byte(u8),
    /// `[..]`, never the separator.
    Set(ByteSet),
    /// `?`: any byte but the separator.
    Any,
    /// `*`: any run of bytes without the separator.
    Star,
}

/// Cuts at `separator`, but not behind a backslash or inside a set.
pub(super) fn split(text: &[u8], separator: u8) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut from = 0;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'[' => at += set_length(&text[at..]),
            byte => {
                if byte == separator {
                    parts.push(&text[from..at]);
                    from = at + 1;
                }
                at += 1;
            }
        }
    }
    parts.push(&text[from.min(text.len())..]);
    parts
}

/// The words of a command line; a blank inside a word is written `\ `.
pub(super) fn words(text: &[u8]) -> Vec<&[u8]> {
    split(text, b' ').into_iter().filter(|word| !word.is_empty()).collect()
}

/// Reads one component.
pub(super) fn elements(text: &[u8], separator: u8) -> Result<Vec<Element>, GlobError> {
    let mut elements = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'*' => {
                if elements.last() == Some(&Element::Star) {
                    return Err(GlobError::new(
                        format!("`**` in `{}` is only a part of a component", String::from_utf8_lossy(text)),
                        "write `**` between slashes, or one `*`",
                    ));
                }
                elements.push(Element::Star);
                at += 1;
            }
            b'?' => {
                elements.push(Element::Any);
                at += 1;
            }
            b'[' => {
                let length = set_length(&text[at..]);
                elements.push(Element::Set(set(&text[at..at + length], separator)?));
                at += length;
            }
            b'\\' => {
                let Some(byte) = text.get(at + 1) else {
                    return Err(GlobError::new(
                        "the pattern ends in a backslash",
                        "write `\\\\` for the character",
                    ));
                };
                elements.push(Element::Byte(*byte));
                at += 2;
            }
            byte => {
                elements.push(Element::Byte(byte));
                at += 1;
            }
        }
    }
    Ok(elements)
}

/// Reads `[abc]`, `[a-z]`, `[!a]`.
fn set(text: &[u8], separator: u8) -> Result<ByteSet, GlobError> {
    let unclosed = || GlobError::new("a `[` is never closed", "close it, or write `\\[` for the character");
    let Some(inner) = text.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")) else {
        return Err(unclosed());
    };
    let (negated, inner) = match inner {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, inner),
    };
    let mut bytes = Vec::new();
    let mut at = 0;
    while at < inner.len() {
        let escaped = inner[at] == b'\\';
        at += usize::from(escaped);
        let byte = *inner.get(at).ok_or_else(unclosed)?;
        if !byte.is_ascii() {
            return Err(GlobError::new(
                "a set holds a character that is more than one byte",
                "write the characters as alternatives: `{ä,ö}`",
            ));
        }
        bytes.push((byte, escaped));
        at += 1;
    }
    let mut set = ByteSet::default();
    let mut rest = &bytes[..];
    while let [(first, _), after @ ..] = rest {
        rest = match after {
            [(b'-', false), (last, _), behind @ ..] => {
                if last < first {
                    return Err(GlobError::new(
                        format!("the range `{}-{}` runs backwards", *first as char, *last as char),
                        "put the smaller character first",
                    ));
                }
                (*first..=*last).for_each(|byte| set.insert(byte));
                behind
            }
            _ => {
                set.insert(*first);
                after
            }
        };
    }
    if !negated && set.contains(separator) {
        return Err(GlobError::new(
            "a set holds the separator, which it never matches",
            "remove it from the set",
        ));
    }
    let mut set = if negated { set.complement() } else { set };
    set.remove(separator);
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_they_say() {
        let [Element::Set(set)] = elements(b"[!a-c\\]x]", b'/').unwrap()[..] else { panic!("not a set") };
        for byte in *b"abc]x/" {
            assert!(!set.contains(byte), "{}", byte as char);
        }
        for byte in *b"dyz[" {
            assert!(set.contains(byte), "{}", byte as char);
        }
    }

    #[test]
    fn words_keep_escaped_blanks() {
        assert_eq!(words(b"gh  auth\\ x token"), [&b"gh"[..], b"auth\\ x", b"token"]);
    }
}
