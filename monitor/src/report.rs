//! What people and programs are told: one format a file, all behind [`Report`].

pub mod redact;
