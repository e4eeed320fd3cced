//! One boot: qemu with a kernel and a first file system, its two serial lines, and how it ended.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

use super::kernel::{Architecture, Kernel};
use super::qemu;
use super::store::Unpacked;
use crate::workspace::ask;

/// A machine to be booted.
pub(crate) struct Machine<'a> {
    /// How it is booted.
    pub(crate) kernel: &'a Kernel,
    /// What is booted.
    pub(crate) unpacked: &'a Unpacked,
    /// The first file system.
    pub(crate) initramfs: &'a Path,
    /// Where the kernel's messages go.
    pub(crate) log: PathBuf,
    /// When it is ended at the latest.
    pub(crate) limit: Duration,
    /// Disks that it may write to, and that are as before afterwards.
    pub(crate) disks: Vec<PathBuf>,
    /// Whether guest time is the number of guest instructions, on one processor.
    pub(crate) counted: bool,
}

/// Lines of the kernel's log that are shown when a boot went wrong.
const TAIL: usize = 30;
/// MiB.
const MEMORY: &str = "1024";
/// MiB, for package managers.
const MEMORY_WITH_DISKS: &str = "3072";
/// How the last line of a boot begins that went well.
const EXIT: &str = "{\"exit\":";

impl Machine<'_> {
    /// Boots, runs the words as a program, hands each line that it prints to `line`, and returns its exit code.
    pub(crate) fn run(&self, words: &[String], mut line: impl FnMut(&str)) -> Result<i32> {
        let name = self.kernel.name;
        let program = qemu::program(self.kernel.architecture);
        let complaints = self.log.with_extension("qemu");
        let stderr = fs::File::create(&complaints)
            .with_context(|| format!("cannot write {}", complaints.display()))?;
        let mut command = self.command(&program, words);
        // SAFETY: between fork and exec it makes one system call, which touches no memory.
        unsafe { command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?)) };
        let mut child = Running(
            command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(stderr)
                .spawn()
                .with_context(|| format!("cannot start {program}"))?,
        );
        let stdout = child.0.stdout.take().context("qemu has no standard output")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut bytes = Vec::new();
            while reader.read_until(b'\n', &mut bytes).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
                if sender.send(text).is_err() {
                    return;
                }
                bytes.clear();
            }
        });

        let deadline = Instant::now() + self.limit;
        let mut exit = None;
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(text) => match exit_code(&text) {
                    Some(code) => exit = Some(code),
                    None => line(&text),
                },
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    self.show_log();
                    bail!("kernel {name} was not done after {} seconds", self.limit.as_secs());
                }
            }
        }
        let status = child.0.wait().context("cannot wait for qemu")?;
        if let Some(code) = exit {
            return Ok(code);
        }
        if !status.success() {
            let said = fs::read_to_string(&complaints).unwrap_or_default();
            bail!("kernel {name} could not be booted: {program} ended with {status}: {}", said.trim());
        }
        let reason = self.show_log().unwrap_or_else(|| "it ended without a word".into());
        bail!("kernel {name} broke off: {reason} (all of its messages: {})", self.log.display())
    }

    fn command(&self, program: &str, words: &[String]) -> Command {
        let mut command = Command::new(program);
        command.args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-monitor",
            "none",
            "-no-reboot",
        ]);
        let native = Architecture::host() == Some(self.kernel.architecture);
        let (processors, accelerator) = match (self.counted, native && virtualisation()) {
            (true, _) => ("1", "tcg,thread=single"),
            (false, true) => ("2", "kvm"),
            (false, false) => ("2", "tcg,thread=multi"),
        };
        let (machine, processor) = match (self.kernel.architecture, self.counted) {
            (Architecture::X86, _) if accelerator == "kvm" => ("pc", "host".into()),
            (Architecture::X86, false) => ("pc", "max".into()),
            (Architecture::X86, true) => ("pc", without_string_instructions(program)),
            (Architecture::Arm, _) if accelerator == "kvm" => ("virt", "host".into()),
            (Architecture::Arm, _) => ("virt", "cortex-a72".into()),
        };
        command.args(["-machine", machine, "-cpu", &processor, "-accel", accelerator]);
        let memory = if self.disks.is_empty() { MEMORY } else { MEMORY_WITH_DISKS };
        command.args(["-smp", processors, "-m", memory]);
        for disk in &self.disks {
            let mut drive = std::ffi::OsString::from("if=virtio,format=raw,snapshot=on,file=");
            drive.push(disk);
            command.arg("-drive").arg(drive);
        }
        if self.counted {
            command.args(["-icount", "shift=0,sleep=off,align=off"]);
        }
        let mut log = std::ffi::OsString::from("file:");
        log.push(&self.log);
        command.arg("-serial").arg(log);
        match self.kernel.architecture {
            Architecture::X86 => command.args(["-serial", "stdio"]),
            // Not every qemu gives this board a second port; on a card there are two, and the second is ours.
            Architecture::Arm => command
                .args(["-chardev", "null,id=first", "-chardev", "stdio,id=second"])
                .args(["-device", "pci-serial-2x,chardev1=first,chardev2=second"]),
        };
        command.arg("-kernel").arg(&self.unpacked.image).arg("-initrd").arg(self.initramfs);
        command.arg("-append").arg(self.parameters(words));
        command
    }

    fn parameters(&self, words: &[String]) -> String {
        let console = match self.kernel.architecture {
            Architecture::X86 => "console=ttyS0 no_timer_check tsc=reliable",
            Architecture::Arm => "console=ttyAMA0",
        };
        let mut parameters = format!(
            "{console} panic=-1 quiet nokaslr mitigations=off random.trust_cpu=on lsm={}",
            self.kernel.security_modules()
        );
        if self.counted {
            parameters.push_str(" init_on_alloc=0");
        }
        format!("{parameters} -- {}", words.join(" "))
    }

    /// Shows the end of the kernel's log, or what comes around the line that says why it stopped; and that line.
    fn show_log(&self) -> Option<String> {
        let log = String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned();
        let lines: Vec<&str> = log.lines().collect();
        let signs = ["Kernel panic", "BUG:", "Oops:", "Unable to handle"];
        let bad = lines.iter().position(|line| signs.iter().any(|sign| line.contains(sign)));
        let first = bad.unwrap_or(lines.len()).saturating_sub(if bad.is_some() { TAIL / 2 } else { TAIL });
        eprintln!("xtask: from {}:", self.log.display());
        for line in lines.iter().skip(first).take(TAIL) {
            eprintln!("  {line}");
        }
        bad.map(|bad| lines[bad].trim().to_owned())
    }
}

