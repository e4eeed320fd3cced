//! What a person is told while the command runs: each thing that was stopped, at once, in one line; and on a terminal,
//! now and then, that a long run is still being watched. The command owns the terminal, so nothing is drawn over it.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use super::watch::Listener;
use crate::event::model::{Event, What};
use crate::finding::pipeline::is_urgent;
use crate::report::human;

/// Between two signs of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);
/// Lines about the same rule; the summary has the rest.
const LINES_A_RULE: usize = 3;

/// Tells a person on stderr.
pub struct Live {
    shown: Vec<(String, usize)>,
    programs: u64,
    scripts: u64,
    last: Instant,
    on_terminal: bool,
}

impl Default for Live {
    fn default() -> Self {
        Self::new()
    }
}

impl Live {
    /// Tells on stderr.
    #[must_use]
    pub fn new() -> Self {
        let on_terminal = std::io::stderr().is_terminal();
        Self { shown: Vec::new(), programs: 0, scripts: 0, last: Instant::now(), on_terminal }
    }

    fn tell(&mut self, rule: &str, line: &str) {
        let index = self.shown.iter().position(|(known, _)| known == rule).unwrap_or_else(|| {
            self.shown.push((rule.to_owned(), 0));
            self.shown.len() - 1
        });
        self.shown[index].1 += 1;
        match self.shown[index].1 {
            n if n < LINES_A_RULE => anstream::eprintln!("pkgwarden: {line}"),
            LINES_A_RULE => anstream::eprintln!("pkgwarden: {line} (more of {rule} in the summary)"),
            _ => {}
        }
    }
}

impl Listener for Live {
    fn event(&mut self, event: &Event) {
        if let What::Exec { new_scope, .. } = &event.what {
            self.programs += 1;
            self.scripts += u64::from(*new_scope);
        }
        if let What::Verdict(judgement) = &event.what
            && is_urgent(event)
        {
            self.tell(&judgement.rule, &human::one_line(event, judgement));
        }
        if self.on_terminal && self.last.elapsed() >= SIGN_OF_LIFE {
            self.last = Instant::now();
            anstream::eprintln!(
                "pkgwarden: watching: {} programs, {} scripts so far",
                self.programs,
                self.scripts
            );
        }
    }
}
