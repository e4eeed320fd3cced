//! What connections say first.

use monitor_common::dns::message::question;
use monitor_common::dns::name::LONGEST;
use monitor_common::hello::{Cut, host};
use proptest::prelude::*;

const SEED: u64 = 3;

fn vector(width: usize, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_be_bytes();
    [&length[8 - width..], content].concat()
}

/// A ClientHello with these extensions.
fn hello(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let all: Vec<u8> = extensions
        .iter()
        .flat_map(|(kind, data)| [kind.to_be_bytes().to_vec(), vector(2, data)].concat())
        .collect();
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend(vector(1, &[9; 32]));
    body.extend(vector(2, &[0x13, 1, 0x13, 2]));
    body.extend(vector(1, &[0]));
    body.extend(vector(2, &all));
    let handshake = [vec![1], vector(3, &body)].concat();
    [vec![22, 3, 1], vector(2, &handshake)].concat()
}

fn server_name(name: &str) -> (u16, Vec<u8>) {
    (0, vector(2, &[vec![0], vector(2, name.as_bytes())].concat()))
}

fn said(payload: &[u8]) -> Result<Option<String>, Cut> {
    let mut text = [0; LONGEST as usize];
    let host = host(payload, SEED, &mut text)?;
    Ok(host.map(|(name, _)| String::from_utf8(name.to_vec()).unwrap()))
}

fn name(text: &str) -> Result<Option<String>, Cut> {
    Ok(Some(text.to_owned()))
}

#[test]
fn the_server_name_is_found_among_extensions() {
    let key_share = (51, vec![1; 1200]);
    assert_eq!(said(&hello(&[server_name("Registry.Example.")])), name("registry.example"));
    assert_eq!(said(&hello(&[(43, vec![2, 3, 4]), key_share, server_name("a.example")])), name("a.example"));
    assert_eq!(said(&hello(&[(43, vec![2, 3, 4])])), Ok(None));
    assert_eq!(said(&hello(&[])), Ok(None));
}

#[test]
fn a_hello_in_pieces_is_no_name_and_not_nothing() {
    let whole = hello(&[(51, vec![1; 100]), server_name("a.example")]);
    for end in 2..whole.len() {
        assert_eq!(said(&whole[..end]), Err(Cut), "{end}");
    }
    // The same in two records.
    let (first, second) = whole[5..].split_at(60);
    let records = [vec![22, 3, 1], vector(2, first), vec![22, 3, 1], vector(2, second)].concat();
    assert_eq!(said(&records), Err(Cut));
    let mut two = server_name("a.example");
    two.1.extend([0, 0, 1, b'b']);
    assert_eq!(said(&hello(&[two])), Err(Cut), "more than one name");
}

#[test]
fn the_host_of_a_request_is_found() {
    let request = "GET /x?host: HTTP/1.1\r\nAccept: */*\r\nX-Host: no\r\nhOsT: \tA.Example.:8080\r\n\r\nHost: b.example";
    assert_eq!(said(request.as_bytes()), name("a.example"));
    assert_eq!(said(b"POST / HTTP/1.1\nHost:a.example\n\n"), name("a.example"));
    assert_eq!(said(b"GET / HTTP/1.0\r\n\r\nHost: b.example\r\n"), Ok(None));
    assert_eq!(said(b"GET / HTTP/1.1\r\nHost: 203.0.113.7\r\n\r\n"), Ok(None));
    assert_eq!(said(b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"), Ok(None));
    for cut in ["GET / HTTP/1.1\r\nHo", "GET / HTTP/1.1\r\nHost: a.exam", "PUT / HTTP/1.1\r\nAccept: x\r\n"] {
        assert_eq!(said(cut.as_bytes()), Err(Cut), "{cut}");
    }
}

#[test]
fn other_protocols_say_nothing() {
    for other in [&b"SSH-2.0-OpenSSH\r\n"[..], b"", b"\x17\x03\x03", b"token", b"PRI * HTTP/2.0\r\n\r\n"] {
        assert_eq!(said(other), Ok(None));
    }
    assert_eq!(said(b"\x16"), Err(Cut));
    assert_eq!(said(b"GE"), Err(Cut));
}

#[test]
fn a_name_has_one_hash_wherever_it_is_met() {
    let mut text = [0; LONGEST as usize];
    let (_, hash) = host(&hello(&[server_name("A.b.Example")]), SEED, &mut text).unwrap().unwrap();
    let wire = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x01a\x01B\x07example\0\0\x01\0\x01";
    assert_eq!(question(wire, SEED).unwrap().walk.name(), hash);
}

proptest! {
    #[test]
    fn nothing_breaks_it(bytes in proptest::collection::vec(any::<u8>(), 0..400), tls in any::<bool>()) {
        let begin = if tls { hello(&[server_name("a.example")])[..44].to_vec() } else { b"GET ".to_vec() };
        let _ = said_bytes(&[begin, bytes].concat());
    }
}

fn said_bytes(payload: &[u8]) -> bool {
    let mut text = [0; LONGEST as usize];
    matches!(host(payload, SEED, &mut text), Ok(Some((name, _))) if !name.is_empty())
}
