//! The web: one nginx for all sites, by TLS. What is posted to a site, allowed or not, is passed on to the sink.

use std::fmt::Write;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::namespace::Namespace;

use super::authority::{Authority, Certificate};
use super::names::{CRATES, FILES, FORGE, HARBOURS, NPM, PYPI, SHARED_THIEF, SHIPPED, Shipped, THIEF_DOMAIN};
use super::place::{Place, REGISTRIES, SHARED, THIEF, crowd};
use super::server::{Server, debian};
use super::view::View;

/// Where the npm registry listens, behind nginx.
pub(super) const NPM_PORT: u16 = 4873;
/// Where the Python index listens, behind nginx.
pub(super) const PYPI_PORT: u16 = 8081;

/// Passed on to the sink: who was called, by which name, and what was said.
const TAKE: &str = "proxy_pass http://127.0.0.1:8000; proxy_set_header Host $host; \
                    proxy_set_header X-Reached $server_addr; proxy_set_header X-Name $ssl_server_name;";

/// The web server.
#[derive(Debug)]
pub(super) struct Web {
    _server: Server,
    folder: PathBuf,
}

/// A request that arrived at a site.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Arrival {
    /// The address that was called.
    pub server: String,
    /// The name the client gave when it began TLS.
    pub sni: String,
    /// The name in the request.
    pub host: String,
    /// `GET /path HTTP/1.1`.
    pub line: String,
    /// What was answered.
    pub status: u16,
    /// Length of the request.
    pub bytes: u64,
}

impl Web {
    /// Starts it. Sites without a server behind them serve the folders `crates`, `files` and `git` in `folder`.
    pub(super) fn start(internet: &Namespace, view: &View, folder: &Path, authority: &Authority) -> Self {
        for name in ["crates", "files", "git", "temporary"] {
            fs::create_dir_all(folder.join(name)).expect("make a directory for a site");
        }
        let shipped = SHIPPED.iter().map(|(name, _)| *name);
        let ours: Vec<&str> = ["*.packages.example", "*.edge.example"].into_iter().chain(shipped).collect();
        let ours = authority.vouch("packages", &ours);
        let domain = format!("*.{THIEF_DOMAIN}");
        let harbours: Vec<String> = HARBOURS.iter().map(|name| format!("*.{name}")).collect();
        let names: Vec<&str> = [domain.as_str()]
            .into_iter()
            .chain(HARBOURS)
            .chain(harbours.iter().map(String::as_str))
            .collect();
        let theirs = authority.vouch("thief", &names);
        let config = folder.join("nginx.conf");
        fs::write(&config, configuration(folder, &ours, &theirs)).expect("write nginx's configuration");
        let mut command = debian("nginx");
        command.arg("-p").arg(folder).arg("-c").arg(&config).args(["-e", "stderr"]);
        let server = view.enter(internet, || Server::start("nginx", &mut command, folder));
        let places = [REGISTRIES, SHARED, THIEF];
        let addresses: Vec<SocketAddr> =
            places.iter().flat_map(|place| place.both()).map(|address| (address, 443).into()).collect();
        let server = server
            .wait(|| internet.enter(|| addresses.iter().all(|address| TcpStream::connect(address).is_ok())));
        Self { _server: server, folder: folder.to_owned() }
    }

    /// Every request that was answered so far.
    pub(super) fn arrivals(&self) -> Vec<Arrival> {
        let text = fs::read_to_string(self.folder.join("arrivals.log")).expect("read nginx's log");
        // The last line may not be whole yet.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).expect("read a line of nginx's log")).collect()
    }
}

fn configuration(folder: &Path, ours: &Certificate, theirs: &Certificate) -> String {
    let path = folder.display();
    let mut text = format!(
        "daemon off;\nuser root;\nworker_processes 1;\npid {path}/nginx.pid;\nerror_log stderr warn;\n\
         events {{ worker_connections 512; }}\nhttp {{\n\
         log_format arrivals escape=json '{{\"server\":\"$server_addr\",\"sni\":\"$ssl_server_name\",\
         \"host\":\"$host\",\"line\":\"$request\",\"status\":$status,\"bytes\":$request_length}}';\n\
         access_log {path}/arrivals.log arrivals;\nclient_max_body_size 64m;\n\
         default_type application/octet-stream;\nserver_names_hash_bucket_size 128;\n"
    );
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(text, "{kind}_temp_path {path}/temporary/{kind};").expect("write to a string");
    }
    let behind = |port: u16| {
        format!(
            "location = /collect {{ {TAKE} }}\nlocation / {{ proxy_pass http://127.0.0.1:{port}; \
             proxy_set_header Host $host; proxy_set_header X-Forwarded-Proto https; }}"
        )
    };
    // A site of files cannot take anything, so that goes to the sink.
    let of_files = |name: &str| {
        format!(
            "root {path}/{name};\nerror_page 405 = @taken;\nlocation @taken {{ {TAKE} }}\nlocation / {{ }}"
        )
    };
    let thief = format!("location = /alive {{ return 401; }}\nlocation / {{ {TAKE} }}");
    let listed: Vec<Place> = crowd().collect();
    let thief_names = format!("*.{THIEF_DOMAIN} {}", HARBOURS.map(|name| format!(".{name}")).join(" "));
    let shipped = |what: Shipped| {
        let names = SHIPPED.iter().filter(|(_, shipped)| *shipped == what).map(|(name, _)| *name);
        names.collect::<Vec<&str>>().join(" ")
    };
    let npm = format!("{NPM} {}", shipped(Shipped::Npm));
    let pypi = format!("{PYPI} {}", shipped(Shipped::Pypi));
    let index = shipped(Shipped::Index);
    let crates = shipped(Shipped::Crates);
    for (place, names, certificate, content) in [
        (&[SHARED][..], npm.as_str(), ours, behind(NPM_PORT)),
        (&[REGISTRIES][..], pypi.as_str(), ours, behind(PYPI_PORT)),
        (&[REGISTRIES][..], index.as_str(), ours, of_files("crates/shipped")),
        (&[REGISTRIES][..], crates.as_str(), ours, of_files("crates")),
        (&[REGISTRIES][..], FORGE, ours, of_files("git")),
        (&listed[..], CRATES, ours, of_files("crates")),
        (&[SHARED][..], FILES, ours, of_files("files")),
        (&[SHARED][..], SHARED_THIEF, theirs, thief.clone()),
        (&[THIEF][..], thief_names.as_str(), theirs, thief.clone()),
    ] {
        let key = certificate.key.display();
        let certificate = certificate.certificate.display();
        text += "server {\n";
        for address in place.iter().flat_map(|place| place.both()) {
            writeln!(text, "listen {} ssl http2;", socket(address)).expect("write to a string");
        }
        text += &format!("server_name {names};\nssl_certificate {certificate};\n");
        text += &format!("ssl_certificate_key {key};\n{content}\n}}\n");
    }
    text + "}\n"
}

fn socket(address: IpAddr) -> SocketAddr {
    (address, 443).into()
}
