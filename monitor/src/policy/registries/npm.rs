//! npm, pnpm, yarn and bun.

use std::path::PathBuf;

use super::{Reader, ini, toml, yaml};

const NPM: &str = "npm";

pub(super) fn read(reader: &mut Reader) {
    variables(reader);
    let named = |reader: &Reader, name: &str| {
        let found = reader.variables.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| PathBuf::from(value))
    };
    let user = named(reader, "npm_config_userconfig").or_else(|| reader.home(".npmrc"));
    let global = named(reader, "npm_config_globalconfig");
    let pnpm = reader.directory("XDG_CONFIG_HOME", ".config").map(|directory| directory.join("pnpm/rc"));
    let machine =
        ["/etc/npmrc", "/usr/etc/npmrc", "/usr/local/etc/npmrc"].map(|path| Some(PathBuf::from(path)));
    let mut files: Vec<_> =
        [user, global, pnpm].into_iter().chain(machine).filter_map(|path| reader.text(path)).collect();
    files.extend(reader.of_project(".npmrc"));
    for (path, text) in files {
        for entry in ini::entries(&text) {
            if entry.section.is_empty() && is_registry(entry.key) {
                for value in entry.values {
                    reader.add_key(NPM, &path, entry.key, value);
                }
            }
        }
    }
    yarn(reader);
    bun(reader);
    if let Some((path, text)) = reader.of_project("pnpm-workspace.yaml") {
        reader.add_strings(NPM, &path, yaml(&text), |keys| {
            matches!(keys, ["registries", _] | ["registry"]) || matches!(keys, [key] if is_registry(key))
        });
    }
}

fn is_registry(key: &str) -> bool {
    key == "registry" || (key.starts_with('@') && key.ends_with(":registry"))
}

/// npm reads them in any case.
fn variables(reader: &mut Reader) {
    let names: Vec<String> = reader
        .variables
        .keys()
        .filter(|name| {
            let name = name.to_ascii_lowercase();
            name.strip_prefix("npm_config_").is_some_and(is_registry)
                || matches!(
                    name.as_str(),
                    "yarn_registry" | "yarn_npm_registry_server" | "bun_config_registry"
                )
        })
        .cloned()
        .collect();
    for name in names {
        reader.add_variable(NPM, &name);
    }
}

fn yarn(reader: &mut Reader) {
    let home = reader.home(".yarnrc.yml");
    let files: Vec<_> = reader.text(home).into_iter().chain(reader.of_project(".yarnrc.yml")).collect();
    for (path, text) in files {
        reader.add_strings(NPM, &path, yaml(&text), |keys| {
            matches!(keys, ["npmRegistryServer"] | ["npmScopes", _, "npmRegistryServer"])
        });
    }
    // The first yarn's: `registry "https://.."`.
    let home = reader.home(".yarnrc");
    let files: Vec<_> = reader.text(home).into_iter().chain(reader.of_project(".yarnrc")).collect();
    for (path, text) in files {
        for line in text.lines() {
            let (key, value) = line.trim().split_once(char::is_whitespace).unwrap_or_default();
            let key = key.trim_matches('"');
            if is_registry(key) {
                reader.add_key(NPM, &path, key, value);
            }
        }
    }
}

fn bun(reader: &mut Reader) {
    let homes = [
        reader.home(".bunfig.toml"),
        reader
            .variables
            .get("XDG_CONFIG_HOME")
            .map(|directory| PathBuf::from(directory).join(".bunfig.toml")),
    ];
    let mut files: Vec<_> = homes.into_iter().filter_map(|path| reader.text(path)).collect();
    files.extend(reader.of_project("bunfig.toml"));
    for (path, text) in files {
        reader.add_strings(NPM, &path, toml(&text), |keys| {
            matches!(
                keys,
                ["install", "registry"]
                    | ["install", "registry", "url"]
                    | ["install", "scopes", _]
                    | ["install", "scopes", _, "url"]
            )
        });
    }
}
