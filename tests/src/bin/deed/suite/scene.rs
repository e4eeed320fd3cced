//! The world of one run.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use pkgwarden_tests::{Home, Secrets};
use tempfile::TempDir;

use super::isolation::PLACE;
use super::options::Options;
use super::victim::Victim;
use crate::Failure;
use crate::deeds::{Deed, Harm, Need, User};
use crate::stage::{ORDINARY, Stage};

/// The file whose content is wanted.
const SECRET: &str = ".aws/credentials";

/// A home full of decoys, and whoever a deed needs.
pub(super) struct Scene {
    folder: TempDir,
    home: Home,
    pub(super) stage: Stage,
    pub(super) victim: Option<Victim>,
    /// The content of the file that is to be changed.
    pub(super) before: Option<Vec<u8>>,
}

impl Scene {
    /// Makes it.
    pub(super) fn new(deed: &Deed, options: &Options) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("run-").tempdir_in(PLACE)?;
        // Also for a user who owns nothing of it.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let mut home = Home::furnish(&folder.path().join("home"));
        let project = home.path().join("project");
        let aside = folder.path().join("aside");
        for folder in [&project, &aside] {
            fs::create_dir_all(folder)?;
        }
        let loot = project.join("loot");
        fs::write(&loot, "")?;
        let victim = if deed.needs.contains(&Need::Victim) {
            let secrets = (home.entrust("the victim's memory"), home.entrust("the victim's environment"));
            let file = home.path().join(SECRET);
            own(home.path(), deed.user)?;
            let program = Path::new("/proc/self/exe");
            Some(Victim::start(program, home.path(), &file, (&secrets.0, &secrets.1), deed.user)?)
        } else {
            None
        };
        let stage = Stage {
            home: home.path().to_owned(),
            secret: home.path().join(SECRET),
            token: home.entrust("this run").replace("ghs_", "token-"),
            victim: victim.as_ref().map(|victim| victim.target.clone()),
            disk: None,
            map: None,
            events: folder.path().join("events.jsonl"),
            flood: options.flood,
            project,
            aside,
            loot,
        };
        own(folder.path(), deed.user)?;
        let before = match deed.harm {
            Harm::Changed(name) => fs::read(stage.in_home(name)).ok(),
            _ => None,
        };
        fs::write(folder.path().join("stage.json"), serde_json::to_vec(&stage)?)?;
        Ok(Self { folder, home, stage, victim, before })
    }

    /// What must not leave the home.
    pub(super) fn secrets(&self) -> &Secrets {
        self.home.secrets()
    }

    /// Where the files about the run itself are.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Gives a directory, with all that is in it, to whoever does the deed.
fn own(path: &Path, user: User) -> Result<(), Failure> {
    if user == User::Root {
        return Ok(());
    }
    chown(path, Some(ORDINARY), Some(ORDINARY))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            own(&entry?.path(), user)?;
        }
    }
    Ok(())
}
