//! `cargo xtask bench --vm`: the cost of watching in instructions, on a virtual machine whose clock counts them. What else
//! this machine does cannot be seen there; caches, locks and other processors cannot either.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::inside::{AGAIN, BARE, Figure};
use crate::vm::{self, Prepared};
use crate::workspace::{self, ask, git};
use crate::{build, compiler, generated};

const PART: &str = "bench-vm";
/// The kernel to measure on, unless another is named.
pub(super) const KERNEL: &str = "6.12";
const TIERS: [&str; 2] = ["deny", "kill"];
const ROUNDS: usize = 5;
/// Counting makes emulation slower still.
const LIMIT: Duration = Duration::from_secs(3600);

/// A loop as the table has it, and its limits: unwatched, watched.
const LOOPS: [(&str, &str, Option<f64>, Option<f64>); 5] = [
    ("open", "open + close", Some(1.02), Some(1.25)),
    ("read", "open + read 4 KiB + close", None, None),
    ("program", "fork + exec + exit of a static program", None, Some(1.10)),
    ("spawn", "fork + exec + exit of the smallest program", None, Some(1.10)),
    ("connect", "connect on loopback", None, Some(1.05)),
];
/// What is asked of the agent, its unit and limit.
const AGENT: [(&str, &str, Option<f64>); 3] = [
    ("start", "start to enforcing, 10⁹ instructions", None),
    ("resident", "resident memory of the agent, MiB", Some(10.0)),
    ("peak", "the same at most, MiB", None),
];

/// Builds, boots, measures, writes the table.
pub(super) fn bench(mode: &str, rounds: Option<usize>, kernel: &str) -> Result<()> {
    let rounds = rounds.unwrap_or(ROUNDS);
    let prepared = prepare(kernel)?;
    eprintln!(
        "xtask: measuring on kernel {} with a clock that counts instructions",
        prepared.unpacked.release
    );
    let words = [
        "/bin/xtask",
        "bench-inside",
        "--tiers",
        &TIERS.join(","),
        "--rounds",
        &rounds.to_string(),
        "--mode",
        mode,
    ];
    let mut figures: Vec<Figure> = Vec::new();
    let mut strange = Vec::new();
    let code =
        prepared.machine(LIMIT, true).run(&words.map(str::to_owned), |line| {
            match serde_json::from_str::<Figure>(line) {
                Ok(figure) => {
                    let value = match &figure.value {
                        Ok(value) => format!("{value:.1}"),
                        Err(why) => format!("not measured: {why}"),
                    };
                    eprintln!("xtask: {} {} {}: {value}", figure.tier, figure.who, figure.what);
                    figures.push(figure);
                }
                Err(_) => strange.push(line.to_owned()),
            }
        })?;
    ensure!(
        code == 0 && strange.is_empty(),
        "the measurement in the VM ended with exit code {code}; see {} {}",
        prepared.log.display(),
        strange.join(" ")
    );

    let commit = ask(git().args(["describe", "--always", "--dirty"])).unwrap_or_else(|| "unknown".into());
    let facts = format!(
        "- kernel: {}, emulated, one processor, clock counts instructions\n- pkgwarden: {commit}, `--mode {mode}`\n\
         - reproduce: `cargo xtask bench --vm --kernel {kernel} --mode {mode} --rounds {rounds}`\n",
        prepared.unpacked.release
    );
    let text = format!("{facts}\n{}", table(&figures));
    let path = workspace::root().join("docs/benchmarks.md");
    let old = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let new = generated::replaced(&old, PART, &text)?;
    print!("{text}");
    fs::write(&path, new).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("xtask: wrote {}", path.display());
    Ok(())
}

fn prepare(kernel: &str) -> Result<Prepared> {
    let target = workspace::target()?;
    let mut cargo = workspace::cargo_command(&["build"]);
    let ourselves = build::static_program(&mut cargo, ("xtask", "xtask"), &compiler::host()?, &target)?;
    let smallest = target.join("vm/smallest");
    fs::create_dir_all(target.join("vm")).context("cannot make the directory of VMs")?;
    fs::write(&smallest, smallest_program())
        .with_context(|| format!("cannot write {}", smallest.display()))?;
    let more: [(&str, PathBuf); 2] = [("bin/xtask", ourselves), ("bin/true", smallest)];
    let more: Vec<(&str, &std::path::Path)> =
        more.iter().map(|(place, path)| (*place, path.as_path())).collect();
    vm::prepare(kernel, &more)
}

