//! `pkgwarden replay`: what other rules would have said to a recorded run.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, IsTerminal as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::report::open;
use super::{variables, with_registries};
use crate::event::Event;
use crate::event::log::{End, Entry, LogError, Reader, Run};
use crate::event::model::{Thing, What};
use crate::event::text::Text;
use crate::policy::{Environment, Policy};
use crate::replay::Replay;
use crate::report::layout::Screen;
use crate::report::redact;
use crate::report::replay::{Comparison, Replayed};
use crate::rule::load;
use crate::rule::syntax::{Network, Severity};
use crate::run::{EXIT_FINDINGS, EXIT_USAGE};

/// The most homes that are taken from the paths of a recording.
const MAX_HOMES: usize = 16;
/// The most lines that cannot be read and are named.
const MAX_NAMED: usize = 5;

/// Say what other rules would have said to a recorded run
///
/// Needs no root and changes nothing. The events are judged again, one by one, with the evaluator that the kernel side has
/// too, and compared with what was said when they were recorded. Only what was recorded can be judged: the start of every
/// program, every name that was answered, and every act that a rule said something to.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pkgwarden replay events.jsonl --rules ./our-rules
  pkgwarden replay events.jsonl --network registry
  pkgwarden replay ci-run.jsonl --home /home/runner --json

Exit code: 0; 120 if these rules say something at or above --fail-on; 2 for wrong usage or rules, or if lines of the file
could not be read (the others are replayed all the same).")]
pub struct ReplayArgs {
    /// File that `pkgwarden run --events` wrote; `-` is standard input
    events: PathBuf,
    /// Add the rules in this folder to the built-in ones (repeatable)
    #[arg(long, value_name = "DIR", env = "PKGWARDEN_RULES", value_delimiter = ':')]
    rules: Vec<PathBuf>,
    /// How far scripts may reach; without it what the rules say, else audit
    #[arg(long, value_enum, value_name = "REACH", env = "PKGWARDEN_NETWORK")]
    network: Option<Network>,
    /// A home directory on the machine of the recording, for `~` in rules (repeatable); those of this machine, `/root` and
    /// what lies below `/home` in the recording are known
    #[arg(long = "home", value_name = "DIR")]
    homes: Vec<PathBuf>,
    /// The project of the recording, for `$PROJECT` in rules; without it where the command was started
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
    /// Exit with 120 if these rules say something this bad: info, low, medium, high, critical
    #[arg(long, value_name = "SEVERITY", default_value = "high", env = "PKGWARDEN_FAIL_ON", value_parser = severity)]
    fail_on: Severity,
    /// Show the acts to which the same rule says the same, too
    #[arg(long)]
    all: bool,
    /// Write JSON to standard output
    #[arg(long, env = "PKGWARDEN_JSON")]
    json: bool,
}

fn severity(word: &str) -> Result<Severity, String> {
    super::severity(word).ok_or_else(|| "it is `info`, `low`, `medium`, `high` or `critical`".to_owned())
}

/// Runs the subcommand.
///
/// # Errors
/// When the file cannot be read at all or is no log of ours, naming file and line.
pub fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let (mut file, shown) = open(&args.events)?;
    let mut seen = Seen::default();
    let read = entries(&file, &mut |event| seen.look_at(&event)).with_context(|| shown.clone())?;
    for line in read.bad.iter().take(MAX_NAMED) {
        anstream::eprintln!("pkgwarden: {shown}: {line}");
    }
    if read.bad.len() > MAX_NAMED {
        let more = read.bad.len() - MAX_NAMED;
        anstream::eprintln!("pkgwarden: {shown}: {more} more lines cannot be read");
    }
    let compiled = load(&args.rules).and_then(|set| {
        let network = args.network.or(set.network).unwrap_or_default();
        let environment = Environment { network, ..seen.environment(args) };
        let policy = Policy::compile(&set, &environment)?;
        let known = match args.rules.is_empty() {
            true => None,
            false => Some(Policy::compile(&load(&[])?, &environment)?),
        };
        Ok((policy, known))
    });
    let (policy, known) = match compiled {
        Ok(compiled) => compiled,
        Err(problems) => {
            anstream::eprint!("{}", problems.render(io::stderr().is_terminal()));
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    file.rewind()?;
    let mut replay = Replay::new(&policy, known.as_ref());
    let mut comparison = Comparison::default();
    let again = entries(&file, &mut |event| {
        replay.push(event).into_iter().for_each(|said| comparison.add(said));
    });
    again.with_context(|| shown.clone())?;
    replay.finish().into_iter().for_each(|said| comparison.add(said));
    let replayed = Replayed {
        run: &read.run,
        end: read.end.as_ref(),
        unreadable: read.bad.len(),
        rules: policy.names.rules.len(),
        network: policy.environment.network,
        comparison: &comparison,
        doubts: replay.doubts(),
    };
    let code = match comparison.worst() {
        Some(worst) if worst >= args.fail_on => EXIT_FINDINGS,
        _ if !read.bad.is_empty() => EXIT_USAGE,
        _ => 0,
    };
    match write(args, &replayed) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output cannot be written")
        }
        _ => Ok(ExitCode::from(code)),
    }
}

fn write(args: &ReplayArgs, replayed: &Replayed) -> io::Result<()> {
    let mut out = BufWriter::new(anstream::stdout());
    if args.json {
        replayed.json(&mut out)?;
    } else {
        replayed.human(Screen::stdout(), args.all, &mut out)?;
    }
    out.flush()
}

/// A log, as far as it could be read.
struct Read {
    run: Run,
    end: Option<End>,
    /// Lines that could not be read, in words.
    bad: Vec<String>,
}

