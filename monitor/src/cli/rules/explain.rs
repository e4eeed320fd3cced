//! `rules explain`: what a rule means, and what the rules say to an act.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::test::describe;
use super::{RulesArgs, print, print_json, word};
use crate::policy::Policy;
use crate::policy::evaluate::verdict;
use crate::rule::syntax::{Given, Object, Rule, Verdict, Within};
use crate::rule::{RuleSet, nearest};

/// Which rule, or which act.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// Rule to explain, such as PW-CRED-001
    #[arg(conflicts_with_all = ["actor", "does"])]
    id: Option<String>,
    /// Who acts: script:npm, manager:pip, tool:git
    #[arg(long, requires = "does")]
    actor: Option<String>,
    /// What it does: read, exec, connect, ...
    #[arg(long, requires = "actor", value_name = "ACTION")]
    does: Option<String>,
    /// File, or program for exec
    #[arg(long)]
    path: Option<String>,
    /// Command line for exec
    #[arg(long)]
    command: Option<String>,
    /// Address and port: 203.0.113.7:443
    #[arg(long)]
    address: Option<String>,
    /// Name of a host, resolved or connected to under this name
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// Port, for a name without an address
    #[arg(long)]
    port: Option<u16>,
    /// Unix socket
    #[arg(long)]
    socket: Option<String>,
    /// Object that only the kernel recognises: dropped, raw-socket, ...
    #[arg(long)]
    object: Option<String>,
    /// Mark that the scope has already; may be repeated
    #[arg(long = "mark", value_name = "MARK")]
    marks: Vec<String>,
    /// Of how many classes the scope has read secrets
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    secrets: u8,
    /// Whose scope it is
    #[arg(long, value_enum)]
    scope: Option<Within>,
    /// How often the same was done before in the scope
    #[arg(long, default_value_t = 0)]
    before: u16,
}

pub(super) fn run(args: &RulesArgs, question: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let set = args.load()?;
    if let Some(id) = &question.id {
        return rule(args, &set, id);
    }
    let (Some(actor), Some(does)) = (question.actor.clone(), question.does.clone()) else {
        bail!(
            "nothing to explain; name a rule, or an act with --actor, --does and --path, --command, --address or --domain"
        );
    };
    let given = Given {
        actor,
        does,
        path: question.path.clone(),
        command: question.command.clone(),
        address: question.address.clone(),
        domain: question.domain.clone(),
        port: question.port,
        socket: question.socket.clone(),
        object: question.object.clone(),
        marks: question.marks.clone(),
        secrets: question.secrets,
        scope: question.scope,
        before: question.before,
    };
    act(args, &args.compile_here(&set)?, &given)
}

/// What the rules say to an act.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    given: &'a Given,
    verdict: Verdict,
    rule: Option<&'a str>,
    title: Option<&'a str>,
    why: Option<&'a str>,
    /// Objects that it concerns.
    objects: Vec<&'a str>,
    /// For exec: what the process becomes.
    becomes: Option<&'a str>,
}

fn act(args: &RulesArgs, policy: &Policy, given: &Given) -> anyhow::Result<ExitCode> {
    let judgement = policy.judge(given)?;
    let rule = policy.deciding(&judgement.decision);
    let objects: BTreeSet<&str> =
        judgement.groups.iter().flat_map(|group| policy.names.group(*group)).map(String::as_str).collect();
    let becomes = judgement.becomes.and_then(|actor| policy.names.actors.get(usize::from(actor)));
    let answer = Answer {
        given,
        verdict: verdict(&judgement.decision),
        rule: rule.map(|rule| rule.id.as_str()),
        title: rule.map(|rule| rule.title.as_str()),
        why: rule.map(|rule| rule.why.as_str()),
        objects: objects.into_iter().collect(),
        becomes: becomes.map(String::as_str),
    };
    if args.json {
        return print_json(&answer);
    }
    let mut text = format!("{}\n  verdict  {}", describe(given), word(&answer.verdict));
    // Writing to a string does not fail.
    let _ = match rule {
        Some(rule) => writeln!(text, ", by {}: {}", rule.id, rule.title),
        None => writeln!(text, ", because no rule is about it"),
    };
    if !answer.objects.is_empty() {
        let _ = writeln!(text, "  objects  {}", answer.objects.join(", "));
    }
    if let Some(becomes) = answer.becomes {
        let _ = writeln!(text, "  becomes  {becomes}");
    }
    if let Some(why) = answer.why {
        let _ = writeln!(text, "\n{}", why.trim_end());
    }
    print(&text)
}

