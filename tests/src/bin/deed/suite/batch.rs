//! Many deeds under one watch. To switch protection on takes seconds on a slow machine, and a deed takes none; so a
//! command that does nothing but start deeds is watched, and each deed is told from the others by its first process.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};

use super::children::Children;
use super::isolation::{PLACE, RULES};
use super::run::{Ended, ORPHANED};
use super::scene::Scene;
use crate::deeds::Deed;
use crate::kernel::checked;
use crate::stage::PASSWD;
use crate::{Failure, oneself};

/// Numbers of the users whose homes the scenes are.
const USERS: u32 = 48_000;

/// A command under watch that waits for orders.
pub(super) struct Batch {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    children: Children,
    folder: PathBuf,
}

/// A deed that was done in a batch.
#[derive(Debug)]
pub(super) struct Done {
    /// Its first process; none if it never started.
    pub(super) pid: Option<i32>,
    pub(super) ended: Ended,
}

impl Batch {
    /// Starts the watch. The homes of all scenes must be homes of this machine by then.
    pub(super) fn start(
        pkgwarden: &Path,
        tier: &str,
        program: &Path,
        folder: &Path,
        scenes: &[Scene],
    ) -> Result<Self, Failure> {
        inhabit(scenes)?;
        let children = Children::now();
        let mut command = Command::new(pkgwarden);
        command
            .env("PKGWARDEN_STARTED_BY", "nobody")
            .args(["run", "--tier", tier, "--rules", RULES, "--linger", "1", "--events"])
            .arg(events(folder));
        command.arg("--").arg(program).arg("batch");
        // The scenes are the project: what their commands write there is theirs to write.
        command.current_dir(PLACE).env_clear().env("HOME", "/root").env("PATH", "/usr/bin:/bin");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(folder.join("stderr"))?);
        command.process_group(0);
        // SAFETY: between fork and exec it makes one system call, which touches no memory.
        unsafe { command.pre_exec(|| Ok(unshare(CloneFlags::CLONE_NEWNS)?)) };
        let mut child =
            command.spawn().map_err(|why| format!("cannot start {}: {why}", pkgwarden.display()))?;
        let orders = child.stdin.take().ok_or("a watch without an input")?;
        let answers = BufReader::new(child.stdout.take().ok_or("a watch without an output")?);
        Ok(Self { child, orders, answers, children, folder: folder.to_owned() })
    }

    /// Does a deed, and waits until nothing is left of it. `None` if the watch is over.
    pub(super) fn perform(
        &mut self,
        deed: &Deed,
        scene: &Scene,
        limit: Duration,
    ) -> Result<Option<Done>, Failure> {
        let (stage, errors) = (scene.folder().join("stage.json"), scene.folder().join("stderr"));
        File::create(&errors)?;
        let words = [stage, errors.clone(), scene.stage.home.clone(), scene.stage.project.clone()];
        let words: Vec<String> = words.iter().map(|path| path.display().to_string()).collect();
        if writeln!(self.orders, "{}\t{}", deed.name, words.join("\t")).is_err() {
            return Ok(None);
        }
        let end = Instant::now() + limit * deed.patience;
        let (pid, code) = match (self.answer(end)?, self.answer(end)?) {
            (Answer::Says(pid), Answer::Says(code)) => (Some(pid), code),
            (Answer::Says(pid), Answer::Late) => return self.late(Some(pid), &errors).map(Some),
            // The whole tree was ended for it.
            (Answer::Says(pid), Answer::Over) => (Some(pid), 128 + libc::SIGKILL),
            (Answer::Late, _) => return self.late(None, &errors).map(Some),
            (Answer::Over, _) => return Ok(None),
        };
        let stderr = String::from_utf8_lossy(&fs::read(errors)?).into_owned();
        Ok(Some(Done { pid, ended: Ended::of_batch(code, false, stderr) }))
    }

    fn late(&mut self, pid: Option<i32>, errors: &Path) -> Result<Done, Failure> {
        self.child.kill()?;
        let stderr = String::from_utf8_lossy(&fs::read(errors)?).into_owned();
        Ok(Done { pid, ended: Ended::of_batch(128 + libc::SIGKILL, true, stderr) })
    }

    fn answer(&mut self, end: Instant) -> Result<Answer, Failure> {
        if self.answers.buffer().is_empty() {
            let left = i32::try_from(end.saturating_duration_since(Instant::now()).as_millis())?;
            let fd = self.answers.get_ref().as_raw_fd();
            let mut wanted = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            // SAFETY: one descriptor, as the length says, which lives and is ours to write.
            if checked(unsafe { libc::poll(&raw mut wanted, 1, left) })? == 0 {
                return Ok(Answer::Late);
            }
        }
        let mut line = String::new();
        match self.answers.read_line(&mut line)? {
            0 => Ok(Answer::Over),
            _ => Ok(Answer::Says(line.trim().parse()?)),
        }
    }

    /// Ends the watch; says how it ended, and where its events are.
    pub(super) fn finish(self) -> Result<(Ended, PathBuf), Failure> {
        let Self { mut child, orders, answers, children, folder } = self;
        drop(orders);
        let status = child.wait()?;
        drop(answers);
        if status.signal().is_some() {
            children.let_others_end(ORPHANED);
        }
        children.end_others()?;
        let stderr = String::from_utf8_lossy(&fs::read(folder.join("stderr"))?).into_owned();
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Ok((Ended::of_batch(code, false, stderr), events(&folder)))
    }
}

enum Answer {
    Says(i32),
    Late,
    Over,
}

fn events(folder: &Path) -> PathBuf {
    folder.join("events.jsonl")
}

/// Makes every scene's home the home of somebody with a login.
fn inhabit(scenes: &[Scene]) -> Result<(), Failure> {
    let mut passwd = String::from("root:x:0:0:root:/root:/bin/sh\n");
    for (number, scene) in (USERS..).zip(scenes) {
        passwd
            .push_str(&format!("deed{number}:x:{number}:{number}::{}:/bin/sh\n", scene.stage.home.display()));
    }
    // A file of the suite's own namespace, over the machine's.
    Ok(fs::write(PASSWD, passwd)?)
}

/// The command: starts each deed that it is told, says its number, and its exit code when nothing is left of it.
pub(crate) fn serve() -> Result<(), Failure> {
    // What a deed leaves behind comes to us.
    nix::sys::prctl::set_child_subreaper(true)?;
    for line in std::io::stdin().lines() {
        let line = line?;
        let [name, stage, errors, home, project] = line.split('\t').collect::<Vec<_>>()[..] else {
            return Err(format!("what is {line:?}?").into());
        };
        let errors = File::options().append(true).open(errors)?;
        let children = Children::now();
        let mut command = oneself(&["do", name, stage]);
        command.env("HOME", home).current_dir(project).stderr(errors);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.spawn()?;
        say(child.id().cast_signed())?;
        let status = child.wait()?;
        children.end_others()?;
        say(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))?;
    }
    Ok(())
}

fn say(number: i32) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{number}")?;
    out.flush()
}
