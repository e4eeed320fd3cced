//! Places that are elsewhere on another machine, by what they mean there: `~`, `.`, `<package>`, `<tmp>`.
//!
//! A path that the kernel has named begins with `/`, so what stands here at the beginning can be no part of one.

use std::borrow::Cow;

use super::normal;
use crate::event::log;
use crate::event::text::Text;
use crate::policy::evaluate;

/// The home directory of the invoking user.
const HOME: &str = "~";
/// The directory that the command was started in.
const PROJECT: &str = ".";
/// The directory of the package whose script it is.
const PACKAGE: &str = "<package>";
/// A directory for temporary files.
const TEMPORARY: &str = "<tmp>";
/// A process.
const PROCESS: &[u8] = b"<pid>";
/// A path whose beginning the kernel side could not read.
const DEEP: &str = "<deep>";
/// Directories for temporary files that every machine has.
const EVERYWHERE: [&[u8]; 3] = [b"/tmp", b"/var/tmp", b"/dev/shm"];
/// Endings that say what a temporary file is. Others can be part of a random name.
const ENDINGS: [&[u8]; 22] = [
    b"c", b"cc", b"cjs", b"cpp", b"gz", b"h", b"js", b"json", b"ld", b"lock", b"log", b"mjs", b"node", b"o",
    b"py", b"rb", b"rs", b"s", b"sh", b"so", b"txt", b"zip",
];

/// Directories and what they are called.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The longest first.
    roots: Vec<(Vec<u8>, &'static str)>,
}

impl Places {
    /// Those of a run.
    #[must_use]
    pub fn of(run: &log::Places) -> Self {
        let mut places = Self::default();
        // Of two that are the same the first counts.
        places.add(run.home.as_bytes(), HOME);
        places.add(run.project.as_bytes(), PROJECT);
        places.add(run.temporary.as_bytes(), TEMPORARY);
        EVERYWHERE.iter().for_each(|place| places.add(place, TEMPORARY));
        places
    }

    /// And the directory of a package.
    #[must_use]
    pub fn with_package(&self, directory: &[u8]) -> Self {
        let mut places = self.clone();
        places.add(directory, PACKAGE);
        places
    }

    fn add(&mut self, directory: &[u8], name: &'static str) {
        let directory = directory.strip_suffix(b"/").unwrap_or(directory);
        if directory.starts_with(b"/") && !self.roots.iter().any(|(known, _)| known == directory) {
            self.roots.push((directory.to_vec(), name));
            self.roots.sort_by_key(|(known, _)| std::cmp::Reverse(known.len()));
        }
    }

    /// A path as it is written into a lockfile. Doing it twice changes nothing.
    #[must_use]
    pub fn line(&self, path: &[u8]) -> Text {
        let path = &*clean(path);
        let (root, rest) = match self.root(path) {
            Some((directory, name)) => (name, path.get(directory.len() + 1..).unwrap_or_default()),
            None => match path.strip_prefix(TEMPORARY.as_bytes()) {
                Some([b'/', rest @ ..]) => (TEMPORARY, rest),
                _ => return Text::from(components(path).join(&b'/')),
            },
        };
        let mut parts = vec![root.as_bytes().to_vec()];
        if !rest.is_empty() {
            parts.extend(components(rest));
            if root == TEMPORARY {
                let first = rest.split(|byte| *byte == b'/').next().unwrap_or_default();
                parts[1] = random(first, parts.len() == 2);
            }
        }
        Text::from(parts.join(&b'/'))
    }

    /// A path whose beginning is missing: it must not be taken for one that begins here.
    #[must_use]
    pub fn deep(&self, path: &[u8]) -> Text {
        Text::from([DEEP.as_bytes(), b"/", &components(path).join(&b'/')].concat())
    }

    /// Whether changes of the file are the package's own business: in its folder, among temporary files, or in the
    /// project, unless they belong to another package.
    #[must_use]
    pub fn is_own(&self, path: &[u8]) -> bool {
        let path = &*clean(path);
        match self.root(path) {
            Some((_, PACKAGE | TEMPORARY)) => true,
            Some((directory, PROJECT)) => {
                let below = &path[directory.len()..];
                let others: [&[u8]; 2] = [b"node_modules", b"site-packages"];
                !below.split(|byte| *byte == b'/').any(|part| others.contains(&part))
            }
            _ => false,
        }
    }

    fn root(&self, path: &[u8]) -> Option<(&[u8], &'static str)> {
        let holds = |directory: &[u8]| {
            path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        let (directory, name) = self.roots.iter().find(|(directory, _)| holds(directory))?;
        Some((directory, name))
    }
}

/// Without `.` and `..`: some paths are told as they were written.
fn clean(path: &[u8]) -> Cow<'_, [u8]> {
    if path.starts_with(b"/") { evaluate::clean(path).into() } else { path.into() }
}

/// The components, each as far as it is the same everywhere.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let one = |(index, part): (usize, &&[u8])| match &parts[..index] {
        [b"", b"proc"] | [b"", b"proc", _, b"task"] if number(part) => PROCESS.to_vec(),
        _ => normal::name(part),
    };
    parts.iter().enumerate().map(one).collect()
}

