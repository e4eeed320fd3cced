//! `{a,b}`: one pattern for each way through.

use super::GlobError;

/// The most patterns that one entry may stand for.
pub const MAX_ALTERNATIVES: usize = 512;

/// Every way through the braces of `text`; escapes and sets are left as they are.
pub(super) fn expand(text: &str) -> Result<Vec<Vec<u8>>, GlobError> {
    let mut rest = text.as_bytes();
    let all = sequence(&mut rest, 0)?;
    if rest.is_empty() {
        Ok(all)
    } else {
        Err(GlobError::new("a `}` closes nothing", "write `\\}` for the character"))
    }
}

/// Reads up to the end of the text, or of the alternative when inside braces.
fn sequence(rest: &mut &[u8], depth: usize) -> Result<Vec<Vec<u8>>, GlobError> {
    let mut all = vec![Vec::new()];
    while let Some((&byte, after)) = rest.split_first() {
        match byte {
            b'\\' => {
                let taken = rest.len().min(2);
                push(&mut all, &rest[..taken]);
                *rest = &rest[taken..];
            }
            b'[' => {
                let taken = set_length(rest);
                push(&mut all, &rest[..taken]);
                *rest = &rest[taken..];
            }
            b'{' => {
                *rest = after;
                let inner = alternatives(rest, depth + 1)?;
                if all.len() * inner.len() > MAX_ALTERNATIVES {
                    return Err(GlobError::new(
                        format!("the pattern stands for more than {MAX_ALTERNATIVES} alternatives"),
                        "use fewer braces, or several entries",
                    ));
                }
                all = all
                    .iter()
                    .flat_map(|head| inner.iter().map(move |tail| [&head[..], tail].concat()))
                    .collect();
            }
            b'}' => return Ok(all),
            b',' if depth > 0 => return Ok(all),
            _ => {
                push(&mut all, &[byte]);
                *rest = after;
            }
        }
    }
    Ok(all)
}

fn alternatives(rest: &mut &[u8], depth: usize) -> Result<Vec<Vec<u8>>, GlobError> {
    if depth > 16 {
        return Err(GlobError::new("braces are nested more than 16 deep", "use several entries"));
    }
    let mut all = Vec::new();
    loop {
        all.extend(sequence(rest, depth)?);
        let Some((&byte, after)) = rest.split_first() else {
            return Err(GlobError::new(
                "a `{` is never closed",
                "close it, or write `\\{` for the character",
            ));
        };
        *rest = after;
        if byte == b'}' {
            return Ok(all);
        }
    }
}

fn push(all: &mut [Vec<u8>], bytes: &[u8]) {
    for text in all {
        text.extend_from_slice(bytes);
    }
}

/// Length of the `[..]` at the beginning of `text`; 1 when it is never closed, which is reported later.
pub(super) fn set_length(text: &[u8]) -> usize {
    let mut at = 1;
    if matches!(text.get(at), Some(b'!' | b'^')) {
        at += 1;
    }
    // A bracket in the first place is one of the characters.
    if text.get(at) == Some(&b']') {
        at += 1;
    }
    while let Some(byte) = text.get(at) {
        match byte {
            b']' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    1
}
