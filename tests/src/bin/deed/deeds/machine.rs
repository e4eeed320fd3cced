//! The kernel itself: programs and maps, modules, tracing, settings.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use super::{Deed, Harm, Impossible, Need, if_there};
use crate::Failure;
use crate::kernel::{c_path, owned, syscall};
use crate::stage::{SETTING, Stage, TRACE};

// include/uapi/linux/bpf.h
const MAP_CREATE: u32 = 0;
const MAP_LOOKUP: u32 = 1;
const MAP_UPDATE: u32 = 2;
const PROG_LOAD: u32 = 5;
const OBJ_PIN: u32 = 6;
const OBJ_GET: u32 = 7;
const MAP_NEXT_ID: u32 = 12;
const MAP_BY_ID: u32 = 14;
const INFO_BY_FD: u32 = 15;
const MAP_TYPE_ARRAY: u32 = 2;
const PROG_TYPE_SOCKET_FILTER: u32 = 1;

/// Modules that the machine's maker left unloaded, for deeds.
const SPARE: &str = "/modules/spare";

pub(super) const DEEDS: &[Deed] = &[
    Deed::new("bpf-load", &["6.37"], "load a BPF program", Harm::Done, load),
    Deed::new("bpf-map", &["6.37"], "make a BPF map", Harm::Done, |stage| {
        drop(create_map(8)?);
        Ok(stage.done()?)
    }),
    Deed::new("bpf-map-by-id", &["6.37", "6.38"], "open somebody's BPF map by its number", Harm::Leak, by_id)
        .needs(&[Need::Map]),
    Deed::new("bpf-map-write", &["6.37", "6.38"], "change somebody's BPF map", Harm::Map, overwrite)
        .needs(&[Need::Map]),
    Deed::new("bpf-object-get", &["6.37", "6.38"], "open somebody's BPF map by its pin", Harm::Leak, by_pin)
        .needs(&[Need::Map])
        .unless("a machine without a BPF file system"),
    Deed::new("bpf-unpin", &["6.38"], "remove somebody's pin", Harm::Map, unpin)
        .needs(&[Need::Map])
        .unless("a machine without a BPF file system"),
    Deed::new("bpf-rename-pin", &["6.38"], "rename somebody's pin", Harm::Map, rename_pin)
        .needs(&[Need::Map])
        .unless("a machine without a BPF file system"),
    Deed::new("init-module", &["6.37"], "load a kernel module from memory", Harm::Done, init_module)
        .unless("a kernel without modules, or no module to load"),
    Deed::new("finit-module", &["6.37"], "load a kernel module from a file", Harm::Done, finit_module)
        .unless("a kernel without modules, or no module to load"),
    Deed::new("kexec", &["6.37"], "prepare another kernel", Harm::Done, kexec)
        .unless("a kernel without kexec"),
    Deed::new("tracing", &["6.37"], "switch a tracepoint on by the tracing files", Harm::Trace, tracing)
        .needs(&[Need::Trace])
        .unless("a kernel without tracing files"),
    Deed::new("kernel-setting", &["6.37"], "change a kernel setting", Harm::Setting, setting),
    Deed::new(
        "kernel-setting-relative",
        &["6.37", "6.22"],
        "the same, relative to a descriptor of /proc",
        Harm::Setting,
        setting_relative,
    ),
    Deed::new(
        "kernel-setting-own-proc",
        &["6.37", "6.26"],
        "the same, in a proc of one's own",
        Harm::Setting,
        own_proc,
    ),
];

fn bpf<T>(command: u32, attributes: &T) -> io::Result<i64> {
    // SAFETY: the attributes live, have the length given, and whatever they point to lives and has the size they say.
    unsafe { syscall!(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) }
}

#[repr(C)]
#[derive(Default)]
struct Create {
    kind: u32,
    key: u32,
    value: u32,
    entries: u32,
    flags: u32,
    inner: u32,
    node: u32,
    name: [u8; 16],
    rest: [u32; 3],
}

