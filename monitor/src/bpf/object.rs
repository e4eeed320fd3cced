//! The kernel object, embedded by the build script.

/// The ELF file, aligned for the loader; empty in a build without it.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/monitor-ebpf"));
