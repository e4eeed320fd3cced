//! Reports, and the exit code.

use std::collections::BTreeMap;

use nix::sys::wait::WaitStatus;

use super::RunOptions;
use super::files::Written;
use crate::bpf::traffic::Flow;
use crate::cli::format::Format;
use crate::event::log::{End, Run};
use crate::event::time::Timestamp;
use crate::finding::pipeline::Pipeline;
use crate::report::layout::Screen;
use crate::run::watch::Outcome;
use crate::run::{EXIT_FINDINGS, EXIT_UNPROTECTED};

/// Reports, and the exit code.
pub(super) fn finish(
    args: &RunOptions,
    outcome: &Outcome,
    (lost, flows): (BTreeMap<String, u64>, Vec<Flow>),
    run: Run,
    pipeline: &Pipeline,
    files: Written,
) -> anyhow::Result<u8> {
    if let Some(error) = &outcome.events_error {
        anstream::eprintln!("pkgwarden: the events file is incomplete: {error}");
    }
    if outcome.guard_lost {
        anstream::eprintln!("pkgwarden: the guard process was killed, so the tree was ended");
    }
    let worst = pipeline.worst();
    let own = exit_code(outcome.status);
    let code = match own {
        0 if outcome.guard_lost => EXIT_UNPROTECTED,
        0 if worst.is_some_and(|worst| worst >= args.fail_on) => EXIT_FINDINGS,
        own => own,
    };
    let traffic = pipeline.traffic(&flows);
    let end = End { time: Timestamp::now(), exit_code: Some(code), lost, traffic };
    let summary = pipeline.summary(run, Some(end));
    let written = files.write(&summary);
    // Whatever became of the files: who typed the command is told.
    Format::Human.report(Screen::stderr()).render(
        &summary,
        &mut std::iter::empty(),
        &mut anstream::stderr(),
    )?;
    written?;
    Ok(code)
}

/// The command's own exit code, or 128+n.
pub(super) fn exit_code(status: WaitStatus) -> u8 {
    match status {
        WaitStatus::Exited(_, code) => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
        WaitStatus::Signaled(_, signal, _) => 128_u8.saturating_add(signal as u8),
        _ => EXIT_UNPROTECTED,
    }
}
