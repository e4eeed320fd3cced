//! Who did it: every way a package can come into a project, with every package manager that can be had, and what
//! pkgwarden calls the package then.
//!
//! Each package reads a decoy that is named after the way it came, so that the truth does not hang on what is tested.
//! docs/attribution.md shows what came out, and must say the same; `PKGWARDEN_WRITE=1` writes it anew.

mod bench;
mod forging;
mod javascript;
mod php;
mod python;
mod ruby;
mod rust;
mod table;
mod way;

/// npm 10 and 11, pnpm, yarn 1 and 4, bun.
#[test]
#[ignore = "needs root, the servers and the built binary"]
fn javascript_managers() {
    let bench = javascript::furnish();
    table::check(javascript::MANAGERS.iter().flat_map(|manager| manager.rows(&bench)));
}

/// pip, uv, poetry and pipx.
#[test]
#[ignore = "needs root, the servers and the built binary"]
fn python_managers() {
    let bench = python::furnish();
    table::check([python::pip, python::uv, python::poetry, python::pipx].into_iter().map(|row| row(&bench)));
}

/// cargo.
#[test]
#[ignore = "needs root, the servers and the built binary"]
fn rust_managers() {
    let bench = rust::furnish();
    table::check([rust::cargo].into_iter().map(|row| row(&bench)));
}

/// gem and bundler.
#[test]
#[ignore = "needs root, the servers and the built binary"]
fn ruby_managers() {
    let bench = ruby::furnish();
    table::check([ruby::gem, ruby::bundler].into_iter().map(|row| row(&bench)));
}

/// Composer.
#[test]
#[ignore = "needs root, the servers and the built binary"]
fn php_managers() {
    let bench = php::furnish();
    table::check([php::composer].into_iter().map(|row| row(&bench)));
}

/// npm's packages that pretend, with six managers.
#[test]
#[ignore = "needs root, the servers and the built binary"]
fn forged_javascript() {
    forging::npm();
}

/// Python's packages that pretend.
#[test]
#[ignore = "needs root, the servers and the built binary"]
fn forged_python() {
    forging::python();
}

/// Broken and huge lockfiles, circles of links, names that corrupt terminals.
#[test]
#[ignore = "needs root, the servers and the built binary"]
fn bad_input() {
    forging::bad_input();
}

/// Many at once are told apart.
#[test]
#[ignore = "needs root, the servers and the built binary"]
fn a_crowd() {
    forging::crowd();
}
