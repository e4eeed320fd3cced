//! The words of reports for people.

use monitor_common::action::Action;
use monitor_common::verdict::{Achieved, Tier, Verdict};

use crate::event::model::{Ancestor, Confidence, Object, Package, Thing};
use crate::event::text::Text;
use crate::finding::{Finding, badness};
use crate::report::layout::width;
use crate::rule::syntax::Severity;

/// The most columns of a path among the arguments of a chain.
const LONG_PATH: usize = 40;
/// The most programs of a chain that are shown.
const MAX_CHAIN: usize = 6;

pub(crate) fn heading(finding: &Finding) -> String {
    match &finding.package {
        Some(package) => package_heading(package),
        None => somebody(&finding.actor),
    }
}

/// Who acted, where no package is known.
pub(in crate::report) fn somebody(actor: &str) -> String {
    match actor.split_once(':') {
        Some(("manager", name)) => format!("{name} itself"),
        Some(("script", "command")) => "the command itself".to_owned(),
        Some(("script", name)) => format!("a script run by {name} (package unknown)"),
        Some(("tool", name)) => format!("{name} (package unknown)"),
        _ => actor.to_owned(),
    }
}

pub(in crate::report) fn package_heading(package: &Package) -> String {
    let version = package.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    let script = package.script.as_ref().map(|script| format!(", {script}")).unwrap_or_default();
    let doubt = match package.confidence {
        Confidence::Exact => "",
        Confidence::Likely => ", likely",
        Confidence::None => ", unsure",
    };
    format!("{}{version} ({}{script}{doubt})", package.name, package.ecosystem)
}

/// What was done. A process that outlived the command did nothing in particular.
pub(crate) fn verb(action: Action, object: &Object) -> &'static str {
    match object.what {
        Thing::Process { .. } if action == Action::Exec => "outlive the command:",
        _ => action.word(),
    }
}

/// The type of a record of the domain name system in letters, where it has some (RFC 1035, RFC 3596, RFC 9460).
pub(in crate::report) fn record_type(number: u64) -> String {
    let known = match number {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        10 => "NULL",
        12 => "PTR",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        33 => "SRV",
        65 => "HTTPS",
        255 => "ANY",
        _ => return format!("TYPE{number}"),
    };
    known.to_owned()
}

pub(crate) fn object_text(object: &Object) -> String {
    let named = |text: &Text| {
        if text.is_empty() { "(no path)".to_owned() } else { text.to_string() }
    };
    match &object.what {
        Thing::File { path } => named(path),
        Thing::Program { path, argv } => {
            let arguments: Vec<String> = argv.iter().skip(1).map(ToString::to_string).collect();
            format!("{} {}", named(path), arguments.join(" ")).trim_end().to_owned()
        }
        Thing::Address { address, port, protocol, domain, server_name } => {
            let endpoint = std::net::SocketAddr::new(*address, *port);
            let mut text = match domain {
                Some(domain) => format!("{domain} ({endpoint})"),
                None => endpoint.to_string(),
            };
            if *protocol == 17 {
                text += " (udp)";
            }
            if let Some(name) = server_name.as_ref().filter(|name| Some(*name) != domain.as_ref()) {
                text += &format!(", as {name}");
            }
            text
        }
        Thing::Name { domain: Some(domain), .. } => domain.to_string(),
        Thing::Name { domain: None, resolver, port, .. } => {
            format!("something of {}", std::net::SocketAddr::new(*resolver, *port))
        }
        Thing::Socket { socket } => named(socket),
        Thing::Process { pid } => format!("process {pid}"),
        Thing::Kernel { kernel, .. } if !kernel.is_empty() => kernel.clone(),
        Thing::Kernel { .. } | Thing::None => object.title.clone(),
    }
}

