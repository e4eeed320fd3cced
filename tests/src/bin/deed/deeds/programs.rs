//! Programs that are run without being there, or as somebody else.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Deed, Harm, Need};
use crate::Failure;
use crate::kernel::{c_path, owned, syscall};
use crate::stage::{SETUID, Stage};

/// A file of the project that the other program writes.
const MARK: &str = "project/mark";

pub(super) const DEEDS: &[Deed] = &[
    Deed::new("dropped", &["6.13"], "run a program that was just written", Harm::Written(MARK), dropped),
    Deed::new("dropped-user", &["6.13"], "the same, not as root", Harm::Written(MARK), dropped).ordinary(),
    Deed::new(
        "dropped-renamed",
        &["6.13"],
        "written under one name, run under another",
        Harm::Written(MARK),
        renamed,
    ),
    Deed::new("dropped-linked", &["6.13"], "written, run through a hard link", Harm::Written(MARK), linked),
    Deed::new("dropped-mmap", &["6.13"], "written through a mapping", Harm::Written(MARK), written_by_map),
    Deed::new(
        "dropped-copy-range",
        &["6.13"],
        "written by copy_file_range",
        Harm::Written(MARK),
        written_by_copy,
    ),
    Deed::new("called-npm", &["6.13"], "a copy that is called npm opens the secret", Harm::Leak, called_npm),
    Deed::new("argv0", &["6.13"], "argv[0] says git; the secret is git's", Harm::Leak, argv0),
    Deed::new("comm", &["6.13"], "prctl(PR_SET_NAME) says npm", Harm::Leak, comm),
    Deed::new(
        "memfd",
        &["6.14", "2.11 memfd"],
        "program from anonymous memory, by /proc/self/fd",
        Harm::Written(MARK),
        memfd,
    ),
    Deed::new(
        "memfd-execveat",
        &["6.14", "2.11 memfd"],
        "program from anonymous memory, execveat(AT_EMPTY_PATH)",
        Harm::Written(MARK),
        memfd_at,
    ),
    Deed::new("tmpfile", &["6.14"], "program without a name (O_TMPFILE)", Harm::Written(MARK), tmpfile)
        .unless("a file system without O_TMPFILE"),
    Deed::new("deleted", &["6.14"], "program that is deleted before it runs", Harm::Written(MARK), deleted),
    Deed::new("dev-shm", &["6.14"], "program in /dev/shm", Harm::Written(MARK), dev_shm),
    Deed::new(
        "script-stdin",
        &["6.16", "2.11 interpreter -c"],
        "commands by the standard input of an interpreter",
        Harm::Leak,
        by_stdin,
    ),
    Deed::new(
        "map-code",
        &["6.15", "6.17", "2.11 ld.so exec"],
        "code of a written file, mapped and called",
        Harm::Done,
        map_code,
    ),
    Deed::new(
        "map-code-later",
        &["6.15", "6.17"],
        "the same, made executable afterwards",
        Harm::Done,
        protect_code,
    ),
    Deed::new(
        "map-code-user",
        &["6.15", "6.17", "2.11 ld.so exec"],
        "the same, not as root",
        Harm::Done,
        map_code,
    )
    .ordinary(),
    Deed::new(
        "setuid-root",
        &["6.35"],
        "a set-uid program of root's, run by somebody else",
        Harm::Written("../aside/only-root/mark"),
        setuid_root,
    )
    .ordinary()
    .needs(&[Need::Setuid]),
];

