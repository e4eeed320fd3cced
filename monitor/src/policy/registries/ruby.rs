//! RubyGems and Bundler.

use super::{Reader, yaml};

const GEM: &str = "gem";

pub(super) fn read(reader: &mut Reader) {
    let gemrc = [reader.home(".gemrc"), Some("/etc/gemrc".into())];
    for path in gemrc {
        let Some((path, text)) = reader.text(path) else { continue };
        reader.add_strings(GEM, &path, yaml(&text), |keys| matches!(keys, [":sources" | "sources"]));
    }
    let home = reader.home(".bundle/config");
    let named = reader.variables.get("BUNDLE_USER_CONFIG").map(Into::into);
    let mut files: Vec<_> = [home, named].into_iter().filter_map(|path| reader.text(path)).collect();
    files.extend(reader.of_project(".bundle/config"));
    for (path, text) in files {
        reader.add_strings(GEM, &path, yaml(&text), |keys| {
            matches!(keys, [key] if key.starts_with("BUNDLE_MIRROR__") && !key.ends_with("__FALLBACK_TIMEOUT/"))
        });
    }
    // `source "https://.."`, with or without a block: the only line of a Gemfile that is read.
    if let Some((path, text)) = reader.of_project("Gemfile") {
        for line in text.lines() {
            let Some(rest) = line.trim().strip_prefix("source") else { continue };
            let rest = rest.trim_start_matches([' ', '(']);
            let Some(quote) = rest.chars().next().filter(|first| matches!(first, '"' | '\'')) else {
                continue;
            };
            if let Some((url, _)) = rest[1..].split_once(quote) {
                reader.add_key(GEM, &path, "source", url);
            }
        }
    }
}