fn rule(args: &RulesArgs, set: &RuleSet, id: &str) -> anyhow::Result<ExitCode> {
    let Some(rule) = set.rules.iter().find(|rule| rule.id.eq_ignore_ascii_case(id)) else {
        match nearest(&id.to_ascii_uppercase(), set.rules.iter().map(|rule| rule.id.as_str())) {
            Some(near) => bail!("there is no rule `{id}`; did you mean `{near}`?"),
            None => bail!("there is no rule `{id}`; `pkgwarden rules list` shows all of them"),
        }
    };
    if args.json {
        return print_json(rule);
    }
    let mut text = format!("{}  {}\n", rule.id, rule.title);
    let list = |words: &[String]| words.join(", ");
    // Writing to a string does not fail.
    let _ = writeln!(text, "  severity  {}\n  verdict   {}", word(&rule.severity), word(&rule.then));
    let _ = writeln!(text, "  actor     {}", list(rule.when.actor.words()));
    let _ = writeln!(text, "  does      {}", list(rule.when.does.words()));
    if !rule.when.marks.is_empty() {
        let _ = writeln!(text, "  marks     {}", list(&rule.when.marks));
    }
    if rule.when.secrets > 0 {
        let _ = writeln!(text, "  secrets   of {} classes read before", rule.when.secrets);
    }
    if let Some(scope) = &rule.when.scope {
        let _ = writeln!(text, "  scope     {}", word(scope));
    }
    if !rule.network.is_empty() {
        let network: Vec<String> = rule.network.iter().map(word).collect();
        let _ = writeln!(text, "  network   {}", list(&network));
    }
    if rule.when.after > 0 {
        let _ = writeln!(text, "  after     {} times in one scope", rule.when.after);
    }
    if let Some(mark) = &rule.mark {
        let _ = writeln!(text, "  then marks the scope `{mark}`");
    }
    if !rule.attack.is_empty() {
        let _ = writeln!(text, "  ATT&CK    {}", list(&rule.attack));
    }
    for name in rule.when.object.words() {
        object(&mut text, name, set.objects.get(name));
    }
    let excepted = exceptions(set, &args.compile_here(set)?, rule);
    if !excepted.is_empty() {
        text.push_str("\nexcepted\n");
        for other in excepted {
            let _ = writeln!(
                text,
                "  {} may {} ({}: {})",
                list(other.when.actor.words()),
                list(other.when.does.words()),
                other.id,
                other.title
            );
        }
    }
    let _ = writeln!(text, "\n{}", rule.why.trim_end());
    print(&text)
}

fn object(text: &mut String, name: &str, object: Option<&Object>) {
    let Some(object) = object else {
        let _ = writeln!(text, "\nobject {name}: recognised by the kernel side");
        return;
    };
    let title = if object.title.is_empty() { "" } else { ": " };
    let _ = writeln!(text, "\nobject {name}{title}{}", object.title);
    for (key, list) in [
        ("files", &object.files),
        ("executables", &object.executables),
        ("commands", &object.commands),
        ("addresses", &object.addresses),
        ("domains", &object.domains),
        ("ports", &object.ports),
        ("sockets", &object.sockets),
    ] {
        for entry in list {
            let _ = writeln!(text, "  {key:11}  {entry}");
        }
    }
    if let Some(ecosystem) = &object.registries {
        let _ = writeln!(text, "  registries   those of {ecosystem} that this machine is configured to use");
    }
}

/// Rules that allow somebody what `rule` does not: about an action and an object that both are about.
fn exceptions<'a>(set: &'a RuleSet, policy: &Policy, rule: &Rule) -> Vec<&'a Rule> {
    if rule.then == Verdict::Allow {
        return Vec::new();
    }
    let overlaps = |other: &Rule| {
        let (ours, theirs) = (rule.when.object.words(), other.when.object.words());
        other.holds_in(policy.environment.network)
            && other.holds_for(&policy.environment.started_by)
            && policy.names.groups.iter().any(|group| {
                ours.iter().any(|name| group.contains(name)) && theirs.iter().any(|name| group.contains(name))
            })
    };
    let same_action =
        |other: &Rule| other.when.does.words().iter().any(|word| rule.when.does.words().contains(word));
    let allows = set.rules.iter().filter(|other| other.then == Verdict::Allow);
    allows.filter(|other| same_action(other) && overlaps(other)).collect()
}
