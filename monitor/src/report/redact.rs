//! Secrets in command lines, paths and names are replaced before anything is stored or shown.
//!
//! The patterns aim at what people really type: tokens with a known prefix, options and variables with a telling name,
//! passwords in URLs. A shell's `-c` text is one argument, so patterns are looked for inside words too.

use crate::event::Event;
use crate::event::Traffic;
use crate::event::log::{End, Entry, Run};
use crate::event::model::{Ancestor, Object, Package, Thing, What};
use crate::event::text::Text;

/// What stands where a secret was.
pub const MARK: &str = "[redacted]";

/// Prefixes of tokens, and how many more token characters make it one.
const PREFIXES: &[(&str, usize)] = &[
    ("npm_", 30),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 15),
    ("pypi-AgE", 20),
    ("cio", 32),
    ("rubygems_", 30),
    ("xoxb-", 10),
    ("xoxp-", 10),
    ("xapp-", 10),
    ("sk-ant-", 20),
    ("sk-proj-", 20),
    ("sk_live_", 16),
    ("rk_live_", 16),
    ("AKIA", 16),
    ("ASIA", 16),
    ("AIza", 30),
    ("ya29.", 20),
    ("hf_", 30),
    ("dop_v1_", 30),
    ("SG.", 30),
    ("eyJ", 40),
];

/// Names whose value is a secret, compared without case, with `-` as `_`; a longer name that ends so counts too.
const NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "authtoken",
    "_auth",
    "_password",
    "api_key",
    "apikey",
    "access_key",
    "secret_key",
    "private_key",
    "auth_token",
    "access_token",
    "credential",
    "credentials",
    "otp",
];

/// Header names in front of a secret.
const HEADERS: &[&str] =
    &["authorization:", "proxy-authorization:", "x-api-key:", "private-token:", "cookie:"];

/// Arguments without the secrets that can be recognised. Arguments without any come back unchanged, byte for byte.
#[must_use]
pub fn arguments<B: AsRef<[u8]>>(arguments: &[B]) -> Vec<Text> {
    let mut hide_next = false;
    arguments
        .iter()
        .map(|argument| {
            let argument = argument.as_ref();
            let hide = std::mem::replace(&mut hide_next, is_secret_option(argument));
            if hide && !argument.starts_with(b"-") { Text::from(MARK) } else { Text::from(word(argument)) }
        })
        .collect()
}

/// Hides the secrets in everything about an event that a stranger chose: paths and names too, for a token can be part of
/// a file's name or of a directory that a tool made for it.
pub fn event(event: &mut Event) {
    let process = &mut event.process;
    [&mut process.exe, &mut process.cwd].into_iter().flatten().for_each(text);
    words(&mut process.argv);
    event.package.iter_mut().for_each(package);
    match &mut event.what {
        What::Exec { script, .. } => script.iter_mut().for_each(text),
        What::Verdict(judgement) => {
            object(&mut judgement.object);
            judgement.ancestry.iter_mut().for_each(ancestor);
        }
        What::Act { object: what, .. } => object(what),
        What::Resolved { domain, .. } => text(domain),
        What::Fork { .. } | What::Exit { .. } | What::Orphaned => {}
    }
}

/// The same for any line of a log.
pub fn entry(entry: &mut Entry) {
    match entry {
        Entry::Run(header) => run(header),
        Entry::Event(told) => event(told),
        Entry::End(footer) => end(footer),
    }
}

/// The same for the first line of a log.
pub fn run(run: &mut Run) {
    words(&mut run.command);
    run.rules.sources.iter_mut().for_each(text);
    let places = &mut run.places;
    [&mut places.project, &mut places.home, &mut places.temporary].into_iter().for_each(text);
}

/// The same for the last line of a log.
pub fn end(end: &mut End) {
    end.traffic.iter_mut().for_each(traffic);
}

/// The same for what was sent where.
pub fn traffic(traffic: &mut Traffic) {
    traffic.domain.iter_mut().for_each(text);
    traffic.package.iter_mut().for_each(package);
}

fn ancestor(ancestor: &mut Ancestor) {
    ancestor.exe.iter_mut().for_each(text);
    words(&mut ancestor.argv);
}

fn object(object: &mut Object) {
    match &mut object.what {
        Thing::File { path } | Thing::Socket { socket: path } => text(path),
        Thing::Program { path, argv } => {
            text(path);
            words(argv);
        }
        Thing::Address { domain, server_name, .. } => {
            [domain, server_name].into_iter().flatten().for_each(text);
        }
        Thing::Name { domain, .. } => domain.iter_mut().for_each(text),
        Thing::Process { .. } | Thing::Kernel { .. } | Thing::None => {}
    }
}

