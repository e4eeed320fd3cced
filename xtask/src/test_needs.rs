//! What the end-to-end tests need on the machine: real package managers and what native packages are built with.

use std::path::PathBuf;

use anyhow::Result;

use crate::apt::{self, Need, works};
use crate::servers;
use crate::workspace::find;

/// A piece, how it is looked for, and the packages that bring it.
struct Piece {
    what: &'static str,
    present: fn() -> bool,
    packages: &'static [&'static str],
}

const PIECES: &[Piece] = &[
    Piece {
        what: "node (real installs run scripts with it)",
        present: || has("node"),
        packages: &["nodejs"],
    },
    Piece { what: "npm (real installs)", present: || has("npm"), packages: &["npm"] },
    Piece {
        what: "node's headers (packages with native code)",
        present: node_headers,
        packages: &["libnode-dev"],
    },
    Piece { what: "python3 (pip, node-gyp)", present: || has("python3"), packages: &["python3"] },
    Piece { what: "pip (real installs)", present: || python("import pip"), packages: &["python3-pip"] },
    Piece {
        what: "python3's venv",
        present: || python("import venv, ensurepip"),
        packages: &["python3-venv"],
    },
    Piece {
        what: "python3's headers (packages with native code)",
        present: python_headers,
        packages: &["python3-dev"],
    },
    Piece {
        what: "a C compiler (packages with native code)",
        present: || has("cc"),
        packages: &["gcc", "libc6-dev"],
    },
    Piece { what: "a C++ compiler (packages with native code)", present: || has("c++"), packages: &["g++"] },
    Piece { what: "make (node-gyp)", present: || has("make"), packages: &["make"] },
    Piece {
        what: "git (the tests are a repository's neighbour)",
        present: || has("git"),
        packages: &["git"],
    },
    Piece { what: "curl (emulated attacks send with it)", present: || has("curl"), packages: &["curl"] },
    Piece {
        what: "openssl (emulated attacks, local servers)",
        present: || has("openssl"),
        packages: &["openssl"],
    },
    Piece {
        what: "gem (real installs)",
        present: || has("gem") && works("ruby", &["-e", "require 'mkmf'"]),
        packages: &["ruby", "ruby-dev"],
    },
    Piece { what: "bundler (real installs)", present: || has("bundle"), packages: &["ruby-bundler"] },
    Piece {
        what: "composer (real installs)",
        present: || has("composer") && works("php", &["-r", "new ZipArchive();"]),
        packages: &["composer", "php-cli", "php-zip"],
    },
    Piece { what: "ip (a network of the tests' own)", present: || has("ip"), packages: &["iproute2"] },
];

/// What the comparison columns of the benchmarks need beyond that.
const BENCH_PIECES: &[Piece] = &[
    Piece { what: "node (the install that is measured)", present: || has("node"), packages: &["nodejs"] },
    Piece { what: "npm (the install that is measured)", present: || has("npm"), packages: &["npm"] },
    Piece { what: "strace (the comparison column)", present: || has("strace"), packages: &["strace"] },
];

/// Installs what the end-to-end tests need and is missing; gives the folder with the servers they start.
pub(crate) fn ensure() -> Result<PathBuf> {
    install(PIECES)?;
    servers::ensure()
}

/// Installs what the benchmarks need and is missing.
pub(crate) fn ensure_for_bench() -> Result<()> {
    install(BENCH_PIECES)
}

fn install(pieces: &[Piece]) -> Result<()> {
    let needs: Vec<Need> = pieces
        .iter()
        .filter(|piece| !(piece.present)())
        .map(|piece| Need {
            what: piece.what.into(),
            packages: piece.packages.iter().copied().map(String::from).collect(),
            elsewhere: format!("install what Debian calls {}", piece.packages.join(" ")),
        })
        .collect();
    apt::install(&needs)
}

fn has(program: &str) -> bool {
    find(program).is_some()
}

fn python(code: &str) -> bool {
    works("python3", &["-c", code])
}

fn python_headers() -> bool {
    python("import os, sysconfig; os.stat(os.path.join(sysconfig.get_path('include'), 'Python.h'))")
}

fn node_headers() -> bool {
    let beside_node =
        "require('fs').statSync(require('path').resolve(process.execPath, '../../include/node/node.h'))";
    works("node", &["-e", beside_node])
}
