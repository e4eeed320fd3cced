//! Which of a package's scripts a process belongs to.

use super::super::manifest::PackageJson;
use super::super::{Start, base_name};

/// Lifecycle scripts in the order npm runs them; of two with the same text the first is named.
const LIFECYCLE: [&str; 9] = [
    "preinstall",
    "install",
    "postinstall",
    "prepublish",
    "preprepare",
    "prepare",
    "postprepare",
    "prepack",
    "postpack",
];

/// How many of them a package runs that is installed, not prepared from its sources.
const INSTALLED: usize = 3;

/// By the text that the shell was given, as `sh -c TEXT`; yarn 4 has a shell of its own, and starts the programs that
/// the text names.
pub(super) fn of(start: &Start<'_>, manifest: &PackageJson) -> Option<String> {
    let Some(flag) = start.argv.iter().position(|word| *word == b"-c") else {
        return by_program(start, manifest);
    };
    let text = std::str::from_utf8(start.argv[flag + 1..].iter().find(|word| **word != b"--")?).ok()?;
    let text = behind_trap(text);
    let named =
        |name: &&str| manifest.scripts.iter().any(|(known, command)| known == name && command == text);
    if let Some(name) = LIFECYCLE.iter().find(|name| named(name)) {
        return Some((*name).to_owned());
    }
    // npm adds this one itself where a binding.gyp lies.
    if text == "node-gyp rebuild" {
        return Some("install (binding.gyp)".to_owned());
    }
    let other = manifest.scripts.iter().find(|(_, command)| {
        // `npm run NAME -- ARGUMENTS` appends them.
        !command.is_empty()
            && text
                .strip_prefix(command.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    });
    // A shell that the text itself names, where the manager has one of its own.
    other.map(|(name, _)| name.clone()).or_else(|| by_program(start, manifest))
}

/// pnpm puts the shell's treatment of interrupts in front.
fn behind_trap(text: &str) -> &str {
    const END: &str = " INT; ";
    if text.starts_with("trap ") { text.rfind(END).map_or(text, |at| &text[at + END.len()..]) } else { text }
}

/// The one lifecycle script that names the program, if it is one.
fn by_program(start: &Start<'_>, manifest: &PackageJson) -> Option<String> {
    let program = std::str::from_utf8(base_name(start.argv.first()?)).ok()?;
    let names_it = |text: &str| {
        text.split(|letter: char| letter.is_whitespace() || ";&|()".contains(letter))
            .any(|word| word.rsplit('/').next() == Some(program))
    };
    // What is installed runs the first three only; the others are for sources.
    [&LIFECYCLE[..INSTALLED], &LIFECYCLE[INSTALLED..]].into_iter().find_map(|names| {
        let mut named =
            manifest.scripts.iter().filter(|(name, text)| names.contains(&name.as_str()) && names_it(text));
        let (name, _) = named.next()?;
        named.next().is_none().then(|| name.clone())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::process::{Identity, ProcessTable};

    #[test]
    fn scripts_are_told_by_their_text_or_their_program() {
        let scripts = [
            ("preinstall", "bash -c 'x'"),
            ("install", "node a.js && cat x"),
            ("postinstall", "./made/tool"),
            ("prepare", "node b.js && cat y"),
        ];
        let scripts = scripts.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec();
        let manifest = PackageJson { scripts, ..PackageJson::default() };
        let image = ProcessTable::new().get(Identity::default(), "script");
        for (argv, expected) in [
            (&["sh", "-c", "node b.js && cat y"][..], Some("prepare")),
            (&["sh", "-c", "trap 'kill -s INT $$' INT; node b.js && cat y"], Some("prepare")),
            (&["sh", "-c", "trap 'kill INT; x"], None),
            (&["cat", "x"], Some("install")),
            (&["bash", "-c", "x"], Some("preinstall")),
            (&["/p/made/tool"], Some("postinstall")),
            (&["node", "a.js"], Some("install")),
            (&["other"], None),
            (&[], None),
        ] {
            let argv: Vec<&[u8]> = argv.iter().map(|word| word.as_bytes()).collect();
            let start =
                Start { exe: b"", argv: &argv, cwd: b"/", script: b"", ecosystem: "npm", image: &image };
            assert_eq!(of(&start, &manifest).as_deref(), expected, "{argv:?}");
        }
    }
}
