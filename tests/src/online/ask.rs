//! The smallest question to a name server: does it answer?

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::Duration;

/// How long one question waits. Who asks tries again.
const PATIENCE: Duration = Duration::from_millis(250);

/// Whether a name server answers, without an error, a question for the address of a name (RFC 1035, section 4.1).
pub(super) fn answers(server: IpAddr, name: &str) -> bool {
    let own: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((own, 0)).expect("a datagram socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("set a read timeout");
    let id = [0x70, 0x77];
    let mut question = [id.as_slice(), &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).expect("a short label"));
        question.extend_from_slice(label.as_bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    if socket.send_to(&question, (server, 53)).is_err() {
        return false;
    }
    let mut answer = [0; 4096];
    // Nobody may listen yet: then there is an error instead of an answer.
    let Ok((count, _)) = socket.recv_from(&mut answer) else { return false };
    count >= 12 && answer[..2] == id && answer[2] & 0x80 != 0 && answer[3] & 0xf == 0
}
