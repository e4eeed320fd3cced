//! `pkgwarden doctor`: what this kernel lets us do, and what is blind because of what it does not.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use monitor_common::verdict::Tier;
use serde::Serialize;

use crate::bpf::btf::Btf;
use crate::bpf::cgroup;
use crate::bpf::function;
use crate::bpf::load::{Error, FILES, Kernel, State, may_write_user_memory};
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
    /// Whether it is fully reached, so that `--tier` accepts it.
    available: bool,
    /// Whether a run may take it, gaps and all.
    usable: bool,
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

/// One program of a tier.
#[derive(Debug, Serialize)]
struct HookState {
    tier: &'static str,
    program: &'static str,
    sees: &'static str,
    /// `attached`; `replaced`: another program stands in; `covered`: this kernel has no such hook and nothing is lost;
    /// `missing`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
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
    let mut tiers = Vec::new();
    let mut hooks = Vec::new();
    let mut chosen = None;
    for tier in [Tier::Deny, Tier::Kill] {
        let (state, tried) = examine_tier(tier);
        // What a run takes: `deny` also with gaps, as long as files can be refused.
        if state.usable && chosen.is_none() {
            chosen = Some(tier.word());
        }
        tiers.push(state);
        hooks.extend(tried);
    }
    Findings { schema: "pkgwarden.doctor/2", host: Host::current(), tier: chosen, tiers, checks, hooks }
}

fn examine_tier(tier: Tier) -> (TierState, Vec<HookState>) {
    let name = tier.word();
    let hooks = match probe(tier) {
        Ok(hooks) => hooks,
        Err(error) => {
            let why = super::with_causes(&error);
            return (TierState { name, available: false, usable: false, why }, Vec::new());
        }
    };
    let missing: Vec<&HookState> = hooks.iter().filter(|hook| hook.state == MISSING).collect();
    let usable = match tier {
        Tier::Deny => missing.iter().all(|hook| hook.program != FILES),
        Tier::Kill => missing.is_empty(),
    };
    let attached = hooks.iter().filter(|hook| hook.state == ATTACHED).count();
    let why = if missing.is_empty() {
        match tier {
            Tier::Deny => {
                "every hook attaches: a denied call fails with EPERM before it does anything".to_owned()
            }
            Tier::Kill => {
                "raw tracepoints and cgroup hooks attach: a process dies before a denied call returns, \
                           connections fail with EPERM"
                    .to_owned()
            }
        }
    } else {
        let first = missing.first().and_then(|hook| hook.why.clone()).unwrap_or_default();
        match missing.len() {
            1 => format!("{} of {} hooks attach; {}: {first}", attached, hooks.len(), missing[0].program),
            n => format!(
                "{attached} of {} hooks attach; {} and {} more: {first}",
                hooks.len(),
                missing[0].program,
                n - 1
            ),
        }
    };
    (TierState { name, available: missing.is_empty(), usable, why }, hooks)
}

fn probe(tier: Tier) -> anyhow::Result<Vec<HookState>> {
    let environment = Environment::of_machine(&std::env::current_dir()?, std::env::vars().collect());
    let policy = load(&[])
        .and_then(|set| Policy::compile(&set, &environment))
        .map_err(|problems| anyhow::anyhow!("{}", problems.render(false)))?;
    let tried = Kernel::probe(&policy, tier)?;
    Ok(tried
        .into_iter()
        .map(|(program, state)| {
            let (state, why) = match state {
                State::Attached => (ATTACHED, None),
                State::Covered(why) => ("covered", Some(why.to_owned())),
                State::Replaced(other) => (
                    "replaced",
                    Some(format!(
                        "this kernel has no such function; {} stands in: {}",
                        other.name, other.sees
                    )),
                ),
                State::Missing(error) => (MISSING, Some(reason(error))),
            };
            HookState { tier: tier.word(), program: program.name, sees: program.sees, state, why }
        })
        .collect())
}

/// Why a hook is missing. Its name stands before it already.
fn reason(error: Error) -> String {
    match error {
        Error::Function { source: function::Error::Refused { source, .. }, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied
                && source.raw_os_error() == Some(libc::EPERM) =>
        {
            format!(
                "this kernel lets nobody put programs on its functions, not even root ({source}): hosts that share a \
                 kernel among strangers are set up so"
            )
        }
        Error::Function { source, .. } => super::with_causes(&source.into()),
        other => super::with_causes(&other.into()),
    }
}

const ATTACHED: &str = "attached";
const MISSING: &str = "missing";

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
    for tier in &findings.tiers {
        let hooks: Vec<&HookState> = findings.hooks.iter().filter(|hook| hook.tier == tier.name).collect();
        if hooks.is_empty() {
            continue;
        }
        writeln!(out, "\nHooks of the `{}` tier", tier.name)?;
        let mut said = None;
        for hook in hooks {
            writeln!(out, "  {} {:<29} {}", mark(hook.state != MISSING), hook.program, hook.sees)?;
            let Some(why) = &hook.why else { continue };
            match hook.state {
                // Forty times the same would bury the one that differs.
                MISSING if said == Some(why) => writeln!(out, "     blind to this, for the same reason")?,
                MISSING => writeln!(out, "     blind to this, because {why}")?,
                _ => writeln!(out, "     {why}")?,
            }
            said = Some(why);
        }
    }
    Ok(())
}

const fn mark(ok: bool) -> &'static str {
    if ok { "ok" } else { "--" }
}
