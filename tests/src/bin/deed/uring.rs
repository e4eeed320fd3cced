//! Orders to the kernel that are no system calls: io_uring.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Failure;

const OP_OPENAT: u8 = 18;
const OP_READ: u8 = 22;
const OFFSET_SQ_RING: libc::off_t = 0;
const OFFSET_SQES: libc::off_t = 0x1000_0000;
const ENTER_GETEVENTS: u32 = 1;
const ENTER_SQ_WAKEUP: u32 = 2;
const NEEDS_WAKEUP: u32 = 1;
/// A thread of the kernel looks for orders; nobody has to call.
pub(crate) const SETUP_SQPOLL: u32 = 2;
/// How long that thread may take.
const PATIENCE: Duration = Duration::from_secs(20);

#[repr(C)]
#[derive(Default)]
struct Params {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    sq_thread_cpu: u32,
    sq_thread_idle: u32,
    features: u32,
    wq_fd: u32,
    reserved: [u32; 3],
    sq: SqOffsets,
    cq: CqOffsets,
}

#[repr(C)]
#[derive(Default)]
struct SqOffsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    flags: u32,
    dropped: u32,
    array: u32,
    reserved: u32,
    user_address: u64,
}

#[repr(C)]
#[derive(Default)]
struct CqOffsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    overflow: u32,
    cqes: u32,
    flags: u32,
    reserved: u32,
    user_address: u64,
}

/// One order: the fields of `struct io_uring_sqe` that are used here.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Order {
    pub(crate) opcode: u8,
    pub(crate) flags: u8,
    pub(crate) priority: u16,
    pub(crate) fd: i32,
    pub(crate) offset: u64,
    pub(crate) address: u64,
    pub(crate) length: u32,
    pub(crate) operation_flags: u32,
    pub(crate) user_data: u64,
    pub(crate) buffer: u16,
    pub(crate) personality: u16,
    pub(crate) slot: u32,
    pub(crate) rest: [u64; 2],
}

const _: () = assert!(size_of::<Params>() == 120);
const _: () = assert!(size_of::<Order>() == 64);

/// Two queues that are shared with the kernel.
pub(crate) struct Ring {
    fd: OwnedFd,
    params: Params,
    rings: *mut u8,
    orders: *mut Order,
}

/// The content of a file.
pub(crate) fn read(path: &str) -> Result<Vec<u8>, Failure> {
    let mut ring = Ring::new(0)?;
    let path = CString::new(path)?;
    let open =
        Order { opcode: OP_OPENAT, fd: libc::AT_FDCWD, address: path.as_ptr() as u64, ..Order::default() };
    let fd = ring.carry_out(open)?;
    Ok(ring.read(fd)?)
}

impl Ring {
    /// Makes one.
    pub(crate) fn new(flags: u32) -> io::Result<Self> {
        let mut params = Params { flags, ..Params::default() };
        // SAFETY: `params` has the layout the kernel expects, lives, and is ours to write.
        let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, &raw mut params) };
        let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
        // SAFETY: the descriptor is new and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let completions = params.cq.cqes as usize + params.cq_entries as usize * 16;
        let submissions = params.sq.array as usize + params.sq_entries as usize * 4;
        let rings = map(&fd, completions.max(submissions), OFFSET_SQ_RING)?;
        let orders = map(&fd, params.sq_entries as usize * size_of::<Order>(), OFFSET_SQES)?;
        Ok(Self { fd, params, rings, orders: orders.cast() })
    }

    /// Its descriptor, to register things.
    pub(crate) fn fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    /// Reads a file to its end, or as much as is enough, and closes it.
    pub(crate) fn read(&mut self, fd: i32) -> io::Result<Vec<u8>> {
        // SAFETY: the kernel has just given us this descriptor.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let mut bytes = vec![0_u8; 64 * 1024];
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let address = bytes.as_mut_ptr() as u64;
        let read = Order { opcode: OP_READ, fd: fd.as_raw_fd(), address, length, ..Order::default() };
        let count = self.carry_out(read)?;
        bytes.truncate(usize::try_from(count).unwrap_or(0));
        Ok(bytes)
    }

    /// Gives one order and waits for its result. Whatever the order points to must outlive this call, and be of the
    /// kind and size that the order says.
    pub(crate) fn carry_out(&mut self, order: Order) -> io::Result<i32> {
        let tail = self.counter(self.params.sq.tail).load(Ordering::Acquire);
        let slot = tail & self.counter(self.params.sq.ring_mask).load(Ordering::Relaxed);
        // SAFETY: the mask keeps the slot inside the mapped array, and nobody else writes to it.
        unsafe { self.orders.add(slot as usize).write(order) };
        self.counter(self.params.sq.array + 4 * slot).store(slot, Ordering::Relaxed);
        self.counter(self.params.sq.tail).store(tail + 1, Ordering::Release);
        if self.params.flags & SETUP_SQPOLL == 0 {
            self.enter(1, 1, ENTER_GETEVENTS)?;
        } else {
            self.wait_for_thread()?;
        }
        let head = self.counter(self.params.cq.head).load(Ordering::Acquire);
        let slot = head & self.counter(self.params.cq.ring_mask).load(Ordering::Relaxed);
        // A completion is sixteen bytes: what we sent along (8), the result (4), flags (4).
        let result = self.counter(self.params.cq.cqes + 16 * slot + 8).load(Ordering::Acquire).cast_signed();
        self.counter(self.params.cq.head).store(head + 1, Ordering::Release);
        if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result) }
    }

    fn wait_for_thread(&self) -> io::Result<()> {
        let end = Instant::now() + PATIENCE;
        let head = self.counter(self.params.cq.head).load(Ordering::Acquire);
        while self.counter(self.params.cq.tail).load(Ordering::Acquire) == head {
            if self.counter(self.params.sq.flags).load(Ordering::Acquire) & NEEDS_WAKEUP != 0 {
                self.enter(1, 0, ENTER_SQ_WAKEUP)?;
            }
            if Instant::now() > end {
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::yield_now();
        }
        Ok(())
    }

    fn enter(&self, submit: u32, wait: u32, flags: u32) -> io::Result<()> {
        let (none, ring) = (std::ptr::null::<libc::c_void>(), self.fd.as_raw_fd());
        // SAFETY: the call takes no pointer but a null one; the order's own buffers outlive `carry_out`.
        let entered = unsafe { libc::syscall(libc::SYS_io_uring_enter, ring, submit, wait, flags, none, 0) };
        if entered < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn counter(&self, offset: u32) -> &AtomicU32 {
        // SAFETY: the kernel gave the offset: aligned, inside the mapping, which is never unmapped.
        unsafe { &*self.rings.add(offset as usize).cast::<AtomicU32>() }
    }
}

fn map(fd: &OwnedFd, length: usize, offset: libc::off_t) -> io::Result<*mut u8> {
    let (access, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_POPULATE);
    // SAFETY: a new mapping at a place of the kernel's choosing.
    let place = unsafe { libc::mmap(std::ptr::null_mut(), length, access, shared, fd.as_raw_fd(), offset) };
    if place == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(place.cast()) }
}
