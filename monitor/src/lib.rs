//! The user side of pkgwarden. Data flows one way:
//!
//! ```text
//! rules --rule--> typed rules --policy--> tables --bpf--> kernel
//! kernel --bpf--> ring --event--> records --enrich--> findings --report--> people and programs
//! ```

pub mod bpf;
pub mod cli;
pub mod enrich;
pub mod event;
pub mod finding;
pub mod lock;
pub mod policy;
pub mod report;
pub mod rule;
pub mod run;