/// A program for x86-64 that only ends: whatever starting one costs besides is the kernel's work.
fn smallest_program() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    // xor edi, edi; mov eax, 60; syscall
    let code = [0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05];
    let mut program = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let mut put = |bytes: &[u8]| program.extend_from_slice(bytes);
    // An executable, for x86-64, of version 1.
    put(&[2, 0, 62, 0, 1, 0, 0, 0]);
    for word in [BASE + HEADERS, 64, 0] {
        put(&word.to_le_bytes());
    }
    // No flags; sizes of the headers; one program header, no sections.
    for half in [0u16, 0, 64, 56, 1, 64, 0, 0] {
        put(&half.to_le_bytes());
    }
    // All of it is loaded, to be read and run.
    put(&[1, 0, 0, 0, 5, 0, 0, 0]);
    let size = HEADERS + code.len() as u64;
    for word in [0, BASE, BASE, size, size, 0x1000] {
        put(&word.to_le_bytes());
    }
    put(&code);
    program
}

fn table(figures: &[Figure]) -> String {
    let find = |what: &str, tier: &str, who: &str| {
        figures
            .iter()
            .find(|one| one.what == what && one.tier == tier && one.who == who)
            .map(|one| &one.value)
    };
    let mut lines = vec![
        "| operation | bare, instructions | noise: bare / bare | goal unwatched, watched | deny, unwatched | deny, watched | kill, unwatched | kill, watched |".to_owned(),
        format!("|{}", "---|".repeat(8)),
    ];
    for (what, text, unwatched, watched) in LOOPS {
        let bare = find(what, BARE, "").and_then(|value| value.as_ref().ok()).copied();
        let ratio = |value: Option<&Result<f64, String>>| match (value, bare) {
            (Some(Ok(value)), Some(bare)) => format!("{:.3} (+{:.0})", value / bare, value - bare),
            (Some(Err(_)), _) => "not measured".into(),
            _ => "–".into(),
        };
        let noise = match (find(what, AGAIN, ""), bare) {
            (Some(Ok(again)), Some(bare)) => format!("{:.3}", again / bare),
            _ => "–".into(),
        };
        let cells: Vec<String> = TIERS
            .iter()
            .flat_map(|tier| ["unwatched", "watched"].map(|who| ratio(find(what, tier, who))))
            .collect();
        lines.push(format!(
            "| {text} | {} | {noise} | {}, {} | {} |",
            bare.map_or("–".into(), |bare| format!("{bare:.0}")),
            shown(unwatched),
            shown(watched),
            cells.join(" | ")
        ));
    }
    lines.push(String::new());
    lines.push("| the agent | goal | deny | kill |\n|---|---|---|---|".into());
    for (what, text, goal) in AGENT {
        let cells: Vec<String> = TIERS
            .iter()
            .map(|tier| match find(what, tier, "agent") {
                Some(Ok(value)) => format!("{value:.2}"),
                _ => "–".into(),
            })
            .collect();
        let goal = shown(goal);
        lines.push(format!("| {text} | {goal} | {} |", cells.join(" | ")));
    }
    let mut reasons: Vec<String> = figures
        .iter()
        .filter_map(|one| Some(format!("- {}: {}", one.tier, one.value.as_ref().err()?.replace('\n', " "))))
        .collect();
    reasons.dedup();
    if !reasons.is_empty() {
        lines.push(format!("\nNot measured:\n\n{}", reasons.join("\n")));
    }
    lines.join("\n") + "\n"
}

fn shown(goal: Option<f64>) -> String {
    goal.map_or("–".into(), |goal| format!("≤ {goal}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    use std::process::Command;

    use super::{Figure, smallest_program, table};

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_smallest_program_runs() {
        let path = std::env::temp_dir().join(format!("pkgwarden-smallest-{}", std::process::id()));
        let mut file = std::fs::File::options().create_new(true).write(true).mode(0o755).open(&path).unwrap();
        file.write_all(&smallest_program()).unwrap();
        drop(file);
        let status = Command::new(&path).status();
        std::fs::remove_file(&path).unwrap();
        assert!(status.unwrap().success());
    }

    #[test]
    fn divides_by_bare() {
        let figure = |tier: &str, who: &str, value| Figure {
            what: "open".into(),
            tier: tier.into(),
            who: who.into(),
            value,
        };
        let figures = [
            figure("bare", "", Ok(1000.0)),
            figure("again", "", Ok(1001.0)),
            figure("kill", "watched", Ok(2500.0)),
            figure("deny", "watched", Err("no | such\ntier".into())),
        ];
        let text = table(&figures);
        let row = "| open + close | 1000 | 1.001 | ≤ 1.02, ≤ 1.25 | – | not measured | – | 2.500 (+1500) |";
        assert!(text.contains(row), "{text}");
        assert!(text.ends_with("\n- deny: no | such tier\n"), "{text}");
    }
}
