//! The ring buffer, as something that can be waited for.

use std::os::fd::{AsRawFd, RawFd};

use aya::maps::{MapData, RingBuf};

/// The reading end of the kernel's events.
pub struct Ring(RingBuf<MapData>);

impl Ring {
    pub(super) const fn new(ring: RingBuf<MapData>) -> Self {
        Self(ring)
    }

    /// Hands every waiting record to `take`; returns how many there were.
    pub fn drain(&mut self, mut take: impl FnMut(&[u8])) -> usize {
        let mut records = 0;
        while let Some(record) = self.0.next() {
            take(&record);
            records += 1;
        }
        records
    }
}

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
