//! A process outside of every tree that has what thieves want.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::Failure;
use crate::deeds::User;
use crate::stage::{ORDINARY, Target};
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
        home: &Path,
        file: &Path,
        (kept, told): (&str, &str),
        user: User,
    ) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        command.arg("victim").arg(file).env_clear().env(VARIABLE, told).current_dir(home);
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
        let read = std::fs::File::open(format!("/proc/{}/mem", self.target.pid)).and_then(|file| {
            std::os::unix::fs::FileExt::read_exact_at(&file, &mut memory, self.target.address)
        });
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

/// The process, from inside: keeps what it reads, says where, and stays.
pub(crate) fn suffer(file: &str) -> Result<(), Failure> {
    let mut secret = Vec::new();
    std::io::stdin().read_to_end(&mut secret)?;
    let file = std::fs::File::open(file)?;
    println!("{} {}", secret.as_ptr() as usize, std::os::fd::AsRawFd::as_raw_fd(&file));
    loop {
        std::thread::park();
        // It is to stay in memory.
        std::hint::black_box(&secret);
    }
}
