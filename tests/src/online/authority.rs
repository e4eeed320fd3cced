//! A certificate authority of the test's own, and what it vouches for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::pack::run;

/// An authority: a folder with its key and certificates.
#[derive(Debug)]
pub(super) struct Authority {
    folder: PathBuf,
}

/// A certificate with its key.
#[derive(Debug)]
pub(super) struct Certificate {
    /// The certificate.
    pub(super) certificate: PathBuf,
    /// Its key.
    pub(super) key: PathBuf,
}

impl Authority {
    /// Makes one, valid for a day.
    pub(super) fn new(folder: &Path) -> Self {
        fs::create_dir_all(folder).expect("make a directory for certificates");
        let authority = Self { folder: folder.to_owned() };
        let mut command = authority.request("authority", "/CN=authority of a test");
        command.args(["-addext", "basicConstraints=critical,CA:TRUE"]);
        run(command.args(["-addext", "keyUsage=critical,keyCertSign,cRLSign"]));
        authority
    }

    /// The certificate that clients are to trust.
    pub(super) fn certificate(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// Vouches for these names; they may begin with `*.`.
    pub(super) fn vouch(&self, whose: &str, names: &[&str]) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
        let mut command = self.request(whose, &format!("/CN={whose}"));
        command.arg("-CA").arg(self.certificate()).arg("-CAkey").arg(self.folder.join("authority.key"));
        command.args(["-addext", &format!("subjectAltName={}", names.join(","))]);
        command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        command.args(["-addext", "keyUsage=critical,digitalSignature"]);
        run(command.args(["-addext", "extendedKeyUsage=serverAuth"]));
        Certificate {
            certificate: self.folder.join(format!("{whose}.pem")),
            key: self.folder.join(format!("{whose}.key")),
        }
    }

    fn request(&self, whose: &str, subject: &str) -> Command {
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
        command.args(["-days", "1", "-subj", subject, "-config", "/dev/null"]);
        command.arg("-keyout").arg(self.folder.join(format!("{whose}.key")));
        command.arg("-out").arg(self.folder.join(format!("{whose}.pem")));
        command
    }
}