/// A qemu that does not outlive its boot; the signal above is for when we are killed ourselves.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, or nobody needs it any more.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A processor on which the kernel copies in loops: an instruction that copies a whole buffer would count as one. Which
/// of them qemu can leave out depends on its release.
fn without_string_instructions(program: &str) -> String {
    let known = ask(Command::new(program).args(["-cpu", "help"])).unwrap_or_default();
    let flags = ["erms", "fsrm", "fzrm", "fsrs", "fsrc"].into_iter();
    let known = flags.filter(|flag| known.split_whitespace().any(|word| word == *flag));
    std::iter::once("max".to_owned()).chain(known.map(|flag| format!(",-{flag}"))).collect()
}

fn exit_code(line: &str) -> Option<i32> {
    line.strip_prefix(EXIT)?.trim().strip_suffix('}')?.trim().parse().ok()
}

/// Whether the processor itself can run another kernel. That /dev/kvm opens does not say so: some hosts emulate it, and
/// kernels that do not know that hang.
fn virtualisation() -> bool {
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = information.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let can = flags.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    can && fs::File::options().read(true).write(true).open("/dev/kvm").is_ok()
}

#[cfg(test)]
mod tests {
    use super::exit_code;

    #[test]
    fn knows_the_last_line() {
        assert_eq!(exit_code("{\"exit\":0}"), Some(0));
        assert_eq!(exit_code("{\"exit\": 101 }"), Some(101));
        assert_eq!(exit_code("{\"deed\":\"exit\"}"), None);
    }
}
