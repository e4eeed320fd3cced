//! What a deed is told about the world that the suite made for it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Failure;

/// The user that deeds without privileges are done as. No account has this number.
pub(crate) const ORDINARY: u32 = 47_110;

/// The victim's socket, beside the home: whoever connects gets a descriptor of the secret.
pub(crate) const HELPER: &str = "helper";
/// A set-uid program, beside the home.
pub(crate) const SETUID: &str = "setuid";
/// The descriptor of the secret that some commands start with.
pub(crate) const INHERITED: i32 = 219;
/// A file of pkgwarden's settings in the home.
pub(crate) const SETTINGS: &str = ".config/pkgwarden/rules.yaml";
/// Where daemons of the suite listen.
pub(crate) const DAEMONS: &str = "/run/deed";
/// A setting that belongs to the network namespace of the suite, and its usual value.
pub(crate) const SETTING: &str = "/proc/sys/net/ipv4/ip_default_ttl";
/// Tracing files of one's own.
pub(crate) const TRACE: &str = "/sys/kernel/tracing/instances";
/// The kind of frames that the suite listens for: one of those for experiments.
pub(crate) const SINK_ETHERTYPE: u16 = 0x88b5;
/// The port at which the suite listens for virtual machines.
pub(crate) const SINK_VSOCK: u32 = 47_110;

/// Accounts, as everybody in the suite's namespace sees them.
pub(crate) const PASSWD: &str = "/etc/passwd";

/// Where everything is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Stage {
    /// A decoy home.
    pub(crate) home: PathBuf,
    /// A project in it: the working directory.
    pub(crate) project: PathBuf,
    /// A directory beside the home, for what must not be in one.
    pub(crate) aside: PathBuf,
    /// The file whose content is wanted.
    pub(crate) secret: PathBuf,
    /// Where loot goes.
    pub(crate) loot: PathBuf,
    /// A word that proves that this deed, and not another one, wrote or sent something.
    pub(crate) token: String,
    /// Somebody outside of the tree.
    pub(crate) victim: Option<Target>,
    /// A disk with a secret on it.
    pub(crate) disk: Option<PathBuf>,
    /// The name of a BPF map with a secret in it, which is also pinned.
    pub(crate) map: Option<Map>,
    /// The file that events are written to, if anybody watches.
    pub(crate) events: PathBuf,
    /// How many times a flood does it.
    pub(crate) flood: u64,
}

/// A process to be robbed.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Target {
    /// Its id.
    pub(crate) pid: i32,
    /// Where in its memory the secret is.
    pub(crate) address: u64,
    /// How many bytes that are.
    pub(crate) length: usize,
    /// Its descriptor of the secret file.
    pub(crate) fd: i32,
}

/// A BPF map of somebody outside of the tree.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Map {
    /// Its id.
    pub(crate) id: u32,
    /// Where it is pinned, if anywhere.
    pub(crate) pin: Option<PathBuf>,
    /// Bytes of its only value.
    pub(crate) length: usize,
}

impl Stage {
    /// Reads it.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }

    /// Takes stolen bytes away.
    pub(crate) fn take(&self, bytes: &[u8]) -> io::Result<()> {
        self.open_loot()?.write_all(bytes)
    }

    /// The file for loot.
    pub(crate) fn open_loot(&self) -> io::Result<File> {
        // Made by the suite, for everybody.
        OpenOptions::new().append(true).open(&self.loot)
    }

    /// Says that the kernel gave what was asked for: for harm that nobody outside can see.
    pub(crate) fn done(&self) -> io::Result<()> {
        self.take(format!("done {}\n", self.token).as_bytes())
    }

    /// The victim.
    pub(crate) fn victim(&self) -> Result<&Target, Failure> {
        self.victim.as_ref().ok_or_else(|| "there is no victim on this stage".into())
    }

    /// A path in the home.
    pub(crate) fn in_home(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// A path in the project.
    pub(crate) fn in_project(&self, name: &str) -> PathBuf {
        self.project.join(name)
    }
}
