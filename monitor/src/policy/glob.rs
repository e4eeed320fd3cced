//! Patterns of objects and identities: the syntax documented at [`Object`](crate::rule::syntax::Object).
//!
//! A pattern is a list of components with a separator between them: `/` in paths, NUL between the words of a command
//! line. `*`, `?` and `[..]` never cross a separator; the component `**` stands for any number of components.

mod braces;
mod component;

use std::fmt;

pub use braces::MAX_ALTERNATIVES;
pub use component::{ByteSet, Element};

/// Where the first component hangs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// Below the root directory.
    Root,
    /// Below every home directory.
    Home,
    /// Below the directory an environment variable names; `PROJECT` is the install's own.
    Variable(String),
    /// Nowhere: the first component is the beginning (`-m pip`, `@abstract`, command lines).
    Start,
}

/// What stands between two separators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Component {
    /// One component.
    Name(Vec<Element>),
    /// `**`: any number of components, none included; at the end of a path, at least one.
    Deep,
}

/// One pattern without alternatives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Where it hangs.
    pub anchor: Anchor,
    /// Below that.
    pub components: Vec<Component>,
}

/// A list entry: alternatives, or with `!` exclusions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// It began with `!`.
    pub excluded: bool,
    /// One for each way through the braces.
    pub patterns: Vec<Pattern>,
}

/// Why a pattern can never match, or is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct GlobError {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl GlobError {
    fn new(message: impl fmt::Display, hint: impl fmt::Display) -> Self {
        Self { message: message.to_string(), hint: hint.to_string() }
    }
}

/// The longest path of the kernel (`PATH_MAX`).
const LONGEST: usize = 4096;

/// Which places a pattern may begin at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Files.
    File,
    /// Programs, and the scripts or modules (`-m pip`) they run.
    Program,
    /// Unix sockets: paths, or `@name`.
    Socket,
    /// Command lines.
    Command,
}

/// Reads one entry of a list of patterns.
///
/// # Errors
/// When the pattern is malformed or cannot match anything.
pub fn parse(text: &str, subject: Subject) -> Result<Entry, GlobError> {
    let (excluded, body) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
    if body.trim().is_empty() {
        return Err(GlobError::new("the pattern is empty", "write an absolute path, `~/..` or `**/..`"));
    }
    if body.contains('\0') {
        return Err(GlobError::new("the pattern holds a NUL byte, which no path has", "remove it"));
    }
    if body.len() > LONGEST {
        return Err(GlobError::new(
            format!("the pattern is longer than {LONGEST} bytes, as no path is"),
            "name a directory further up, or use `*`",
        ));
    }
    let patterns = braces::expand(body)?
        .iter()
        .map(|alternative| match subject {
            Subject::Command => command(alternative),
            _ => path(alternative, subject),
        })
        .collect::<Result<_, _>>()?;
    Ok(Entry { excluded, patterns })
}

/// Every way through the braces of a text.
///
/// # Errors
/// When braces are left open, or there are too many ways.
pub fn alternatives(text: &str) -> Result<Vec<String>, GlobError> {
    let all = braces::expand(text)?;
    // Braces are cut at ASCII characters, so that the parts are as well formed as the whole.
    Ok(all.iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect())
}

fn path(text: &[u8], subject: Subject) -> Result<Pattern, GlobError> {
    let (anchor, rest) = anchor(text, subject)?;
    let mut components = Vec::new();
    if anchor == Anchor::Start {
        // A module or an abstract name is one string that happens to be cut at slashes.
        for part in component::split(rest, b'/') {
            components.push(Component::Name(component::elements(part, b'/')?));
        }
        return Ok(Pattern { anchor, components });
    }
    if rest.is_empty() {
        return Ok(Pattern { anchor, components });
    }
    for part in component::split(rest, b'/') {
        let name = String::from_utf8_lossy(part);
        match part {
            b"" => {
                return Err(GlobError::new(
                    "the pattern has an empty component, which no path has",
                    "remove the doubled or last slash; everything below a directory is `dir/**`",
                ));
            }
            b"." | b".." => {
                return Err(GlobError::new(
                    format!("the pattern has the component `{name}`, which the kernel's paths never have"),
                    "write the path without it",
                ));
            }
            b"**" => {
                if components.last() != Some(&Component::Deep) {
                    components.push(Component::Deep);
                }
            }
            _ => components.push(Component::Name(proper(component::elements(part, b'/')?))),
        }
    }
    Ok(Pattern { anchor, components })
}

/// No component of a path is empty, so one that is only a `*` has at least a byte.
fn proper(mut elements: Vec<Element>) -> Vec<Element> {
    if elements == [Element::Star] {
        elements.insert(0, Element::Any);
    }
    elements
}

