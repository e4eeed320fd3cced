//! The behaviour lockfile `pkgwarden.lock`: what the scripts of packages did, in a form that is reviewed like code.
//!
//! ```text
//! events --act--> (action, line, classes) --recorder--> Lock --store--> pkgwarden.lock
//!                    |normal, place: the same on every machine              |compare
//!                                                             what is new, what a version changed --words--> people
//! ```

mod act;
pub mod compare;
mod cover;
pub mod format;
pub mod normal;
pub mod place;
pub mod recorder;
pub mod store;
pub mod words;

pub use format::{Behaviour, Lock};
pub use recorder::Recorder;

#[cfg(test)]
mod tests;
