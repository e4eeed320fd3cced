//! What node and python cannot do by themselves: one deed per command. Packages of the tests bring this program along.
//!
//! It does its deeds in decoy homes only, and sends what it finds to loopback only.
//!
//! It is also a whole test of its own, for machines that have nothing else: `deed suite` does every deed bare and
//! watched, and as the first process of a virtual machine it sets the machine up.

mod deeds;
mod fileless;
mod init;
mod kernel;
mod loopback;
mod memory;
mod nameserver;
mod raw;
mod stage;
mod standin;
mod storm;
mod suite;
mod tether;
mod thief;
mod uring;

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

/// Why a deed was not done.
type Failure = Box<dyn Error>;

const USAGE: &str = "usage: deed hold | mark FILE | post FILE | after PID DEED... | mem NAME | vm-readv NAME | \
                     ptrace NAME | burrow FOLDER DEPTH LENGTH | memfd FILE | raw-socket | io-uring FILE | storm BEATS FOLDER | \
                     ask-at-once RESOLVER FILE DOMAIN | post-early ADDRESS FILE | tether COMMAND... | \
                     do DEED STAGE | suite [OPTION]... | init";

fn main() -> ExitCode {
    if init::is_first() {
        eprintln!("init: {}", init::boot());
        return ExitCode::FAILURE;
    }
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match begin(&words) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("deed: {why}");
            let impossible = why.is::<deeds::Impossible>();
            if impossible { ExitCode::from(suite::IMPOSSIBLE) } else { ExitCode::FAILURE }
        }
    }
}

fn begin(words: &[&str]) -> Result<ExitCode, Failure> {
    match words {
        ["suite", options @ ..] => return suite::run(options),
        ["stand-in", command @ ..] => return standin::run(command),
        ["init"] => return Err(init::boot()),
        ["victim", file, helper] => suite::suffer(file, helper)?,
        // Also with another home.
        ["post-home"] => deeds::post_home()?,
        ["batch"] => suite::serve()?,
        ["hold"] => hold()?,
        ["tether", command @ ..] => return tether::run(command),
        _ => perform(words)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn perform(words: &[&str]) -> Result<(), Failure> {
    if !Path::new(&env::var_os("HOME").unwrap_or_default()).join(".decoy-home").exists() {
        return Err("this is no decoy home".into());
    }
    match words {
        ["do", deed, stage] => deeds::perform(deed, Path::new(stage)),
        ["sign", token, file] => Ok(fs::write(file, token)?),
        ["interpret"] => deeds::interpret(),
        ["mark", file] => Ok(fs::write(file, "done\n")?),
        ["post", file] => thief::post(&fs::read(file)?),
        ["after", pid, deed @ ..] => after(pid, deed),
        ["mem", name] => memory::thieve(name, memory::by_proc_mem),
        ["vm-readv", name] => memory::thieve(name, memory::by_process_vm_readv),
        ["ptrace", name] => memory::thieve(name, memory::by_ptrace),
        ["burrow", folder, depth, length] => burrow(folder, depth.parse()?, length.parse()?),
        ["memfd", file] => fileless::run_from_memory(file),
        ["raw-socket"] => raw::send(),
        ["ask-at-once", resolver, file, domain] => deeds::ask_at_once(resolver, file, domain),
        ["post-early", address, file] => deeds::post_early(address, file),
        ["io-uring", file] => thief::post(&uring::read(file)?),
        ["storm", beats, folder] => storm::rage(Path::new(beats), Path::new(folder)),
        _ => Err(USAGE.into()),
    }
}

/// Keeps what comes from the standard input in memory, and stays.
fn hold() -> Result<(), Failure> {
    let mut secret = Vec::new();
    io::stdin().read_to_end(&mut secret)?;
    println!("ready");
    while !secret.is_empty() {
        thread::park();
    }
    Ok(())
}

/// Waits until a process has ended, then does another deed: a daemon that outlives the install.
fn after(pid: &str, deed: &[&str]) -> Result<(), Failure> {
    let process = Path::new("/proc").join(pid);
    while process.exists() {
        thread::park_timeout(Duration::from_millis(5));
    }
    perform(deed)
}

/// This program, to be started again as somebody else.
fn oneself(words: &[&str]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(words.iter().map(OsString::from));
    command
}

/// Makes a file deep below a folder, deeper than one path can say, and reads it.
fn burrow(folder: &str, depth: usize, length: usize) -> Result<(), Failure> {
    fs::create_dir_all(folder)?;
    env::set_current_dir(folder)?;
    let name = "d".repeat(length);
    for _ in 0..depth {
        fs::create_dir_all(&name)?;
        env::set_current_dir(&name)?;
    }
    fs::write("token", "buried\n")?;
    fs::read("token")?;
    Ok(())
}
