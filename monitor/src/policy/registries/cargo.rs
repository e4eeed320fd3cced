//! cargo. Where a registry's index says that its crates are downloaded from elsewhere (`dl` in its `config.json`), that
//! place is not known here.

use super::{Reader, toml};

const CARGO: &str = "cargo";

pub(super) fn read(reader: &mut Reader) {
    let is_index = |name: &&String| name.starts_with("CARGO_REGISTRIES_") && name.ends_with("_INDEX");
    let names: Vec<String> = reader.variables.keys().filter(is_index).cloned().collect();
    for name in names {
        reader.add_variable(CARGO, &name);
    }
    let home = reader.directory("CARGO_HOME", ".cargo");
    let below = |name: &str| home.as_ref().map(|home| home.join(name));
    let mut files = Vec::new();
    for path in [below("config.toml"), below("config")] {
        files.extend(reader.text(path));
    }
    for name in [".cargo/config.toml", ".cargo/config"] {
        files.extend(reader.of_project(name));
    }
    for (path, text) in files {
        reader.add_strings(CARGO, &path, toml(&text), |keys| {
            matches!(keys, ["registries", _, "index"] | ["source", _, "registry"] | ["registry", "index"])
        });
    }
}
