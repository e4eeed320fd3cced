//! The command line of a program as a pattern.

use monitor_common::action::Action;
use monitor_common::object::KernelObject;

use crate::event::model::Thing;
use crate::event::text::{Text, is_visible};
use crate::finding::Finding;
use crate::policy::glob::{Subject, parse};
use crate::report::redact;

/// Programs that are judged by the script they run, by the beginning of their names.
const INTERPRETERS: [&str; 18] = [
    "sh", "dash", "ash", "bash", "zsh", "fish", "ksh", "node", "nodejs", "bun", "deno", "python", "pypy",
    "ruby", "perl", "php", "lua", "env",
];
/// Programs that are known by the name they are called by.
const MULTICALL: [&str; 2] = ["busybox", "toybox"];

/// Patterns that match this command line. None where the program alone was looked at: before it is in place nobody knows
/// its arguments.
pub(super) fn patterns(
    finding: &Finding,
    wider: &mut Vec<&'static str>,
) -> Option<(&'static str, Vec<String>, Vec<String>)> {
    let Thing::Program { path, argv } = &finding.object.what else { return None };
    let by_kernel = finding.object.classes.iter().all(|class| KernelObject::from_word(class).is_some());
    if finding.action != Action::Exec || argv.is_empty() || by_kernel {
        return None;
    }
    let exe = base(path.as_bytes());
    let (name, arguments) = match script(exe, argv) {
        Some(found) => found,
        None if MULTICALL.iter().any(|known| known.as_bytes() == exe) => {
            (base(argv[0].as_bytes()).to_vec(), &argv[1..])
        }
        None => (exe.to_vec(), &argv[1..]),
    };
    let mut doubts = Doubts::default();
    let mut pattern = doubts.word(&name);
    for argument in arguments {
        pattern.push(' ');
        pattern.push_str(&doubts.word(argument.as_bytes()));
    }
    let cut = finding.flags.iter().any(|flag| flag == "arguments-cut")
        || argv.last().is_some_and(|word| word.as_bytes().ends_with(b"..."));
    if cut || pattern.starts_with('!') {
        return None;
    }
    parse(&pattern, Subject::Command).ok()?;
    wider.push("any program of that name, if its words begin with these");
    if doubts.redacted {
        wider.push("a secret was removed from the record, so that anything may stand in its place");
    }
    if doubts.odd {
        wider.push("bytes that cannot be shown are any byte in the pattern");
    }
    Some(("commands", vec![pattern], Vec::new()))
}

#[derive(Default)]
struct Doubts {
    redacted: bool,
    odd: bool,
}

impl Doubts {
    fn word(&mut self, bytes: &[u8]) -> String {
        if bytes.is_empty() {
            // A pattern has no empty word.
            self.odd = true;
            return "*".to_owned();
        }
        let text = String::from_utf8_lossy(bytes);
        let mut parts = Vec::new();
        for part in text.split(redact::MARK) {
            parts.push(self.plain(part));
        }
        self.redacted |= parts.len() > 1;
        parts.join("*").replace("**", "*")
    }

    fn plain(&mut self, text: &str) -> String {
        let mut pattern = String::new();
        for character in text.chars() {
            match character {
                '*' | '?' | '[' | '{' | '}' => pattern.extend(['[', character, ']']),
                ' ' | '\\' | ',' => pattern.extend(['\\', character]),
                _ if is_visible(character) => pattern.push(character),
                // One replacement can stand for several bytes.
                char::REPLACEMENT_CHARACTER => {
                    self.odd = true;
                    pattern.push('*');
                }
                _ => {
                    self.odd = true;
                    pattern.extend(std::iter::repeat_n('?', character.len_utf8()));
                }
            }
        }
        pattern
    }
}

fn base(bytes: &[u8]) -> &[u8] {
    bytes.rsplit(|byte| *byte == b'/').next().unwrap_or(bytes)
}

/// The script that an interpreter runs, and what follows it. Code on the command line is no script.
fn script<'a>(exe: &[u8], argv: &'a [Text]) -> Option<(Vec<u8>, &'a [Text])> {
    let exe = String::from_utf8_lossy(exe);
    let plain = exe.trim_end_matches(|character: char| character.is_ascii_digit() || character == '.');
    if !INTERPRETERS.contains(&plain) {
        return None;
    }
    for (index, word) in argv.iter().enumerate().skip(1) {
        match word.as_bytes() {
            b"-m" => return Some((argv.get(index + 1)?.as_bytes().to_vec(), argv.get(index + 2..)?)),
            b"-c" | b"-e" | b"--eval" | b"-p" | b"--print" => return None,
            option if option.starts_with(b"-") => {}
            name => return Some((base(name).to_vec(), argv.get(index + 1..)?)),
        }
    }
    None
}
