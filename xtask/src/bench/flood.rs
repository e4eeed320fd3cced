//! Events that pass the filter: how many a second get through, and whether a lost one is counted.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::policy::{folder, rule};
use super::sample::Measured;
use super::watch::Bench;
use super::worker;

const RATE: u64 = 200_000;
const SECONDS: u64 = 10;
const RULE: &str = "PW-BENCH-00000";

pub(super) fn events(bench: &Bench) -> Result<Measured> {
    let target = bench.directory.join("flooded.txt");
    fs::write(&target, "flooded\n").with_context(|| format!("cannot write {}", target.display()))?;
    let path = target.to_str().context("the target directory's path is not UTF-8")?;
    let rules = format!("objects:\n  bench:\n    files: [\"{path}\"]\nrules:\n{}", rule(RULE, "bench"));
    let rules = folder(bench, "flood-rules", &rules)?;

    let events = bench.directory.join("flood-events.jsonl");
    let mut command = bench.run(Some(&rules), "audit");
    command.arg("--events").arg(&events).arg("--").arg(&bench.worker);
    command.args(["bench-worker", "flood", &RATE.to_string(), &SECONDS.to_string(), path]);
    let output = command.output().context("cannot start pkgwarden")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let opened = said
        .lines()
        .find_map(worker::read_flooded)
        .context("the flood under `pkgwarden run` printed no count")?;

    let text = fs::read_to_string(&events).with_context(|| format!("cannot read {}", events.display()))?;
    let (mut seen, mut lost) = (0, 0);
    for line in text.lines() {
        let event: Value =
            serde_json::from_str(line).context("the event stream has a line that is no JSON")?;
        seen += matches(&event);
        lost += lost_events(&event);
    }
    ensure!(seen > 0, "the event stream has nothing about rule {RULE}");
    let silent = opened.saturating_sub(seen + lost);
    let rate = opened / SECONDS;
    let result = format!("{rate} a second made: {seen} seen, {lost} counted as lost, {silent} silent");
    // The loop may be too slow on a small machine; then the goal is not shown to be met.
    Ok(Measured::value(result, lost == 0 && silent == 0 && rate >= RATE * 99 / 100))
}

/// How many matches of the rule a line stands for: repeated ones may be grouped.
fn matches(event: &Value) -> u64 {
    let named = |rule: &Value| rule.as_str() == Some(RULE) || rule["id"].as_str() == Some(RULE);
    if named(&event["rule"]) { event["count"].as_u64().unwrap_or(1) } else { 0 }
}

/// Events that a line says were lost.
fn lost_events(event: &Value) -> u64 {
    match event {
        Value::Object(fields) => fields
            .iter()
            .map(
                |(name, value)| {
                    if name == "ring-full" { value.as_u64().unwrap_or(0) } else { lost_events(value) }
                },
            )
            .sum(),
        Value::Array(values) => values.iter().map(lost_events).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{RULE, lost_events, matches};

    #[test]
    fn counts_matches_and_losses() {
        assert_eq!(matches(&json!({ "rule": RULE })), 1);
        assert_eq!(matches(&json!({ "rule": { "id": RULE }, "count": 7 })), 7);
        assert_eq!(matches(&json!({ "rule": "other" })), 0);
        assert_eq!(lost_events(&json!({ "counters": { "ring-full": 3, "act": 1 } })), 3);
    }
}
