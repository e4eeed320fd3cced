//! Arguments of a traced kernel function.

use core::ffi::c_void;

use crate::kernel::read;

/// The context of a program on a kernel function: its arguments, eight bytes each (kernel/bpf/trampoline.c).
#[repr(transparent)]
pub(crate) struct Arguments(*const c_void);

impl Arguments {
    /// Argument `INDEX`. The verifier refuses one that the function does not have.
    #[inline(always)]
    pub(crate) fn get<const INDEX: usize>(&self) -> u64 {
        // SAFETY: the kernel hands over the context with at least as many arguments as the verifier knows of.
        unsafe { core::ptr::read_volatile(self.0.cast::<u64>().add(INDEX)) }
    }

    /// The same as a plain number.
    ///
    /// <VERIFIER_ISSUE> a pointer to a kernel structure may be read from, but not be handed to a global function.
    #[inline(always)]
    pub(crate) fn number<const INDEX: usize>(&self) -> u64 {
        read::kernel((self.0 as u64).wrapping_add(INDEX as u64 * 8)).unwrap_or(0)
    }
}
