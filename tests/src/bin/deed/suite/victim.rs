//! A process outside of every tree that has what thieves want.

use std::fs::File;
use std::io::{BufRead, BufReader, IoSlice, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use crate::Failure;
use crate::deeds::User;
use crate::stage::{HELPER, ORDINARY, Stage, Target};
use crate::suite::children;

/// The variable with a secret in it.
const VARIABLE: &str = "DECOY_TOKEN";

/// The process, from outside.
#[derive(Debug)]
pub(super) struct Victim {
    child: Child,
    secret: String,
    pub(super) target: Target,
}

impl Victim {
    /// Starts one, which keeps one secret in its memory, and another one in its environment.
    pub(super) fn start(
        program: &Path,
        stage: &Stage,
        (kept, told): (&str, &str),
        user: User,
    ) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        command.arg("victim").arg(&stage.secret).arg(stage.aside.join(HELPER));
        command.env_clear().env(VARIABLE, told).current_dir(&stage.home).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        if user == User::Ordinary {
            command.uid(ORDINARY).gid(ORDINARY);
        }
        let mut child = command.spawn()?;
        child.stdin.take().ok_or("a victim without an input")?.write_all(kept.as_bytes())?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("a victim without an output")?).read_line(&mut line)?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let [address, fd] = words[..] else { return Err(format!("a victim said {line:?}").into()) };
        let pid = child.id().cast_signed();
        let target = Target { pid, address: address.parse()?, length: kept.len(), fd: fd.parse()? };
        Ok(Self { child, secret: kept.to_owned(), target })
    }

    /// What was done to it, if anything.
    pub(super) fn harm(&self) -> Option<String> {
        let state = children::status(self.target.pid).map(|(state, _)| state);
        match state {
            None | Some('Z' | 'X') => return Some("the victim is dead".into()),
            Some(state @ ('T' | 't')) => return Some(format!("the victim stands still ({state})")),
            _ => {}
        }
        let mut memory = vec![0; self.target.length];
        let read = File::open(format!("/proc/{}/mem", self.target.pid))
            .and_then(|file| file.read_exact_at(&mut memory, self.target.address));
        (read.is_ok() && memory != self.secret.as_bytes()).then(|| "the victim's memory was changed".into())
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // It may be what a deed has killed.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The process, from inside: keeps what it reads, says where, and hands the file to whoever asks.
pub(crate) fn suffer(file: &str, helper: &str) -> Result<(), Failure> {
    let mut secret = Vec::new();
    std::io::stdin().read_to_end(&mut secret)?;
    let file = File::open(file)?;
    let listener = UnixListener::bind(helper)?;
    println!("{} {}", secret.as_ptr() as usize, file.as_raw_fd());
    for stream in listener.incoming() {
        let fds = [file.as_raw_fd()];
        let message = [ControlMessage::ScmRights(&fds)];
        sendmsg::<()>(stream?.as_raw_fd(), &[IoSlice::new(b"!")], &message, MsgFlags::empty(), None)?;
        // It is to stay in memory.
        std::hint::black_box(&secret);
    }
    Ok(())
}