/// What became of it that one word does not say.
pub(in crate::report) fn notes(finding: &Finding) -> Vec<String> {
    let mut notes = Vec::new();
    if finding.outcomes.len() > 1 {
        let all: Vec<String> =
            finding.outcomes.iter().map(|(outcome, count)| format!("{outcome} {count}")).collect();
        notes.push(format!("outcomes: {}", all.join(", ")));
    }
    match (finding.asked, finding.achieved) {
        (asked, Achieved::Missed) => {
            notes.push(format!("the rule asks for {}, the kernel could not", asked.word()));
        }
        (asked, Achieved::Observed) => {
            notes.push(format!("audit mode: block mode would {} it", asked.word()));
        }
        (Verdict::Deny, Achieved::Killed) if finding.tier == Tier::Kill => {
            notes.push("this tier cannot make a call fail, so the process was killed".to_owned());
        }
        _ => {}
    }
    let doubts: Vec<&str> = finding
        .flags
        .iter()
        .filter_map(|flag| match flag.as_str() {
            "path-too-deep" | "path-too-long" => Some("the beginning of the path is missing"),
            "unresolved" => Some("the path is as the program wrote it"),
            "after-the-fact" => Some("judged after the call was carried out"),
            "arguments-cut" => Some("arguments were too long to be read in full"),
            "compat" => Some("a 32-bit call"),
            _ => None,
        })
        .collect();
    if !doubts.is_empty() {
        notes.push(format!("note: {}", doubts.join("; ")));
    }
    notes
}

/// `npm > sh > node install.js`: the programs from the root to the one that acted, which has its arguments.
pub(in crate::report) fn chain(finding: &Finding) -> String {
    // What a process was before is no step where it only looked for the program, as `/usr/bin/env` in a shebang does.
    let nearer =
        std::iter::once(finding.process.pid).chain(finding.ancestry.iter().map(|ancestor| ancestor.pid));
    let steps = finding.ancestry.iter().zip(nearer).filter(|(ancestor, nearer)| {
        ancestor.pid != *nearer || short_name(&ancestor.exe, &ancestor.argv) != "env"
    });
    let mut names: Vec<String> = steps.map(|(ancestor, _)| program(ancestor)).collect();
    names.reverse();
    // A fork that ran nothing else is no step.
    names.dedup();
    let last = command(&finding.process.exe, &finding.process.argv);
    let own = short_name(&finding.process.exe, &finding.process.argv);
    if names.last() == Some(&own) {
        names.pop();
    }
    if names.len() > MAX_CHAIN {
        names.splice(2..names.len() - (MAX_CHAIN - 3), ["...".to_owned()]);
    }
    names.push(last);
    names.join(" > ")
}

fn program(ancestor: &Ancestor) -> String {
    match ancestor.actor.split_once(':') {
        Some(("manager", name)) => name.to_owned(),
        _ => short_name(&ancestor.exe, &ancestor.argv),
    }
}

fn short_name(exe: &Option<Text>, argv: &[Text]) -> String {
    // A shell is called by its name rather than by what it is a link to.
    let name = argv.first().filter(|name| !name.is_empty()).or(exe.as_ref());
    name.map_or_else(|| "?".to_owned(), |name| name.base_name().to_string())
}

fn command(exe: &Option<Text>, argv: &[Text]) -> String {
    let mut words = vec![short_name(exe, argv)];
    words.extend(argv.iter().skip(1).map(|word| {
        let text = word.to_string();
        // A long path is told by its end.
        let text = if text.starts_with('/') && width(&text) > LONG_PATH {
            format!(".../{}", word.base_name())
        } else {
            text
        };
        if text.is_empty() || text.contains(char::is_whitespace) { format!("'{text}'") } else { text }
    }));
    let text = words.join(" ");
    const LONGEST: usize = 160;
    if width(&text) <= LONGEST { text } else { text.chars().take(LONGEST).chain("...".chars()).collect() }
}

/// Up to the first full stop that ends a sentence.
pub(in crate::report) fn first_sentence(text: &str) -> &str {
    let text = text.trim();
    text.find(". ").or_else(|| text.find(".\n")).map_or(text, |stop| &text[..=stop])
}

/// A number of things: `1 file`, `2 files`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The worst severity first, then what was not stopped, then the order of time.
pub(in crate::report) fn sorted(findings: &[Finding]) -> Vec<&Finding> {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| {
        std::cmp::Reverse((finding.severity, badness(finding.achieved) >= badness(Achieved::Observed)))
    });
    sorted
}

pub(in crate::report) fn outcome_word(achieved: Achieved) -> &'static str {
    match achieved {
        Achieved::Missed => "NOT STOPPED",
        other => other.word(),
    }
}

pub(in crate::report) fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}
