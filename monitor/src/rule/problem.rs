//! What is wrong with rules, shown at the place.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

use crate::event::text::is_visible;

/// Where in a rule set something stands: keys and indices from the top. Rules, interpreters and multicall programs
/// are counted over all files.
pub type Place = Vec<String>;

/// Something wrong, before it is known which file it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// One sentence.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Where; empty is everywhere.
    pub place: Place,
}

impl Problem {
    /// A problem at `place`.
    pub fn new(message: impl Into<String>, hint: impl Into<String>, place: &[&str]) -> Self {
        Self {
            message: message.into(),
            hint: Some(hint.into()).filter(|hint| !hint.is_empty()),
            place: place.iter().map(|step| (*step).to_owned()).collect(),
        }
    }
}

/// A problem and the lines it is about.
#[derive(Debug)]
pub struct Finding {
    message: String,
    hint: Option<String>,
    source: Option<Box<NamedSource<Arc<str>>>>,
    span: Option<(usize, usize)>,
}

impl Finding {
    /// About a whole file or folder, whose name is in the message.
    pub(crate) fn plain(message: String, hint: impl Into<String>) -> Self {
        Self { message: harmless(message), hint: Some(harmless(hint.into())), source: None, span: None }
    }

    /// About a part of a file.
    pub(crate) fn at(
        message: String,
        hint: Option<String>,
        name: &str,
        text: &Arc<str>,
        span: Option<(usize, usize)>,
    ) -> Self {
        let source = Some(Box::new(NamedSource::new(harmless(name.to_owned()), harmless_source(text))));
        Self { message: harmless(message), hint: hint.map(harmless), source, span }
    }

    /// The sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The file and line, if it is about one.
    #[must_use]
    pub fn line(&self) -> Option<(&str, usize)> {
        let source = self.source.as_ref()?;
        let offset = self.span.map_or(0, |span| span.0);
        let before = source.inner().get(..offset).unwrap_or("");
        Some((source.name(), before.matches('\n').count() + 1))
    }
}

/// The text with what a terminal would obey or hide written out: rule files may come from strangers, and a message
/// quotes them.
fn harmless(text: String) -> String {
    let shown = |character: char| character == '\n' || is_visible(character);
    if text.chars().all(shown) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if shown(character) {
            out.push(character);
        } else {
            out.extend(character.escape_unicode());
        }
    }
    out
}

/// A file as it is shown: what is not visible gives way to something of the same length, so that places stay right.
fn harmless_source(text: &Arc<str>) -> Arc<str> {
    let shown = |character: char| matches!(character, '\n' | '\r' | '\t') || is_visible(character);
    // A carriage return alone takes a terminal back to the beginning of the line.
    if text.chars().all(shown) && !text.replace("\r\n", "").contains('\r') {
        return Arc::clone(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let alone = character == '\r' && characters.peek() != Some(&'\n');
        out.push(match character.len_utf8() {
            _ if shown(character) && !alone => character,
            1 => '?',
            2 => '\u{bf}',
            3 => char::REPLACEMENT_CHARACTER,
            _ => '\u{1f7a8}',
        });
    }
    Arc::from(out)
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Finding {}

impl Diagnostic for Finding {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_deref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (offset, length) = self.span?;
        Some(Box::new(std::iter::once(LabeledSpan::new(None, offset, length))))
    }
}

/// The most problems that are shown at once.
const SHOWN: usize = 20;

/// Everything that is wrong, collected.
#[derive(Debug, Default)]
pub struct Problems(Vec<Finding>);

impl Problems {
    /// Adds one.
    pub(crate) fn push(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter()
    }

    /// All of them with file, line, caret and hint, for a terminal.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_context_lines(1);
        let mut text = String::new();
        for finding in self.0.iter().take(SHOWN) {
            if handler.render_report(&mut text, finding).is_err() {
                text.push_str(&finding.message);
            }
            text.push('\n');
        }
        if self.0.len() > SHOWN {
            text.push_str(&format!("and {} more problems\n", self.0.len() - SHOWN));
        }
        text
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (index, finding) in self.0.iter().take(SHOWN).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            if let Some((file, line)) = finding.line() {
                write!(f, "{file}:{line}: ")?;
            }
            write!(f, "{finding}")?;
            if let Some(hint) = &finding.hint {
                write!(f, "; {hint}")?;
            }
        }
        Ok(())
    }
}

impl Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        let text: Arc<str> = Arc::from("a: \"x\"\r\nb\r: \u{9b}2J\u{202e}\u{e0001}\tcaf\u{e9}\n");
        let shown = harmless_source(&text);
        assert_eq!(&*shown, "a: \"x\"\r\nb?: \u{bf}2J\u{fffd}\u{1f7a8}\tcaf\u{e9}\n");
        assert_eq!(shown.len(), text.len());
        let hint = Some("use `\u{200b}`".to_owned());
        let finding =
            Finding::at("unknown `\u{1b}[2J`".to_owned(), hint, "x\u{7}.yaml", &text, Some((10, 2)));
        let problems = Problems(vec![finding]);
        for text in [problems.to_string(), problems.render(false)] {
            assert_eq!(
                text.chars().find(|character| *character != '\n' && !is_visible(*character)),
                None,
                "{text:?}"
            );
            assert!(text.contains("unknown `\\u{1b}[2J`") && text.contains("use `\\u{200b}`"), "{text}");
        }
    }
}
