//! The first process of a virtual machine that has nothing but this program and pkgwarden.
//!
//! It mounts what a system has, runs one program, hands back its output by the second serial port, and powers off.

mod console;
mod modules;
mod mounts;

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::{Pid, getpid, sync};

use crate::{Failure, loopback};

/// Words of the program, if the kernel's command line has none behind `--`.
const ARGUMENTS: &str = "/etc/deed-arguments";
/// What a shell says when there is no such program.
const NOT_FOUND: i32 = 127;
/// What `deed init` says when the machine could not be set up.
const BROKEN: i32 = 125;

/// Whether this is the first process of a machine.
pub(crate) fn is_first() -> bool {
    getpid() == Pid::from_raw(1)
}

/// Sets the machine up, runs the program, and powers off. Returns only if that is refused.
pub(crate) fn boot() -> Failure {
    let code = match set_up().and_then(|()| run()) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("init: {why}");
            BROKEN
        }
    };
    if let Err(why) = console::last_line(&format!("{{\"exit\":{code}}}\n")) {
        eprintln!("init: cannot write the last line: {why}");
    }
    sync();
    // SAFETY: the call takes no pointers.
    unsafe { libc::reboot(libc::RB_POWER_OFF) };
    std::io::Error::last_os_error().into()
}

fn set_up() -> Result<(), Failure> {
    mounts::mount_all()?;
    // Kernels before 5.11 charge maps to it.
    setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY)?;
    modules::load_all()?;
    loopback::bring_up()?;
    if !fs::exists("/etc/passwd")? {
        fs::create_dir_all("/etc")?;
        fs::write("/etc/passwd", "root:x:0:0:root:/root:/\n")?;
    }
    fs::create_dir_all("/root")?;
    Ok(())
}

/// Words before the program: a disk to live on, and one to be mounted at a place of it.
const DISK: &str = "--disk";

/// The program to run: behind `--` on the kernel's command line, or in a file.
fn words() -> Result<Vec<String>, Failure> {
    let line = fs::read_to_string("/proc/cmdline")?;
    let text = match line.split_once(" -- ") {
        Some((_, words)) if !words.trim().is_empty() => words.to_owned(),
        _ => fs::read_to_string(ARGUMENTS)
            .map_err(|why| format!("no words behind -- for the kernel, and no {ARGUMENTS}: {why}"))?,
    };
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

/// Runs the program and collects the dead until it has ended.
fn run() -> Result<i32, Failure> {
    let words = words()?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let words = match words[..] {
        [DISK, root, more, place, ref rest @ ..] => {
            mounts::move_to_disk(root, more, place)?;
            rest.to_vec()
        }
        _ => words,
    };
    let (program, arguments) = words.split_first().ok_or("there is nothing to run")?;
    let output = console::open_output()?;
    let mut command = Command::new(program);
    command.args(arguments).stdout(output).current_dir("/root").env_clear();
    command.env("HOME", "/root").env("PATH", "/bin:/usr/bin:/sbin:/usr/sbin").env("LANG", "C.UTF-8");
    // SAFETY: between fork and exec it only starts a session, which touches no memory.
    unsafe { command.pre_exec(|| Ok(nix::unistd::setsid().map(drop)?)) };
    let child = match command.spawn() {
        Ok(child) => child,
        Err(why) => {
            eprintln!("init: cannot run {program}: {why}");
            return Ok(NOT_FOUND);
        }
    };
    let pid = Pid::from_raw(child.id().cast_signed());
    loop {
        match wait()? {
            WaitStatus::Exited(ended, code) if ended == pid => return Ok(code),
            WaitStatus::Signaled(ended, signal, _) if ended == pid => return Ok(128 + signal as i32),
            _ => {}
        }
    }
}
