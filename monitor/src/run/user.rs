//! Who asked for the run. Under sudo that is not root: the command runs as the person who typed it.

use std::ffi::OsString;
use std::path::PathBuf;

use nix::unistd::{Gid, Uid, User};

/// The invoking user cannot be determined.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `SUDO_UID` is not a number.
    #[error(
        "SUDO_UID is `{0}`, which is no user id; start pkgwarden by sudo itself, or unset it to run the command as root"
    )]
    NotANumber(String),
    /// No such account.
    #[error(
        "there is no account with user id {0}, which SUDO_UID names; unset SUDO_UID to run the command as root"
    )]
    Unknown(Uid),
    /// The account database is unreadable.
    #[error("cannot read the account of user id {uid}")]
    Accounts {
        /// Whose.
        uid: Uid,
        /// Why.
        #[source]
        source: nix::Error,
    },
}

/// The person a command runs as.
#[derive(Clone, Debug)]
pub struct Invoker {
    /// User id.
    pub uid: Uid,
    /// Primary group.
    pub gid: Gid,
    /// Login name.
    pub name: String,
    /// Home directory: of the account under sudo, else as the environment says.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
    /// Whether the command must change to this user.
    pub by_sudo: bool,
    /// Variables of this process that the command does not get.
    pub withheld: Vec<OsString>,
}

impl Invoker {
    /// The person who started this process.
    ///
    /// # Errors
    /// If sudo names nobody known.
    pub fn of_this_process() -> Result<Self, Error> {
        let own = Uid::effective();
        let asked = match std::env::var("SUDO_UID") {
            Ok(text) if own.is_root() => {
                Some(text.parse().map(Uid::from_raw).map_err(|_| Error::NotANumber(text))?)
            }
            _ => None,
        };
        let uid = asked.unwrap_or(own);
        let account = User::from_uid(uid).map_err(|source| Error::Accounts { uid, source })?;
        let home = std::env::var_os("HOME").map(PathBuf::from);
        match account {
            Some(user) => {
                let by_sudo = asked.is_some_and(|uid| uid != own);
                let home = if by_sudo { user.dir } else { home.unwrap_or(user.dir) };
                Ok(Self {
                    uid,
                    gid: user.gid,
                    name: user.name,
                    home,
                    shell: user.shell,
                    by_sudo,
                    withheld: Vec::new(),
                })
            }
            // A container may run under an id that nobody named.
            None if asked.is_none() => Ok(Self {
                uid,
                gid: Gid::effective(),
                name: uid.to_string(),
                home: home.unwrap_or_else(|| PathBuf::from("/")),
                shell: PathBuf::from("/bin/sh"),
                by_sudo: false,
                withheld: Vec::new(),
            }),
            None => Err(Error::Unknown(uid)),
        }
    }

    /// Variables that the command sees differently from this process; `None` removes one.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, Option<OsString>)> {
        if !self.by_sudo {
            return Vec::new();
        }
        let name = OsString::from(&self.name);
        let mut changes = vec![
            ("HOME", Some(self.home.clone().into_os_string())),
            ("USER", Some(name.clone())),
            ("LOGNAME", Some(name)),
            ("SHELL", Some(self.shell.clone().into_os_string())),
        ];
        changes
            .extend(["SUDO_UID", "SUDO_GID", "SUDO_USER", "SUDO_COMMAND", "MAIL"].map(|name| (name, None)));
        changes
    }
}
