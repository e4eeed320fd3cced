//! Everything one run of a scenario lives in, and the clearing away.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::home::Home;
use crate::namespace::Namespace;
use crate::online::place::Family;
use crate::online::{self, Online};
use crate::program::{Program, Stage, deed};
use crate::sink::Sink;

/// A decoy home with a project in it, a network, a sink, and perhaps bystanders.
#[derive(Debug)]
pub struct World {
    folder: TempDir,
    home: Home,
    namespace: Namespace,
    sink: Sink,
    online: Option<Online>,
    neighbour: Option<Sink>,
    bystanders: Vec<Child>,
    litter: Vec<PathBuf>,
}

impl World {
    /// Makes one.
    #[must_use]
    pub fn new() -> Self {
        let namespace = Namespace::new();
        let sink = Sink::new(&namespace);
        let (folder, home) = Self::furnish();
        Self::with(folder, home, namespace, sink, None)
    }

    /// Makes one with an internet in it, where the sink is, and a home whose owner has configured its registries.
    #[must_use]
    pub fn online(family: Family) -> Self {
        let world = Self::online_as_shipped(family);
        online::configure(&world.home);
        world
    }

    /// Makes one with an internet in it, where managers go to the registries that they are shipped with.
    #[must_use]
    pub fn online_as_shipped(family: Family) -> Self {
        let namespace = Namespace::bare();
        let (folder, home) = Self::furnish();
        let online = Online::connect(&namespace, &home, folder.path(), family);
        let sink = Sink::new(online.internet());
        Self::with(folder, home, namespace, sink, Some(online))
    }

    fn furnish() -> (TempDir, Home) {
        let folder = Self::place();
        let home = Home::furnish(&folder.path().join("home"));
        fs::create_dir_all(home.path().join("project")).expect("make a project");
        fs::create_dir_all(folder.path().join("tmp")).expect("make a directory for temporary files");
        (folder, home)
    }

    fn with(folder: TempDir, home: Home, namespace: Namespace, sink: Sink, online: Option<Online>) -> Self {
        let (bystanders, litter) = (Vec::new(), Vec::new());
        Self { folder, home, namespace, sink, online, neighbour: None, bystanders, litter }
    }

    /// A directory that no rule has heard of: it is not for temporary files or build products, and not hidden.
    fn place() -> TempDir {
        let parent = env::var_os("PKGWARDEN_TEST_DIR")
            .map_or_else(|| "/var/lib/pkgwarden-tests".into(), PathBuf::from);
        fs::create_dir_all(&parent)
            .unwrap_or_else(|why| panic!("make {} (this needs root): {why}", parent.display()));
        tempfile::Builder::new().prefix("run-").tempdir_in(parent).expect("make a directory for a scenario")
    }

    /// Makes up a secret that is in the environment of the command only.
    #[must_use]
    pub fn entrust(&mut self, place: &str) -> String {
        self.home.entrust(place)
    }

    /// A word that no other world has.
    #[must_use]
    pub fn id(&self) -> String {
        self.folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The decoy home.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The project: a directory in the home.
    #[must_use]
    pub fn project(&self) -> PathBuf {
        self.home.path().join("project")
    }

    /// A file in the home that packages write when they did what they came for.
    #[must_use]
    pub fn marker(&self) -> PathBuf {
        self.home.path().join("harm")
    }

    /// The network.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The sink.
    #[must_use]
    pub fn sink(&self) -> &Sink {
        &self.sink
    }

    /// The internet.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn internet(&self) -> &Online {
        self.online.as_ref().expect("this world has no internet")
    }

    /// The internet, to start a server in it.
    ///
    /// # Panics
    /// Where there is none.
    pub fn internet_mut(&mut self) -> &mut Online {
        self.online.as_mut().expect("this world has no internet")
    }

    /// The internet and the home, whose owner is to have an account with a server.
    ///
    /// # Panics
    /// Where there is no internet.
    pub fn internet_and_home(&mut self) -> (&mut Online, &mut Home) {
        (self.online.as_mut().expect("this world has no internet"), &mut self.home)
    }

