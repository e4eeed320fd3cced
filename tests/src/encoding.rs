//! Ways to write bytes down, as thieves use them.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64 without padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    base64_over(STANDARD, bytes)
}

/// Base64 for addresses, without padding.
pub(crate) fn base64_url(bytes: &[u8]) -> String {
    base64_over(URL_SAFE, bytes)
}

fn base64_over(alphabet: &[u8; 64], bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0_u8; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let value = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
        for place in 0..=chunk.len() {
            let index = (value >> (18 - 6 * place)) & 63;
            text.push(char::from(alphabet[index as usize]));
        }
    }
    text
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every byte as `%xx`.
pub(crate) fn percent(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02x}")).collect()
}

/// What comes out of each gzip stream that begins somewhere in these bytes, as far as it is whole.
pub(crate) fn gunzip(bytes: &[u8]) -> Vec<Vec<u8>> {
    let magic = [0x1f, 0x8b, 8];
    let starts = bytes.windows(magic.len()).enumerate().filter(|(_, window)| *window == magic);
    starts.map(|(start, _)| gunzip_one(&bytes[start..])).filter(|plain| !plain.is_empty()).collect()
}

/// `gzip` gives what it can and complains about the rest, which is not of interest.
fn gunzip_one(bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip")
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("start gzip");
    let mut input = child.stdin.take().expect("gzip has a standard input");
    let mut output = child.stdout.take().expect("gzip has a standard output");
    let mut plain = Vec::new();
    thread::scope(|scope| {
        scope.spawn(move || {
            // gzip stops reading at the end of the stream; what follows it is not for us.
            input.write_all(bytes).ok();
        });
        output.read_to_end(&mut plain).expect("read from gzip");
    });
    child.wait().expect("wait for gzip");
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_agrees_with_the_standard() {
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"f"), "Zg");
        assert_eq!(base64(b"fo"), "Zm8");
        assert_eq!(base64(b"foobar"), "Zm9vYmFy");
        assert_eq!(base64_url(&[0xfb, 0xff]), "-_8");
    }
}