fn package(package: &mut Package) {
    text(&mut package.name);
    let Package { version, script, claims, .. } = package;
    [version, script, claims].into_iter().flatten().for_each(text);
    if let Some(purl) = &mut package.purl
        && let Ok(hidden) = String::from_utf8(word(purl.as_bytes()))
    {
        *purl = hidden;
    }
}

fn text(text: &mut Text) {
    let hidden = word(text.as_bytes());
    if hidden != text.as_bytes() {
        *text = Text::from(hidden);
    }
}

/// The words of a command, where the one in front of a secret names it.
fn words(words: &mut Vec<Text>) {
    let bytes: Vec<&[u8]> = words.iter().map(Text::as_bytes).collect();
    let hidden = arguments(&bytes);
    if hidden != *words {
        *words = hidden;
    }
}

/// `--password`, `--auth-token`: an option whose value is the next argument.
fn is_secret_option(argument: &[u8]) -> bool {
    argument.starts_with(b"-") && !argument.contains(&b'=') && names_secret(argument)
}

fn names_secret(name: &[u8]) -> bool {
    let name: Vec<u8> = name
        .iter()
        .skip_while(|byte| **byte == b'-')
        .map(|byte| if *byte == b'-' { b'_' } else { byte.to_ascii_lowercase() })
        .collect();
    NAMES.iter().any(|secret| {
        name.strip_suffix(secret.as_bytes()).is_some_and(|rest| {
            rest.is_empty()
                || secret.starts_with('_')
                || rest.last().is_some_and(|byte| !byte.is_ascii_alphanumeric())
        })
    })
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'+' | b'/' | b'=' | b'%' | b'~')
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn ends_value(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b';' | b'&' | b'|' | b')' | b'`')
}

/// One argument, or the text of a shell's `-c`.
fn word(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let starts_word = at == 0 || !text[at - 1].is_ascii_alphanumeric();
        if starts_word && let Some(length) = token_length(rest) {
            out.extend_from_slice(MARK.as_bytes());
            at += length;
            continue;
        }
        if let Some((keep, hide)) = secret_behind(text, at) {
            out.extend_from_slice(&rest[..keep]);
            out.extend_from_slice(MARK.as_bytes());
            at += keep + hide;
            continue;
        }
        out.push(text[at]);
        at += 1;
    }
    out
}

/// Length of the token with a known prefix that `text` begins with.
fn token_length(text: &[u8]) -> Option<usize> {
    PREFIXES.iter().find_map(|(prefix, more)| {
        let tail = text.strip_prefix(prefix.as_bytes())?;
        let length = tail.iter().take_while(|byte| is_token(**byte) && **byte != b'/').count();
        (length >= *more).then_some(prefix.len() + length)
    })
}

/// If a secret follows what stands at `at`: how much to keep and how much to hide.
fn secret_behind(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = &text[at..];
    match rest[0] {
        b'=' => {
            let name_length = text[..at].iter().rev().take_while(|byte| is_name(**byte)).count();
            names_secret(&text[at - name_length..at]).then(|| value(rest, 1))?
        }
        b' ' => {
            let name_length = text[..at].iter().rev().take_while(|byte| is_name(**byte)).count();
            let name = &text[at - name_length..at];
            (name.starts_with(b"--") && names_secret(name) && rest.get(1) != Some(&b'-'))
                .then(|| value(rest, 1))?
        }
        b':' if rest.starts_with(b"://") => {
            let authority = rest[3..].iter().take_while(|byte| !ends_value(**byte) && **byte != b'/').count();
            let end = rest[3..3 + authority].iter().rposition(|byte| *byte == b'@')?;
            // `ssh://git@host` names a user; over HTTP a lone word in that place is a token.
            let scheme = text[..at].iter().rev().take_while(|byte| is_name(**byte) || **byte == b'+').count();
            let lone_token =
                text[at - scheme..at].starts_with(b"http") || text[at - scheme..at].ends_with(b"https");
            (end > 0 && (lone_token || rest[3..3 + end].contains(&b':'))).then_some((3, end))
        }
        b':' => {
            let line_start = HEADERS.iter().any(|header| {
                let begin = (at + 1).checked_sub(header.len());
                begin.is_some_and(|begin| text[begin..=at].eq_ignore_ascii_case(header.as_bytes()))
            });
            let quote = rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\'' | b'\n')).count();
            (line_start && quote > 1).then_some((1, quote - 1))
        }
        _ => None,
    }
}

