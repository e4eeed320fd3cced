//! What the end-to-end tests are made of.
//!
//! A [`Scenario`] installs a package from `tests/packages/` with a real package manager, in a [`Home`] full of decoys
//! and a [`Namespace`] of its own, whose every address ends in a [`Sink`]. It can be run bare, where the harm must
//! happen, and watched, where it must not. The [`Outcome`] answers the questions.
//!
//! Failures are panics: everything here runs inside a test.

mod attached;
pub mod deadline;
mod encoding;
mod harm;
mod home;
mod install;
mod namespace;
pub mod online;
mod outcome;
mod pack;
mod program;
mod random;
mod report;
mod scenario;
mod secret;
mod sink;
mod world;

pub use attached::loaded_programs;
pub use harm::{FILES, Harm};
pub use home::Home;
pub use install::{Install, Subject, VERSION, words};
pub use namespace::{Member, Namespace};
pub use online::servers;
pub use outcome::{FOUND, Outcome};
pub use pack::{copy, npm, run, sdist, vendor};
pub use program::{Ended, Program, Running, Stage, binary, deed, packages, workspace};
pub use report::{Finding, Package, Process, Report};
pub use scenario::{Scenario, Watch};
pub use secret::Secrets;
pub use sink::{Delivery, Sink};
pub use world::World;
