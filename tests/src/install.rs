//! How a scenario's package gets into a project: laid out on disk, and the command a person would type.

use std::fs;
use std::path::PathBuf;

use crate::pack;
use crate::world::World;

/// The version of every package in `tests/packages/`.
pub const VERSION: &str = "1.2.3";

/// The package that findings must name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// `npm`, `pypi`, `cargo`.
    pub ecosystem: &'static str,
    /// Its name.
    pub name: &'static str,
}

/// What is installed, and how.
#[derive(Clone, Copy, Debug)]
pub enum Install {
    /// `npm install` in a project that depends on the package.
    Npm(&'static str),
    /// `pip install -r requirements.txt` with the package as a source distribution.
    Pip(&'static str),
    /// `cargo build` of a project that depends on the crate.
    Cargo(&'static str),
    /// Something else: lays itself out and gives its command line. The subject is what findings must name, if anything.
    Other(Option<Subject>, fn(&mut World) -> Vec<String>),
}

impl Install {
    /// The package that findings must name.
    #[must_use]
    pub fn subject(self) -> Option<Subject> {
        match self {
            Self::Npm(name) => Some(Subject { ecosystem: "npm", name }),
            Self::Pip(name) => Some(Subject { ecosystem: "pypi", name }),
            Self::Cargo(name) => Some(Subject { ecosystem: "cargo", name }),
            Self::Other(subject, _) => subject,
        }
    }

    /// Lays the project out and gives the command line to run in it.
    #[must_use]
    pub fn lay_out(self, world: &mut World) -> Vec<String> {
        match self {
            Self::Npm(name) => npm(name, world),
            Self::Pip(name) => pip(name, world),
            Self::Cargo(name) => cargo(name, world),
            Self::Other(_, lay_out) => lay_out(world),
        }
    }
}

fn npm(name: &str, world: &World) -> Vec<String> {
    let tarball = pack::npm(name, &world.folder("dist"));
    let manifest = serde_json::json!({
        "name": "victim",
        "version": "1.0.0",
        "private": true,
        "dependencies": { name: format!("file:{}", tarball.display()) },
    });
    write(world.project().join("package.json"), &manifest.to_string());
    words("npm install --offline")
}

fn pip(name: &str, world: &World) -> Vec<String> {
    let dist = world.folder("dist");
    pack::sdist(name, &dist);
    write(world.project().join("requirements.txt"), &format!("{name}=={VERSION}\n"));
    let mut line = words("pip install --no-index --no-build-isolation --target site -r requirements.txt");
    line.extend(["--find-links".to_owned(), dist.display().to_string()]);
    line
}

fn cargo(name: &str, world: &World) -> Vec<String> {
    let vendor = world.folder("vendor");
    pack::vendor(name, &vendor);
    let project = world.project();
    let manifest = format!(
        "[package]\nname = \"victim\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\n\
         [dependencies]\n{name} = \"{VERSION}\"\n\n[workspace]\n"
    );
    write(project.join("Cargo.toml"), &manifest);
    write(project.join("src/main.rs"), "fn main() {}\n");
    let vendor = vendor.display();
    let sources = format!(
        "[source.crates-io]\nreplace-with = \"vendored\"\n\n[source.vendored]\ndirectory = \"{vendor}\"\n"
    );
    write(project.join(".cargo/config.toml"), &sources);
    words("cargo build --offline")
}

/// The words of a command line without quotes.
#[must_use]
pub fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn write(path: PathBuf, text: &str) {
    let parent = path.parent().expect("a file of the project has a parent");
    fs::create_dir_all(parent).expect("make a directory of the project");
    fs::write(path, text).expect("write a file of the project");
}
