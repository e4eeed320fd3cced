//! Who did it: every way a package can come into a project, with every package manager that can be had, and what
//! pkgwarden calls the package then.
//!
//! Each package reads a decoy that is named after the way it came, so that the truth does not hang on what is tested.
//! docs/attribution.md shows what came out, and must say the same; `PKGWARDEN_WRITE=1` writes it anew.

mod bench;
mod javascript;
mod table;
mod way;

/// npm 10 and 11, pnpm, yarn 1 and 4, bun.
#[test]
#[ignore = "needs root, the servers and the built binary"]
fn javascript() {
    let bench = javascript::furnish();
    table::check(javascript::MANAGERS.iter().map(|manager| manager.row(&bench)));
}
