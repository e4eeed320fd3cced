//! Records of the kernel side, and what userspace makes of them.
//!
//! | module | subject |
//! |---|---|
//! | [`decode`] | bytes of the ring buffer to a checked, owned [`decode::Record`] |
//! | [`model`] | [`Event`]: a record with names, process, ancestry and package |
//! | [`flags`] | how far a record can be relied upon, in words |
//! | [`text`] | bytes a stranger chose, shown without harm and without loss |
//! | [`time`] | nanoseconds and RFC 3339 |
//! | [`names`] | what the numbers in a record mean |
//! | [`traffic`] | what was sent where |
//! | [`log`] | the JSON Lines file of `--events` |

pub mod decode;
pub mod flags;
pub mod log;
pub mod model;
pub mod names;
pub mod text;
pub mod time;
pub mod traffic;

pub use decode::{DecodeError, Record};
pub use model::Event;
pub use names::Names;
pub use text::Text;
pub use time::Timestamp;
pub use traffic::Traffic;
