use std::os::unix::fs::{MetadataExt as _, symlink};

use super::*;

struct World {
    folder: tempfile::TempDir,
    invoker: Invoker,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap().join("home");
        fs::create_dir(&home).unwrap();
        let invoker = Invoker { home, ..Invoker::of_this_process().unwrap() };
        Self { folder, invoker }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn plant(&self) -> Planted {
        plant(&self.invoker, &self.state(), |_| true).unwrap()
    }

    fn home(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut left = vec![self.invoker.home.clone()];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
                found.push(entry.strip_prefix(&self.invoker.home).unwrap().display().to_string());
                if entry.is_dir() && !entry.is_symlink() {
                    left.push(entry);
                }
            }
        }
        found.sort();
        found
    }

    fn journals(&self) -> usize {
        fs::read_dir(self.state()).map_or(0, Iterator::count)
    }
}

#[test]
fn what_was_not_there_is_there_and_then_is_not() {
    let world = World::new();
    let planted = world.plant();
    assert_eq!(planted.paths().len(), DECOYS.len());
    assert_eq!(world.journals(), 1);
    for path in planted.paths() {
        let metadata = path.symlink_metadata().unwrap();
        assert!(metadata.is_file() && metadata.len() > 40, "{}", path.display());
        assert_eq!(metadata.mode() & 0o7777, 0o600, "{}", path.display());
        assert_eq!(metadata.uid(), world.invoker.uid.as_raw());
        assert!(metadata.modified().unwrap() < SystemTime::now());
    }
    assert_eq!(world.invoker.home.join(".aws").metadata().unwrap().mode() & 0o7777, 0o700);
    drop(planted);
    assert_eq!(world.home(), [""; 0]);
    assert_eq!(world.journals(), 0);
}

#[test]
fn what_was_there_stays_as_it_was() {
    let world = World::new();
    let home = &world.invoker.home;
    fs::create_dir(home.join(".aws")).unwrap();
    fs::write(home.join(".aws/credentials"), "mine").unwrap();
    symlink("/nonexistent", home.join(".pypirc")).unwrap();
    // A directory that leads elsewhere is none.
    fs::create_dir(world.folder.path().join("elsewhere")).unwrap();
    symlink(world.folder.path().join("elsewhere"), home.join(".docker")).unwrap();
    let before = world.home();
    let planted = world.plant();
    assert_eq!(planted.paths().len(), DECOYS.len() - 3);
    assert_eq!(fs::read_to_string(home.join(".aws/credentials")).unwrap(), "mine");
    assert_eq!(fs::read_dir(world.folder.path().join("elsewhere")).unwrap().count(), 0);
    drop(planted);
    assert_eq!(world.home(), before);
}

#[test]
fn what_was_changed_is_left_and_told() {
    let world = World::new();
    let planted = world.plant();
    let home = &world.invoker.home;
    fs::write(home.join(".aws/credentials"), "[mine]\n").unwrap();
    fs::write(home.join(".docker/new"), "mine").unwrap();
    fs::remove_file(home.join(".vault-token")).unwrap();
    fs::remove_file(home.join(".kaggle/kaggle.json")).unwrap();
    symlink("/etc/passwd", home.join(".kaggle/kaggle.json")).unwrap();
    let complaints = planted.remove();
    assert_eq!(complaints.len(), 2, "{complaints:?}");
    assert_eq!(
        world.home(),
        [".aws", ".aws/credentials", ".docker", ".docker/new", ".kaggle", ".kaggle/kaggle.json"]
    );
    assert!(Path::new("/etc/passwd").exists());
    std::mem::forget(planted);
}

#[test]
fn the_next_run_tidies_up_after_a_crash_and_not_before() {
    let world = World::new();
    let planted = world.plant();
    assert_eq!(tidy(&world.state()), [""; 0]);
    assert!(!world.home().is_empty(), "somebody is at work");
    let journal = fs::read(&planted.path).unwrap();
    let path = planted.path.clone();
    // As when the process is killed: the lock goes, and nothing is removed.
    let mut dead = planted;
    dead.owner = 0;
    drop(dead);
    assert!(!world.home().is_empty());
    assert_eq!(fs::read(&path).unwrap(), journal);
    // And one that died while it wrote its journal.
    fs::write(world.state().join("1-0.json"), "{\"home\":").unwrap();
    assert_eq!(tidy(&world.state()), [""; 0]);
    assert_eq!((world.home().len(), world.journals()), (0, 0));
}
