//! Parts of names that differ from run to run, from machine to machine or from version to version become `*`.
//!
//! What is left out is left out for all: a name that only looks random is as good as any other there. So the rules are
//! narrow, and none is about letters alone but for names that temporary files have.

/// Hexadecimal digits from which on a word with letters and digits is a hash.
const HASH: usize = 8;
/// Letters and digits from which on a word that has both is an identifier that nobody typed.
const IDENTIFIER: usize = 24;
/// Digits from which on a number is a process id, a time or a hash wherever it stands.
const NUMBER: usize = 5;
/// Digits from which on a number at the end of a name, behind a dot, is one of those.
const LAST_NUMBER: usize = 3;
/// Digits from which on a number at the end of a name, behind a dash, is a version: `gcc-12`.
const VERSION: usize = 2;

/// One component of a path, or another name. Doing it twice changes nothing.
#[must_use]
pub fn name(name: &[u8]) -> Vec<u8> {
    let mut name = name.to_vec();
    loop {
        let next = step(&name);
        if next == name {
            return name;
        }
        name = next;
    }
}

fn step(name: &[u8]) -> Vec<u8> {
    if let Some(stem) = temporary(name) {
        return [stem, b"*"].concat();
    }
    let mut out: Vec<u8> = Vec::with_capacity(name.len());
    let mut at = 0;
    while let Some(byte) = name.get(at) {
        let rest = &name[at..];
        let is_first = at == 0 || !name[at - 1].is_ascii_alphanumeric();
        let taken = if is_first && byte.is_ascii_alphanumeric() { varies(rest, &name[..at]) } else { None };
        match taken {
            Some((kept, length)) => {
                out.extend_from_slice(&rest[..kept]);
                out.push(b'*');
                at += length;
            }
            None => {
                let word = if byte.is_ascii_alphanumeric() { word(rest).max(1) } else { 1 };
                out.extend_from_slice(&rest[..word]);
                at += word;
            }
        }
    }
    // One star is any run of bytes; two could be taken for everything below a directory.
    out.dedup_by(|next, last| *next == b'*' && *last == b'*');
    out
}

/// What varies at the beginning of `rest`, a word behind `before`: how many bytes of it stay, and how many it has in all.
fn varies(rest: &[u8], before: &[u8]) -> Option<(usize, usize)> {
    if let Some(length) = uuid(rest).or_else(|| time(rest)) {
        return Some((0, length));
    }
    let length = word(rest);
    let letters = count(rest, u8::is_ascii_alphabetic);
    let digits = count(&rest[letters..length], u8::is_ascii_digit);
    // `1.2.3`, `v1.2.3`, `python3.11`: digits, a dot, digits.
    if digits > 0 && letters + digits == length {
        let more = dotted(&rest[length..]);
        if more > 0 {
            let kept = if rest[..letters] == *b"v" { 0 } else { letters };
            return Some((kept, length + more));
        }
    }
    let word = &rest[..length];
    let all_digits = digits == length;
    let is_last = length == rest.len();
    let has_both = word.iter().any(u8::is_ascii_digit) && word.iter().any(u8::is_ascii_alphabetic);
    let is_hash = length >= HASH && has_both && one_case(word) && word.iter().all(u8::is_ascii_hexdigit);
    let is_number = all_digits
        && (length >= NUMBER
            || (is_last && before.is_empty())
            || (is_last && length >= LAST_NUMBER && before.ends_with(b"."))
            || (is_last && length >= VERSION && before.ends_with(b"-")));
    (is_hash || is_number || (length >= IDENTIFIER && has_both)).then_some((0, length))
}

