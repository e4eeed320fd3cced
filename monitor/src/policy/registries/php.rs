//! Composer.

use super::Reader;

const COMPOSER: &str = "composer";

pub(super) fn read(reader: &mut Reader) {
    let home = reader.directory("COMPOSER_HOME", ".config/composer");
    let old = reader.home(".composer/config.json");
    let mut files: Vec<_> = [home.map(|home| home.join("config.json")), old]
        .into_iter()
        .filter_map(|path| reader.text(path))
        .collect();
    files.extend(reader.of_project("composer.json"));
    for (path, text) in files {
        let parsed = serde_json::from_str(&text).ok();
        // `repositories` is a list, or has names; the other kinds of repositories are packages themselves.
        reader.add_strings(COMPOSER, &path, parsed, |keys| {
            matches!(keys, ["repositories", "url"] | ["repositories", _, "url"])
        });
    }
}
