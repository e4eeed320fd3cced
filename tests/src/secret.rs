//! The decoy secrets of one home, and the search for them in what left it.

use crate::encoding::{base64, base64_url, gunzip, hex, percent};

/// Secrets by the file that holds them.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    known: Vec<Secret>,
}

#[derive(Clone, Debug)]
struct Secret {
    place: String,
    value: Vec<u8>,
}

impl Secrets {
    /// Adds a secret: the bytes that must not be seen elsewhere.
    pub fn add(&mut self, place: &str, value: &[u8]) {
        assert!(value.len() >= 16, "a secret this short ({place}) could turn up by chance");
        self.known.push(Secret { place: place.to_owned(), value: value.to_vec() });
    }

    /// The value of the first secret of a file.
    #[must_use]
    pub fn of(&self, place: &str) -> &[u8] {
        let found = self.known.iter().find(|secret| secret.place == place);
        &found.unwrap_or_else(|| panic!("the home holds no secret in {place}")).value
    }

    /// Looks for any secret, plain or written in base64, hexadecimal or percent signs, gzipped or not.
    /// Says where it came from and how it was written.
    #[must_use]
    pub fn find_in(&self, bytes: &[u8]) -> Option<String> {
        self.find_plain(bytes).or_else(|| {
            let found = gunzip(bytes).iter().find_map(|plain| self.find_plain(plain));
            found.map(|found| format!("{found}, gzipped"))
        })
    }

    fn find_plain(&self, bytes: &[u8]) -> Option<String> {
        let lower = bytes.to_ascii_lowercase();
        self.known.iter().find_map(|secret| {
            let how = secret.written_in(bytes, &lower)?;
            Some(format!("the secret of {} ({how})", secret.place))
        })
    }
}

impl Secret {
    fn written_in(&self, bytes: &[u8], lower: &[u8]) -> Option<&'static str> {
        if contains(bytes, &self.value) {
            return Some("plain");
        }
        if contains(lower, hex(&self.value).as_bytes()) {
            return Some("hexadecimal");
        }
        if contains(lower, percent(&self.value).as_bytes()) {
            return Some("percent signs");
        }
        // Base64 depends on where in the stream the secret begins: try the three places, without the digits at both
        // ends that neighbours have a part in.
        let in_base64 = (0..3).any(|shift| {
            let skipped = (3 - shift) % 3;
            let whole = self.value.len() - (self.value.len() - skipped) % 3;
            let inner = &self.value[skipped..whole];
            contains(bytes, base64(inner).as_bytes()) || contains(bytes, base64_url(inner).as_bytes())
        });
        in_base64.then_some("base64")
    }
}

/// Whether `needle` occurs in `hay`.
pub(crate) fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    fn secrets() -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add("~/.token", b"npm_0123456789abcdefABCDEF");
        secrets
    }

    #[test]
    fn finds_each_way_of_writing() {
        let value = b"npm_0123456789abcdefABCDEF";
        for before in ["", "x", "xy", "xyz"] {
            let text = [before.as_bytes(), value, b"tail"].concat();
            for written in [text.clone(), base64(&text).into_bytes(), hex(&text).to_uppercase().into_bytes()]
            {
                let found = secrets().find_in(&[b"{\"a\":\"".as_slice(), &written, b"\"}"].concat());
                assert!(found.is_some(), "not found in {}", String::from_utf8_lossy(&written));
            }
        }
        assert!(secrets().find_in(percent(value).as_bytes()).is_some());
        assert_eq!(secrets().find_in(b"npm_0123456789abcdefABCDEx"), None);
        assert_eq!(secrets().find_in(b""), None);
    }

    #[test]
    fn finds_what_is_gzipped() {
        let mut child =
            Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start gzip");
        child.stdin.take().expect("input").write_all(b"t=npm_0123456789abcdefABCDEF").expect("write to gzip");
        let zipped = child.wait_with_output().expect("wait for gzip").stdout;
        let request = [b"POST / HTTP/1.1\r\n\r\n".as_slice(), &zipped].concat();
        let found = secrets().find_in(&request).expect("found");
        assert!(found.contains("gzipped"), "{found}");
    }
}
