//! Reading rule files, from the binary and from folders.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_saphyr::Error as YamlError;

use super::locate::span;
use super::near::nearest;
use super::problem::{Finding, Problems};
use super::set::{RuleSet, Source};
use super::syntax::RuleFile;

/// The rules folder of the repository: names and texts.
static BUILT_IN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/rules.rs"));

/// The largest rule file that is read.
pub const MAX_FILE_BYTES: u64 = 4 << 20;
/// The most rule files in one folder and below it.
pub const MAX_FILES: usize = 2000;
/// How deep folders may be nested.
pub const MAX_DEPTH: usize = 16;

/// The built-in rules and those of `folders`, as one checked set.
///
/// # Errors
/// With everything that is wrong, files and contents.
pub fn load(folders: &[PathBuf]) -> Result<RuleSet, Problems> {
    let mut sources = built_in();
    let mut problems = Problems::default();
    for folder in folders {
        read_folder(folder, &mut sources, &mut problems);
    }
    parse(sources, problems)
}

/// Only the rules of `folders`.
///
/// # Errors
/// As [`load`].
pub fn load_only(folders: &[PathBuf]) -> Result<RuleSet, Problems> {
    let mut sources = Vec::new();
    let mut problems = Problems::default();
    for folder in folders {
        read_folder(folder, &mut sources, &mut problems);
    }
    parse(sources, problems)
}

/// One checked set from texts that are already in memory.
///
/// # Errors
/// With everything that is wrong with the texts.
pub fn from_texts(sources: Vec<Source>) -> Result<RuleSet, Problems> {
    parse(sources, Problems::default())
}

/// The files in the binary.
#[must_use]
pub fn built_in() -> Vec<Source> {
    let source =
        |(name, text): &(&str, &str)| Source { name: format!("built-in/{name}"), text: Arc::from(*text) };
    BUILT_IN.iter().map(source).collect()
}

fn parse(sources: Vec<Source>, mut problems: Problems) -> Result<RuleSet, Problems> {
    let mut files = Vec::new();
    for source in sources {
        match file(&source) {
            Ok(file) => files.push((source, file)),
            Err(finding) => problems.push(finding),
        }
    }
    // With files missing, names would seem undefined that are not.
    if problems.is_empty() { RuleSet::build(files) } else { Err(problems) }
}

fn file(source: &Source) -> Result<RuleFile, Finding> {
    let empty = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#') || line == "---";
    if source.text.lines().all(empty) {
        return Ok(RuleFile::default());
    }
    serde_saphyr::from_str(&source.text).map_err(|error| yaml(source, &error))
}

/// What is wrong with a text, at its place.
pub(crate) fn yaml(source: &Source, error: &YamlError) -> Finding {
    let error = error.without_snippet();
    let (message, hint) = match error {
        YamlError::SerdeUnknownField { field, expected, .. } => {
            (format!("unknown key `{field}`"), meant(field, expected, "the keys here are"))
        }
        YamlError::SerdeUnknownVariant { variant, expected, .. } => {
            (format!("unknown word `{variant}`"), meant(variant, expected, "the words here are"))
        }
        YamlError::SerdeMissingField { field, .. } => {
            (format!("the key `{field}` is missing"), Some(format!("add `{field}: ..` here")))
        }
        YamlError::SerdeInvalidType { unexpected, expected, .. }
        | YamlError::SerdeInvalidValue { unexpected, expected, .. } => {
            (format!("expected {expected}, found {unexpected}"), None)
        }
        YamlError::DuplicateMappingKey { key, .. } => (
            format!("the key `{}` is here twice", key.as_deref().unwrap_or("?")),
            Some("remove one of them, or put both values under one".to_owned()),
        ),
        other => (other.to_string(), None),
    };
    let at = error.location().and_then(|location| span(&source.text, location));
    Finding::at(message, hint, &source.name, &source.text, at)
}

