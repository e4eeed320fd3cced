//! A kernel's type information: every look-up that pkgwarden does, on any bytes.

use monitor::bpf::btf::Btf;
use monitor_common::field::FIELDS;

/// Parses `bytes` and looks up every field of the field table and some functions.
pub fn run(bytes: &[u8]) {
    let btf = match Btf::parse(bytes.to_vec()) {
        Ok(btf) => btf,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    for field in FIELDS {
        let _ = btf.offset(field.structure, field.path);
    }
    let _ = btf.function("security_file_open");
    let _ = btf.has_io_threads();
    match btf.resolve_fields() {
        Ok(fields) => assert_eq!(fields.len(), FIELDS.len()),
        Err(error) => assert!(error.to_string().contains("struct ")),
    }
}
