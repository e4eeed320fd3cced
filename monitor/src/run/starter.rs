//! Who started the run: an agent, an editor, a CI runner, a terminal. They are looked for among the processes above this
//! one, while all of them are still there.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::rule::nearest;
use crate::rule::syntax::Starter;
use crate::rule::{Problem, RuleSet};

/// The most processes above that are looked at.
const MAX_PARENTS: usize = 64;
/// How many words of a command line can be the script of an interpreter.
const MAX_WORDS: usize = 6;
/// Programs that run a script; only of these the arguments are looked at.
const INTERPRETERS: [&str; 11] =
    ["node", "nodejs", "bun", "deno", "python", "pypy", "ruby", "sh", "dash", "bash", "zsh"];

/// Nobody started it, or nobody who matters.
const NOBODY: &str = "nobody";

/// Those that were named, or else those that are found above this process, the nearest first.
///
/// # Errors
/// If a name is none of a starter in the rules.
pub fn told(named: &[String], set: &RuleSet) -> Result<Vec<String>, Problem> {
    if named.is_empty() {
        let has = |name: &str| std::env::var_os(name).is_some();
        return Ok(find(&set.starters, Path::new("/proc"), std::os::unix::process::parent_id(), has));
    }
    if let Some(name) = named.iter().find(|name| *name != NOBODY && !set.starters.contains_key(*name)) {
        let names: Vec<&str> = set.starters.keys().map(String::as_str).collect();
        let hint = match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the names are {NOBODY}, {}", names.join(", ")),
        };
        return Err(Problem::new(format!("--started-by: there is no starter `{name}`"), hint, &[]));
    }
    Ok(named.iter().filter(|name| *name != NOBODY).cloned().collect())
}

/// The same of the children of a process, in a file system of processes.
fn find(
    starters: &BTreeMap<String, Starter>,
    processes: &Path,
    parent: u32,
    has_variable: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut add = |name: &String| {
        if !found.contains(name) {
            found.push(name.clone());
        }
    };
    let mut pid = parent;
    for _ in 0..MAX_PARENTS {
        let Some(process) = Process::read(&processes.join(pid.to_string())) else { break };
        starters.iter().filter(|(_, starter)| process.is(starter)).for_each(|(name, _)| add(name));
        if process.parent == 0 || process.parent == pid {
            break;
        }
        pid = process.parent;
    }
    // A starter that is out of sight, such as one outside a container, may have left its mark.
    let marked = |starter: &Starter| starter.variables.iter().any(|name| has_variable(name));
    starters.iter().filter(|(_, starter)| marked(starter)).for_each(|(name, _)| add(name));
    found
}

/// What is known of a process.
struct Process {
    parent: u32,
    /// By its file and by the name it was called by.
    names: Vec<String>,
    /// The words that can be the script of an interpreter.
    words: Vec<String>,
}

