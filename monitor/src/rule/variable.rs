//! Patterns of names of environment variables.

use wildmatch::WildMatch;

use crate::policy::glob::alternatives;

/// A pattern of names.
#[derive(Clone, Debug)]
pub struct Pattern(Vec<WildMatch>);

impl Pattern {
    /// Reads a pattern without its exclusion mark.
    ///
    /// # Errors
    /// What to write instead, if it can match no name, or every one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let hint = "write letters, digits and `_`, with `*` for any run of characters, `?` for one, `{a,b}` for either";
        let texts = alternatives(text).map_err(|error| error.hint)?;
        let is_name = |text: &String| {
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_*?:/.-".contains(&byte))
                && text.bytes().any(|byte| byte.is_ascii_alphanumeric())
        };
        if !texts.iter().all(is_name) {
            return Err(hint.to_owned());
        }
        Ok(Self(texts.iter().map(|text| WildMatch::new_case_insensitive(text)).collect()))
    }

    /// Whether it matches a name.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(name))
    }
}

/// A list of patterns, some with `!`; what is no pattern has been refused when the rules were read.
#[derive(Clone, Debug, Default)]
pub struct List {
    included: Vec<Pattern>,
    excluded: Vec<Pattern>,
}

impl List {
    /// Reads a list.
    #[must_use]
    pub fn new(texts: &[String]) -> Self {
        let mut list = Self::default();
        for text in texts {
            match text.strip_prefix('!') {
                Some(rest) => list.excluded.extend(Pattern::parse(rest)),
                None => list.included.extend(Pattern::parse(text)),
            }
        }
        list
    }

    /// Whether a name is in it.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        let any = |list: &[Pattern]| list.iter().any(|pattern| pattern.matches(name));
        any(&self.included) && !any(&self.excluded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_in_any_case_and_exclusions_win() {
        let list = List::new(&["!AWS_REGION".into(), "AWS_*".into(), "*_{TOKEN,PAT}".into(), "A?C".into()]);
        for name in ["AWS_SESSION_TOKEN", "aws_x", "GITHUB_TOKEN", "gh_pat", "ABC"] {
            assert!(list.has(name), "{name}");
        }
        for name in ["AWS_REGION", "aws_region", "TOKENS", "PATH", "AC", ""] {
            assert!(!list.has(name), "{name}");
        }
    }

    #[test]
    fn what_matches_everything_or_nothing_is_refused() {
        for text in ["", "*", "?", "A B", "A=B", "{A", "\u{e9}"] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
