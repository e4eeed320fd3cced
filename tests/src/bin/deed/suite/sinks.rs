//! Addresses at which stolen goods arrive. They only listen: what came is asked for after a run, when all its processes
//! are dead and nothing can be under way.

use std::io::{self, Read};
use std::net::{TcpListener, UdpSocket};
use std::sync::PoisonError;

use super::odd_sinks::OddSink;
use crate::nameserver::{self, Asked, NAMED};

/// Names, and addresses. Deeds use the same constants.
const TCP: [(&str, &str); 6] = [
    ("metadata", "169.254.169.254:80"),
    ("metadata6", "[fd00:ec2::254]:80"),
    ("abroad", "203.0.113.7:8000"),
    ("abroad6", "[2001:db8::7]:8000"),
    ("docker", "[::]:2375"),
    ("named", NAMED),
];
const UDP: [(&str, &str); 4] = [
    ("metadata-udp", "169.254.169.254:80"),
    ("metadata6-udp", "[fd00:ec2::254]:80"),
    ("abroad-udp", "203.0.113.7:8000"),
    ("abroad6-udp", "[2001:db8::7]:8000"),
];

/// What came.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) sink: &'static str,
    pub(super) bytes: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Sinks {
    listeners: Vec<(&'static str, TcpListener)>,
    sockets: Vec<(&'static str, UdpSocket)>,
    odd: Vec<OddSink>,
    asked: Asked,
}

impl Sinks {
    /// Opens all that this machine has an address for.
    pub(super) fn open() -> io::Result<Self> {
        let mut sinks = Self {
            listeners: Vec::new(),
            sockets: Vec::new(),
            odd: OddSink::open_all(),
            asked: nameserver::open(),
        };
        for (name, address) in TCP {
            match TcpListener::bind(address) {
                Ok(listener) => {
                    listener.set_nonblocking(true)?;
                    sinks.listeners.push((name, listener));
                }
                Err(why) => eprintln!("deed: no sink at {address}: {why}"),
            }
        }
        for (name, address) in UDP {
            match UdpSocket::bind(address) {
                Ok(socket) => {
                    socket.set_nonblocking(true)?;
                    sinks.sockets.push((name, socket));
                }
                Err(why) => eprintln!("deed: no datagram sink at {address}: {why}"),
            }
        }
        Ok(sinks)
    }

    /// Everything that came since the last time.
    pub(super) fn collect(&mut self) -> Vec<Delivery> {
        let mut came = Vec::new();
        for (sink, listener) in &self.listeners {
            while let Ok((mut stream, _)) = listener.accept() {
                let mut bytes = Vec::new();
                // The sender is dead: either its bytes are here, or none will come.
                stream.set_nonblocking(true).ok();
                stream.read_to_end(&mut bytes).ok();
                came.push(Delivery { sink, bytes });
            }
        }
        for (sink, socket) in &self.sockets {
            let mut datagram = [0; 64 * 1024];
            while let Ok((count, _)) = socket.recv_from(&mut datagram) {
                came.push(Delivery { sink, bytes: datagram[..count].to_vec() });
            }
        }
        let asked = std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner));
        came.extend(asked.into_iter().map(|(sink, bytes)| Delivery { sink, bytes }));
        for sink in &self.odd {
            came.extend(sink.collect().into_iter().map(|bytes| Delivery { sink: sink.name, bytes }));
        }
        came
    }
}
