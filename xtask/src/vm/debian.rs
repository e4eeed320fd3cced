//! Debian's archive, whichever suites this machine itself takes packages from: lists of our own, nothing in /etc changes.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::kernel::Architecture;
use crate::apt::{self, Need};
use crate::workspace::{Missing, ask, check, find, output};

/// Where a mirror can be named, on machines whose own sources have none.
const MIRROR: &str = "PKGWARDEN_DEBIAN_MIRROR";
/// What signs the archive.
pub(crate) const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Package lists of a few suites for one architecture.
pub(crate) struct Lists {
    directory: PathBuf,
    architecture: Architecture,
}

impl Lists {
    /// Describes these suites to apt, in a directory of their own.
    pub(crate) fn new(directory: PathBuf, architecture: Architecture, suites: &[&str]) -> Result<Self> {
        ensure_apt()?;
        let lists = Self { directory, architecture };
        for part in ["sources", "lists/partial", "archives/partial"] {
            let path = lists.directory.join(part);
            fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        let mirror = mirror()?;
        let stanzas: Vec<String> = suites.iter().map(|suite| stanza(&mirror, suite, architecture)).collect();
        let path = lists.directory.join("sources/debian.sources");
        fs::write(&path, stanzas.join("\n")).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(lists)
    }

    /// Whether lists were fetched before.
    pub(crate) fn are_there(&self) -> bool {
        fs::read_dir(self.directory.join("lists")).is_ok_and(|entries| {
            entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
        })
    }

    /// Fetches the lists.
    pub(crate) fn refresh(&self) -> Result<()> {
        let mut command = self.apt("apt-get");
        // Otherwise a mirror that cannot be reached is only a warning.
        command.args(["-o", "APT::Update::Error-Mode=any"]);
        check("apt-get update", command.args(["-qq", "update"]).stdin(Stdio::null()).stdout(Stdio::null()))
    }

    /// Names of packages that begin so.
    pub(crate) fn names(&self, beginning: &str) -> Result<Vec<String>> {
        let said = output(self.apt("apt-cache").args(["pkgnames", beginning]))?;
        Ok(said.lines().map(str::to_owned).collect())
    }

    /// Fetches a package into a directory, and returns its file.
    pub(crate) fn download(&self, package: &str, directory: &Path) -> Result<PathBuf> {
        let mut command = self.apt("apt-get");
        command.args(["-qq", "download", &format!("{package}:{}", self.architecture.debian())]);
        command.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::null());
        check("apt-get download", &mut command)?;
        let beginning = format!("{package}_");
        let entries =
            fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
        entries
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&beginning)))
            .with_context(|| format!("apt-get downloaded {package} and left no file"))
    }

    /// Options that keep apt to these lists.
    pub(crate) fn options(&self) -> Vec<OsString> {
        let at = |name: &str, path: &str| {
            let mut option = OsString::from(format!("{name}="));
            option.push(self.directory.join(path));
            option
        };
        let values = [
            "Dir::Etc::sourcelist=/dev/null".into(),
            at("Dir::Etc::sourceparts", "sources"),
            at("Dir::State::lists", "lists"),
            at("Dir::Cache::archives", "archives"),
            "Dir::Cache::pkgcache=".into(),
            "Dir::Cache::srcpkgcache=".into(),
            "Acquire::Languages=none".into(),
            // The cache may be where only its owner can read; what is fetched is checked by its signature.
            "APT::Sandbox::User=root".into(),
            format!("APT::Architectures::={}", self.architecture.debian()).into(),
        ];
        values.into_iter().flat_map(|value| ["-o".into(), value]).collect()
    }

    fn apt(&self, tool: &str) -> Command {
        let mut command = Command::new(tool);
        command.args(self.options());
        command
    }
}

/// A field of a package file.
pub(crate) fn field(package: &Path, name: &str) -> Result<String> {
    Ok(output(Command::new("dpkg-deb").arg("-f").arg(package).arg(name))?.trim().to_owned())
}

