//! `rules allow`: from a real finding to the narrowest exception, or to a test of its rule.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use monitor_common::action::Action;
use monitor_common::label::{SCOPE_COUNTERS, SCRIPT_SCOPE};
use monitor_common::policy::{Decision, Past, Query};
use serde::Deserialize;

use super::given;
use super::{RulesArgs, print};
use crate::cli::report::{open, summarise};
use crate::finding::Finding;
use crate::policy::evaluate::{Judge, slot, verdict};
use crate::policy::{Environment, Policy};
use crate::replay::object::question;
use crate::report::allow::{Exception, Way, actor, exception};
use crate::report::json;
use crate::report::layout::{Screen, plain};
use crate::report::phrase::{heading, object_text, verb};
use crate::rule::load::{built_in, folders, from_texts};
use crate::rule::selector::COMMAND;
use crate::rule::set::Source;
use crate::rule::syntax::{Given, Verdict};
use crate::rule::{Problems, RuleSet};

/// The largest report that is read, bytes.
const MAX_REPORT: u64 = 256 << 20;

/// Which finding, and what to make of it.
#[derive(Debug, Args)]
pub(super) struct AllowArgs {
    /// Finding: the ten digits beside it in every report, or its number in the file (`F1`)
    finding: String,
    /// Where it is: a JSON report or a file of events; `-` is standard input
    #[arg(long, value_name = "FILE", env = "PKGWARDEN_FROM")]
    from: PathBuf,
    /// Who reviewed this, and why it is needed: the `why` of the rule
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Write to this new file, not to standard output
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// What to make of the finding
    #[arg(long = "as", value_enum, default_value_t = Product::Rule)]
    product: Product,
}

/// What is made of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Product {
    /// A rule that allows it
    Rule,
    /// A test for the rule that found it
    Test,
}