/// Writes a copy of this program.
fn copy_to(path: &Path) -> io::Result<PathBuf> {
    fs::copy("/proc/self/exe", path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(path.to_owned())
}

/// Runs a copy of this program, which leaves a mark.
fn run(stage: &Stage, program: &Path) -> Result<(), Failure> {
    // A file that is still open for writing somewhere cannot be run; a child of a sibling may have it for a moment.
    let status = Command::new(program).args(["sign", &stage.token]).arg(stage.in_home(MARK)).status()?;
    if status.success() { Ok(()) } else { Err(format!("the program ended otherwise: {status}").into()) }
}

fn dropped(stage: &Stage) -> Result<(), Failure> {
    run(stage, &copy_to(&stage.in_project("program"))?)
}

fn renamed(stage: &Stage) -> Result<(), Failure> {
    let other = stage.in_project("tool");
    fs::rename(copy_to(&stage.in_project("notes.txt"))?, &other)?;
    run(stage, &other)
}

fn linked(stage: &Stage) -> Result<(), Failure> {
    let other = stage.in_project("tool");
    fs::hard_link(copy_to(&stage.in_project("notes.txt"))?, &other)?;
    run(stage, &other)
}

fn written_by_map(stage: &Stage) -> Result<(), Failure> {
    let program = fs::read("/proc/self/exe")?;
    let path = stage.in_project("program");
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o755).open(&path)?;
    file.set_len(program.len() as u64)?;
    let place = map(&file, program.len(), libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED)?;
    // SAFETY: the mapping has this length and is ours to write; nobody else looks at the file.
    unsafe { std::ptr::copy_nonoverlapping(program.as_ptr(), place, program.len()) };
    // SAFETY: the mapping was made just above, and is not used any more.
    unsafe { libc::munmap(place.cast(), program.len()) };
    drop(file);
    run(stage, &path)
}

fn written_by_copy(stage: &Stage) -> Result<(), Failure> {
    let path = stage.in_project("program");
    let from = File::open("/proc/self/exe")?;
    let to = OpenOptions::new().write(true).create_new(true).mode(0o755).open(&path)?;
    let length = from.metadata()?.len();
    io::copy(&mut &from, &mut &to)?;
    let none = std::ptr::null_mut::<libc::off_t>();
    // SAFETY: offsets are null: the files' own are used. At the end of the file there is nothing left to copy.
    unsafe { syscall!(libc::SYS_copy_file_range, from.as_raw_fd(), none, to.as_raw_fd(), none, length, 0) }?;
    drop(to);
    run(stage, &path)
}

fn called_npm(stage: &Stage) -> Result<(), Failure> {
    let folder = stage.in_project("node_modules/.bin");
    fs::create_dir_all(&folder)?;
    let npm = copy_to(&folder.join("npm"))?;
    let status =
        Command::new(npm).arg("post-home").env("SECRET", &stage.secret).env("LOOT", &stage.loot).status()?;
    if status.success() { Ok(()) } else { Err(format!("the program ended otherwise: {status}").into()) }
}

fn argv0(stage: &Stage) -> Result<(), Failure> {
    let mut command = crate::oneself(&["post-home"]);
    command.arg0("/usr/bin/git").env("SECRET", stage.in_home(".git-credentials")).env("LOOT", &stage.loot);
    Err(command.exec().into())
}

fn comm(stage: &Stage) -> Result<(), Failure> {
    nix::sys::prctl::set_name(c"npm")?;
    Ok(stage.take(&fs::read(&stage.secret)?)?)
}

fn anonymous() -> io::Result<File> {
    // SAFETY: the name is a C string that lives.
    let fd = owned(unsafe { syscall!(libc::SYS_memfd_create, c"stage".as_ptr(), 0) }?)?;
    let mut file = File::from(fd);
    file.write_all(&fs::read("/proc/self/exe")?)?;
    Ok(file)
}

fn memfd(stage: &Stage) -> Result<(), Failure> {
    let file = anonymous()?;
    run(stage, Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())))
}

/// Runs what a descriptor leads to, in a child.
fn run_descriptor(stage: &Stage, fd: &OwnedFd) -> Result<(), Failure> {
    let mark = c_path(stage.in_home(MARK))?;
    let token = c_path(&stage.token)?;
    let words = [c"tool".as_ptr(), c"sign".as_ptr(), token.as_ptr(), mark.as_ptr(), std::ptr::null()];
    let home = c_path(format!("HOME={}", stage.home.display()))?;
    let environment = [home.as_ptr(), std::ptr::null()];
    super::lineage::child(|| {
        let (words, environment) = (words.as_ptr(), environment.as_ptr());
        let (fd, empty) = (fd.as_raw_fd(), c"".as_ptr());
        // SAFETY: both are arrays of C strings that live, ended by null.
        unsafe { syscall!(libc::SYS_execveat, fd, empty, words, environment, libc::AT_EMPTY_PATH) }?;
        Ok(())
    })
}

fn memfd_at(stage: &Stage) -> Result<(), Failure> {
    run_descriptor(stage, &anonymous()?.into())
}

