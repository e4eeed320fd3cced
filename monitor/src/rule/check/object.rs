//! Objects: every entry can match something.

use super::{glob_problem, meant, name_is_plain};
use crate::policy::domain;
use crate::policy::glob::{self, GlobError, Subject};
use crate::policy::network::{parse_address, parse_port};
use crate::policy::registries::ECOSYSTEMS;
use crate::rule::problem::Problem;
use crate::rule::syntax::Object;
use monitor_common::object::KernelObject;

pub(super) fn check(name: &str, object: &Object, found: &mut Vec<Problem>) {
    let here = ["objects", name];
    if KernelObject::from_word(name).is_some() {
        let message = format!("the object `{name}` is one that the kernel side recognises itself");
        found.push(Problem::new(message, "choose another name", &here));
    } else if !name_is_plain(name) {
        let message = format!("`{name}` is no name for an object");
        found.push(Problem::new(message, "use lower-case letters, digits and dashes", &here));
    }
    let Object { title: _, files, executables, commands, addresses, domains, ports, sockets, .. } = object;
    let lists = [files, executables, commands, addresses, domains, ports, sockets];
    if lists.iter().all(|list| list.is_empty()) && object.registries.is_none() {
        let hint = "add `files`, `executables`, `commands`, `addresses`, `domains`, `ports` or `sockets`";
        found.push(Problem::new(format!("the object `{name}` holds nothing"), hint, &here));
    }
    for (key, list, subject) in [
        ("files", files, Subject::File),
        ("executables", executables, Subject::Program),
        ("commands", commands, Subject::Command),
        ("sockets", sockets, Subject::Socket),
    ] {
        entries(name, key, list, found, |text| glob::parse(text, subject).map(|_| ()));
        if !list.is_empty() && list.iter().all(|text| text.starts_with('!')) {
            let message =
                format!("the object `{name}` has nothing but exclusions under `{key}`, so it is empty");
            found.push(Problem::new(message, "add a pattern without `!`", &["objects", name, key]));
        }
    }
    if let Some(name) = object.registries.as_deref().filter(|name| !ECOSYSTEMS.contains(name)) {
        let hint = meant(name, ECOSYSTEMS, "the ecosystems are");
        found.push(Problem::new(
            format!("there is no ecosystem `{name}`"),
            hint,
            &["objects", here[1], "registries"],
        ));
    }
    if !domains.is_empty() && domains.iter().all(|text| text.starts_with('!')) {
        let message = format!("the object `{name}` has nothing but exclusions under `domains`");
        found.push(Problem::new(message, "add `*` for any other name", &["objects", name, "domains"]));
    }
    entries(name, "domains", domains, found, |text| domain::parse(text).map(|_| ()));
    entries(name, "addresses", addresses, found, |text| parse_address(text).map(|_| ()));
    entries(name, "ports", ports, found, |text| parse_port(text).map(|_| ()));
}

fn entries(
    name: &str,
    key: &str,
    list: &[String],
    found: &mut Vec<Problem>,
    parse: impl Fn(&str) -> Result<(), GlobError>,
) {
    for (index, text) in list.iter().enumerate() {
        if let Err(error) = parse(text) {
            found.push(glob_problem(text, error, &["objects", name, key, &index.to_string()]));
        }
    }
}