pub(super) fn run(args: &RulesArgs, own: &AllowArgs) -> anyhow::Result<ExitCode> {
    let (finding, others) = find(own)?;
    if others > 0 {
        anstream::eprintln!(
            "pkgwarden: {others} more findings of that file have this key; the first is taken, and the exception is for it"
        );
    }
    let set = args.load()?;
    let text = match own.product {
        Product::Rule => rule(args, own, &set, &finding)?,
        Product::Test => test(&set, &finding)?,
    };
    match &own.to {
        None => print(&text),
        Some(path) => {
            let mut file = File::create_new(path).with_context(|| {
                format!("{} cannot be made; name a file that does not exist yet", path.display())
            })?;
            file.write_all(text.as_bytes())
                .with_context(|| format!("{} cannot be written", path.display()))?;
            anstream::eprintln!("pkgwarden: {} is written; review it before you use it", path.display());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A report, as far as it is needed.
#[derive(Deserialize)]
struct Report {
    schema: String,
    findings: Vec<Finding>,
}

/// The finding, and how many others of the file have the same key.
fn find(own: &AllowArgs) -> anyhow::Result<(Finding, usize)> {
    let (mut file, shown) = open(&own.from)?;
    let mut start = Vec::new();
    (&file).take(64).read_to_end(&mut start).with_context(|| format!("{shown} cannot be read"))?;
    file.rewind()?;
    // A log has an object in each line, a report begins with a brace of its own.
    let findings = if start.trim_ascii_start().starts_with(b"{\n") {
        let mut bytes = Vec::new();
        file.take(MAX_REPORT).read_to_end(&mut bytes).with_context(|| format!("{shown} cannot be read"))?;
        let report: Report = serde_json::from_slice(&bytes).with_context(|| {
            format!("{shown} is no JSON report; give what `pkgwarden report --format json` wrote, or events")
        })?;
        if report.schema != json::SCHEMA {
            bail!(
                "{shown} has the schema `{}` where `{}` is expected",
                report.schema.escape_debug(),
                json::SCHEMA
            );
        }
        report.findings
    } else {
        summarise(BufReader::new(file)).context(shown.clone())?.findings
    };
    let known: Vec<String> =
        findings.iter().take(10).map(|finding| format!("{} ({})", finding.key, finding.rule)).collect();
    let is_meant = |finding: &Finding| {
        finding.key.eq_ignore_ascii_case(&own.finding) || finding.id.eq_ignore_ascii_case(&own.finding)
    };
    let mut meant: Vec<Finding> = findings.into_iter().filter(is_meant).collect();
    if meant.is_empty() {
        let wanted = own.finding.escape_debug();
        match known.is_empty() {
            true => bail!("{shown} has no findings"),
            false => bail!("{shown} has no finding `{wanted}`; it has {}", known.join(", ")),
        }
    }
    let others = meant.len() - 1;
    Ok((meant.swap_remove(0), others))
}

/// What the rules say to a finding's act.
fn say(
    policy: &Policy,
    set: &RuleSet,
    finding: &Finding,
    without_arguments: bool,
) -> anyhow::Result<Decision> {
    let name = actor(finding);
    let Some(number) = policy.names.actor(name) else {
        bail!("these rules have no actor `{}`; add the folder that has it with --rules", name.escape_debug());
    };
    let asked = set.rules.iter().find(|rule| rule.id == finding.rule);
    let mut marks = if finding.scope.is_some() { SCRIPT_SCOPE } else { 0 };
    for mark in &finding.marks {
        marks |= policy.names.marks.iter().position(|known| known == mark).map_or(0, |bit| 1 << bit);
    }
    let past = Past { marks, classes: asked.map_or(0, |rule| u32::from(rule.when.secrets)) };
    let mut groups = question(policy, finding.action, &finding.object, None).groups;
    if without_arguments {
        groups[slot::SCRIPT] = 0;
        groups[slot::COMMAND] = 0;
    }
    let mut judge = Judge::new(policy);
    judge.counts = [asked.map_or(0, |rule| u32::from(rule.when.after)); SCOPE_COUNTERS];
    Ok(judge.judge(&Query { actor: number, action: finding.action, groups, past }))
}

fn stops(decision: &Decision) -> bool {
    matches!(verdict(decision), Verdict::Deny | Verdict::Kill)
}

fn rule(args: &RulesArgs, own: &AllowArgs, set: &RuleSet, finding: &Finding) -> anyhow::Result<String> {
    let shown = plain(&what(finding), Screen::default());
    let reason = own.reason.as_deref().unwrap_or("say here who reviewed this, and why it is needed");
    let why = format!("{reason} (finding {}: {shown})", finding.key);
    let policy = args.compile_here(set)?;
    if verdict(&say(&policy, set, finding, false)?) == Verdict::Allow {
        bail!("these rules allow it already; nothing was written");
    }
    // Before a program is in place nobody knows its arguments: where the program alone is refused, its command line does
    // not help.
    let by_words = finding.action == Action::Exec && !stops(&say(&policy, set, finding, true)?);
    for way in [Way::Command, Way::Exact, Way::Class] {
        if way == Way::Command && !by_words {
            continue;
        }
        let Some(exception) = exception(finding, Some(way), &why) else { continue };
        let text = format!("{}{}", head(finding, &shown, &exception), exception.yaml);
        let Some(policy) = with_exception(args, &text)? else { continue };
        if verdict(&say(&policy, set, finding, false)?) != Verdict::Allow {
            continue;
        }
        let test = own_test(args, &text, set, finding)?;
        return Ok(text + &test);
    }
    bail!(
        "no rule can allow what {} found: {shown}; what happens to the process of pkgwarden itself or outlives the command has none",
        finding.rule
    )
}

/// The rules with an exception; none if it does not fit.
fn with_exception(args: &RulesArgs, text: &str) -> anyhow::Result<Option<Policy>> {
    let Ok(set) = added(args, text) else { return Ok(None) };
    Ok(Some(args.compile_here(&set)?))
}

fn added(args: &RulesArgs, text: &str) -> Result<RuleSet, Problems> {
    let mut sources = built_in();
    sources.extend(folders(&args.folders)?);
    sources.push(Source { name: "exception".to_owned(), text: Arc::from(text) });
    from_texts(sources)
}

/// A test that the exception does what it is for, if rules can say the act.
fn own_test(args: &RulesArgs, text: &str, set: &RuleSet, finding: &Finding) -> anyhow::Result<String> {
    let set_with = added(args, text)?;
    let environment = Environment { network: args.network(set), ..Environment::for_tests(&set_with) };
    let policy = Policy::compile(&set_with, &environment)?;
    let found = given::all(finding, set).into_iter().find(|given| {
        policy.judge(given).is_ok_and(|judgement| {
            judgement.decision.rank != 0 && verdict(&judgement.decision) == Verdict::Allow
        })
    });
    let Some(given) = found else { return Ok(String::new()) };
    let mut tests = format!("    tests:\n      - {{ given: {}, expect: allow }}\n", given::flow(&given));
    // And somebody else, for whom nothing changes.
    let other = if given.actor == COMMAND { "script:npm" } else { COMMAND };
    let neighbour = Given { actor: other.to_owned(), ..given };
    if let Ok(judgement) = policy.judge(&neighbour) {
        let said = super::word(&verdict(&judgement.decision));
        // Writing to a string does not fail.
        let _ = writeln!(tests, "      - {{ given: {}, expect: {said} }}", given::flow(&neighbour));
    }
    Ok(tests)
}

fn head(finding: &Finding, shown: &str, exception: &Exception) -> String {
    let mut text = format!("# Exception for finding {}: {shown}\n", finding.key);
    text.push_str(
        "# It holds for every package whose code runs as this actor: no rule can be about one package, because packages are\n\
         # not known in the kernel.\n",
    );
    for sentence in &exception.wider {
        // Writing to a string does not fail.
        let _ = writeln!(text, "# Wide: {sentence}");
    }
    text
}

/// A finding in a line.
fn what(finding: &Finding) -> String {
    format!(
        "{}: {} {}",
        heading(finding),
        verb(finding.action, &finding.object),
        object_text(&finding.object)
    )
}

fn test(set: &RuleSet, finding: &Finding) -> anyhow::Result<String> {
    let Some((index, rule)) = set.rules.iter().enumerate().find(|(_, rule)| rule.id == finding.rule) else {
        bail!(
            "these rules have no rule {}; add the folder that has it with --rules",
            finding.rule.escape_debug()
        );
    };
    let network = rule.network.first().copied().or(set.network).unwrap_or_default();
    let policy = Policy::compile(set, &Environment { network, ..Environment::for_tests(set) })?;
    let fires = |given: &&Given| {
        policy.judge(given).is_ok_and(|judgement| {
            policy.deciding(&judgement.decision).is_some_and(|decided| decided.id == rule.id)
        })
    };
    let all = given::all(finding, set);
    let Some(given) = all.iter().find(fires) else {
        bail!(
            "the act of finding {} cannot be said as a test of {}: by what is recorded of it, the rules decide otherwise",
            finding.key,
            rule.id
        );
    };
    let place = set.position(&["rules".to_owned(), index.to_string()]);
    let shown = plain(&what(finding), Screen::default());
    Ok(format!(
        "# For the tests of {} ({place}), from finding {}: {shown}\n- {{ given: {}, expect: {} }}\n",
        rule.id,
        finding.key,
        given::flow(given),
        super::word(&rule.then),
    ))
}
