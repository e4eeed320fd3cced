//! The world of one run.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

use pkgwarden_tests::{Home, Secrets};
use tempfile::TempDir;

use super::disk::Disk;
use super::isolation::PLACE;
use super::options::Options;
use super::props::{self, Props};
use super::victim::Victim;
use crate::Failure;
use crate::deeds::{Deed, Harm, Need, User};
use crate::stage::{ORDINARY, SETTINGS, Stage};

/// The file whose content is wanted.
const SECRET: &str = ".aws/credentials";

/// A file before the run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Before {
    pub(super) content: Option<Vec<u8>>,
    pub(super) mode_and_owner: Option<(u32, u32)>,
}

impl Before {
    /// Looks at it.
    pub(super) fn of(path: &Path) -> Self {
        let mode_and_owner = fs::metadata(path).ok().map(|file| (file.mode(), file.uid()));
        Self { content: fs::read(path).ok(), mode_and_owner }
    }
}

/// A home full of decoys, and whoever a deed needs.
pub(super) struct Scene {
    folder: TempDir,
    home: Home,
    pub(super) stage: Stage,
    pub(super) victim: Option<Victim>,
    pub(super) props: Props,
    /// What the file that is to be changed was.
    pub(super) before: Before,
}

impl Scene {
    /// Makes it.
    pub(super) fn new(deed: &Deed, program: &Path, options: &Options) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("run-").tempdir_in(PLACE)?;
        // Also for a user who owns nothing of it.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let mut home = Home::furnish(&folder.path().join("home"));
        let project = home.path().join("project");
        let aside = folder.path().join("aside");
        for folder in [&project, &aside] {
            fs::create_dir_all(folder)?;
        }
        let settings = home.path().join(SETTINGS);
        fs::create_dir_all(settings.parent().ok_or("settings in no directory")?)?;
        fs::write(settings, "rules: []\n# the user's own\n")?;
        let loot = project.join("loot");
        fs::write(&loot, "")?;
        own(folder.path(), deed.user)?;
        let token = format!("token-{}", &home.entrust("this run")[4..]);
        let mut stage = Stage {
            home: home.path().to_owned(),
            secret: home.path().join(SECRET),
            victim: None,
            disk: None,
            map: None,
            events: folder.path().join("events.jsonl"),
            flood: options.flood,
            token: token.clone(),
            project,
            aside,
            loot,
        };
        let (mut props, mut victim) = (Props::new(&token), None);
        for need in deed.needs {
            match need {
                Need::Victim => {
                    let kept = home.entrust("the victim's memory");
                    let told = home.entrust("the victim's environment");
                    let made = Victim::start(program, &stage, (&kept, &told), deed.user)?;
                    stage.victim = Some(made.target.clone());
                    victim = Some(made);
                }
                Need::Disk => {
                    props.disk = Disk::make(folder.path(), &home.entrust("the disk"));
                    stage.disk = props.disk.as_ref().map(|disk| disk.path.clone());
                }
                Need::Map => stage.map = Some(props.add_map(&home.entrust("the map"))?),
                Need::Trace => props.add_trace(),
                Need::Inherited => props.add_inherited(&stage.secret)?,
                Need::Setuid => props::add_setuid(program, &stage.aside)?,
                Need::Events => fs::write(&stage.events, "")?,
                Need::OrdinaryHome => own(folder.path(), User::Ordinary)?,
            }
        }
        let before = match deed.harm {
            Harm::Changed(name) | Harm::Mode(name) => Before::of(&stage.in_home(name)),
            _ => Before::default(),
        };
        fs::write(folder.path().join("stage.json"), serde_json::to_vec(&stage)?)?;
        Ok(Self { folder, home, stage, victim, props, before })
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
    lchown(path, Some(ORDINARY), Some(ORDINARY))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            own(&entry?.path(), user)?;
        }
    }
    Ok(())
}
