//! The hand-over: what one process has switched on and pinned is taken over by the next, and then by nobody. A watched
//! process opens a secret in a loop all the while, and must not succeed once.
//!
//! Takes the best tier of the kernel it runs on.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use monitor::bpf::load::{Kernel, Settings};
use monitor::bpf::pin;
use monitor::policy::{Environment, Policy};
use monitor::rule::load::load;
use monitor_common::verdict::Mode;

/// Says to a copy of this program that it is an agent, and where it works.
const ROLE: &str = "PKGWARDEN_TEST_AGENT";
/// Says to an agent that it begins the tree.
const FIRST: &str = "PKGWARDEN_TEST_FIRST";
/// Opens that are waited for in each stage.
const ENOUGH: u64 = 200;
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
#[ignore = "needs root and a program built with its kernel object"]
fn nothing_passes_while_the_watch_changes_hands() {
    let room = tempfile::tempdir().unwrap();
    let place = Place { room: room.path().canonicalize().unwrap() };
    fs::create_dir_all(place.secret().parent().unwrap()).unwrap();
    fs::write(place.secret(), "secret\n").unwrap();
    place.mount_bpffs();

    let mut first = Agent::start(&place, true);
    let refused = place.wait_for_more(0, 0);
    let mut second = Agent::start(&place, false);
    let refused = place.wait_for_more(refused, 0);
    first.end();
    let refused = place.wait_for_more(refused, 0);
    second.end();
    // Nobody is left but the pins.
    place.wait_for_more(refused, 0);

    // And this is what it looks like when nobody watches.
    pin::remove_all(&place.pins()).unwrap();
    place.wait_for_opened();
    fs::write(place.stop(), "").unwrap();
}

/// One of the agents; does nothing when it is run as a test.
#[test]
#[ignore = "a part of the test above"]
fn agent() {
    let Some(room) = std::env::var_os(ROLE) else { return };
    let place = Place { room: PathBuf::from(room) };
    let environment = Environment {
        homes: vec![place.room.join("home")],
        project: place.room.join("project"),
        ..Environment::default()
    };
    let policy = Policy::compile(&load(&[]).unwrap(), &environment).unwrap();
    let settings = Settings { mode: Mode::Block, tier: None, pins: Some(place.pins()) };
    let kernel = Kernel::load(&policy, &settings).unwrap();
    if std::env::var_os(FIRST).is_some() {
        let join = kernel.join();
        begin_opening(&place, || join.join());
    }
    println!("\nready");
    std::io::stdout().flush().unwrap();
    // Until the end of the pipe, which is that of the test.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

struct Place {
    room: PathBuf,
}

impl Place {
    fn secret(&self) -> PathBuf {
        self.room.join("home/.ssh/id_rsa")
    }

    fn counts(&self) -> PathBuf {
        self.room.join("counts")
    }

    fn stop(&self) -> PathBuf {
        self.room.join("stop")
    }

    fn pins(&self) -> PathBuf {
        self.room.join("bpf/pins")
    }

    fn mount_bpffs(&self) {
        let point = self.room.join("bpf");
        fs::create_dir(&point).unwrap();
        nix::mount::mount(Some("bpf"), &point, Some("bpf"), nix::mount::MsFlags::empty(), None::<&str>)
            .unwrap();
    }

    /// How often the secret was refused and opened so far.
    fn so_far(&self) -> (u64, u64) {
        let bytes = fs::read(self.counts()).unwrap_or_default();
        let count =
            |at: usize| bytes.get(at..at + 8).map_or(0, |word| u64::from_ne_bytes(word.try_into().unwrap()));
        (count(0), count(8))
    }

    fn wait_for_more(&self, refused: u64, opened: u64) -> u64 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (now, leaked) = self.so_far();
            assert_eq!(leaked, opened, "the secret was opened after it had been refused {now} times");
            if now >= refused + ENOUGH {
                return now;
            }
            assert!(Instant::now() < deadline, "only {now} opens were refused in time");
            std::thread::yield_now();
        }
    }

    fn wait_for_opened(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.so_far().1 == 0 {
            assert!(Instant::now() < deadline, "the secret cannot be opened although nobody watches");
            std::thread::yield_now();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The copies in the agents unmount nothing: they have no such mount point of their own to leave behind.
        if std::env::var_os(ROLE).is_none() {
            let _ = fs::write(self.stop(), "");
            let _ = pin::remove_all(&self.pins());
            let _ = nix::mount::umount2(&self.room.join("bpf"), nix::mount::MntFlags::MNT_DETACH);
        }
    }
}

struct Agent(Child);

impl Agent {
    fn start(place: &Place, is_first: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "agent", "--nocapture"]).env(ROLE, &place.room);
        if is_first {
            command.env(FIRST, "1");
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let is_ready = lines.map_while(Result::ok).any(|line| line == "ready");
        assert!(is_ready, "the agent could not switch on");
        Self(child)
    }

    /// Without a chance to tidy up.
    fn end(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that joins the tree and has children of its own open the secret, one after the other, and counts.
fn begin_opening(place: &Place, join: impl FnOnce()) {
    let counts = fs::File::create(place.counts()).unwrap();
    let secret = c_path(&place.secret());
    let (stop, room) = (c_path(&place.stop()), c_path(&place.room));
    // SAFETY: the child makes system calls only, on memory that was made before.
    if unsafe { libc::fork() } != 0 {
        return;
    }
    // SAFETY: system calls with valid strings; this process never returns to the test.
    unsafe {
        // Of its own session: it must not end with the agent.
        libc::setsid();
        for stream in 0..3 {
            libc::close(stream);
        }
        join();
        let mut totals = [0_u64; 2];
        // A test that failed takes its room away.
        while libc::access(stop.as_ptr(), libc::F_OK) != 0 && libc::access(room.as_ptr(), libc::F_OK) == 0 {
            let opener = libc::fork();
            if opener == 0 {
                let opened = libc::open(secret.as_ptr(), libc::O_RDONLY) >= 0;
                libc::_exit(i32::from(opened));
            }
            let mut status = 0;
            libc::waitpid(opener, &raw mut status, 0);
            let opened = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 1;
            totals[usize::from(opened)] += 1;
            let _ = counts.write_all_at(&[totals[0].to_ne_bytes(), totals[1].to_ne_bytes()].concat(), 0);
        }
        libc::_exit(0);
    }
}

fn c_path(path: &Path) -> std::ffi::CString {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap()
}
