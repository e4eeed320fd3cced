//! The user side of pkgwarden. Data flows one way:
//!
//! ```text
//! rules --rule--> typed rules --policy--> tables --bpf--> kernel
//! kernel --bpf--> ring --event--> records --enrich--> findings --report--> people and programs
//! ```

pub mod bpf;
pub mod policy;
pub mod rule;
pub mod run;
