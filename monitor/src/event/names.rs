//! What the numbers in a record mean: the names of the compiled policy.

pub use crate::policy::{Names, ObjectInfo, RuleInfo};