/// The value that begins at `begin` of `text`, quotes kept.
fn value(text: &[u8], begin: usize) -> Option<(usize, usize)> {
    let quoted = text.get(begin).copied().filter(|byte| matches!(byte, b'"' | b'\''));
    let begin = begin + usize::from(quoted.is_some());
    let ends = |byte: u8| quoted.map_or_else(|| ends_value(byte), |quote| byte == quote);
    let length = text.get(begin..)?.iter().take_while(|byte| !ends(**byte)).count();
    (length > 0).then_some((begin, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(words: &[&str]) -> String {
        arguments(words).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn secrets_are_hidden() {
        let token = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8";
        for (words, expected) in [
            (
                vec!["npm", "--//host/:_authToken=abc", "i"],
                "npm --//host/:_authToken=[redacted] i".to_owned(),
            ),
            (vec!["x", "--password", "hunter2"], "x --password [redacted]".to_owned()),
            (vec!["x", "--api-key", "k", "--verbose"], "x --api-key [redacted] --verbose".to_owned()),
            (vec!["x", "--token=abc"], "x --token=[redacted]".to_owned()),
            (vec!["git", "clone", "https://me:pw@host/x"], "git clone https://[redacted]@host/x".to_owned()),
            (vec!["npm", "i", "git+https://tok@host/x"], "npm i git+https://[redacted]@host/x".to_owned()),
            (vec!["curl", "-H", "Authorization: Bearer abc"], "curl -H Authorization:[redacted]".to_owned()),
            (
                vec!["sh", "-c", "NPM_TOKEN='a b' npm i && echo done"],
                "sh -c NPM_TOKEN='[redacted]' npm i && echo done".to_owned(),
            ),
            (vec!["sh", "-c", "tool --password pw1 --x"], "sh -c tool --password [redacted] --x".to_owned()),
            (vec!["sh", "-c", "curl https://u:p@h/a;id"], "sh -c curl https://[redacted]@h/a;id".to_owned()),
            (vec!["AWS_SECRET_ACCESS_KEY=x"], "AWS_SECRET_ACCESS_KEY=[redacted]".to_owned()),
            (vec!["echo", "AKIAABCDEFGHIJKLMNOP"], "echo [redacted]".to_owned()),
        ] {
            assert_eq!(shown(&words), expected);
        }
        for prefix in ["npm_", "ghp_", "github_pat_", "glpat-"] {
            let secret = format!("{prefix}{token}");
            assert_eq!(shown(&["echo", &secret]), "echo [redacted]");
            assert_eq!(
                shown(&["sh", "-c", &format!("echo \"{secret}\"|nc h 1")]),
                "sh -c echo \"[redacted]\"|nc h 1"
            );
        }
    }

    #[test]
    fn ordinary_words_stay() {
        for words in [
            &["node", "install.js"][..],
            &["sh", "-c", "node-gyp rebuild --target=v20"],
            &["npm_config_user_agent=x"],
            &["git", "clone", "ssh://git@host/x", "git+ssh://git@host/x"],
            &["cc", "-DTOKENIZER=1", "-o", "eyJ.o"],
            &["curl", "https://host/a@b"],
            &["gcc", "--tokenize", "x.c"],
        ] {
            assert_eq!(shown(words), words.join(" "));
        }
    }

    #[test]
    fn bytes_that_are_not_text_survive() {
        let words = arguments(&[&b"\xff\xfe=\x00"[..], b""]);
        assert_eq!(words[0].as_bytes(), b"\xff\xfe=\x00");
        assert!(words[1].is_empty());
    }

    #[test]
    fn tokens_in_paths_are_hidden_and_other_paths_stay() {
        let shown = |path: &str| {
            let mut path = Text::from(path);
            text(&mut path);
            path.to_string()
        };
        let token = "ghp_a1B2c3D4e5F6g7H8i9J0k1";
        assert_eq!(shown(&format!("/home/u/.cache/{token}/x")), "/home/u/.cache/[redacted]/x");
        assert_eq!(shown(&format!("/tmp/{token}.json")), "/tmp/[redacted]");
        for path in [
            "/p/node_modules/@npmcli/arborist/lib/npm_config.js",
            "/home/u/.cargo/registry/src/index-1949cf8c6b5b557f/token-parser-1.0.0/secret.rs",
            "/root/.npm/_cacache/content-v2/sha512/ab/cd/0123456789abcdef0123456789abcdef",
            "/p/.venv/lib/python3.11/site-packages/cryptography-41.0.0.dist-info/METADATA",
        ] {
            assert_eq!(shown(path), path);
        }
    }

    proptest::proptest! {
        /// An event is redacted when it is made and again when its log is read.
        #[test]
        fn twice_is_once(words in proptest::collection::vec("((--|-)?(token|password|x|_auth|otp)[= :]?|ghp_[a-z0-9]{22}|https?://|[a-z@:/'\" .]{1,6}|Authorization: ){0,5}", 0..4)) {
            let once = arguments(&words);
            let bytes: Vec<&[u8]> = once.iter().map(Text::as_bytes).collect();
            proptest::prop_assert_eq!(arguments(&bytes), once.clone());
        }
    }
}