fn meant(word: &str, known: &[&'static str], otherwise: &str) -> Option<String> {
    match nearest(word, known.iter().copied()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None => Some(format!("{otherwise} {}", known.join(", "))),
    }
}

/// Adds the rule files of `folder` to `sources`, in the order of their names.
fn read_folder(folder: &Path, sources: &mut Vec<Source>, problems: &mut Problems) {
    let mut found = Vec::new();
    let mut ancestors = Vec::new();
    if walk(folder, &mut ancestors, &mut found, problems).is_err() {
        problems.push(Finding::plain(
            format!("the rules folder {} holds more than {MAX_FILES} rule files", folder.display()),
            "name a folder that holds only rules",
        ));
        return;
    }
    if found.is_empty() && problems.is_empty() {
        problems.push(Finding::plain(
            format!("the rules folder {} holds no rule file", folder.display()),
            "put files there whose names end in .yaml, or name another folder",
        ));
    }
    found.sort();
    for path in found {
        match read_text("the rule file", &path, MAX_FILE_BYTES) {
            Ok(source) => sources.push(source),
            Err(finding) => problems.push(finding),
        }
    }
}

/// There are too many files.
struct TooMany;

fn walk(
    folder: &Path,
    ancestors: &mut Vec<(u64, u64)>,
    found: &mut Vec<PathBuf>,
    problems: &mut Problems,
) -> Result<(), TooMany> {
    let listed = fs::metadata(folder).and_then(|metadata| Ok((metadata, fs::read_dir(folder)?)));
    let (metadata, entries) = match listed {
        Ok(listed) => listed,
        Err(error) => {
            problems.push(unreadable("the rules folder", folder, &error));
            return Ok(());
        }
    };
    let identity = (metadata.dev(), metadata.ino());
    if ancestors.contains(&identity) {
        problems.push(looping(folder));
        return Ok(());
    }
    if ancestors.len() >= MAX_DEPTH {
        problems.push(Finding::plain(
            format!("the rules folder {} is nested more than {MAX_DEPTH} deep", folder.display()),
            "put the files further up",
        ));
        return Ok(());
    }
    ancestors.push(identity);
    let mut names = BTreeSet::new();
    for entry in entries {
        match entry {
            Ok(entry) => names.insert(entry.path()),
            Err(error) => {
                problems.push(unreadable("the rules folder", folder, &error));
                break;
            }
        };
    }
    for path in names {
        let yaml = path.extension().is_some_and(|extension| extension == "yaml");
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => walk(&path, ancestors, found, problems)?,
            Ok(_) if yaml && found.len() >= MAX_FILES => return Err(TooMany),
            Ok(_) if yaml => found.push(path),
            Ok(_) if path.extension().is_some_and(|extension| extension == "yml") => {
                problems.push(Finding::plain(
                    format!("{} would not be read, because its name ends in .yml", path.display()),
                    "rename it to .yaml",
                ));
            }
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::ELOOP) => problems.push(looping(&path)),
            Err(error) if yaml => problems.push(unreadable("the rule file", &path, &error)),
            Err(_) => {}
        }
    }
    ancestors.pop();
    Ok(())
}

/// A text file as a whole; `what` it is for people.
pub(crate) fn read_text(what: &str, path: &Path, most: u64) -> Result<Source, Finding> {
    let fail = |error: &io::Error| unreadable(what, path, error);
    // A named pipe would never answer.
    if !fs::metadata(path).map_err(|error| fail(&error))?.is_file() {
        return Err(Finding::plain(
            format!("{what} {} is no regular file", path.display()),
            "replace it by a text file, or remove it",
        ));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
        .map_err(|error| fail(&error))?;
    if bytes.len() as u64 > most {
        return Err(Finding::plain(
            format!("{what} {} is larger than {} MiB", path.display(), most >> 20),
            "split it into several files",
        ));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source { name: path.display().to_string(), text: Arc::from(text) }),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
            Err(Finding::plain(
                format!("{what} {} is not UTF-8: byte {at}, line {line}", path.display()),
                "save it as UTF-8",
            ))
        }
    }
}

fn unreadable(what: &str, path: &Path, error: &io::Error) -> Finding {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "check the name",
        io::ErrorKind::PermissionDenied => "make it readable for the user who runs this",
        io::ErrorKind::NotADirectory => "name the folder that holds the file",
        _ => "check the file system",
    };
    // The number in brackets says no more than the sentence.
    let reason = error.to_string();
    let reason = reason.split(" (os error").next().unwrap_or_default().to_lowercase();
    Finding::plain(format!("{what} {} cannot be read: {reason}", path.display()), hint)
}

fn looping(path: &Path) -> Finding {
    Finding::plain(
        format!("{} is a symbolic link that leads back to itself", path.display()),
        "remove the link, or let it point outside the rules folder",
    )
}
