//! A network of one's own: every address a thief would call, all of them on loopback.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::deadline;

/// Metadata services, and an address of the network reserved for documentation as "somewhere out there".
const ADDRESSES: [&str; 6] = [
    "169.254.169.254/32",
    "169.254.170.2/32",
    "100.100.100.200/32",
    "203.0.113.7/32",
    "203.0.113.53/32",
    "fd00:ec2::254/128",
];

/// A network namespace. It has no name, so it goes away with the last process and descriptor in it.
#[derive(Debug)]
pub struct Namespace {
    handle: OwnedFd,
    link: String,
}

/// A process that lives in a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub pid: i32,
    /// Its name, as the kernel has it.
    pub name: String,
}

impl Namespace {
    /// Makes one, with loopback up and all addresses on it.
    ///
    /// # Panics
    /// Without root, or without `ip`.
    #[must_use]
    pub fn new() -> Self {
        Self::make(set_up)
    }

    /// Makes one in which there is nothing yet, not even loopback.
    pub(crate) fn bare() -> Self {
        Self::make(|| {})
    }

    fn make(set_up: fn()) -> Self {
        // A thread can have a network of its own; what it starts inherits it.
        let made = thread::scope(|scope| {
            let thread = scope.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET).expect("make a network namespace (this needs root)");
                set_up();
                let handle = File::open("/proc/thread-self/ns/net").expect("open the new network namespace");
                let inode = handle.metadata().expect("look at the new network namespace").ino();
                Self { handle: handle.into(), link: format!("net:[{inode}]") }
            });
            thread.join()
        });
        made.expect("a network namespace")
    }

    /// What names it to others.
    pub(crate) fn handle(&self) -> &OwnedFd {
        &self.handle
    }

    /// Does something on a thread that is in the namespace. Sockets made and processes started there stay in it.
    pub fn enter<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let done = thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&self.handle, CloneFlags::CLONE_NEWNET).expect("enter the network namespace");
                act()
            });
            thread.join()
        });
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Everybody who lives there now; the dead who are still to be waited for are not counted.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        let processes = fs::read_dir("/proc").expect("list /proc");
        let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter_map(|pid| self.member(pid)).collect()
    }

    fn member(&self, pid: i32) -> Option<Member> {
        let link = fs::read_link(format!("/proc/{pid}/ns/net")).ok()?;
        if link.to_str() != Some(&self.link) {
            return None;
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (head, tail) = stat.rsplit_once(')')?;
        if tail.trim_start().starts_with(['Z', 'X']) {
            return None;
        }
        let name = head.split_once('(')?.1.to_owned();
        Some(Member { pid, name })
    }

    /// Kills everybody who lives there, and waits until they are gone.
    pub fn clear(&self) {
        let cleared = deadline::until(deadline::SOON, || {
            let members = self.members();
            for member in &members {
                // It may have ended since; then there is nothing to do.
                kill(Pid::from_raw(member.pid), Signal::SIGKILL).ok();
            }
            members.is_empty()
        });
        assert!(cleared, "these outlive SIGKILL: {:?}", self.members());
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        for member in self.members() {
            // It may have ended since; then there is nothing to do.
            kill(Pid::from_raw(member.pid), Signal::SIGKILL).ok();
        }
    }
}

fn set_up() {
    let mut orders = String::from("link set lo up\n");
    for address in ADDRESSES {
        orders.push_str(&format!("addr add {address} dev lo\n"));
    }
    let mut child = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("start ip (package iproute2)");
    child.stdin.take().expect("ip has a standard input").write_all(orders.as_bytes()).expect("write to ip");
    assert!(child.wait().expect("wait for ip").success(), "ip could not set up loopback");
}
