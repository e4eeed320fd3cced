//! A name server of the suite's own, outside of every tree: the machine's resolver, and somebody else's. It notes what it
//! was asked before it answers, so whoever got an answer has been heard.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// The machine's resolver.
pub(crate) const RESOLVER: &str = "127.0.0.53:53";
/// Likewise.
pub(crate) const RESOLVER6: &str = "[::1]:53";
/// An address of the machine's configuration at which nobody listens.
pub(crate) const UNUSED: &str = "127.0.0.1:53";
/// Somebody else's resolver.
pub(crate) const FOREIGN: &str = "203.0.113.7:53";
/// Where every name leads.
pub(crate) const NAMED: &str = "203.0.113.9:8000";
/// What the machine's programs are told.
pub(crate) const CONFIGURATION: &str = "nameserver 127.0.0.53\nnameserver ::1\nnameserver 127.0.0.1\n";

const SERVERS: [(&str, &str); 3] =
    [("resolver", RESOLVER), ("resolver", RESOLVER6), ("foreign-resolver", FOREIGN)];

/// What was asked, and where.
pub(crate) type Asked = Arc<Mutex<Vec<(&'static str, Vec<u8>)>>>;

/// Starts all servers that this machine has an address for.
pub(crate) fn open() -> Asked {
    let asked = Asked::default();
    for (name, address) in SERVERS {
        if let Err(why) = serve(name, address, &asked) {
            eprintln!("deed: no resolver at {address}: {why}");
        }
    }
    asked
}

fn serve(name: &'static str, address: &str, asked: &Asked) -> io::Result<()> {
    let (socket, listener) = (UdpSocket::bind(address)?, TcpListener::bind(address)?);
    let notes = asked.clone();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            note(&notes, name, &buffer[..length]);
            // Whoever is gone needs no answer.
            let _ = socket.send_to(&reply(&buffer[..length]), from);
        }
    });
    let notes = asked.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let notes = notes.clone();
            thread::spawn(move || converse(stream, name, &notes));
        }
    });
    Ok(())
}

/// One connection: each message is answered when it is whole.
fn converse(mut stream: TcpStream, name: &'static str, asked: &Asked) {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        all.extend_from_slice(&buffer[..length]);
        while let Some(message) = take_message(&mut all) {
            note(asked, name, &message);
            let reply = reply(&message);
            let framed = [&(reply.len() as u16).to_be_bytes()[..], &reply].concat();
            let _ = stream.write_all(&framed);
        }
    }
}

fn take_message(all: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = usize::from(u16::from_be_bytes([*all.first()?, *all.get(1)?])) + 2;
    (all.len() >= length).then(|| all.drain(..length).skip(2).collect())
}

fn note(asked: &Asked, name: &'static str, message: &[u8]) {
    asked.lock().unwrap_or_else(PoisonError::into_inner).push((name, message.to_vec()));
}

/// An answer to a query; what is none is sent back as it came.
fn reply(message: &[u8]) -> Vec<u8> {
    if question(message).is_none() {
        return message.to_vec();
    }
    let named: SocketAddr = NAMED.parse().unwrap_or(([0, 0, 0, 0], 0).into());
    answer(message, &named)
}

/// An answer to a query for IPv4: the address of `to`.
pub(crate) fn answer(query: &[u8], to: &SocketAddr) -> Vec<u8> {
    let Some((end, kind)) = question(query) else { return Vec::new() };
    let (IpAddr::V4(address), 1) = (to.ip(), kind) else {
        return [&query[..2], &[0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0], &query[12..end]].concat();
    };
    let record = [&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4], &address.octets()[..]].concat();
    [&query[..2], &[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0], &query[12..end], &record].concat()
}

/// Where the question of a query ends, and its type.
fn question(query: &[u8]) -> Option<(usize, u16)> {
    let mut at = 12;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1 + length;
        if length == 0 {
            break;
        }
    }
    let kind = query.get(at..at + 4)?;
    Some((at + 4, u16::from_be_bytes([kind[0], kind[1]])))
}
