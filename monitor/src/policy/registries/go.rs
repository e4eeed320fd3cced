//! The go command: lists of proxies with commas and bars between them.

use super::{Reader, ini};
use crate::event::text::Text;

const GO: &str = "golang";

pub(super) fn read(reader: &mut Reader) {
    for name in ["GOPROXY", "GOSUMDB"] {
        if let Some(value) = reader.variables.get(name).cloned() {
            list(reader, &format!("the variable {name}"), &value);
        }
    }
    let named = reader.variables.get("GOENV").map(Into::into);
    let file = named.or_else(|| Some(reader.directory("XDG_CONFIG_HOME", ".config")?.join("go/env")));
    if let Some((path, text)) = reader.text(file) {
        let entries = ini::entries(&text);
        for entry in entries.iter().filter(|entry| matches!(entry.key, "GOPROXY" | "GOSUMDB")) {
            let place = Text::from(path.as_path());
            for value in &entry.values {
                list(reader, &format!("{} in {place}", entry.key), value);
            }
        }
    }
}

fn list(reader: &mut Reader, place: &str, value: &str) {
    // A database of sums is a name, a key, and perhaps an address.
    let words = value.split([',', '|', ' ']).map(str::trim);
    for word in words.filter(|word| !matches!(*word, "" | "direct" | "off")) {
        reader.add(GO, place, word.split('+').next().unwrap_or_default());
    }
}
