//! Temporary: embeds the kernel object.
fn main() {
    println!("cargo:rerun-if-env-changed=PKGWARDEN_BPF_OBJECT");
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").unwrap()).join("monitor-ebpf");
    match std::env::var_os("PKGWARDEN_BPF_OBJECT") {
        Some(path) => {
            println!("cargo:rerun-if-changed={}", path.to_string_lossy());
            std::fs::copy(path, out).map(|_| ()).unwrap();
        }
        None => std::fs::write(out, []).unwrap(),
    }
}