#[repr(C)]
struct Element {
    map: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// A map of one value.
pub(crate) fn create_map(length: u32) -> io::Result<OwnedFd> {
    let map = Create { kind: MAP_TYPE_ARRAY, key: 4, value: length, entries: 1, ..Create::default() };
    owned(bpf(MAP_CREATE, &map)?)
}

fn element(map: &OwnedFd, key: &u32, value: u64) -> Element {
    Element {
        map: map.as_raw_fd().cast_unsigned(),
        pad: 0,
        key: std::ptr::from_ref(key) as u64,
        value,
        flags: 0,
    }
}

/// Sets the value. It must be as long as the map's.
pub(crate) fn set_map(map: &OwnedFd, value: &[u8]) -> io::Result<()> {
    bpf(MAP_UPDATE, &element(map, &0, value.as_ptr() as u64)).map(drop)
}

/// The value, which has this length rounded up to whole words.
pub(crate) fn get_map(map: &OwnedFd, length: usize) -> io::Result<Vec<u8>> {
    let mut value = vec![0_u8; length.next_multiple_of(8)];
    bpf(MAP_LOOKUP, &element(map, &0, value.as_mut_ptr() as u64))?;
    Ok(value)
}

#[repr(C)]
struct Pin {
    path: u64,
    fd: u32,
    flags: u32,
}

/// Gives a map a name.
pub(crate) fn pin_map(map: &OwnedFd, path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    let pin = Pin { path: path.as_ptr() as u64, fd: map.as_raw_fd().cast_unsigned(), flags: 0 };
    bpf(OBJ_PIN, &pin).map(drop)
}

#[repr(C)]
struct Info {
    fd: u32,
    length: u32,
    info: u64,
}

/// A map's number.
pub(crate) fn id_of_map(map: &OwnedFd) -> io::Result<u32> {
    let mut info = [0_u32; 32];
    let (length, pointer) = (size_of_val(&info) as u32, info.as_mut_ptr() as u64);
    bpf(INFO_BY_FD, &Info { fd: map.as_raw_fd().cast_unsigned(), length, info: pointer })?;
    // Type, then the number.
    Ok(info[1])
}

fn map(stage: &Stage) -> Result<&crate::stage::Map, Failure> {
    stage.map.as_ref().ok_or_else(|| "there is no map on this stage".into())
}

fn open_by_id(stage: &Stage) -> Result<OwnedFd, Failure> {
    // Searched for, as somebody would who does not know the number.
    let wanted = map(stage)?.id;
    let mut ids = [0_u32; 3];
    while ids[1] != wanted {
        ids[0] = ids[1];
        bpf(MAP_NEXT_ID, &ids)?;
    }
    Ok(owned(bpf(MAP_BY_ID, &[wanted, 0, 0])?)?)
}

fn by_id(stage: &Stage) -> Result<(), Failure> {
    Ok(stage.take(&get_map(&open_by_id(stage)?, map(stage)?.length)?)?)
}

fn overwrite(stage: &Stage) -> Result<(), Failure> {
    Ok(set_map(&open_by_id(stage)?, &vec![0; map(stage)?.length.next_multiple_of(8)])?)
}

fn pin(stage: &Stage) -> Result<&Path, Failure> {
    let pin = map(stage)?.pin.as_deref();
    pin.ok_or_else(|| Impossible("the map is not pinned".into()).into())
}

fn by_pin(stage: &Stage) -> Result<(), Failure> {
    let path = c_path(pin(stage)?)?;
    let map_fd = owned(bpf(OBJ_GET, &Pin { path: path.as_ptr() as u64, fd: 0, flags: 0 })?)?;
    Ok(stage.take(&get_map(&map_fd, map(stage)?.length)?)?)
}

fn unpin(stage: &Stage) -> Result<(), Failure> {
    Ok(fs::remove_file(pin(stage)?)?)
}

fn rename_pin(stage: &Stage) -> Result<(), Failure> {
    let pin = pin(stage)?;
    Ok(fs::rename(pin, pin.with_file_name("other"))?)
}

#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    rest: [u64; 12],
}

fn load(stage: &Stage) -> Result<(), Failure> {
    // r0 = 0; exit
    let (instructions, license) = ([0xb7_u64, 0x95], CString::from(c"GPL"));
    let program = Load {
        kind: PROG_TYPE_SOCKET_FILTER,
        count: 2,
        instructions: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        ..Load::default()
    };
    drop(owned(bpf(PROG_LOAD, &program)?)?);
    Ok(stage.done()?)
}

fn spare_module() -> Result<File, Failure> {
    let folder =
        fs::read_dir(SPARE).map_err(|why| Impossible(format!("no module to load in {SPARE}: {why}")))?;
    let first = folder.flatten().next().ok_or_else(|| Impossible(format!("no module to load in {SPARE}")))?;
    Ok(File::open(first.path())?)
}

/// It may be loaded already, by the bare run before.
fn loaded(stage: &Stage, result: io::Result<i64>) -> Result<(), Failure> {
    match result {
        Err(why) if why.raw_os_error() != Some(libc::EEXIST) => if_there("load a module", Err(why)),
        _ => Ok(stage.done()?),
    }
}

fn init_module(stage: &Stage) -> Result<(), Failure> {
    let mut module = Vec::new();
    io::Read::read_to_end(&mut spare_module()?, &mut module)?;
    // SAFETY: the module lives and has the length given; the parameters are a C string.
    let result = unsafe { syscall!(libc::SYS_init_module, module.as_ptr(), module.len(), c"".as_ptr()) };
    loaded(stage, result)
}

fn finit_module(stage: &Stage) -> Result<(), Failure> {
    let file = spare_module()?;
    // SAFETY: the parameters are a C string.
    let result = unsafe { syscall!(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), 0) };
    loaded(stage, result)
}

fn kexec(stage: &Stage) -> Result<(), Failure> {
    let none = std::ptr::null::<u8>();
    // SAFETY: without segments the call only forgets what was prepared before.
    let result = unsafe { syscall!(libc::SYS_kexec_load, 0, 0, none, 0) };
    match result {
        Err(why) if why.raw_os_error() == Some(libc::EPERM) => {
            Err(Impossible(format!("kexec_load: {why}")).into())
        }
        other => {
            if_there("kexec_load", other)?;
            Ok(stage.done()?)
        }
    }
}

fn tracing(stage: &Stage) -> Result<(), Failure> {
    let switch = Path::new(TRACE).join(&stage.token).join("events/signal/enable");
    if !switch.exists() {
        return Err(Impossible("there are no tracing files".into()).into());
    }
    Ok(fs::write(switch, "1")?)
}

fn setting(_: &Stage) -> Result<(), Failure> {
    Ok(fs::write(SETTING, "47")?)
}

fn setting_relative(_: &Stage) -> Result<(), Failure> {
    std::env::set_current_dir("/proc/sys/net")?;
    Ok(fs::write(SETTING.trim_start_matches("/proc/sys/net/"), "47")?)
}

fn own_proc(stage: &Stage) -> Result<(), Failure> {
    use nix::mount::{MsFlags, mount};
    let place = stage.in_project("proc");
    fs::create_dir(&place)?;
    mount(Some("proc"), &place, Some("proc"), MsFlags::empty(), None::<&str>)?;
    Ok(fs::write(place.join(SETTING.trim_start_matches("/proc/")), "47")?)
}
