//! Telling the kernel side what a file is that this process is about to open.

use aya::maps::{Array, MapData, MapError};
use monitor_common::policy::Lesson;

/// The kernel's one-element table with the present lesson.
pub struct Learning(Array<MapData, Lesson>);

impl Learning {
    pub(super) const fn new(array: Array<MapData, Lesson>) -> Self {
        Self(array)
    }

    /// Runs `open` while files that this thread opens are taken for members of a group, whatever they are called.
    ///
    /// # Errors
    /// Those of `open`, and if the table cannot be written.
    pub fn with_group(
        &mut self,
        group: u16,
        open: impl FnOnce() -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let thread = nix::unistd::gettid().as_raw().unsigned_abs();
        self.set(Lesson { thread, group: u32::from(group) })?;
        let opened = open();
        self.set(Lesson::default())?;
        opened
    }

    fn set(&mut self, lesson: Lesson) -> std::io::Result<()> {
        self.0.set(0, lesson, 0).map_err(|error: MapError| std::io::Error::other(error))
    }
}
