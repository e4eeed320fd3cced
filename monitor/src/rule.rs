//! Rules as people write them: YAML files in a folder, typed, checked, and explained.
//!
//! | module | subject |
//! |---|---|
//! | [`syntax`] | the format of a file |
//! | [`load`] | files of a folder and of the binary |
//! | [`set`] | all files together, checked |
//! | [`variable`] | names of environment variables |
//! | [`problem`] | what is wrong with them, shown at the place |

pub mod check;
pub mod load;
mod locate;
mod near;
pub mod problem;
pub mod selector;
pub mod set;
pub mod syntax;
pub mod variable;

pub use load::load;
pub use near::nearest;
pub use problem::{Place, Problem, Problems};
pub use set::{RuleSet, Source};
