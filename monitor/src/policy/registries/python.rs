//! pip, pipx, uv and poetry.

use std::path::PathBuf;

use super::{Reader, ini, toml};

const PYPI: &str = "pypi";

pub(super) fn read(reader: &mut Reader) {
    for name in
        ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL"]
    {
        reader.add_variable(PYPI, name);
    }
    for name in ["UV_DEFAULT_INDEX", "UV_INDEX"] {
        named(reader, name);
    }
    let config = reader.directory("XDG_CONFIG_HOME", ".config");
    let below = |path: &str| config.as_ref().map(|config| config.join(path));
    let pip = [
        Some(PathBuf::from("/etc/pip.conf")),
        Some(PathBuf::from("/etc/xdg/pip/pip.conf")),
        reader.home(".pip/pip.conf"),
        below("pip/pip.conf"),
        reader.variables.get("VIRTUAL_ENV").map(|directory| PathBuf::from(directory).join("pip.conf")),
        reader.variables.get("PIP_CONFIG_FILE").map(PathBuf::from),
    ];
    for path in pip {
        let Some((path, text)) = reader.text(path) else { continue };
        for entry in ini::entries(&text) {
            if is_index(&entry.key.replace('_', "-")) {
                for value in entry.values.iter().flat_map(|value| value.split_ascii_whitespace()) {
                    reader.add_key(PYPI, &path, entry.key, value);
                }
            }
        }
    }
    let uv = [Some(PathBuf::from("/etc/uv/uv.toml")), below("uv/uv.toml")];
    let mut files: Vec<_> = uv.into_iter().filter_map(|path| reader.text(path)).collect();
    files.extend(reader.of_project("uv.toml"));
    for (path, text) in files {
        reader.add_strings(PYPI, &path, toml(&text), is_uv);
    }
    // pip replaces variables in it; its indexes are those of whoever wrote it.
    let _ = reader.of_project("requirements.txt");
    if let Some((path, text)) = reader.of_project("pyproject.toml") {
        reader.add_strings(PYPI, &path, toml(&text), |keys| match keys {
            ["tool", "uv", rest @ ..] => is_uv(rest),
            ["tool", "poetry" | "pdm", "source", "url"] => true,
            _ => false,
        });
    }
}

fn is_index(key: &str) -> bool {
    matches!(key, "index-url" | "extra-index-url" | "find-links")
}

fn is_uv(keys: &[&str]) -> bool {
    match keys {
        ["index", "url"] => true,
        [key] | ["pip", key] => is_index(key),
        _ => false,
    }
}

/// uv lets an index have a name in front: `name=https://..`.
fn named(reader: &mut Reader, variable: &str) {
    let value = reader.variables.get(variable).cloned().unwrap_or_default();
    for word in value.split_ascii_whitespace() {
        let url = match word.split_once('=') {
            Some((name, url)) if !name.contains([':', '/']) => url,
            _ => word,
        };
        reader.add(PYPI, &format!("the variable {variable}"), url);
    }
}
