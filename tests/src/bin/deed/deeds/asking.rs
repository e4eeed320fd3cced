//! For packages of the tests: names asked for, and files posted, by calls that node and python have no words for.
//!
//! They are no deeds of the suite: they need a resolver and a web server.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use super::if_there;
use super::sockets::{Address, datagram, message, part, stream};
use crate::Failure;
use crate::kernel::{checked, syscall};

/// Bytes of a secret in one label: in hexadecimal 60 of the 63 characters it may have.
const PORTION: usize = 30;
/// A resolver and a web server answer sooner.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks a resolver for names that spell a file, all of them by one `sendmmsg`, and waits for the first answer.
pub(crate) fn ask_at_once(resolver: &str, file: &str, domain: &str) -> Result<(), Failure> {
    let resolver = Address::of(resolver)?;
    let socket = datagram(resolver.family())?;
    let queries = spell(&fs::read(file)?, domain)?;
    let mut parts: Vec<libc::iovec> = queries.iter().map(|query| part(query)).collect();
    let mut messages: Vec<libc::mmsghdr> = parts
        .iter_mut()
        .map(|part| libc::mmsghdr { msg_hdr: message(&resolver, part), msg_len: 0 })
        .collect();
    let (fd, pointer, count) = (socket.as_raw_fd(), messages.as_mut_ptr(), messages.len());
    // SAFETY: as many messages as the length says; their parts and the address live.
    let sent = unsafe { syscall!(libc::SYS_sendmmsg, fd, pointer, count, 0) }?;
    if usize::try_from(sent)? != count {
        return Err(format!("{sent} of {count} queries were sent").into());
    }
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.recv(&mut [0; 512])?;
    Ok(())
}

/// Posts a file over a connection that nobody asked `connect` for.
pub(crate) fn post_early(address: &str, file: &str) -> Result<(), Failure> {
    let to = Address::of(address)?;
    let body = fs::read(file)?;
    let head = format!("POST / HTTP/1.1\r\nHost: sink\r\nContent-Length: {}\r\n\r\n", body.len());
    let request = [head.into_bytes(), body].concat();
    let socket: OwnedFd = stream(to.family(), 0)?;
    let (pointer, length) = (request.as_ptr().cast(), request.len());
    // SAFETY: the buffer and the address live and have the lengths given.
    let sent = unsafe {
        libc::sendto(socket.as_raw_fd(), pointer, length, libc::MSG_FASTOPEN, to.pointer(), to.length())
    };
    let sent = usize::try_from(if_there("MSG_FASTOPEN", checked(sent as i64))?)?;
    let mut stream = TcpStream::from(socket);
    stream.write_all(&request[sent..])?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.read_exact(&mut [0; 12])?;
    Ok(())
}

/// Queries for `NUMBER.PORTION.DOMAIN`, in order.
fn spell(bytes: &[u8], domain: &str) -> Result<Vec<Vec<u8>>, Failure> {
    let portions = bytes.chunks(PORTION).enumerate();
    portions
        .map(|(number, portion)| {
            let digits: String = portion.iter().map(|byte| format!("{byte:02x}")).collect();
            query(u16::try_from(number)?, &format!("{number}.{digits}.{domain}"))
        })
        .collect()
}

/// A query for an IPv4 address, recursion desired (RFC 1035, section 4.1).
fn query(id: u16, name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len())?);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.extend([0, 0, 1, 0, 1]);
    Ok(bytes)
}