/// The part of a temporary name that stays: of `mktemp`, of python, of Rust.
fn temporary(name: &[u8]) -> Option<&[u8]> {
    let behind = |stem: &[u8], length: usize, is: fn(&u8) -> bool| {
        let rest = name.strip_prefix(stem)?;
        (rest.len() == length && rest.iter().all(is)).then(|| &name[..stem.len()])
    };
    behind(b"tmp.", 10, u8::is_ascii_alphanumeric)
        .or_else(|| behind(b".tmp", 6, u8::is_ascii_alphanumeric))
        .or_else(|| behind(b"tmp_obj_", 6, u8::is_ascii_alphanumeric))
        .or_else(|| {
            behind(b"tmp", 8, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_')
        })
}

/// Letters and digits at the beginning.
fn word(text: &[u8]) -> usize {
    count(text, u8::is_ascii_alphanumeric)
}

fn count(text: &[u8], is: fn(&u8) -> bool) -> usize {
    text.iter().take_while(|byte| is(byte)).count()
}

/// How long `.2.3` at the beginning is, and no letter behind.
fn dotted(text: &[u8]) -> usize {
    let mut length = 0;
    while text.get(length) == Some(&b'.') {
        let digits = count(&text[length + 1..], u8::is_ascii_digit);
        let next = text.get(length + 1 + digits);
        if digits == 0 || next.is_some_and(u8::is_ascii_alphabetic) {
            break;
        }
        length += 1 + digits;
    }
    length
}

fn one_case(word: &[u8]) -> bool {
    !(word.iter().any(u8::is_ascii_lowercase) && word.iter().any(u8::is_ascii_uppercase))
}

/// Length of a UUID at the beginning.
fn uuid(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    for (index, digits) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if index > 0 {
            (text.get(at) == Some(&b'-')).then_some(())?;
            at += 1;
        }
        let part = text.get(at..at + digits)?;
        part.iter().all(u8::is_ascii_hexdigit).then_some(())?;
        at += digits;
    }
    (!text.get(at).is_some_and(u8::is_ascii_alphanumeric)).then_some(at)
}

/// Length of a date at the beginning, and of the time of day behind it: `2026-11-26`, `2026-11-26T04_50_42_794Z`.
fn time(text: &[u8]) -> Option<usize> {
    let digits = |from: usize, count: usize| {
        text.get(from..from + count).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    let dash = |at: usize| text.get(at) == Some(&b'-');
    (digits(0, 4) && dash(4) && digits(5, 2) && dash(7) && digits(8, 2)).then_some(())?;
    let rest = &text[10..];
    if let Some((b'T', clock)) = rest.split_first()
        && clock.first().is_some_and(u8::is_ascii_digit)
    {
        let clock = count(clock, |byte| byte.is_ascii_digit() || b"_:.-".contains(byte));
        let zone = usize::from(rest.get(1 + clock) == Some(&b'Z'));
        return Some(11 + clock + zone);
    }
    (!rest.first().is_some_and(u8::is_ascii_alphanumeric)).then_some(10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        String::from_utf8(name(text.as_bytes())).unwrap()
    }

    #[test]
    fn what_varies_is_left_out() {
        for (before, after) in [
            ("index.example-1949cf8c6b5b557f", "index.example-*"),
            ("serde-1.0.228", "serde-*"),
            ("v22.11.0", "*"),
            ("node-v22.11.0-linux-x64", "node-*-linux-x64"),
            ("python3.11", "python*"),
            ("libssl.so.3.0.2", "libssl.so.*"),
            ("1.95-x86_64-unknown-linux-gnu", "*-x86_64-unknown-linux-gnu"),
            ("12", "*"),
            ("550e8400-e29b-41d4-a716-446655440000", "*"),
            ("config.json.3829182736", "config.json.*"),
            ("lock.4711", "lock.*"),
            ("x86_64-linux-gnu-gcc-12", "x86_64-linux-gnu-gcc-*"),
            ("2026-11-26T04_50_42_794Z-debug-0.log", "*-debug-0.log"),
            ("report-2026-11-26.txt", "report-*.txt"),
            (".tmpA1b2C3", ".tmp*"),
            ("tmpab_de0gh", "tmp*"),
            ("tmp.hq3vKdFo5k", "tmp.*"),
            ("ring-3f0c2a7be19d4c55", "ring-*"),
            ("python3.11abc12345", "python3.*"),
        ] {
            assert_eq!(shown(before), after, "{before}");
        }
    }

    #[test]
    fn what_somebody_named_stays() {
        for name in [
            "credentials",
            "id_ed25519",
            "x86_64-linux-gnu",
            "install.js",
            "sha256.js",
            "base64",
            "python3",
            "node",
            "deadbeef",
            "facade",
            "utf8-decoder",
            "v1",
            "a.b.c",
            "node_modules",
            "libc6-dev",
            "x11",
            "*",
            "<pid>",
            ".npmrc",
            "main-2.js",
            "r2",
        ] {
            assert_eq!(shown(name), name);
        }
    }

    proptest! {
        #[test]
        fn twice_is_once(text in "([a-f0-9]{1,12}|2026-11-2[0-9]T?|[a-zA-Z0-9._*-]{1,6}|v?[0-9]{1,3}\\.|tmp|\\.tmp|-){0,8}") {
            let once = name(text.as_bytes());
            prop_assert_eq!(name(&once), once.clone());
            prop_assert!(!once.windows(2).any(|two| two == b"**"));
        }

        #[test]
        fn bytes_of_any_kind_pass(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let once = name(&bytes);
            prop_assert_eq!(name(&once), once);
        }
    }
}
