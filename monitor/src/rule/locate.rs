//! Where in a file a value stands.
//!
//! The typed rules carry no positions; when something is wrong the file is read once more for them.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

/// Any YAML value, with positions.
enum Node {
    Scalar,
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
                Ok(Node::Scalar)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
                Ok(Node::Scalar)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
                Ok(Node::Scalar)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
                Ok(Node::Scalar)
            }

            fn visit_str<E>(self, _: &str) -> Result<Node, E> {
                Ok(Node::Scalar)
            }

            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Scalar)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
                let mut nodes = Vec::new();
                while let Some(node) = list.next_element()? {
                    nodes.push(node);
                }
                Ok(Node::List(nodes))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut nodes = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    nodes.push(entry);
                }
                Ok(Node::Map(nodes))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

/// Offset and length in bytes of the value at `path` (keys and indices from the top), or of the deepest part of the
/// path that exists.
pub(super) fn locate(text: &str, path: &[String]) -> Option<(usize, usize)> {
    let root: Spanned<Node> = serde_saphyr::from_str(text).ok()?;
    let mut node = &root;
    let mut found = None;
    for step in path {
        let (position, next) = match &node.value {
            Node::List(nodes) => {
                let next = nodes.get(step.parse::<usize>().ok()?)?;
                (next.referenced, next)
            }
            Node::Map(entries) => {
                let Some((key, next)) = entries.iter().find(|(key, _)| key.value == *step) else {
                    break;
                };
                // The key stands for a whole map or list, a word for itself.
                let scalar = matches!(next.value, Node::Scalar);
                (if scalar { next.referenced } else { key.referenced }, next)
            }
            Node::Scalar => break,
        };
        found = span(text, position).or(found);
        node = next;
    }
    found
}

/// Bytes of a position; of a map or list only its first line.
pub(super) fn span(text: &str, location: Location) -> Option<(usize, usize)> {
    if location.line() == 0 {
        return None;
    }
    let offset = match location.span().byte_offset() {
        Some(offset) => usize::try_from(offset).ok()?,
        None => {
            let line = usize::try_from(location.line()).ok()?.checked_sub(1)?;
            let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
            let column = usize::try_from(location.column()).ok()?.checked_sub(1)?;
            before + text[before..].chars().take(column).map(char::len_utf8).sum::<usize>()
        }
    };
    let offset = offset.min(text.len());
    let line = text.get(offset..)?.lines().next().unwrap_or("").trim_end().len();
    let length = location.span().byte_len().and_then(|length| usize::try_from(length).ok()).unwrap_or(line);
    Some((offset, length.clamp(1, line.max(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_words_lists_and_the_nearest_that_exists() {
        let text = "objects:\n  a:\n    files: [\"/x\", '/y']\nrules:\n- id: é1\n  when: {does: read}\n";
        let at = |path: &[&str]| {
            let path: Vec<String> = path.iter().map(|step| (*step).to_owned()).collect();
            let (offset, length) = locate(text, &path).unwrap();
            &text[offset..offset + length]
        };
        assert_eq!(at(&["objects", "a", "files", "1"]), "'/y'");
        assert_eq!(at(&["objects", "a"]), "a");
        assert_eq!(at(&["rules", "0", "when", "does"]), "read");
        assert_eq!(at(&["rules", "0", "when", "actor"]), "when");
    }
}
