//! Offsets of kernel struct fields: read-only globals that the loader fills from the running kernel's BTF.

use monitor_common::field::ABSENT;

macro_rules! globals {
    ($($global:ident, $structure:literal, $path:literal, $required:literal;)*) => {
        $(
            #[unsafe(no_mangle)]
            pub(crate) static $global: u32 = ABSENT;
        )*
    };
}
monitor_common::for_each_field!(globals);

/// The offset in bytes. The map of read-only globals is frozen, so the verifier sees a constant.
#[inline(always)]
pub(crate) fn of(global: &'static u32) -> u64 {
    // SAFETY: a reference to a static is valid; volatile, because the loader changes the value the compiler saw.
    u64::from(unsafe { core::ptr::read_volatile(global) })
}

/// Whether the running kernel has the field.
#[inline(always)]
pub(crate) fn present(global: &'static u32) -> bool {
    of(global) != ABSENT as u64
}
