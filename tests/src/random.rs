//! Random content for decoys: different in every run, worth nothing anywhere.

use std::fs::File;
use std::io::Read;

/// Letters and digits.
pub(crate) const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// The alphabet of access key ids.
pub(crate) const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Lower-case hexadecimal digits.
pub(crate) const HEX: &[u8] = b"0123456789abcdef";

/// Random bytes.
pub(crate) fn bytes(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    let mut source = File::open("/dev/urandom").expect("open /dev/urandom");
    source.read_exact(&mut bytes).expect("read /dev/urandom");
    bytes
}

/// A random word over an alphabet.
pub(crate) fn word(alphabet: &[u8], length: usize) -> String {
    bytes(length).iter().map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()])).collect()
}
