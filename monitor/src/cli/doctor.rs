//! `pkgwarden doctor`: what this kernel lets us do, and what is blind because of what it does not.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::bpf::btf::Btf;
use crate::bpf::cgroup;
use crate::bpf::load::{Kernel, may_write_user_memory};
use crate::event::log::Host;
use crate::policy::{Environment, Policy};
use crate::rule::load::load;
use crate::run::{EXIT_UNPROTECTED, gate};

/// Say what this kernel lets us do, tier by tier, hook by hook, and what is therefore blind
#[derive(Debug, Args)]
#[command(after_help = "Exit code: 0 if a tier is reached completely, 121 if a run would not be protected.")]
pub struct DoctorArgs {
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// What was found out.
#[derive(Debug, Serialize)]
struct Findings {
    schema: &'static str,
    host: Host,
    /// The tier a run would get.
    tier: Option<&'static str>,
    tiers: Vec<TierState>,
    checks: Vec<Check>,
    hooks: Vec<HookState>,
}

#[derive(Debug, Serialize)]
struct TierState {
    name: &'static str,
    available: bool,
    why: String,
}

/// One condition outside the programs.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    /// Whether a run is impossible without it.
    required: bool,
    detail: String,
}

/// One program.
#[derive(Debug, Serialize)]
struct HookState {
    program: &'static str,
    sees: &'static str,
    attached: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Runs the subcommand.
///
/// # Errors
/// If the answer cannot be written.
pub fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let findings = examine();
    let mut out = anstream::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &findings)?;
        writeln!(out)?;
    } else {
        print(&findings, &mut out)?;
    }
    Ok(if findings.tier.is_some() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_UNPROTECTED) })
}

fn examine() -> Findings {
    let checks = checks();
    let (hooks, refusal) = match probe() {
        Ok(hooks) => (hooks, None),
        Err(error) => (Vec::new(), Some(super::with_causes(&error))),
    };
    let blind: Vec<&str> = hooks.iter().filter(|hook| !hook.attached).map(|hook| hook.program).collect();
    let kill = refusal.is_none() && blind.is_empty();
    let why = match (refusal, blind.is_empty()) {
        (Some(refusal), _) => refusal,
        (None, true) => {
            "raw tracepoints and cgroup hooks attach: a process dies before a denied call returns, connections fail with EPERM"
                .to_owned()
        }
        (None, false) => format!("refused: {}", blind.join(", ")),
    };
    let deny = "not part of this version: its hooks on security_* functions come next";
    Findings {
        schema: "pkgwarden.doctor/1",
        host: Host::current(),
        tier: kill.then_some("kill"),
        tiers: vec![
            TierState { name: "deny", available: false, why: deny.to_owned() },
            TierState { name: "kill", available: kill, why },
        ],
        checks,
        hooks,
    }
}

fn probe() -> anyhow::Result<Vec<HookState>> {
    let environment = Environment::of_machine(&std::env::current_dir()?, std::env::vars().collect());
    let policy = load(&[])
        .and_then(|set| Policy::compile(&set, &environment))
        .map_err(|problems| anyhow::anyhow!("{}", problems.render(false)))?;
    let tried = Kernel::probe(&policy)?;
    Ok(tried
        .into_iter()
        .map(|(program, result)| HookState {
            program: program.name,
            sees: program.sees,
            attached: result.is_ok(),
            error: result.err().map(|error| super::with_causes(&error.into())),
        })
        .collect())
}

fn checks() -> Vec<Check> {
    let root = nix::unistd::Uid::effective().is_root();
    let fields = Btf::of_kernel().and_then(|btf| btf.resolve_fields());
    let absent: Vec<String> = fields.as_ref().map_or_else(
        |_| Vec::new(),
        |fields| {
            fields
                .iter()
                .filter(|(_, offset)| *offset == monitor_common::field::ABSENT)
                .map(|(field, _)| format!("{}.{}", field.structure, field.path))
                .collect()
        },
    );
    let cgroup = cgroup::mount_point();
    vec![
        Check {
            name: "root",
            ok: root,
            required: true,
            detail: if root { "yes" } else { "no: run it with sudo" }.to_owned(),
        },
        Check {
            name: "type information",
            ok: fields.is_ok(),
            required: true,
            detail: match &fields {
                Err(error) => error.to_string(),
                Ok(fields) => format!("{} kernel fields found", fields.len() - absent.len()),
            },
        },
        Check {
            name: "optional fields",
            ok: true,
            required: false,
            detail: if absent.is_empty() {
                "all found".to_owned()
            } else {
                format!("not on this kernel: {}", absent.join(", "))
            },
        },
        Check {
            name: "cgroup2",
            ok: cgroup.is_ok(),
            required: true,
            detail: cgroup.map_or_else(|error| error.to_string(), |path| path.display().to_string()),
        },
        Check {
            name: "calls stopped",
            ok: true,
            required: false,
            detail: if may_write_user_memory() {
                "a rename, removal or truncation fails before it is carried out".to_owned()
            } else {
                "this kernel is locked down, or does not say: a rename, removal or truncation that is judged at its \
                 entry may be carried out although the process is killed"
                    .to_owned()
            },
        },
        gate_check(),
        security_file("security modules", "lsm"),
        security_file("lockdown", "lockdown"),
    ]
}

fn gate_check() -> Check {
    let detail = match gate::supported() {
        Ok(()) => {
            "seccomp user notification: in block mode renames, links, removals and truncations fail with EPERM".to_owned()
        }
        Err(why) => format!(
            "{why}: a process dies for a rename, link, removal or truncation, but the call may be carried out first"
        ),
    };
    Check { name: "gate", ok: gate::supported().is_ok(), required: false, detail }
}

fn security_file(name: &'static str, file: &str) -> Check {
    let path = Path::new("/sys/kernel/security").join(file);
    let detail = match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().to_owned(),
        Err(_) => {
            format!("{} is not there (securityfs is not mounted, or the kernel has none)", path.display())
        }
    };
    Check { name, ok: true, required: false, detail }
}

fn print(findings: &Findings, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "kernel {} ({})", findings.host.kernel, findings.host.arch)?;
    match findings.tier {
        Some(tier) => writeln!(out, "a run is protected in the `{tier}` tier")?,
        None => writeln!(out, "a run would NOT be protected on this machine")?,
    }
    writeln!(out, "\nTiers")?;
    for tier in &findings.tiers {
        writeln!(out, "  {} {:<5} {}", mark(tier.available), tier.name, tier.why)?;
    }
    writeln!(out, "\nConditions")?;
    for check in &findings.checks {
        writeln!(out, "  {} {:<17} {}", mark(check.ok), check.name, check.detail)?;
    }
    if !findings.hooks.is_empty() {
        writeln!(out, "\nHooks")?;
    }
    for hook in &findings.hooks {
        writeln!(out, "  {} {:<18} {}", mark(hook.attached), hook.program, hook.sees)?;
        if let Some(error) = &hook.error {
            writeln!(out, "      blind to this, because {error}")?;
        }
    }
    Ok(())
}

const fn mark(ok: bool) -> &'static str {
    if ok { "ok" } else { "--" }
}
