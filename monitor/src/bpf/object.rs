//! The kernel object inside this program.

/// The ELF file that `cargo xtask build` embeds, aligned for the parser; empty in a build without one.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/monitor-ebpf"));

/// This program was built by cargo alone.
#[derive(Debug, thiserror::Error)]
#[error("this build has no kernel object: build it with `cargo xtask build`")]
pub struct NoObject;

/// The kernel object, or the reason why there is none.
pub fn object() -> Result<&'static [u8], NoObject> {
    if OBJECT.is_empty() { Err(NoObject) } else { Ok(OBJECT) }
}
