//! Where stolen goods would arrive. Every byte is kept.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::deadline;
use crate::namespace::Namespace;
use crate::secret::{Secrets, contains};

/// TCP ports that listen, on every address: metadata services and the places thieves like.
const TCP: [u16; 4] = [80, 8000, 8443, 9089];
/// Datagram ports that listen, on every address.
const UDP: [u16; 2] = [80, 8053];

/// What `settle` sends; not kept.
const PROBE: &[u8] = b"pkgwarden-tests: is everything here?";
/// How many of them it sends.
const PROBES: usize = TCP.len() + UDP.len();

/// Listeners in a namespace that record what they get and answer HTTP requests.
#[derive(Debug)]
pub struct Sink {
    shared: Arc<Shared>,
    listeners: Vec<JoinHandle<()>>,
    sockets: Vec<PathBuf>,
}

/// What one connection or datagram brought.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The address it was sent to; `unix` for a unix socket.
    pub to: String,
    /// All bytes.
    pub bytes: Vec<u8>,
}

#[derive(Debug, Default)]
struct Shared {
    deliveries: Mutex<Vec<Delivery>>,
    served: Mutex<BTreeMap<String, Vec<u8>>>,
    open: AtomicUsize,
    probes: AtomicUsize,
    closing: AtomicBool,
}

impl Sink {
    /// Listens on every address of the namespace.
    #[must_use]
    pub fn new(namespace: &Namespace) -> Self {
        let shared = Arc::new(Shared::default());
        let mut listeners = Vec::new();
        namespace.enter(|| {
            for port in TCP {
                let socket = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).expect("listen on a TCP port");
                let shared = Arc::clone(&shared);
                listeners.push(thread::spawn(move || accept_tcp(&socket, &shared)));
            }
            for port in UDP {
                let socket =
                    UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)).expect("listen on a datagram port");
                let shared = Arc::clone(&shared);
                listeners.push(thread::spawn(move || receive_udp(&socket, &shared)));
            }
        });
        Self { shared, listeners, sockets: Vec::new() }
    }

    /// Listens on a unix socket too.
    pub fn listen_unix(&mut self, path: &Path) {
        let socket =
            UnixListener::bind(path).unwrap_or_else(|why| panic!("listen on {}: {why}", path.display()));
        let shared = Arc::clone(&self.shared);
        self.listeners.push(thread::spawn(move || accept_unix(&socket, &shared)));
        self.sockets.push(path.to_owned());
    }

    /// Answers `GET path` with these bytes from now on.
    pub fn serve(&self, path: &str, bytes: Vec<u8>) {
        self.shared.served.lock().expect("served").insert(path.to_owned(), bytes);
    }

    /// Everything that arrived so far, after connections that are still open had time to end.
    ///
    /// # Panics
    /// If a connection stays open.
    #[must_use]
    pub fn received(&self) -> Vec<Delivery> {
        let settled = deadline::until(deadline::SOON, || self.shared.open.load(Ordering::SeqCst) == 0);
        assert!(settled, "a connection to the sink stays open");
        self.shared.deliveries.lock().expect("deliveries").clone()
    }

    /// Waits until everything that was sent before now has arrived: sends something after it, and waits for that.
    ///
    /// # Panics
    /// If it does not arrive.
    pub fn settle(&self, namespace: &Namespace) {
        let expected = self.shared.probes.load(Ordering::SeqCst) + PROBES;
        namespace.enter(|| {
            for port in TCP {
                let mut stream =
                    TcpStream::connect((Ipv6Addr::LOCALHOST, port)).expect("connect to the sink");
                stream.write_all(PROBE).expect("write to the sink");
            }
            let socket = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).expect("a datagram socket");
            for port in UDP {
                socket.send_to(PROBE, (Ipv6Addr::LOCALHOST, port)).expect("send to the sink");
            }
        });
        let settled =
            deadline::until(deadline::SOON, || self.shared.probes.load(Ordering::SeqCst) == expected);
        assert!(settled, "the sink does not answer");
    }

    /// The first secret that arrived, if any: what and how.
    #[must_use]
    pub fn leaked(&self, secrets: &Secrets) -> Option<String> {
        self.received().iter().find_map(|delivery| {
            let found = secrets.find_in(&delivery.bytes)?;
            Some(format!("{found} at {}", delivery.to))
        })
    }

    /// Stops listening; the namespace is needed to wake the listeners.
    pub(crate) fn close(&mut self, namespace: &Namespace) {
        self.shared.closing.store(true, Ordering::SeqCst);
        namespace.enter(|| {
            for port in TCP {
                TcpStream::connect((Ipv6Addr::LOCALHOST, port)).ok();
            }
            let socket = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).expect("a datagram socket");
            for port in UDP {
                socket.send_to(b"", (Ipv6Addr::LOCALHOST, port)).ok();
            }
        });
        for path in &self.sockets {
            UnixStream::connect(path).ok();
            fs::remove_file(path).ok();
        }
        for listener in self.listeners.drain(..) {
            listener.join().expect("a listener of the sink");
        }
    }
}

