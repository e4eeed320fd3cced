//! A real server: started in the internet, ready when it says so, gone with the test.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use crate::deadline;
use crate::program::deed;

/// How long a server may take until it answers, on a busy machine.
const READY: Duration = Duration::from_secs(60);

/// A server that runs.
#[derive(Debug)]
pub(super) struct Server {
    name: &'static str,
    child: Child,
    /// The server ends when this is closed; also when the kernel closes it, because the test is no more.
    line: Option<ChildStdin>,
    log: PathBuf,
}

impl Server {
    /// Starts it on this thread, in its network and with its view of the machine. What it prints goes into `folder`.
    pub(super) fn start(name: &'static str, command: &mut Command, folder: &Path) -> Self {
        let log = folder.join(format!("{name}.log"));
        let out = File::create(&log).expect("create a log");
        let err = out.try_clone().expect("another handle of a log");
        let mut tethered = Command::new(deed());
        tethered.arg("tether").arg(command.get_program()).args(command.get_args());
        tethered.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        tethered.current_dir(folder).stdin(Stdio::piped()).stdout(out).stderr(err);
        let mut child = tethered.spawn().unwrap_or_else(|why| panic!("start {name}: {why}"));
        let line = child.stdin.take();
        Self { name, child, line, log }
    }

    /// Waits until it answers.
    ///
    /// # Panics
    /// If it ends instead, or takes too long.
    pub(super) fn wait(mut self, mut ready: impl FnMut() -> bool) -> Self {
        let mut ended = None;
        let answers = deadline::until(READY, || {
            ended = self.child.try_wait().expect("ask after a server");
            ended.is_some() || ready()
        });
        let told = || fs::read_to_string(&self.log).unwrap_or_default();
        assert!(ended.is_none(), "{} ended: {ended:?}\n{}", self.name, told());
        assert!(answers, "{} does not answer\n{}", self.name, told());
        self
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.line.take());
        // It dies of SIGKILL at once; waiting keeps its files in place until it has.
        self.child.wait().ok();
    }
}

/// Where `cargo xtask test` keeps the servers, and the managers that it fetches.
///
/// # Panics
/// If it has not.
#[must_use]
pub fn store() -> PathBuf {
    let told = env::var_os("PKGWARDEN_SERVERS").map(PathBuf::from);
    let cache = || {
        let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let base = base.or_else(|| env::home_dir().map(|home| home.join(".cache")));
        base.expect("XDG_CACHE_HOME or HOME").join("pkgwarden/servers")
    };
    let store = told.unwrap_or_else(cache);
    let hint = "`cargo xtask test --e2e` fetches them; or set PKGWARDEN_SERVERS";
    assert!(store.is_dir(), "no servers at {}: {hint}", store.display());
    store
}

/// A program of Debian's: the one that was unpacked for the tests, or the machine's own.
pub(super) fn debian(program: &str) -> Command {
    let root = store().join("debian");
    let places = ["usr/sbin", "usr/bin"];
    if let Some(path) = places.iter().map(|place| root.join(place).join(program)).find(|path| path.is_file())
    {
        let mut command = Command::new(path);
        command.env("LD_LIBRARY_PATH", libraries(&root));
        return command;
    }
    let own = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&own).chain(["/usr/sbin".into(), "/sbin".into()]);
    let path = folders.map(|folder| folder.join(program)).find(|path| path.is_file());
    Command::new(path.unwrap_or_else(|| panic!("no {program}, neither in {} nor in PATH", root.display())))
}

/// `usr/lib` and its folder of this architecture, which has a dash in its name.
fn libraries(root: &Path) -> OsString {
    let base = root.join("usr/lib");
    let folders = fs::read_dir(&base).into_iter().flatten().flatten().map(|entry| entry.path());
    let ours = folders.filter(|path| path.is_dir() && path.to_string_lossy().ends_with("-linux-gnu"));
    env::join_paths(ours.chain([base.clone()])).expect("a search path for libraries")
}