/// Unpacks a package file.
pub(crate) fn unpack(package: &Path, directory: &Path) -> Result<()> {
    check("dpkg-deb", Command::new("dpkg-deb").arg("-x").arg(package).arg(directory))
}

/// The name of the suite this machine is, `bookworm`.
pub(crate) fn own_suite() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let named = |field: &str| text.lines().find_map(|line| line.strip_prefix(field)).map(str::to_owned);
    (named("ID=")? == "debian").then(|| named("VERSION_CODENAME="))?
}

/// The version of an installed package.
pub(crate) fn installed(package: &str) -> Option<String> {
    ask(Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Abbrev}${Version}", package]))?
        .strip_prefix("ii ")
        .map(str::to_owned)
}

fn ensure_apt() -> Result<()> {
    if find("apt-get").is_none() || find("dpkg-deb").is_none() {
        let piece = "apt-get (the kernels are Debian's packages)".into();
        let mend = "run it on Debian or Ubuntu, or in a container of one".into();
        return Err(Missing { piece, mend }.into());
    }
    if !Path::new(KEYS).is_file() {
        apt::install(&[Need {
            what: "the keys of Debian's archive, to check the kernels that are downloaded".into(),
            packages: vec!["debian-archive-keyring".into()],
            elsewhere: "install what Debian calls debian-archive-keyring".into(),
        }])?;
    }
    Ok(())
}

/// One suite, as apt reads it.
fn stanza(mirror: &str, suite: &str, architecture: Architecture) -> String {
    let security = if suite.ends_with("-security") { "-security" } else { "" };
    format!(
        "Types: deb\nURIs: {mirror}{security}\nSuites: {suite}\nComponents: main\nArchitectures: {}\nSigned-By: {KEYS}\n",
        architecture.debian()
    )
}

/// The mirror of Debian that this machine uses already.
pub(crate) fn mirror() -> Result<String> {
    if let Ok(named) = std::env::var(MIRROR) {
        let named = named.trim_end_matches('/');
        ensure!(named.contains("://"), "{MIRROR} is {named:?}: give an address such as http://HOST/debian");
        return Ok(named.to_owned());
    }
    let mut texts = vec![fs::read_to_string("/etc/apt/sources.list").unwrap_or_default()];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        texts.extend(entries.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok()));
    }
    texts.iter().find_map(|text| mirror_in(text)).ok_or_else(|| {
        let piece = "a mirror of Debian in apt's sources (the kernels come from it)".into();
        Missing { piece, mend: format!("{MIRROR}=http://HOST/debian cargo xtask vm") }.into()
    })
}

fn mirror_in(text: &str) -> Option<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| line.starts_with("deb ") || line.starts_with("URIs:"))
        .flat_map(str::split_whitespace)
        .map(|word| word.trim_end_matches('/'))
        .find(|word| word.contains("://") && word.ends_with("/debian"))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{Architecture, mirror_in, stanza};

    #[test]
    fn finds_the_mirror_in_both_formats() {
        let new = "Types: deb\n# http://old.example/debian\nURIs: http://mirror.example/debian/\nSuites: bookworm\n";
        let old = "# deb http://old.example/debian x main\ndeb [arch=amd64] https://mirror.example/debian bookworm main\n";
        assert_eq!(mirror_in(new).as_deref(), Some("http://mirror.example/debian"));
        assert_eq!(mirror_in(old).as_deref(), Some("https://mirror.example/debian"));
        assert_eq!(mirror_in("deb http://mirror.example/debian-security bookworm-security main"), None);
        assert_eq!(mirror_in("deb https://mirror.example/apt cloud main"), None);
    }

    #[test]
    fn security_has_a_place_of_its_own() {
        let text = stanza("http://mirror.example/debian", "trixie-security", Architecture::Arm);
        assert!(text.contains("URIs: http://mirror.example/debian-security\nSuites: trixie-security\n"));
        assert!(text.contains("Architectures: arm64\n"));
    }
}