    /// Starts services on the machine itself that no install has to do with: listeners like those of the sink.
    pub fn open_neighbour(&mut self) {
        self.neighbour = Some(Sink::new(&self.namespace));
    }

    /// Those services.
    ///
    /// # Panics
    /// Before they are started.
    #[must_use]
    pub fn neighbour(&self) -> &Sink {
        self.neighbour.as_ref().expect("no neighbour was opened")
    }

    /// Does something on the machine, where installs run.
    pub fn enter<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        match &self.online {
            Some(online) => online.enter(&self.namespace, act),
            None => self.namespace.enter(act),
        }
    }

    /// Waits until everything that was sent before now has arrived.
    pub fn settle(&self) {
        match &self.online {
            Some(online) => {
                self.sink.settle(online.internet());
                online.settle();
            }
            None => self.sink.settle(&self.namespace),
        }
        if let Some(neighbour) = &self.neighbour {
            neighbour.settle(&self.namespace);
        }
    }

    /// The sink, to add a listener.
    pub fn sink_mut(&mut self) -> &mut Sink {
        &mut self.sink
    }

    /// A directory of this name beside the home, made if need be.
    #[must_use]
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(&path).expect("make a directory of a scenario");
        path
    }

    /// A command line in the project, not yet started; it belongs onto the machine: see [`World::enter`].
    pub fn program<W: AsRef<std::ffi::OsStr>>(&self, line: &[W]) -> Program {
        self.program_in(&self.project(), line)
    }

    /// The same, somewhere else.
    pub fn program_in<W: AsRef<std::ffi::OsStr>>(&self, cwd: &Path, line: &[W]) -> Program {
        let program = Program::new(line, Stage { home: self.home.path(), cwd, tmp: &self.folder("tmp") });
        match &self.online {
            Some(online) => online.adapt(program),
            None => program,
        }
    }

    /// Puts an executable script into the home's `bin`, which is first on the search path.
    pub fn fake(&self, name: &str, script: &str) {
        let path = self.home.path().join("bin").join(name);
        fs::write(&path, script).expect("write a fake program");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .expect("make a fake program executable");
    }

    /// Starts a process outside the tree, under a false name, that keeps a secret in memory, or in this variable of its
    /// environment. The secret counts as one of the home's.
    pub fn bystander(&mut self, name: &str, variable: Option<&str>) {
        let secret = self.home.entrust(&format!("the process {name}"));
        let mut command = Command::new(deed());
        command.arg0(name).arg("hold").env_clear().stdin(Stdio::piped()).stdout(Stdio::piped());
        command.envs(variable.map(|variable| (variable, &secret)));
        let mut child = command.spawn().expect("start a bystander");
        let told = if variable.is_some() { "nothing" } else { &secret };
        let mut input = child.stdin.take().expect("a bystander has a standard input");
        input.write_all(told.as_bytes()).expect("tell the bystander a secret");
        drop(input);
        let output = child.stdout.as_mut().expect("a bystander has a standard output");
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).expect("wait for the bystander");
        assert_eq!(line, "ready\n");
        self.bystanders.push(child);
    }

    /// The process ids of the bystanders.
    #[must_use]
    pub fn bystanders(&self) -> Vec<u32> {
        self.bystanders.iter().map(Child::id).collect()
    }

    /// A file or directory outside the world that is to be removed with it.
    pub fn litter(&mut self, path: &Path) {
        self.litter.push(path.to_owned());
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.namespace.clear();
        let sinks_home = self.online.as_ref().map_or(&self.namespace, Online::internet);
        self.sink.close(sinks_home);
        if let Some(neighbour) = &mut self.neighbour {
            neighbour.close(&self.namespace);
        }
        // Servers write into the folder, which is about to be removed.
        self.online = None;
        for child in &mut self.bystanders {
            // A victim may have been killed by what the test is about.
            child.kill().ok();
            child.wait().ok();
        }
        for path in &self.litter {
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.ok();
        }
        if env::var_os("PKGWARDEN_TEST_KEEP").is_some() {
            self.folder.disable_cleanup(true);
        }
    }
}
