//! Everything that reads kernel memory. No other module knows an offset.

pub(crate) mod arguments;
pub(crate) mod file;
pub(crate) mod offset;
pub(crate) mod path;
pub(crate) mod read;
pub(crate) mod registers;
pub(crate) mod task;
