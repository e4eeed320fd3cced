//! Registries: verdaccio for npm, pypiserver for Python, and a sparse index of crates, which is files.

use std::fs;
use std::io::{Read, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::install::VERSION;
use crate::namespace::Namespace;
use crate::pack::{self, run};

use super::names::{CRATES, SHIPPED, Shipped};
use super::server::{Server, store};
use super::view::View;
use super::web::{NPM_PORT, PYPI_PORT};

/// Starts the npm registry and publishes packages from `tests/packages/npm/`.
pub(super) fn npm(internet: &Namespace, view: &View, folder: &Path, packages: &[&str]) -> Server {
    let home = folder.join("npm");
    fs::create_dir_all(&home).expect("make a directory for the npm registry");
    let config = home.join("config.yaml");
    let text = format!(
        "storage: {0}/storage\nauth: {{}}\nuplinks: {{}}\nweb: {{ enable: false }}\n\
         packages:\n  '**': {{ access: $all, publish: $all }}\n\
         log: {{ type: stdout, format: pretty, level: warn }}\n",
        home.display()
    );
    fs::write(&config, text).expect("write the npm registry's configuration");
    let listen = format!("127.0.0.1:{NPM_PORT}");
    let mut command = program("node");
    command.arg(store().join("npm/node_modules/verdaccio/bin/verdaccio"));
    command.args(["--listen", &listen, "--config"]).arg(&config).env("HOME", &home);
    let server = view.enter(internet, || Server::start("verdaccio", &mut command, &home));
    let server = server.wait(|| internet.enter(|| serves(NPM_PORT, "/-/ping")));

    for package in packages {
        publish_npm(internet, folder, &pack::npm(package, &home.join(package)));
    }
    server
}

/// Publishes a tarball or a directory in the npm registry.
pub(super) fn publish_npm(internet: &Namespace, folder: &Path, package: &Path) {
    let home = folder.join("npm");
    let listen = format!("127.0.0.1:{NPM_PORT}");
    // npm wants to be somebody before it publishes; the registry takes anybody.
    let somebody = home.join("npmrc");
    fs::write(&somebody, format!("//{listen}/:_authToken=anybody\n")).expect("write an npm configuration");
    let mut publish = program("npm");
    publish.arg("publish").arg(package).args(["--access", "public", "--ignore-scripts"]);
    publish.args(["--registry", &format!("http://{listen}/")]);
    publish.arg("--userconfig").arg(&somebody).env("HOME", &home).current_dir(&home);
    internet.enter(|| run(&mut publish));
}

/// Starts the Python index with packages from `tests/packages/pip/`.
pub(super) fn pypi(internet: &Namespace, view: &View, folder: &Path, packages: &[&str]) -> Server {
    let home = folder.join("pypi");
    let served = home.join("packages");
    fs::create_dir_all(&served).expect("make a directory for the Python index");
    for package in packages {
        let tarball = pack::sdist(package, &home.join(package));
        fs::rename(&tarball, served.join(tarball.file_name().expect("a file"))).expect("put it up");
    }
    let mut command = Command::new(store().join("python/bin/pypi-server"));
    command.args(["run", "--interface", "127.0.0.1", "--port", &PYPI_PORT.to_string()]);
    command.args(["--authenticate", ".", "--passwords", ".", "--disable-fallback"]).arg(&served);
    command.env("HOME", &home);
    let server = view.enter(internet, || Server::start("pypiserver", &mut command, &home));
    server.wait(|| internet.enter(|| serves(PYPI_PORT, "/simple/")))
}

/// Puts crates from `tests/packages/cargo/` and an index of them into the web server's folder.
pub(super) fn crates(folder: &Path, crates: &[&str]) {
    let site = folder.join("crates");
    let (own, _) = SHIPPED.iter().find(|(_, what)| *what == Shipped::Crates).expect("a site of crates");
    for (index, host) in [("index", CRATES), ("shipped", own)] {
        write(&site.join(index).join("config.json"), &format!("{{\"dl\":\"https://{host}/dl\"}}"));
    }
    for name in crates {
        let source = folder.join("sources").join(name);
        pack::copy("cargo", name, &source);
        let mut package = program("cargo");
        package
            .args(["package", "--quiet", "--offline", "--no-verify", "--allow-dirty"])
            .current_dir(&source);
        package.arg("--target-dir").arg(source.join("target")).env("HOME", folder);
        run(&mut package);
        let packed = source.join(format!("target/package/{name}-{VERSION}.crate"));
        let sum = Command::new("sha256sum").arg(&packed).output().expect("start sha256sum");
        let sum = String::from_utf8_lossy(&sum.stdout);
        let sum = sum.split(' ').next().unwrap_or_default();
        let entry = serde_json::json!({
            "name": name, "vers": VERSION, "deps": [], "cksum": sum, "features": {}, "yanked": false,
        });
        for index in ["index", "shipped"] {
            write(&site.join(index).join(place(name)), &format!("{entry}\n"));
        }
        let download = site.join(format!("dl/{name}/{VERSION}/download"));
        fs::create_dir_all(download.parent().expect("a folder")).expect("make a directory for a crate");
        fs::copy(&packed, &download).expect("put a crate up");
    }
}

/// Where an index keeps a crate with a name of four letters or more.
fn place(name: &str) -> PathBuf {
    assert!(name.len() >= 4, "shorter names are kept elsewhere");
    Path::new(&name[..2]).join(&name[2..4]).join(name)
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a file in a folder")).expect("make a directory for an index");
    fs::write(path, text).expect("write into an index");
}

/// A program of ours, in an environment that says only where programs are.
fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env_clear();
    for name in ["PATH", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    if let Some(toolchains) = crate::program::toolchains() {
        command.env("RUSTUP_HOME", toolchains);
    }
    command
}

/// Whether something answers this request well.
fn serves(port: u16, path: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    let asked = write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let mut answer = Vec::new();
    asked.is_ok() && stream.read_to_end(&mut answer).is_ok() && answer.windows(5).any(|five| five == b" 200 ")
}