impl Process {
    fn read(folder: &Path) -> Option<Self> {
        let status = fs::read_to_string(folder.join("status")).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()?;
        let line = fs::read(folder.join("cmdline")).unwrap_or_default();
        let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty()).take(MAX_WORDS + 1);
        let words: Vec<String> = words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        let exe = fs::read_link(folder.join("exe")).ok();
        let exe = exe.as_deref().and_then(Path::file_name).map(|name| {
            let name = name.as_bytes();
            // What was replaced while it runs.
            String::from_utf8_lossy(name.strip_suffix(b" (deleted)").unwrap_or(name)).into_owned()
        });
        // A program that names itself anew writes one word, with blanks, in place of its arguments.
        let called =
            words.first().map(|word| base_name(word.split(' ').next().unwrap_or_default()).to_owned());
        // A login shell is called with a dash in front.
        let called = called.map(|name| name.trim_start_matches('-').to_owned());
        let names: Vec<String> = exe.into_iter().chain(called).collect();
        let is_interpreter = |name: &String| {
            let name = name.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
            INTERPRETERS.contains(&name)
        };
        let words =
            if names.iter().any(is_interpreter) { words.into_iter().skip(1).collect() } else { Vec::new() };
        Some(Self { parent, names, words })
    }

    fn is(&self, starter: &Starter) -> bool {
        let runs = |script: &String| {
            self.words.iter().any(|word| {
                word.strip_suffix(script.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
            })
        };
        starter.programs.iter().any(|name| self.names.contains(name)) || starter.scripts.iter().any(runs)
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file system of processes: id, parent, program, command line.
    fn processes(list: &[(u32, u32, &str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (pid, parent, exe, line) in list {
            let process = folder.path().join(pid.to_string());
            fs::create_dir(&process).unwrap();
            fs::write(process.join("status"), format!("Name:\tx\nPPid:\t{parent}\nUid:\t0\n")).unwrap();
            fs::write(process.join("cmdline"), line.replace(' ', "\0")).unwrap();
            std::os::unix::fs::symlink(exe, process.join("exe")).unwrap();
        }
        folder
    }

    fn starters() -> BTreeMap<String, Starter> {
        crate::rule::load::load(&[]).unwrap().starters
    }

    fn found(list: &[(u32, u32, &str, &str)], variable: &str) -> Vec<String> {
        let folder = processes(list);
        find(&starters(), folder.path(), list[0].0, |name| name == variable)
    }

    #[test]
    fn everybody_above_is_named_the_nearest_first() {
        let chain = [
            (50, 40, "/usr/bin/bash", "bash -c npm"),
            (40, 30, "/usr/bin/node", "node /usr/lib/node_modules/@anthropic-ai/claude-code/cli.js"),
            (30, 20, "/usr/bin/zsh", "-zsh"),
            (20, 10, "/usr/share/code/code (deleted)", "/usr/share/code/code --type=x"),
            (10, 1, "/usr/bin/tmux", "tmux: server"),
            (1, 0, "/usr/lib/systemd/systemd", "/sbin/init"),
        ];
        assert_eq!(found(&chain, ""), ["agent:claude", "editor:vscode", "terminal:multiplexer"]);
    }

    #[test]
    fn agents_are_known_by_program_script_name_or_variable() {
        for (exe, line, expected) in [
            ("/home/u/.local/share/claude/versions/2.0.1", "claude --resume", "agent:claude"),
            ("/usr/bin/node", "claude", "agent:claude"),
            ("/opt/codex/codex", "codex exec", "agent:codex"),
            (
                "/usr/bin/node",
                "/usr/bin/node --x /usr/lib/node_modules/@google/gemini-cli/dist/index.js",
                "agent:gemini",
            ),
            ("/usr/bin/python3.11", "/usr/bin/python3 /home/u/.local/bin/aider", "agent:aider"),
            ("/home/u/.opencode/bin/opencode", "opencode", "agent:opencode"),
            ("/home/u/.local/bin/cursor-agent", "cursor-agent", "agent:cursor"),
        ] {
            assert_eq!(found(&[(9, 1, exe, line)], ""), [expected], "{line}");
        }
        assert_eq!(found(&[(9, 1, "/usr/bin/bash", "bash")], "CLAUDECODE"), ["agent:claude"]);
    }

    #[test]
    fn names_can_be_told() {
        let set = crate::rule::load::load(&[]).unwrap();
        let told = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            told(&names, &set).map_err(|problem| problem.message)
        };
        assert_eq!(
            told(&["ci:github", "agent:codex"]),
            Ok(vec!["ci:github".to_owned(), "agent:codex".to_owned()])
        );
        assert_eq!(told(&["nobody"]), Ok(vec![]));
        assert_eq!(told(&["agent:clade"]), Err("--started-by: there is no starter `agent:clade`".to_owned()));
    }

    #[test]
    fn others_are_not_and_circles_end() {
        for (exe, line) in [
            ("/usr/bin/less", "less /home/u/bin/claude"),
            ("/usr/bin/node", "node x/notbin/claude.js"),
            ("/usr/bin/bash", "bash"),
            ("none", ""),
        ] {
            assert_eq!(found(&[(9, 9, exe, line)], ""), [""; 0], "{line}");
        }
        let circle = [(9, 8, "/usr/bin/bash", "bash"), (8, 9, "/usr/bin/tmux", "tmux")];
        assert_eq!(found(&circle, ""), ["terminal:multiplexer"]);
    }
}
