//! What an honest build script does.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