/// Reads a log to its end, passing over lines that are none of ours where the others can still be read.
fn entries(file: &File, take: &mut dyn FnMut(Event)) -> Result<Read, LogError> {
    let mut reader = Reader::new(BufReader::new(file));
    let (mut run, mut end, mut bad) = (None, None, Vec::new());
    loop {
        match reader.next_entry() {
            Ok(None) => break,
            Ok(Some(Entry::Run(mut header))) => {
                redact::run(&mut header);
                run = Some(header);
            }
            Ok(Some(Entry::Event(mut event))) => {
                redact::event(&mut event);
                take(*event);
            }
            Ok(Some(Entry::End(footer))) => end = Some(footer),
            // Without its head nobody knows what the rest is.
            Err(error) if run.is_none() => return Err(error),
            Err(error) => {
                bad.push(error.to_string());
                if !error.spares_the_rest() {
                    bad.push(format!("nothing after line {} was read", reader.line()));
                    break;
                }
            }
        }
    }
    Ok(Read { run: run.ok_or(LogError::Empty)?, end, bad })
}

/// What a recording says of the machine it was made on.
#[derive(Default)]
struct Seen {
    homes: BTreeSet<PathBuf>,
    project: Option<PathBuf>,
}

impl Seen {
    fn look_at(&mut self, event: &Event) {
        let process = &event.process;
        if self.project.is_none() && process.pid == event.tree {
            self.project = process.cwd.as_ref().map(|cwd| cwd.as_path().to_path_buf());
        }
        let object = match &event.what {
            What::Verdict(judgement) => match &judgement.object.what {
                Thing::File { path } | Thing::Program { path, .. } => Some(path),
                _ => None,
            },
            _ => None,
        };
        for path in [&process.cwd, &process.exe].into_iter().flatten().chain(object) {
            if self.homes.len() < MAX_HOMES
                && let Some(home) = home(path)
            {
                self.homes.insert(home);
            }
        }
    }

    /// What patterns meant there: registries, as they are configured here, since no recording says them.
    fn environment(&self, args: &ReplayArgs) -> Environment {
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let project = args.project.clone().or_else(|| self.project.clone()).unwrap_or(here);
        let mut environment = with_registries(Environment::of_machine(&project, variables()));
        for home in args.homes.iter().chain(&self.homes) {
            if !environment.homes.contains(home) {
                environment.homes.push(home.clone());
            }
        }
        environment
    }
}

/// `/home/NAME`, if the path lies there.
fn home(path: &Text) -> Option<PathBuf> {
    let path = Path::new(path.as_plain()?);
    let name = path.strip_prefix("/home").ok()?.components().next()?;
    Some(Path::new("/home").join(name))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::report::tests::recorded::LOG;

    fn file(text: &str) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.rewind().unwrap();
        file
    }

    fn read(text: &str) -> (Result<Read, LogError>, usize) {
        let mut events = 0;
        let read = entries(&file(text), &mut |_| events += 1);
        (read, events)
    }

    #[test]
    fn lines_that_are_none_are_named_and_the_others_are_taken() {
        let lines: Vec<&str> = LOG.lines().collect();
        let events = lines.len() - 2;
        let (whole, taken) = read(LOG);
        let whole = whole.unwrap();
        assert_eq!((taken, whole.bad.len(), whole.end.is_some()), (events, 0, true));

        let other = lines[5].replace("pkgwarden.event/1", "pkgwarden.event/2");
        let cut = &lines[lines.len() - 2][..100];
        let mut damaged = lines[..lines.len() - 2].to_vec();
        (damaged[3], damaged[5]) = ("not json", &other);
        damaged.push(cut);
        let (read_back, taken) = read(&damaged.join("\n"));
        let read_back = read_back.unwrap();
        assert_eq!(taken, events - 3);
        assert_eq!(read_back.end, None);
        assert!(read_back.bad[0].starts_with("line 4 is not an event"), "{:?}", read_back.bad);
        assert!(
            read_back.bad[1].starts_with("line 6 has the schema `pkgwarden.event/2`"),
            "{:?}",
            read_back.bad
        );
        let last = format!("line {} is not an event: EOF", damaged.len());
        assert!(read_back.bad[2].starts_with(&last), "{:?}", read_back.bad);
        assert_eq!(read_back.bad.len(), 3);
    }

    #[test]
    fn a_second_run_ends_what_is_read() {
        let (twice, taken) = read(&format!("{LOG}{LOG}"));
        let twice = twice.unwrap();
        assert_eq!(taken, LOG.lines().count() - 2);
        assert!(twice.bad[0].contains("begins a second run"), "{:?}", twice.bad);
        assert!(twice.bad[1].starts_with("nothing after line"), "{:?}", twice.bad);
    }

    #[test]
    fn what_has_no_head_is_refused() {
        let (headless, taken) = read(&LOG.lines().skip(1).collect::<Vec<_>>().join("\n"));
        assert!(headless.is_err());
        assert_eq!(taken, 0);
        assert!(matches!(read("").0, Err(LogError::Empty)));
        assert!(matches!(read("x\n").0, Err(LogError::Json { line: 1, .. })));
    }

    #[test]
    fn homes_and_project_are_taken_from_the_recording() {
        let mut seen = Seen::default();
        entries(&file(&LOG.replace("/tmp/demo/home/", "/home/ann/")), &mut |event| seen.look_at(&event))
            .unwrap();
        assert_eq!(seen.project.as_deref(), Some(Path::new("/tmp/demo/shop")));
        assert_eq!(seen.homes.iter().collect::<Vec<_>>(), [Path::new("/home/ann")]);
    }
}
