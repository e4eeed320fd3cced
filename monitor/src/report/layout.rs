//! Laying out text for a terminal: width, colour, and the characters it can show.
//!
//! Colour is always written; the caller's stream removes it where it is not wanted.

use std::fmt::Write as _;
use std::os::fd::AsRawFd as _;

use crate::event::text::is_visible;

/// The width where none is known.
pub const DEFAULT_WIDTH: usize = 80;
/// No narrower than this: below, wrapping makes things worse.
const MIN_WIDTH: usize = 40;

/// What the output can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Columns.
    pub width: usize,
    /// Whether it shows more than ASCII.
    pub unicode: bool,
}

impl Default for Screen {
    fn default() -> Self {
        Self { width: DEFAULT_WIDTH, unicode: true }
    }
}

impl Screen {
    /// The screen behind `stream`, in the locale of this process.
    #[must_use]
    pub fn of(stream: &(impl std::os::fd::AsFd + std::io::IsTerminal)) -> Self {
        let width = stream.is_terminal().then(|| columns(stream.as_fd().as_raw_fd())).flatten();
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .iter()
            .filter_map(std::env::var_os)
            .find(|value| !value.is_empty())
            .unwrap_or_default();
        Self {
            width: width.unwrap_or(DEFAULT_WIDTH).max(MIN_WIDTH),
            unicode: is_utf8(&locale.to_string_lossy()),
        }
    }

    /// The screen behind standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::of(&std::io::stdout())
    }

    /// The screen behind standard error.
    #[must_use]
    pub fn stderr() -> Self {
        Self::of(&std::io::stderr())
    }
}

fn is_utf8(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

fn columns(descriptor: i32) -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one `winsize` to the pointer and nothing else, and `size` outlives the call.
    let result = unsafe { libc::ioctl(descriptor, libc::TIOCGWINSZ, &raw mut size) };
    (result == 0 && size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// How a piece of text stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Not at all.
    Plain,
    /// Headings.
    Bold,
    /// What is there for reference.
    Dim,
    /// Harm done, or nearly.
    Red,
    /// Needs a look.
    Yellow,
    /// Harm prevented.
    Green,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Red => "1;31",
            Self::Yellow => "33",
            Self::Green => "32",
        }
    }

    /// `text` in this style.
    #[must_use]
    pub fn paint(self, text: &str) -> String {
        match self.code() {
            "" => text.to_owned(),
            _ if text.is_empty() => String::new(),
            code => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

/// Columns that a text takes. Wide characters of East Asia take two.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(|character| 1 + usize::from(is_wide(character))).sum()
}

fn is_wide(character: char) -> bool {
    matches!(character,
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{303e}' | '\u{3041}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}' | '\u{1f900}'..='\u{1f9ff}' | '\u{20000}'..='\u{3fffd}')
}

/// Breaks `text` between words so that no line is wider than `columns`; a word that is wider is broken inside.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(8);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_whitespace() {
        let needed = width(word);
        if used > 0 && used + 1 + needed > columns {
            lines.push(String::new());
            used = 0;
        }
        let Some(mut line) = lines.pop() else { break };
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        for character in word.chars() {
            let step = 1 + usize::from(is_wide(character));
            if used + step > columns {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(character);
            used += step;
        }
        lines.push(line);
    }
    lines
}

/// Cuts `text` in the middle so that it takes no more than `columns`: both ends of a path tell something.
#[must_use]
pub fn shorten(text: &str, columns: usize, screen: Screen) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let gap = if screen.unicode { "\u{2026}" } else { "..." };
    let room = columns.saturating_sub(width(gap));
    let head = take(text.chars(), room / 3);
    let tail: String = take(text.chars().rev(), room - width(&head)).chars().rev().collect();
    format!("{head}{gap}{tail}")
}

fn take(characters: impl Iterator<Item = char>, columns: usize) -> String {
    let mut used = 0;
    characters
        .take_while(|character| {
            used += 1 + usize::from(is_wide(*character));
            used <= columns
        })
        .collect()
}

/// `text` as this screen can show it: what is invisible, and what is not ASCII where only that can be shown, is written
/// `\xNN`. Titles and names come from files that may be anybody's.
#[must_use]
pub fn plain(text: &str, screen: Screen) -> String {
    let shown = |character: char| is_visible(character) && (screen.unicode || character.is_ascii());
    if text.chars().all(shown) {
        return text.to_owned();
    }
    let mut out = String::new();
    for character in text.chars() {
        if shown(character) {
            out.push(character);
            continue;
        }
        for byte in character.encode_utf8(&mut [0; 4]).bytes() {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

#[cfg(test)]
mod unit {
    use super::*;

    const ASCII: Screen = Screen { width: 80, unicode: false };

    #[test]
    fn text_is_wrapped_between_words_and_inside_long_ones() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("abcdefghijkl mn", 8), ["abcdefgh", "ijkl mn"]);
        assert_eq!(wrap("", 8), [""]);
        assert_eq!(wrap("\u{6f22}\u{6f22}\u{6f22}\u{6f22}\u{6f22}", 8).len(), 2);
    }

    #[test]
    fn long_text_keeps_both_ends() {
        assert_eq!(shorten("/home/u/.npmrc", 20, Screen::default()), "/home/u/.npmrc");
        let short = shorten("/home/user/very/long/way/to/.npmrc", 16, Screen::default());
        assert_eq!(short, "/home\u{2026}/to/.npmrc");
        assert_eq!(width(&short), 16);
        assert_eq!(shorten("/home/user/very/long/way/to/.npmrc", 16, ASCII), "/hom...to/.npmrc");
    }

    #[test]
    fn what_ascii_cannot_show_is_escaped() {
        assert_eq!(plain("caf\u{e9}", ASCII), "caf\\xc3\\xa9");
        assert_eq!(plain("caf\u{e9}", Screen::default()), "caf\u{e9}");
        assert_eq!(plain("a\x1b[2J\u{202e}", Screen::default()), "a\\x1b[2J\\xe2\\x80\\xae");
    }

    #[test]
    fn locales_are_told_apart() {
        assert!(is_utf8("en_US.UTF-8") && is_utf8("C.utf8"));
        assert!(!is_utf8("C") && !is_utf8("") && !is_utf8("de_DE.ISO-8859-1"));
    }
}
