//! An internet of one's own: real servers, with names, certificates and public addresses, in two network namespaces.
//!
//! The machine, where installs run, is behind one end of a wire; everybody else is behind the other. Nothing in it leads
//! out. The machine's `/etc/resolv.conf` and a few files more are other ones there, by a mount namespace.

mod ask;
mod authority;
mod forge;
pub mod names;
pub mod place;
mod registry;
mod server;
mod view;
mod web;
mod wire;

use std::fs;
use std::path::{Path, PathBuf};

use self::authority::Authority;
use self::names::{Names, Question};
use self::place::{Family, RESOLVER};
use self::server::Server;
pub use self::server::store as servers;
use self::view::View;
pub use self::web::Arrival;
use self::web::Web;
use crate::home::Home;
use crate::namespace::Namespace;
use crate::program::Program;

/// The internet of a test, and the machine's view of it. Fields are dropped in order: servers first.
#[derive(Debug)]
pub struct Online {
    more: Vec<Server>,
    web: Web,
    names: Names,
    authority: Authority,
    near: View,
    far: View,
    internet: Namespace,
    folder: PathBuf,
}

impl Online {
    /// Connects a machine, with a resolver and a web server at the other end.
    pub(crate) fn connect(machine: &Namespace, home: &Home, folder: &Path, family: Family) -> Self {
        let internet = Namespace::bare();
        wire::connect(machine, &internet);
        let servers = folder.join("internet");
        fs::create_dir_all(&servers).expect("make a directory for servers");
        let near = View::new(&folder.join("etc"), &machine_files(home, family), &[]);
        let accounts = machine_file("/etc/passwd") + forge::ACCOUNT;
        let far = View::new(&folder.join("far-etc"), &[("/etc/passwd", accounts)], &["/run"]);
        let authority = Authority::new(&folder.join("authority"));
        let certificate = authority.vouch("resolver", &[names::DOH]);
        let names = Names::start(&internet, &far, &servers, family, &certificate);
        let web = Web::start(&internet, &far, &servers, &authority);
        Self { more: Vec::new(), web, names, authority, near, far, internet, folder: servers }
    }

    /// Where the servers live.
    #[must_use]
    pub fn internet(&self) -> &Namespace {
        &self.internet
    }

    /// Does something on the machine: in its network, with its files.
    pub(crate) fn enter<T: Send>(&self, machine: &Namespace, act: impl FnOnce() -> T + Send) -> T {
        self.near.enter(machine, act)
    }

    /// Starts an npm registry with these packages of `tests/packages/npm/`.
    pub fn npm(&mut self, packages: &[&str]) {
        self.more.push(registry::npm(&self.internet, &self.far, &self.folder, packages));
    }

    /// Publishes a package, a directory, in the npm registry that was started before.
    pub fn publish_npm(&self, package: &Path) {
        registry::publish_npm(&self.internet, &self.folder, package);
    }

    /// Starts a Python index with these packages of `tests/packages/pip/`.
    pub fn pypi(&mut self, packages: &[&str]) {
        self.more.push(registry::pypi(&self.internet, &self.far, &self.folder, packages));
    }

    /// Puts up these crates of `tests/packages/cargo/`.
    pub fn crates(&mut self, crates: &[&str]) {
        registry::crates(&self.folder, crates);
    }

    /// Puts up these packages of `tests/packages/npm/` as git repositories, by ssh and HTTPS, for the owner of the home.
    pub fn forge(&mut self, home: &mut Home, packages: &[&str]) {
        self.more.push(forge::start(&self.internet, &self.far, &self.folder, home, packages));
    }

