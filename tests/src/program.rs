//! Starting programs in a clean environment, and where to find the ones that matter.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::deadline;

/// The workspace this crate belongs to.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in a workspace")
}

/// The packages that do harm, and a few that do none.
#[must_use]
pub fn packages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packages")
}

/// The binary under test: `PKGWARDEN_BIN`, or what `cargo xtask build` leaves.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn binary() -> PathBuf {
    let path =
        env::var_os("PKGWARDEN_BIN").map_or_else(|| workspace().join("target/pkgwarden"), PathBuf::from);
    assert!(path.is_file(), "no binary at {}: run `cargo xtask build` or set PKGWARDEN_BIN", path.display());
    path
}

/// The program that does what node and python cannot: `src/bin/deed`.
///
/// # Panics
/// If cargo did not build it beside the tests.
#[must_use]
pub fn deed() -> PathBuf {
    let test = env::current_exe().expect("the path of this test");
    let path = test.ancestors().nth(2).expect("tests are in target/PROFILE/deps").join("deed");
    assert!(path.is_file(), "no {}: cargo builds it with the integration tests", path.display());
    path
}

/// A program to be run: nothing of our own environment reaches it except where programs and certificates are.
#[derive(Debug)]
#[must_use]
pub struct Program {
    command: Command,
    limit: Duration,
}

/// The directories a program lives with.
#[derive(Clone, Copy, Debug)]
pub struct Stage<'a> {
    /// `HOME`.
    pub home: &'a Path,
    /// Working directory.
    pub cwd: &'a Path,
    /// `TMPDIR`.
    pub tmp: &'a Path,
}

/// How a program ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// What `wait` said.
    pub status: ExitStatus,
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// What it complained.
    pub stderr: Vec<u8>,
}

impl Ended {
    /// The exit code as a shell has it: 128 and the signal's number after a signal.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// Both streams, for a message.
    #[must_use]
    pub fn output(&self) -> String {
        let out = String::from_utf8_lossy(&self.stdout);
        let err = String::from_utf8_lossy(&self.stderr);
        format!("exit {}\n--- stdout\n{out}\n--- stderr\n{err}", self.code())
    }
}

impl Program {
    /// A command line in a clean environment.
    pub fn new<W: AsRef<OsStr>>(words: &[W], stage: Stage<'_>) -> Self {
        let (program, arguments) = words.split_first().expect("a command line has a first word");
        let mut command = Command::new(program);
        command.args(arguments).current_dir(stage.cwd).env_clear();
        command.envs(env::vars_os().filter(|(name, _)| is_about_the_machine(name)));
        command.env("HOME", stage.home).env("TMPDIR", stage.tmp).env("PATH", search_path(stage.home));
        command.env("TERM", "dumb").env("LANG", "C.UTF-8");
        if let Some(toolchains) = toolchains() {
            command.env("RUSTUP_HOME", toolchains);
        }
        // Whoever runs the tests: what is expected of a run is what a person gets.
        command.env("PKGWARDEN_STARTED_BY", "nobody");
        // Package managers keep quiet about themselves and ask nobody for news.
        command.env("npm_config_update_notifier", "false").env("npm_config_fund", "false");
        command.env("npm_config_audit", "false");
        if Path::new("/usr/include/node/node.h").is_file() {
            command.env("npm_config_nodedir", "/usr");
        }
        command.env("PIP_DISABLE_PIP_VERSION_CHECK", "1").env("PIP_ROOT_USER_ACTION", "ignore");
        Self { command, limit: deadline::INSTALL }
    }

