//! Hostile input for everything in pkgwarden that reads what it did not write.
//!
//! | target | what it tries |
//! |---|---|
//! | [`records`] | bytes of the ring to events, findings and reports |
//! | [`rules`] | a rule file, checked, compiled and asked |
//! | [`tables`] | the evaluator over tables that no compiler made |
//! | [`btf`] | a kernel's type information |
//! | [`dns`] | questions and answers of the domain name system |
//! | [`lock`] | a behaviour lockfile, read, written and compared |
//!
//! A target is a function of bytes that panics if something that must hold does not. libFuzzer calls it from
//! `fuzz_targets/`; the unit tests call it with every file of `corpus/`.

pub mod btf;
pub mod dns;
pub mod lock;
pub mod records;
pub mod rules;
pub mod tables;
mod visible;

/// A target: its name, which is also that of its corpus, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 6] = [
    ("records", records::run),
    ("rules", rules::run),
    ("tables", tables::run),
    ("btf", btf::run),
    ("dns", dns::run),
    ("lock", lock::run),
];