    /// The names managers ask for when nobody has configured them.
    pub fn shipped() -> impl Iterator<Item = &'static str> {
        names::SHIPPED.iter().map(|(name, _)| *name)
    }

    /// The address of a repository by ssh, as npm wants it.
    #[must_use]
    pub fn by_ssh(&self, package: &str) -> String {
        forge::by_ssh(&self.folder, package)
    }

    /// The address of a repository by HTTPS, as npm wants it.
    #[must_use]
    pub fn by_https(&self, package: &str) -> String {
        forge::by_https(package)
    }

    /// Puts a file up for download from [`names::FILES`].
    pub fn put_up(&self, name: &str, content: &[u8]) {
        fs::write(self.folder.join("files").join(name), content).expect("put a file up");
    }

    /// Puts an installer that is not pip, uv, where its own installer would, and gives the path.
    #[must_use]
    pub fn uv(&self, home: &Home) -> PathBuf {
        let path = home.path().join(".local/bin/uv");
        fs::copy(servers().join("python/bin/uv"), &path).expect("copy uv");
        path
    }

    /// What the machine's resolver was asked so far.
    #[must_use]
    pub fn resolved(&self) -> Vec<Question> {
        self.names.resolved()
    }

    /// What the thief's name server was asked so far, directly or by the resolver.
    #[must_use]
    pub fn told_thief(&self) -> Vec<Question> {
        self.names.told_thief()
    }

    /// Every request to a site that was answered so far.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.web.arrivals()
    }

    /// Waits until the name servers have noted all that was sent before now.
    pub(crate) fn settle(&self) {
        self.names.settle(&self.internet);
    }

    /// Makes a program trust the authority, and nothing of what the machine is configured for.
    pub(crate) fn adapt(&self, program: Program) -> Program {
        let trusted = self.authority.certificate();
        let program = program.without_machine();
        let variables = [
            "NODE_EXTRA_CA_CERTS",
            "npm_config_cafile",
            "SSL_CERT_FILE",
            "CURL_CA_BUNDLE",
            "REQUESTS_CA_BUNDLE",
            "PIP_CERT",
            "CARGO_HTTP_CAINFO",
            "GIT_SSL_CAINFO",
        ];
        let program = variables.iter().fold(program, |program, name| program.env(name, &trusted));
        program.env("PIP_DISABLE_PIP_VERSION_CHECK", "1").env("PIP_ROOT_USER_ACTION", "ignore")
    }
}

/// Files of the machine as they are in this world.
fn machine_files(home: &Home, family: Family) -> [(&'static str, String); 4] {
    let servers: String =
        RESOLVER.of(family).iter().map(|address| format!("nameserver {address}\n")).collect();
    let hosts = "127.0.0.1 localhost\n::1 localhost ip6-localhost\n".to_owned();
    let order = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\n".to_owned();
    // ssh asks this file for the home, not the environment.
    let passwd = machine_file("/etc/passwd");
    let others: String =
        passwd.lines().filter(|line| !line.starts_with("root:")).map(|line| format!("{line}\n")).collect();
    let passwd = format!("root:x:0:0:root:{}:/bin/sh\n{others}", home.path().display());
    [
        ("/etc/resolv.conf", format!("{servers}options timeout:2 attempts:3\n")),
        ("/etc/hosts", hosts),
        ("/etc/nsswitch.conf", order),
        ("/etc/passwd", passwd),
    ]
}

fn machine_file(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|why| panic!("read {path}: {why}"))
}

/// Makes managers use the registries of the internet that have names of their own, as the user of a home does it.
pub(crate) fn configure(home: &Home) {
    use self::names::{CRATES, NPM, PYPI};

    let npmrc = home.path().join(".npmrc");
    let known = fs::read_to_string(&npmrc).expect("read the home's npm configuration");
    fs::write(&npmrc, format!("{known}registry=https://{NPM}/\n")).expect("write an npm configuration");
    let write = |name: &str, text: &str| {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().expect("a file in the home")).expect("make a directory");
        fs::write(path, text).expect("write a configuration");
    };
    write(".config/pip/pip.conf", &format!("[global]\nindex-url = https://{PYPI}/simple/\n"));
    write(
        ".config/uv/uv.toml",
        &format!("[[index]]\nname = \"ours\"\nurl = \"https://{PYPI}/simple/\"\ndefault = true\n"),
    );
    write(
        ".cargo/config.toml",
        &format!(
            "[source.crates-io]\nreplace-with = \"ours\"\n\n[source.ours]\n\
             registry = \"sparse+https://{CRATES}/index/\"\n"
        ),
    );
}