/// Splits off where the pattern hangs; what is left has no leading slash.
fn anchor(text: &[u8], subject: Subject) -> Result<(Anchor, &[u8]), GlobError> {
    if let Some(rest) = text.strip_prefix(b"/") {
        return Ok((Anchor::Root, rest));
    }
    if text == b"**" || text.starts_with(b"**/") {
        return Ok((Anchor::Root, text));
    }
    let (head, rest) = match text.iter().position(|byte| *byte == b'/') {
        Some(slash) => (&text[..slash], &text[slash + 1..]),
        None => (text, &[][..]),
    };
    if rest.is_empty() && head.len() != text.len() {
        return Err(GlobError::new(
            "the pattern ends in a slash, which no path does",
            "remove it, or write `/**`",
        ));
    }
    match (head, subject) {
        (b"~", _) => Ok((Anchor::Home, rest)),
        ([b'~', ..], _) => {
            Err(GlobError::new("`~name` is not understood", "`~/` is every home directory on the machine"))
        }
        ([b'$', name @ ..], _) => {
            let name = String::from_utf8_lossy(name).into_owned();
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(GlobError::new(
                    format!("`${name}` is no name of an environment variable"),
                    "write `$NAME/..` with letters, digits and underscores, or `\\$` for the character",
                ));
            }
            Ok((Anchor::Variable(name), rest))
        }
        ([b'@', ..], Subject::Socket) if text.len() > 1 => Ok((Anchor::Start, text)),
        (_, Subject::Program) if text.starts_with(b"-m ") => Ok((Anchor::Start, text)),
        _ => Err(GlobError::new(
            format!(
                "the pattern `{}` is relative, and the kernel's paths never are",
                String::from_utf8_lossy(text)
            ),
            "begin it with `/`, `~/`, `$PROJECT/`, or `**/` for any depth",
        )),
    }
}

fn command(text: &[u8]) -> Result<Pattern, GlobError> {
    let mut components = Vec::new();
    for word in component::words(text) {
        if word == b"**" {
            if components.last() != Some(&Component::Deep) {
                components.push(Component::Deep);
            }
            continue;
        }
        if components.is_empty() && word.contains(&b'/') {
            return Err(GlobError::new(
                "a command line begins with the base name of the program, which has no slash",
                "write the name alone here, or the path under `executables`",
            ));
        }
        components.push(Component::Name(component::elements(word, 0)?));
    }
    // More words may follow anyway.
    if components.last() == Some(&Component::Deep) {
        components.pop();
    }
    Ok(Pattern { anchor: Anchor::Start, components })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, subject: Subject) -> String {
        parse(text, subject).expect_err(text).message
    }

    #[test]
    fn anchors_are_told_apart() {
        let anchor = |text: &str, subject| parse(text, subject).unwrap().patterns[0].anchor.clone();
        assert_eq!(anchor("/etc/shadow", Subject::File), Anchor::Root);
        assert_eq!(anchor("**/.env", Subject::File), Anchor::Root);
        assert_eq!(anchor("~/.ssh/id_*", Subject::File), Anchor::Home);
        assert_eq!(anchor("~", Subject::File), Anchor::Home);
        assert_eq!(anchor("$CARGO_HOME/x", Subject::File), Anchor::Variable("CARGO_HOME".to_owned()));
        assert_eq!(anchor("-m pip", Subject::Program), Anchor::Start);
        assert_eq!(anchor("@/tmp/.X11-unix/X0", Subject::Socket), Anchor::Start);
        assert_eq!(anchor("gh auth token", Subject::Command), Anchor::Start);
    }

    #[test]
    fn exclusions_and_alternatives_are_kept_apart() {
        let entry = parse("!~/.{aws,azure}/{a,b}", Subject::File).unwrap();
        assert!(entry.excluded);
        assert_eq!(entry.patterns.len(), 4);
    }

    #[test]
    fn impossible_patterns_are_refused() {
        for (text, subject, part) in [
            ("", Subject::File, "empty"),
            ("!", Subject::File, "empty"),
            ("etc/shadow", Subject::File, "relative"),
            ("*.pem", Subject::File, "relative"),
            ("@name", Subject::File, "relative"),
            ("-m pip", Subject::File, "relative"),
            ("~root/.ssh", Subject::File, "~name"),
            ("~/", Subject::File, "ends in a slash"),
            ("$/x", Subject::File, "no name"),
            ("/a//b", Subject::File, "empty component"),
            ("/a/", Subject::File, "empty component"),
            ("/a/../b", Subject::File, "`..`"),
            ("/a/./b", Subject::File, "`.`"),
            ("/a/b**", Subject::File, "`**`"),
            ("/a/[b", Subject::File, "`[`"),
            ("/a/[]", Subject::File, "`[`"),
            ("/a/[z-a]", Subject::File, "backwards"),
            ("/a/[b/c]", Subject::File, "separator"),
            ("/a/{b", Subject::File, "`{`"),
            ("/a/b}", Subject::File, "`}`"),
            ("/a/\\", Subject::File, "backslash"),
            ("/usr/bin/gh auth", Subject::Command, "base name"),
        ] {
            let message = refused(text, subject);
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn endless_patterns_are_refused() {
        assert!(refused(&format!("/{}", "a".repeat(4096)), Subject::File).contains("longer"));
    }

    #[test]
    fn too_many_alternatives_are_refused() {
        let text = format!("/{}", "{a,b}".repeat(12));
        assert!(refused(&text, Subject::File).contains("alternatives"));
    }
}