impl Shared {
    fn closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    fn record(&self, to: String, bytes: Vec<u8>) {
        if bytes == PROBE {
            self.probes.fetch_add(1, Ordering::SeqCst);
            return;
        }
        self.deliveries.lock().expect("deliveries").push(Delivery { to, bytes });
    }

    /// Reads a connection to its end, answering each HTTP request as it is complete.
    fn attend(self: Arc<Self>, to: String, mut stream: impl Read + Write + Send + 'static) {
        // Counted before the thread starts: `received` must not find the connection between two counts.
        self.open.fetch_add(1, Ordering::SeqCst);
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let mut answered = 0;
            let mut chunk = [0; 16 * 1024];
            while let Ok(count @ 1..) = stream.read(&mut chunk) {
                bytes.extend_from_slice(&chunk[..count]);
                if let Some(length) = request_length(&bytes[answered..]) {
                    let answer = self.answer(&bytes[answered..answered + length]);
                    answered += length;
                    if stream.write_all(&answer).is_err() {
                        break;
                    }
                }
            }
            self.record(to, bytes);
            self.open.fetch_sub(1, Ordering::SeqCst);
        });
    }

    fn answer(&self, request: &[u8]) -> Vec<u8> {
        let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let path = String::from_utf8_lossy(line).split(' ').nth(1).unwrap_or_default().to_owned();
        let body = self.served.lock().expect("served").get(&path).cloned().unwrap_or_else(|| b"ok".to_vec());
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        [head.into_bytes(), body].concat()
    }
}

/// Bytes of the HTTP request these bytes begin with, once it is whole.
fn request_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    if contains(text.as_bytes(), b"transfer-encoding: chunked") {
        let end = bytes[head..].windows(5).position(|window| window == b"0\r\n\r\n")?;
        return Some(head + end + 5);
    }
    let body = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let length = head + body.unwrap_or(0);
    (bytes.len() >= length).then_some(length)
}

fn accept_tcp(socket: &TcpListener, shared: &Arc<Shared>) {
    loop {
        let accepted = socket.accept();
        if shared.closing() {
            return;
        }
        let Ok((stream, _)) = accepted else { continue };
        // An idle client must not hold a test up.
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("set a read timeout");
        let to = stream.local_addr().map_or_else(|_| "tcp".to_owned(), readable);
        Arc::clone(shared).attend(to, stream);
    }
}

fn accept_unix(socket: &UnixListener, shared: &Arc<Shared>) {
    loop {
        let accepted = socket.accept();
        if shared.closing() {
            return;
        }
        let Ok((stream, _)) = accepted else { continue };
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("set a read timeout");
        Arc::clone(shared).attend("unix".to_owned(), stream);
    }
}

fn receive_udp(socket: &UdpSocket, shared: &Shared) {
    let to =
        socket.local_addr().map_or_else(|_| "udp".to_owned(), |address| format!("udp:{}", address.port()));
    let mut datagram = [0; 64 * 1024];
    loop {
        let got = socket.recv_from(&mut datagram);
        if shared.closing() {
            return;
        }
        if let Ok((count, _)) = got {
            shared.record(to.clone(), datagram[..count].to_vec());
        }
    }
}

/// An IPv4 address that came by an IPv6 socket is shown as what it is.
fn readable(address: SocketAddr) -> String {
    SocketAddr::new(address.ip().to_canonical(), address.port()).to_string()
}
