//! What an event needs beyond its record: where the process came from, and which package it works for.
//!
//! | module | subject |
//! |---|---|
//! | [`process`] | the processes of the watched trees, and their ancestry |
//! | [`package`] | which package a scope works for |

pub mod package;
pub mod process;