fn tmpfile(stage: &Stage) -> Result<(), Failure> {
    let open = OpenOptions::new().write(true).mode(0o755).custom_flags(libc::O_TMPFILE).open(&stage.project);
    let mut file = super::if_there("O_TMPFILE", open)?;
    file.write_all(&fs::read("/proc/self/exe")?)?;
    // Again, for reading only: nobody may run what somebody can write.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let handle = File::open(&path)?;
    drop(file);
    run_descriptor(stage, &handle.into())
}

fn deleted(stage: &Stage) -> Result<(), Failure> {
    let path = copy_to(&stage.in_project("program"))?;
    let handle = File::open(&path)?;
    fs::remove_file(path)?;
    run_descriptor(stage, &handle.into())
}

fn dev_shm(stage: &Stage) -> Result<(), Failure> {
    let path = Path::new("/dev/shm").join(&stage.token);
    let ran = copy_to(&path).map_err(Into::into).and_then(|path| run(stage, &path));
    fs::remove_file(path)?;
    ran
}

fn by_stdin(stage: &Stage) -> Result<(), Failure> {
    let mut child = crate::oneself(&["interpret"]).stdin(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().ok_or("no input")?;
    writeln!(input, "copy {} {}", stage.secret.display(), stage.loot.display())?;
    drop(input);
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(format!("the interpreter ended otherwise: {status}").into()) }
}

/// An interpreter of one command: `copy FROM TO`.
pub(crate) fn interpret() -> Result<(), Failure> {
    for line in io::stdin().lines() {
        match line?.split(' ').collect::<Vec<_>>()[..] {
            ["copy", from, to] => fs::copy(from, to).map(drop)?,
            _ => return Err("there is only `copy FROM TO`".into()),
        }
    }
    Ok(())
}

fn map(file: &File, length: usize, access: i32, flags: i32) -> io::Result<*mut u8> {
    let nowhere = std::ptr::null_mut();
    // SAFETY: a new mapping at a place of the kernel's choosing.
    let place = unsafe { libc::mmap(nowhere, length, access, flags, file.as_raw_fd(), 0) };
    if place == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(place.cast()) }
}

/// A function that returns 42.
#[cfg(target_arch = "x86_64")]
const CODE: &[u8] = &[0xb8, 42, 0, 0, 0, 0xc3];
#[cfg(target_arch = "aarch64")]
const CODE: &[u8] = &[0x40, 0x05, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6];

fn call(stage: &Stage, place: *mut u8) -> Result<(), Failure> {
    // SAFETY: the place holds `CODE`, a whole function of this type, and may be executed.
    let answer = unsafe { std::mem::transmute::<*mut u8, extern "C" fn() -> u32>(place)() };
    if answer == 42 { Ok(stage.done()?) } else { Err(format!("the code said {answer}").into()) }
}

fn written_code(stage: &Stage) -> Result<File, Failure> {
    let path = stage.in_project("addon.node");
    fs::write(&path, CODE)?;
    Ok(File::open(path)?)
}

fn map_code(stage: &Stage) -> Result<(), Failure> {
    let file = written_code(stage)?;
    call(stage, map(&file, CODE.len(), libc::PROT_READ | libc::PROT_EXEC, libc::MAP_PRIVATE)?)
}

fn make_executable(place: *mut u8) -> io::Result<()> {
    // SAFETY: the mapping is ours, and nothing else is in it.
    let made = unsafe { libc::mprotect(place.cast(), CODE.len(), libc::PROT_READ | libc::PROT_EXEC) };
    crate::kernel::checked(made).map(drop)
}

fn protect_code(stage: &Stage) -> Result<(), Failure> {
    let place = map(&written_code(stage)?, CODE.len(), libc::PROT_READ, libc::MAP_PRIVATE)?;
    make_executable(place)?;
    call(stage, place)
}

fn setuid_root(stage: &Stage) -> Result<(), Failure> {
    // It writes where only root may.
    let target = stage.aside.join("only-root/mark");
    let mut command = Command::new(stage.aside.join(SETUID));
    let status = command.args(["sign", &stage.token]).arg(target).env("HOME", &stage.home).status()?;
    if status.success() { Ok(()) } else { Err(format!("the program ended otherwise: {status}").into()) }
}
