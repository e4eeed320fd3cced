//! Licences and sources of what is linked: deny.toml's allow list, judged without a tool that has to be installed.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{compiler, workspace};

/// What is wrong with the dependencies, one line each.
pub(crate) fn complaints() -> Result<Vec<String>> {
    let path = workspace::root().join("deny.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let allowed = allow_list(&text).context("deny.toml has no `allow = [...]` list of licences")?;
    // Packages of other systems are not linked, and are not downloaded to be judged.
    let metadata = workspace::metadata(&["--locked", "--filter-platform", &compiler::host()?])?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    Ok(packages.iter().filter_map(|package| complaint(package, &allowed)).collect())
}

fn complaint(package: &Value, allowed: &[&str]) -> Option<String> {
    // A package without a source is a member of this workspace.
    let source = package["source"].as_str()?;
    let name = format!("{} {}", package["name"].as_str()?, package["version"].as_str()?);
    if !source.starts_with("registry+") {
        return Some(format!("{name} comes from {source}: only the registry is reviewed"));
    }
    let licence = package["license"].as_str().unwrap_or("no licence");
    (!permits(licence, allowed))
        .then(|| format!("{name} has the licence `{licence}`, which deny.toml does not allow"))
}

/// The strings of the first `allow = [` list.
fn allow_list(text: &str) -> Option<Vec<&str>> {
    let list = text.split_once("allow = [")?.1.split_once(']')?.0;
    // Every second part between quotes is inside them; comments hold no quotes.
    Some(list.split('"').skip(1).step_by(2).collect())
}

/// Whether an SPDX expression can be satisfied with allowed licences only.
fn permits(expression: &str, allowed: &[&str]) -> bool {
    // Old manifests write `/` for OR.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    either(&mut rest, allowed) && rest.is_empty()
}

fn either(rest: &mut &[&str], allowed: &[&str]) -> bool {
    let mut permitted = both(rest, allowed);
    while let ["OR", after @ ..] = *rest {
        *rest = after;
        permitted |= both(rest, allowed);
    }
    permitted
}

fn both(rest: &mut &[&str], allowed: &[&str]) -> bool {
    let mut permitted = single(rest, allowed);
    while let ["AND", after @ ..] = *rest {
        *rest = after;
        permitted &= single(rest, allowed);
    }
    permitted
}

fn single(rest: &mut &[&str], allowed: &[&str]) -> bool {
    match *rest {
        ["(", after @ ..] => {
            *rest = after;
            let permitted = either(rest, allowed);
            *rest = rest.strip_prefix(&[")"]).unwrap_or(&["unbalanced"]);
            permitted
        }
        [licence, "WITH", exception, after @ ..] => {
            *rest = after;
            allowed.contains(&format!("{licence} WITH {exception}").as_str()) || allowed.contains(licence)
        }
        [licence, after @ ..] => {
            *rest = after;
            allowed.contains(licence)
        }
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{allow_list, permits};

    #[test]
    fn reads_the_list() {
        let text = "[licenses]\n# why\nallow = [\n  \"MIT\",  # a comment\n  \"Apache-2.0\",\n]\n";
        assert_eq!(allow_list(text).unwrap(), ["MIT", "Apache-2.0"]);
        assert_eq!(allow_list(""), None);
    }

    #[test]
    fn judges_expressions() {
        let allowed = ["MIT", "Unicode-3.0"];
        assert!(permits("MIT OR Apache-2.0", &allowed));
        assert!(permits("Apache-2.0/MIT", &allowed));
        assert!(permits("(MIT OR Apache-2.0) AND Unicode-3.0", &allowed));
        assert!(!permits("Apache-2.0", &allowed));
        assert!(!permits("MIT AND Apache-2.0", &allowed));
        assert!(!permits("(Apache-2.0) AND Unicode-3.0", &allowed));
        assert!(!permits("(MIT", &allowed));
        assert!(!permits("", &allowed));
    }
}