    /// Takes out what the machine is configured for, except where programs are.
    pub fn without_machine(mut self) -> Self {
        for (name, _) in env::vars_os().filter(|(name, _)| is_about_the_machine(name)) {
            if name != "RUSTUP_TOOLCHAIN" {
                self.command.env_remove(name);
            }
        }
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Allows more or less time.
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Where the standard input comes from; nowhere, if not said.
    pub fn stdin(mut self, from: impl Into<Stdio>) -> Self {
        self.command.stdin(from);
        self
    }

    /// Starts it; its output goes to files in `folder`, so that orphans who keep them open hold nobody up.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(mut self, folder: &Path) -> Running {
        let create = |name: &str| File::create(folder.join(name)).expect("create a file for output");
        self.command.stdout(create("stdout")).stderr(create("stderr"));
        let name = format!("{:?}", self.command.get_program());
        let child = self.command.spawn().unwrap_or_else(|why| panic!("start {name}: {why}"));
        Running { name, child, folder: folder.to_owned(), limit: self.limit }
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it does not start, or takes longer than allowed: then it is killed.
    #[must_use]
    pub fn run(self, folder: &Path) -> Ended {
        self.start(folder).wait()
    }
}

/// A program that was started.
#[derive(Debug)]
#[must_use]
pub struct Running {
    name: String,
    child: Child,
    folder: PathBuf,
    limit: Duration,
}

impl Running {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Its standard input, if that is a pipe and was not taken before.
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// What it wrote so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.read("stdout")).into_owned()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it takes longer than allowed: then it is killed.
    #[must_use]
    pub fn wait(self) -> Ended {
        let (stdout, stderr) = (self.folder.join("stdout"), self.folder.join("stderr"));
        let read = |path: &Path| fs::read(path).expect("read the output");
        match wait(self.child, deadline::here(self.limit)) {
            Ok(status) => Ended { status, stdout: read(&stdout), stderr: read(&stderr) },
            Err(status) => {
                let ended = Ended { status, stdout: read(&stdout), stderr: read(&stderr) };
                panic!("{} took longer than {:?}\n{}", self.name, self.limit, ended.output());
            }
        }
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.join(name)).expect("read the output")
    }
}

/// Waits for the end of a child; kills it when the time is up.
fn wait(mut child: Child, limit: Duration) -> Result<ExitStatus, ExitStatus> {
    let pid = Pid::from_raw(child.id().cast_signed());
    let (tell, told) = mpsc::channel();
    let waiter = thread::spawn(move || {
        let status = child.wait().expect("wait for a child");
        // Nobody listens any more after a timeout.
        tell.send(()).ok();
        status
    });
    let late = told.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
    if late {
        // It may end at this very moment; then there is nothing to kill.
        kill(pid, Signal::SIGKILL).ok();
    }
    let status = waiter.join().expect("the thread that waits for a child");
    if late { Err(status) } else { Ok(status) }
}

/// A tier that is insisted on, too. Registries behind a proxy or a private authority must stay reachable for those tests that need them.
fn is_about_the_machine(name: &OsStr) -> bool {
    const PARTS: [&str; 7] = ["PROXY", "CERT", "CA_BUNDLE", "CAINFO", "PIP_", "NPM_", "NODE_EXTRA"];
    let name = name.to_string_lossy().to_ascii_uppercase();
    name == "RUSTUP_TOOLCHAIN" || name == "PKGWARDEN_TIER" || PARTS.iter().any(|part| name.contains(part))
}

/// Programs of the home first, then the real python (not a shim that looks for itself in the home), then ours.
fn search_path(home: &Path) -> OsString {
    let ours = env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let folders = [home.join("bin"), python_folder().to_owned()];
    env::join_paths(folders.into_iter().chain(env::split_paths(&ours))).expect("a search path")
}

fn python_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let ask = "import os, sys; print(os.path.dirname(sys.executable))";
        let answer = Command::new("python3").args(["-c", ask]).output().expect("start python3");
        PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim())
    })
}

pub(crate) fn toolchains() -> Option<PathBuf> {
    let told = env::var_os("RUSTUP_HOME").map(PathBuf::from);
    told.or_else(|| env::home_dir().map(|home| home.join(".rustup"))).filter(|path| path.is_dir())
}
