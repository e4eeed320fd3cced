//! Large rule sets: what compiling them takes, and whether a step notices their size.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::micro;
use super::sample::{Measured, Sample};
use super::watch::{Bench, pairs, per_step, wall};

const MANY: usize = 10_000;
const FEW: usize = 10;
/// Over which the patterns are spread.
const DIRECTORIES: usize = 97;
/// Runs of the compiler.
const COMPILATIONS: usize = 5;

pub(super) fn ten_thousand_rules(bench: &Bench) -> Result<Measured> {
    let (few, many) = (folder(bench, "few-rules", &rules(FEW))?, folder(bench, "many-rules", &rules(MANY))?);
    let words = micro::opens(bench)?;
    let with = |folder: &PathBuf| per_step(&mut bench.watched(Some(folder), &words));
    Ok(Measured::ratio(&pairs(bench.rounds, || with(&few), || with(&many))?, None, Some(1.05)))
}

pub(super) fn patterns(bench: &Bench) -> Result<Measured> {
    let folder = folder(bench, "many-patterns", &one_rule(MANY))?;
    let check = || wall(Command::new(&bench.program).args(["rules", "check", "--rules"]).arg(&folder));
    let sample = Sample::new((0..COMPILATIONS).map(|_| check()).collect::<Result<_>>()?)?;
    Ok(Measured::value(sample.show(2, " s"), sample.median() <= 2.0))
}

/// A rules folder with this file in it.
pub(super) fn folder(bench: &Bench, name: &str, file: &str) -> Result<PathBuf> {
    let folder = bench.directory.join(name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join("bench.yaml");
    fs::write(&path, file).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(folder)
}

/// So many rules, each with an object of its own. What tells them apart must be short: objects share no states.
fn rules(count: usize) -> String {
    let (mut objects, mut rules) = (String::from("objects:\n"), String::from("rules:\n"));
    for number in 0..count {
        // Writing to a string cannot fail.
        let pattern = format!("\"~/.bench-{}/{number}/key\"", number % DIRECTORIES);
        let _ = writeln!(objects, "  bench-{number}: {{ files: [{pattern}] }}");
        let _ = write!(rules, "{}", rule(&format!("PW-BENCH-{number:05}"), &format!("bench-{number}")));
    }
    objects + &rules
}

/// One rule about one object with so many patterns.
fn one_rule(patterns: usize) -> String {
    let list: Vec<String> = (0..patterns).map(|number| format!("      - {}", pattern(number))).collect();
    format!(
        "objects:\n  bench:\n    files:\n{}\nrules:\n{}",
        list.join("\n"),
        rule("PW-BENCH-00000", "bench")
    )
}

/// A pattern like those of credential files: fixed directories, a name with a star in it.
fn pattern(number: usize) -> String {
    format!("\"~/.bench-{}/application-{number}/credentials-*.json\"", number % DIRECTORIES)
}

/// A rule that alerts when anybody reads an object.
pub(super) fn rule(id: &str, object: &str) -> String {
    format!(
        "  - id: {id}\n    title: a read that the benchmark is about\n    severity: low\n    when: {{ actor: any, does: read, \
         object: {object} }}\n    then: alert\n    why: the benchmark measures it\n"
    )
}

#[cfg(test)]
mod tests {
    use super::{one_rule, rules};

    #[test]
    fn makes_as_many_as_asked() {
        assert_eq!(rules(7).matches("- id: PW-BENCH-").count(), 7);
        assert_eq!(rules(7).matches("{ files: [\"~/").count(), 7);
        assert_eq!(one_rule(7).matches("      - \"~/").count(), 7);
    }
}
