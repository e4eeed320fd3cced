//! Git repositories, by ssh and as files by HTTPS.

use std::fs::{self, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::home::Home;
use crate::namespace::Namespace;
use crate::pack::{self, run};

use super::names::FORGE;
use super::place::REGISTRIES;
use super::server::{Server, debian};
use super::view::View;

/// The account that owns all repositories. It is in the internet's `/etc/passwd`, and is root: the folders of a test are.
pub(super) const ACCOUNT: &str = "git:x:0:0:repositories:/:/bin/sh\nsshd:x:100:65534::/run/sshd:/bin/false\n";

/// Puts up packages from `tests/packages/npm/` as repositories, and starts an ssh server for whoever has the home's key.
pub(super) fn start(
    internet: &Namespace,
    view: &View,
    folder: &Path,
    home: &mut Home,
    packages: &[&str],
) -> Server {
    for package in packages {
        repository(folder, package);
    }
    let keys = folder.join("keys");
    fs::create_dir_all(&keys).expect("make a directory for keys");
    let host = key(&keys.join("host"));
    let user = key(&keys.join("user"));
    fs::write(keys.join("authorized"), &user).expect("write the authorized keys");
    introduce(home, &keys.join("user"), &host);

    let mut config = String::new();
    for address in REGISTRIES.both() {
        config += &format!("ListenAddress {}\n", std::net::SocketAddr::new(address, 22));
    }
    let path = std::env::var("PATH").unwrap_or_default();
    config += &format!("HostKey {0}/host\nAuthorizedKeysFile {0}/authorized\n", keys.display());
    config += "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n";
    config += &format!("PidFile none\nUseDNS no\nLogLevel VERBOSE\nSetEnv PATH={path}\n");
    fs::write(keys.join("config"), config).expect("write the ssh server's configuration");
    let mut command = debian("sshd");
    command.args(["-D", "-e", "-f"]).arg(keys.join("config"));
    let server = view.enter(internet, || {
        let empty = Path::new("/run/sshd");
        fs::create_dir_all(empty).expect("make the ssh server's empty directory");
        fs::set_permissions(empty, Permissions::from_mode(0o755)).expect("set its mode");
        Server::start("sshd", &mut command, folder)
    });
    server.wait(|| {
        internet
            .enter(|| REGISTRIES.both().into_iter().all(|address| TcpStream::connect((address, 22)).is_ok()))
    })
}

/// The address of a repository by ssh, as npm wants it.
pub(super) fn by_ssh(folder: &Path, package: &str) -> String {
    format!("git+ssh://git@{FORGE}{}", bare(folder, package).display())
}

/// The address of a repository by HTTPS, as npm wants it.
pub(super) fn by_https(package: &str) -> String {
    format!("git+https://{FORGE}/{package}.git")
}

fn bare(folder: &Path, package: &str) -> PathBuf {
    folder.join(format!("git/{package}.git"))
}

fn repository(folder: &Path, package: &str) {
    let work = folder.join("work").join(package);
    pack::copy("npm", package, &work);
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=x", "-c", "user.email=x@decoy.invalid"]).args(arguments);
        command.current_dir(&work).env_clear().env("HOME", folder);
        run(command.envs(std::env::var_os("PATH").map(|path| ("PATH", path))));
    };
    let bare = bare(folder, package);
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "everything"]);
    git(&["clone", "--quiet", "--bare", ".", &bare.display().to_string()]);
    // Clients that know nothing but files need a list of them.
    git(&["--git-dir", &bare.display().to_string(), "update-server-info"]);
}

/// Makes a key, and gives its public half.
fn key(path: &Path) -> String {
    run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"]).arg(path));
    fs::read_to_string(path.with_extension("pub")).expect("read a public key")
}

/// The home's user knows the forge, and is known there.
fn introduce(home: &mut Home, key: &Path, host: &str) {
    let ssh = home.path().join(".ssh");
    home.furnish_key(".ssh/id_ed25519", &fs::read_to_string(key).expect("read a key"));
    fs::copy(key.with_extension("pub"), ssh.join("id_ed25519.pub")).expect("copy a public key");
    fs::write(ssh.join("known_hosts"), format!("{FORGE} {host}")).expect("write the known hosts");
}