/// The first component below a directory for temporary files is nearly always random, and nothing tells when it is not.
fn random(name: &[u8], is_last: bool) -> Vec<u8> {
    let ending = name.iter().rposition(|byte| *byte == b'.').map(|dot| &name[dot + 1..]);
    match ending.filter(|ending| is_last && ENDINGS.contains(ending)) {
        Some(ending) => [b"*.", ending].concat(),
        None => b"*".to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn places() -> Places {
        Places::of(&log::Places {
            project: Text::from("/home/ada/app"),
            home: Text::from("/home/ada"),
            temporary: Text::from("/scratch/t"),
        })
        .with_package(b"/home/ada/app/node_modules/esbuild")
    }

    fn line(path: &str) -> String {
        places().line(path.as_bytes()).to_string()
    }

    #[test]
    fn places_have_names() {
        for (path, expected) in [
            ("/home/ada/.aws/credentials", "~/.aws/credentials"),
            ("/home/ada", "~"),
            ("/home/adam/x", "/home/adam/x"),
            ("/home/ada/app/.env", "./.env"),
            ("/home/ada/app/node_modules/esbuild/install.js", "<package>/install.js"),
            ("/home/ada/app/node_modules/esbuild-x/install.js", "./node_modules/esbuild-x/install.js"),
            (
                "/home/ada/.cargo/registry/src/index.example-1949cf8c6b5b557f/cc-1.2.3/a.rs",
                "~/.cargo/registry/src/index.example-*/cc-*/a.rs",
            ),
            (
                "/home/ada/app/target/debug/build/ring-3f0c2a7be19d4c55/build-script-build",
                "./target/debug/build/ring-*/build-script-build",
            ),
            ("/tmp/ccAbCdEf.o", "<tmp>/*.o"),
            ("/tmp/tmp.abcd", "<tmp>/*"),
            ("/tmp/pip-build-env-xyz/overlay/bin/cmake", "<tmp>/*/overlay/bin/cmake"),
            ("/scratch/t/x/y", "<tmp>/*/y"),
            ("/tmp", "<tmp>"),
            ("/proc/4711/environ", "/proc/<pid>/environ"),
            ("/proc/4711/task/4712/maps", "/proc/<pid>/task/<pid>/maps"),
            ("/proc/sys/kernel/x", "/proc/sys/kernel/x"),
            ("/run/user/1000/bus", "/run/user/*/bus"),
            ("/usr/lib/gcc/x86_64-linux-gnu/12/cc1", "/usr/lib/gcc/x86_64-linux-gnu/*/cc1"),
            ("/home/ada/app/node_modules/esbuild/./bin/../x", "<package>/x"),
            ("/home/ada/app/../.aws/config", "~/.aws/config"),
            ("pipe:[123456]", "pipe:[*]"),
            ("/", "/"),
            ("", ""),
        ] {
            assert_eq!(line(path), expected, "{path}");
        }
    }

    #[test]
    fn what_a_stranger_writes_is_shown_and_no_place() {
        assert_eq!(line("/etc/\u{202e}x\n"), "/etc/\\xe2\\x80\\xaex\\x0a");
        assert_eq!(line("/~/.aws"), "/~/.aws");
        assert_eq!(line("/<package>/x"), "/<package>/x");
        assert_eq!(places().deep(b"~/.aws/x").to_string(), "<deep>/~/.aws/x");
    }

    #[test]
    fn what_is_the_package_s_own() {
        for (path, own) in [
            ("/home/ada/app/node_modules/esbuild/bin/esbuild", true),
            ("/home/ada/app/node_modules/ethers/index.js", false),
            ("/home/ada/app/src/index.js", true),
            ("/tmp/x", true),
            ("/home/ada/app/node_modules/esbuild/../ethers/index.js", false),
            ("/tmp/../home/ada/.bashrc", false),
            ("/home/ada/.bashrc", false),
            ("/etc/passwd", false),
        ] {
            assert_eq!(places().is_own(path.as_bytes()), own, "{path}");
        }
    }

    #[test]
    fn a_project_that_is_the_home_is_the_home() {
        let home = Text::from("/root");
        let places = Places::of(&log::Places { project: home.clone(), home, ..log::Places::default() });
        assert_eq!(places.line(b"/root/.ssh/id_rsa").to_string(), "~/.ssh/id_rsa");
        let root = Places::of(&log::Places { project: Text::from("/"), ..log::Places::default() });
        assert_eq!(root.line(b"/etc/passwd").to_string(), "/etc/passwd");
    }

    proptest! {
        #[test]
        fn twice_is_once(
            root in prop::sample::select(vec!["/home/ada", "/home/ada/app", "/tmp", "/scratch/t", "/proc", "", "/usr",
                "/home/ada/app/node_modules/esbuild", "~", ".", "<tmp>", "<package>"]),
            rest in "(/([a-f0-9]{8,10}|[a-z.]{1,4}|[0-9]{1,7}|v?[0-9]\\.[0-9]|<pid>|\\*{1,2}|tmp[a-z]{8})){0,5}",
        ) {
            let places = places();
            let once = places.line(format!("{root}{rest}").as_bytes());
            prop_assert_eq!(places.line(once.as_bytes()), once);
        }

        #[test]
        fn any_bytes_are_a_line(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let places = places();
            let once = places.line(&bytes);
            prop_assert_eq!(places.line(once.as_bytes()), once.clone());
            prop_assert_eq!(Text::parse(&once.to_string()).unwrap(), once);
        }
    }
}
