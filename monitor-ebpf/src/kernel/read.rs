//! Reads of kernel and user memory that fault safely.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_user, bpf_probe_read_user_str};
use core::ffi::c_void;
use core::mem::MaybeUninit;
use monitor_common::counter::Counter;

use crate::engine::count;
use crate::kernel::offset;

/// Reads the `T` at `base` plus a field's offset in kernel memory. Failures are counted.
#[inline(always)]
pub(crate) fn field<T: Copy>(base: u64, field: &'static u32) -> Option<T> {
    kernel(base.wrapping_add(offset::of(field)))
}

/// Reads a `T` from kernel memory. Failures are counted.
#[inline(always)]
pub(crate) fn kernel<T: Copy>(address: u64) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the destination is valid for `size_of::<T>()` bytes; the helper checks the source and faults safely.
    let status = unsafe {
        bpf_probe_read_kernel(
            value.as_mut_ptr().cast::<c_void>(),
            size_of::<T>() as u32,
            address as *const c_void,
        )
    };
    if status != 0 {
        count(Counter::KernelRead);
        return None;
    }
    // SAFETY: the helper filled every byte, and `T` is an integer or an array of integers at every call.
    Some(unsafe { value.assume_init() })
}

/// Reads an integer at `base` plus a field's offset in kernel memory; 0 if it cannot be read. For loops, in which every
/// branch multiplies the verifier's work: the caller tests the result where it matters.
#[inline(always)]
pub(crate) fn word<T: Copy + Default>(base: u64, field: &'static u32) -> T {
    let mut value = T::default();
    let address = base.wrapping_add(offset::of(field));
    // SAFETY: the destination is valid for `size_of::<T>()` bytes; on failure the helper fills it with zeros.
    unsafe {
        bpf_probe_read_kernel(
            (&raw mut value).cast::<c_void>(),
            size_of::<T>() as u32,
            address as *const c_void,
        );
    }
    value
}

/// Reads a `T` from the memory of the current program. What is not resident cannot be read here.
#[inline(always)]
pub(crate) fn user<T: Copy>(address: u64) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: as in `kernel`; the helper refuses kernel addresses.
    let status = unsafe {
        bpf_probe_read_user(
            value.as_mut_ptr().cast::<c_void>(),
            size_of::<T>() as u32,
            address as *const c_void,
        )
    };
    // SAFETY: the helper filled every byte when it returned 0.
    (status == 0).then(|| unsafe { value.assume_init() })
}

/// Copies `length` bytes from kernel memory. `length` must be bounded by the caller in a way the verifier follows.
///
/// # Safety
/// `to` must be valid for `length` bytes.
#[inline(always)]
pub(crate) unsafe fn kernel_bytes(to: *mut u8, length: u32, from: u64) -> bool {
    // SAFETY: the caller vouches for the destination; the helper checks the source.
    unsafe { bpf_probe_read_kernel(to.cast::<c_void>(), length, from as *const c_void) == 0 }
}

/// Copies `length` bytes from user memory.
///
/// # Safety
/// `to` must be valid for `length` bytes.
#[inline(always)]
pub(crate) unsafe fn user_bytes(to: *mut u8, length: u32, from: u64) -> bool {
    // SAFETY: the caller vouches for the destination; the helper checks the source.
    unsafe { bpf_probe_read_user(to.cast::<c_void>(), length, from as *const c_void) == 0 }
}

/// Copies a NUL-terminated string from user memory; returns its length without the NUL.
///
/// # Safety
/// `to` must be valid for `size` bytes.
#[inline(always)]
pub(crate) unsafe fn user_string(to: *mut u8, size: u32, from: u64) -> Option<u32> {
    // SAFETY: the caller vouches for the destination; the helper checks the source.
    let length = unsafe { bpf_probe_read_user_str(to.cast::<c_void>(), size, from as *const c_void) };
    (length > 0).then(|| length as u32 - 1)
}
