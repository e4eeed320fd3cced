//! Arguments of a system call, from the registers saved at its entry (`struct pt_regs`).

use crate::kernel::{offset, read};

/// The registers of the current system call.
#[derive(Clone, Copy)]
pub(crate) struct Registers(pub(crate) u64);

impl Registers {
    /// Number of the call, as the kernel saw it at entry.
    #[inline(always)]
    pub(crate) fn number(self) -> i32 {
        read::field::<i32>(self.0, &offset::REGS_NUMBER).unwrap_or(-1)
    }

    /// Argument `index` (0 to 5). They are still there when the call returns.
    #[inline(always)]
    pub(crate) fn argument(self, index: u8) -> u64 {
        if index > 0 && offset::present(&offset::REGS_ARRAY) {
            return read::kernel(self.0 + offset::of(&offset::REGS_ARRAY) + u64::from(index & 7) * 8)
                .unwrap_or(0);
        }
        let register = match index {
            0 => offset::of(&offset::REGS_ARG0),
            1 => offset::of(&offset::REGS_ARG1),
            2 => offset::of(&offset::REGS_ARG2),
            3 => offset::of(&offset::REGS_ARG3),
            4 => offset::of(&offset::REGS_ARG4),
            _ => offset::of(&offset::REGS_ARG5),
        };
        read::kernel(self.0 + register).unwrap_or(0)
    }
}
