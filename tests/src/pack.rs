//! Packages in the form that package managers take.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::install::VERSION;
use crate::program::{deed, packages};

/// A copy of a package from `tests/packages/`, in `folder`. A package that lists `deed` in a file named `needs` gets
/// the program.
pub fn copy(ecosystem: &str, name: &str, folder: &Path) {
    let source = packages().join(ecosystem).join(name);
    assert!(source.is_dir(), "no package {}", source.display());
    fs::create_dir_all(folder).expect("make a directory for a package");
    run(Command::new("cp").arg("-R").arg(source.join(".")).arg(folder));
    let needs = folder.join("needs");
    if needs.is_file() {
        let words = fs::read_to_string(&needs).expect("read what the package needs");
        assert_eq!(words.trim(), "deed", "a package can only need the deed program");
        fs::remove_file(needs).expect("remove the list of needs");
        let program = folder.join("deed");
        fs::copy(deed(), &program).expect("copy the deed program");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("make the deed executable");
    }
}

/// An npm tarball: everything lies in a directory named `package`.
pub fn npm(name: &str, folder: &Path) -> PathBuf {
    let staging = folder.join("staging");
    copy("npm", name, &staging.join("package"));
    let tarball = folder.join(format!("{name}-{VERSION}.tgz"));
    tar(&tarball, &staging, "package");
    tarball
}

/// A Python source distribution.
pub fn sdist(name: &str, folder: &Path) -> PathBuf {
    let stem = format!("{}-{VERSION}", name.replace('-', "_"));
    let staging = folder.join("staging");
    copy("pip", name, &staging.join(&stem));
    let tarball = folder.join(format!("{stem}.tar.gz"));
    tar(&tarball, &staging, &stem);
    tarball
}

/// A crate in a directory of vendored sources.
pub fn vendor(name: &str, folder: &Path) {
    let place = folder.join(format!("{name}-{VERSION}"));
    copy("cargo", name, &place);
    fs::write(place.join(".cargo-checksum.json"), "{\"files\":{}}").expect("write checksums");
}

fn tar(tarball: &Path, from: &Path, what: &str) {
    run(Command::new("tar").arg("-czf").arg(tarball).arg("-C").arg(from).arg(what));
}

/// Runs a helper that must succeed.
pub fn run(command: &mut Command) {
    let ended = command.output().unwrap_or_else(|why| panic!("start {command:?}: {why}"));
    let complaint = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{command:?}: {}\n{complaint}", ended.status);
}
