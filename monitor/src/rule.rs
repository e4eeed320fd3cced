//! Rules as people write them: YAML files in a folder, typed, checked, and explained.

pub mod syntax;
