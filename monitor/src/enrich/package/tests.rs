//! Packages as the managers lay them out on disk.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::*;
use crate::enrich::process::{Identity, ProcessTable, Program};
use crate::event::time::Timestamp;

/// A machine with files, and a manager that starts a script on it.
struct Machine {
    directory: tempfile::TempDir,
    packages: Packages,
}

impl Machine {
    fn new(files: &[(&str, &str)]) -> Self {
        let machine = Self { directory: tempfile::tempdir().unwrap(), packages: Packages::new() };
        for (path, text) in files {
            machine.write(path, text);
        }
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// What a script started in `cwd` by a manager working in `project` is taken for.
    fn run(
        &mut self,
        ecosystem: &str,
        project: &str,
        exe: &str,
        cwd: &str,
        argv: &[&str],
    ) -> Option<Package> {
        let mut table = ProcessTable::new();
        let who =
            |pid| Identity { pid, start: Timestamp(pid.into()), ppid: 1, uid: 0, ..Identity::default() };
        let project = Some(Text::from(self.path(project).as_os_str().as_bytes()));
        table.exec(who(1), "manager", Program::new(Some("/bin/manager".into()), vec![], project));
        table.fork(who(1), "manager", 2);
        let cwd = self.path(cwd);
        let cwd = cwd.as_os_str().as_bytes();
        let image = table.exec(who(2), "script", Program::new(None, vec![], Some(cwd.into())));
        let exe = if exe.starts_with('/') { Path::new(exe).to_owned() } else { self.path(exe) };
        let argv: Vec<&[u8]> = argv.iter().map(|word| word.as_bytes()).collect();
        let scope = Scope(self.packages.order.len() as u64 + 1);
        let start = Start {
            exe: exe.as_os_str().as_bytes(),
            argv: &argv,
            cwd,
            script: b"",
            ecosystem,
            image: &image,
        };
        self.packages.enter(scope, &start, true);
        self.packages.of(scope).cloned()
    }

    fn npm(&mut self, cwd: &str, text: &str) -> Option<String> {
        self.run("npm", "p", "/bin/sh", cwd, &["sh", "-c", text]).map(|package| line(&package))
    }
}

fn line(package: &Package) -> String {
    let text = |text: &Option<Text>| text.as_ref().map_or("-".to_owned(), ToString::to_string);
    format!(
        "{} {} {} {} {:?}: {}",
        package.ecosystem,
        package.name,
        text(&package.version),
        text(&package.script),
        package.confidence,
        package.source
    )
}

const EVIL: &str =
    r#"{"name":"evil","version":"1.2.3","scripts":{"postinstall":"node x.js","test":"node y.js"}}"#;

#[test]
fn npm_packages_are_joined_to_the_lockfile() {
    let lock = r#"{"packages":{"":{"name":"p"},"node_modules/evil":{"version":"1.2.3"},
        "node_modules/@s/evil":{"version":"1.2.3"},"node_modules/alias":{"name":"evil","version":"1.2.3"},
        "node_modules/a/node_modules/evil":{"version":"1.2.3"},"node_modules/old":{"version":"1.0.0"}}}"#;
    let mut machine = Machine::new(&[
        ("p/package-lock.json", lock),
        ("p/node_modules/evil/package.json", EVIL),
        ("p/node_modules/@s/evil/package.json", EVIL),
        ("p/node_modules/alias/package.json", EVIL),
        ("p/node_modules/a/node_modules/evil/package.json", EVIL),
        ("p/node_modules/old/package.json", EVIL),
        ("p/node_modules/new/package.json", EVIL),
    ]);
    for (cwd, text, expected) in [
        ("evil", "node x.js", "npm evil 1.2.3 postinstall Exact: package-lock.json"),
        ("evil/lib", "node y.js --a", "npm evil 1.2.3 test Exact: package-lock.json"),
        ("@s/evil", "node x.js", "npm @s/evil 1.2.3 postinstall Exact: package-lock.json"),
        ("alias", "node x.js", "npm evil 1.2.3 postinstall Exact: package-lock.json"),
        (
            "a/node_modules/evil",
            "node-gyp rebuild",
            "npm evil 1.2.3 install (binding.gyp) Exact: package-lock.json",
        ),
        ("old", "other", "npm old 1.2.3 - Likely: package.json, its lockfile names another version"),
        ("new", "node x.js", "npm new 1.2.3 postinstall Likely: package.json"),
        ("gone", "x", "npm gone - - None: package.json"),
    ] {
        assert_eq!(machine.npm(&format!("p/node_modules/{cwd}"), text).as_deref(), Some(expected), "{cwd}");
    }
}

#[test]
fn a_package_cannot_forge_the_lockfile_of_what_it_contains() {
    let mut machine = Machine::new(&[
        (
            "p/node_modules/.package-lock.json",
            r#"{"packages":{"node_modules/a/node_modules/evil":{"version":"1.2.3"}}}"#,
        ),
        (
            "p/node_modules/a/package-lock.json",
            r#"{"packages":{"node_modules/evil":{"name":"good","version":"1.2.3"}}}"#,
        ),
        ("p/node_modules/a/node_modules/evil/package.json", EVIL),
    ]);
    let package = machine.npm("p/node_modules/a/node_modules/evil", "node x.js");
    assert_eq!(package.as_deref(), Some("npm evil 1.2.3 postinstall Exact: node_modules/.package-lock.json"));
}

#[test]
fn an_oversized_lockfile_is_said_to_be_so() {
    let mut machine =
        Machine::new(&[("p/node_modules/evil/package.json", EVIL), ("p/package-lock.json", "")]);
    fs::File::create(machine.path("p/package-lock.json")).unwrap().set_len(lockfile::MAX_BYTES + 1).unwrap();
    let package = machine.npm("p/node_modules/evil", "node x.js");
    let expected = "npm evil 1.2.3 postinstall Likely: package.json, its lockfile is too large to read";
    assert_eq!(package.as_deref(), Some(expected));
}

#[test]
fn stores_of_pnpm_and_yarn_name_the_version() {
    let pnpm = "p/node_modules/.pnpm/@s+evil@1.2.3_peer@2.0.0/node_modules/@s/evil";
    let yarn = "p/.yarn/unplugged/evil-npm-1.2.3-rc.1-0123456789/node_modules/evil";
    let file = "p/node_modules/.pnpm/evil@file+..+evil/node_modules/evil";
    let mut machine = Machine::new(&[]);
    for directory in [pnpm, yarn, file] {
        machine.write(&format!("{directory}/package.json"), EVIL);
    }
    for (directory, expected) in [
        (pnpm, "npm @s/evil 1.2.3 postinstall Exact: pnpm's directory"),
        (yarn, "npm evil 1.2.3-rc.1 postinstall Exact: yarn's directory"),
        (file, "npm evil 1.2.3 postinstall Likely: pnpm's directory and package.json"),
    ] {
        assert_eq!(machine.npm(directory, "node x.js").as_deref(), Some(expected));
    }
}

#[test]
fn packages_outside_node_modules_are_found_by_the_project() {
    let mut machine = Machine::new(&[
        ("p/package.json", r#"{"name":"mine","version":"0.1.0","scripts":{"prepare":"husky"}}"#),
        ("p/evil-src/package.json", EVIL),
        ("other/package.json", EVIL),
        (".npm/_cacache/tmp/git-cloneAb12/package.json", EVIL),
        ("p/node_modules/x/index.js", ""),
    ]);
    assert_eq!(
        machine.npm("p", "husky").as_deref(),
        Some("npm mine 0.1.0 prepare Likely: package.json of the project")
    );
    let clone = machine.npm(".npm/_cacache/tmp/git-cloneAb12", "node x.js");
    assert_eq!(clone.as_deref(), Some("npm evil 1.2.3 postinstall Likely: package.json of a git clone"));
    std::os::unix::fs::symlink("../evil-src", machine.path("p/node_modules/link")).unwrap();
    fs::create_dir(machine.path("p/node_modules/@s")).unwrap();
    std::os::unix::fs::symlink("../../../other", machine.path("p/node_modules/@s/other")).unwrap();
    let behind = "postinstall Likely: package.json behind a link in node_modules";
    assert_eq!(machine.npm("p/evil-src", "node x.js"), Some(format!("npm link 1.2.3 {behind}")));
    assert_eq!(machine.npm("other", "node x.js"), Some(format!("npm @s/other 1.2.3 {behind}")));
    let lock =
        r#"{"packages":{"evil-src":{"name":"evil","version":"1.2.3"},"../other":{"version":"1.2.3"}}}"#;
    machine.write("p/package-lock.json", lock);
    let joined = "1.2.3 postinstall Exact: package-lock.json";
    assert_eq!(machine.npm("p/evil-src", "node x.js"), Some(format!("npm evil {joined}")));
    assert_eq!(machine.npm("other", "node x.js"), Some(format!("npm @s/other {joined}")));
    assert_eq!(machine.npm("nowhere", "x"), None);
}

#[test]
fn python_packages_are_known_by_their_build_directory() {
    let info = "Metadata-Version: 2.1\nName: My.Pkg\nVersion: 2.0\n\n";
    let unpacked = "t/pip-install-ab/my-pkg_0123456789abcdef0123456789abcdef";
    let mut machine = Machine::new(&[
        ("t/pip-req-build-xy/setup.py", "setup(name='evil', version='0.1')"),
        ("w/setup.cfg", "[metadata]\nname = evil\n"),
        ("w/setup.py", "from setuptools import setup; setup(name=\"evil\",version=\"3\")"),
        ("c/uv/sdists-v9/pypi/evil/1.0/rev/src/PKG-INFO", "Name: lies\nVersion: 9\n"),
    ]);
    machine.write(&format!("{unpacked}/PKG-INFO"), info);
    let mut run = |cwd: &str, argv: &[&str]| {
        machine
            .run("pypi", "w2", "/usr/bin/python3", cwd, argv)
            .map_or("-".to_owned(), |package| line(&package))
    };
    let hook = ["python3", "/pip/_in_process.py", "build_wheel", "/tmp/x"];
    assert_eq!(run(unpacked, &hook), "pypi my-pkg 2.0 build_wheel Likely: PKG-INFO");
    let legacy = ["python3", "-u", "-c", "exec('setup.py')", "--quiet", "egg_info"];
    assert_eq!(run("t/pip-req-build-xy", &legacy), "pypi evil 0.1 setup.py egg_info Likely: setup.py");
    assert_eq!(run("w", &["python3", "setup.py"]), "pypi evil 3 setup.py Likely: setup.py");
    let uv = ["python3", "-c", "backend.get_requires_for_build_wheel(None)"];
    let expected = "pypi evil 1.0 get_requires_for_build_wheel Exact: uv's cache directory";
    assert_eq!(run("c/uv/sdists-v9/pypi/evil/1.0/rev/src", &uv), expected);
    assert_eq!(run("nowhere", &hook), "-");
    machine.write("t/pip-unpack-cd/my_pkg-2.0.tar.gz", "");
    let package = machine.run("pypi", "w2", "/usr/bin/python3", unpacked, &hook).unwrap();
    assert_eq!(line(&package), "pypi my-pkg 2.0 build_wheel Exact: PKG-INFO and the downloaded archive");
    assert_eq!(package.purl.as_deref(), Some("pkg:pypi/my-pkg@2.0"));
}

#[test]
fn crates_are_known_by_their_build_script() {
    let mut machine = Machine::new(&[
        ("w/Cargo.toml", "[workspace]\n[workspace.package]\nversion = \"4.0.0\"\n"),
        ("w/a/Cargo.toml", "[package]\nname = \"evil\"\nversion = \"0.1.0\"\n"),
        ("w/b/Cargo.toml", "[package]\nname = \"evil\"\nversion.workspace = true\n"),
        ("w/c/Cargo.toml", "[package]\nname = \"good\"\nversion = \"1.0.0\"\n"),
    ]);
    let exe = "w/target/debug/build/evil-0123456789abcdef/build-script-build";
    for (cwd, expected) in [
        ("cargo/registry/src/index-1/evil-1.2.3", "cargo evil 1.2.3 build.rs Exact: registry directory"),
        ("w/a", "cargo evil 0.1.0 build.rs Exact: Cargo.toml"),
        ("w/b", "cargo evil 4.0.0 build.rs Exact: Cargo.toml"),
        ("w/c", "cargo evil - build.rs None: build directory"),
    ] {
        let package = machine.run("cargo", "w", exe, cwd, &["build-script-build"]).unwrap();
        assert_eq!(line(&package), expected, "{cwd}");
    }
}

#[test]
fn what_runs_inside_the_compiler_is_one_of_its_macros() {
    let machine = Machine::new(&[
        (
            "r/registry/src/i/evil-macro-1.2.3/Cargo.toml",
            "[package]\nname = \"evil-macro\"\nversion = \"1.2.3\"\n",
        ),
        ("w/other/Cargo.toml", "[package]\nname = \"other\"\nversion = \"0.1.0\"\n"),
    ]);
    let hash = "0123456789abcdef";
    for (name, source) in
        [("evil_macro", "r/registry/src/i/evil-macro-1.2.3/src/lib.rs"), ("other", "w/other/src/lib.rs")]
    {
        let source = machine.path(source);
        let text = format!("/t/deps/lib{name}-{hash}.so: {} x\n\n{}:\n", source.display(), source.display());
        machine.write(&format!("w/target/debug/deps/{name}-{hash}.d"), &text);
    }
    let library =
        |name: &str| machine.path(&format!("w/target/debug/deps/lib{name}-{hash}.so")).display().to_string();
    let inside = |actor: &str, macros: &[&str]| {
        let argv =
            macros.iter().map(|name| Text::from(format!("{name}={}", library(name)).as_str())).collect();
        let mut table = ProcessTable::new();
        let who = Identity { pid: 1, start: Timestamp(1), ppid: 0, uid: 0, ..Identity::default() };
        let image =
            table.exec(who, actor, Program::new(Some("/usr/bin/rustc".into()), argv, Some("/w".into())));
        Packages::inside(actor, &image)
    };
    let one = inside("tool:compiler", &["evil_macro"]).unwrap();
    assert_eq!(line(&one), "cargo evil-macro 1.2.3 procedural macro Likely: the only procedural macro");
    assert_eq!(one.purl.as_deref(), Some("pkg:cargo/evil-macro@1.2.3"));
    let two = inside("tool:compiler", &["other", "evil_macro", "gone"]).unwrap();
    assert_eq!(line(&two), "cargo evil-macro or gone or other - procedural macro None: any procedural macro");
    let candidates: Vec<String> = two.candidates.iter().map(ToString::to_string).collect();
    assert_eq!(candidates, ["pkg:cargo/evil-macro@1.2.3", "pkg:cargo/gone", "pkg:cargo/other@0.1.0"]);
    assert_eq!((two.purl, inside("tool:compiler", &[])), (None, None));
    assert_eq!(inside("tool:git", &["other"]), None);
}

#[test]
fn a_package_that_calls_itself_another_is_told_by_both_names() {
    let asks = |text: &str| format!(r#"{{"name":"p","version":"1.0.0","dependencies":{{"evil2":{text}}}}}"#);
    let mut machine = Machine::new(&[("p/node_modules/evil2/package.json", EVIL)]);
    for (asked, name, claims) in [
        (r#""^1.0.0""#, "evil2", Some("evil")),
        (r#""npm:evil@^1.0.0""#, "evil", None),
        (r#""npm:other@^1.0.0""#, "other", Some("evil")),
        (r#""git+https://x/evil.git""#, "evil2", None),
    ] {
        machine.write("p/package.json", &asks(asked));
        let package = machine.run("npm", "p", "/bin/sh", "p/node_modules/evil2", &["sh", "-c", "x"]).unwrap();
        let said = package.claims.as_ref().map(ToString::to_string);
        assert_eq!((package.name.to_string().as_str(), said.as_deref()), (name, claims), "{asked}");
    }
    // Asked for by a neighbour.
    machine.write("p/package.json", "{}");
    machine.write("p/node_modules/b/package.json", &asks(r#""npm:evil@1""#));
    let package = machine.run("npm", "p", "/bin/sh", "p/node_modules/evil2", &["sh", "-c", "x"]).unwrap();
    assert_eq!((package.name.to_string().as_str(), package.claims), ("evil", None));
}

#[test]
fn poetry_builds_only_what_its_lockfile_says() {
    let info = |name: &str| format!("Name: {name}\nVersion: 1.0\n");
    let lock = "[[package]]\nname = \"evil\"\nversion = \"1.0\"\nfiles = [\n    {file = \"evil-1.0.tar.gz\"},\n]\n\
                [[package]]\nname = \"good\"\nversion = \"1.0\"\nfiles = [\n    {file = \"good-1.0-py3-none-any.whl\"},\n]\n";
    let mut machine = Machine::new(&[("w2/poetry.lock", lock)]);
    machine.write("t/evil-1.0/PKG-INFO", &info("evil"));
    machine.write("u/good-1.0/PKG-INFO", &info("good"));
    let hook = ["python3", "/pip/_in_process.py", "build_wheel", "/tmp/x"];
    let package = machine.run("pypi", "w2", "/usr/bin/python3", "t/evil-1.0", &hook).unwrap();
    assert_eq!(line(&package), "pypi evil 1.0 build_wheel Exact: poetry.lock");
    let forged = machine.run("pypi", "w2", "/usr/bin/python3", "u/good-1.0", &hook).unwrap();
    assert_eq!(line(&forged), "pypi evil 1.0 build_wheel Likely: poetry.lock, against its own word");
    assert_eq!(forged.claims.map(|claims| claims.to_string()).as_deref(), Some("good"));
}

#[test]
fn gems_are_known_by_their_directory() {
    let mut machine = Machine::new(&[]);
    let argv = ["ruby", "-I", "/lib", "extconf.rb"];
    let package = machine.run("gem", "w", "/usr/bin/ruby", "g/gems/ffi-1.15.5/ext/ffi_c", &argv).unwrap();
    assert_eq!(line(&package), "gem ffi 1.15.5 extconf.rb Exact: gem directory");
}

#[test]
fn the_innermost_directory_wins_and_a_command_has_no_package() {
    let mut machine = Machine::new(&[]);
    let cwd = "t/pip-install-ab/x_0123456789abcdef0123456789abcdef/node_modules/evil";
    assert_eq!(machine.npm(cwd, "x").as_deref(), Some("npm evil - - None: package.json"));
    assert_eq!(machine.run("", "p", "/bin/strange", "p/node_modules/evil", &["strange"]), None);
}

#[test]
fn long_and_odd_names_stay_harmless() {
    let name = "n".repeat(5000);
    let manifest = format!(r#"{{"name":"{name}","version":"1\u001b[2J"}}"#);
    let mut machine = Machine::new(&[("p/package.json", &manifest)]);
    let package = machine.run("npm", "p", "/bin/sh", "p", &["sh", "-c", "x"]).unwrap();
    assert_eq!(package.name.as_bytes().len(), 259);
    assert_eq!(package.version.unwrap().to_string(), "1\\x1b[2J");
}

#[test]
fn the_first_exec_of_a_scope_decides_and_scopes_are_bounded() {
    let machine = Machine::new(&[]);
    let mut packages = Packages::new();
    let mut table = ProcessTable::new();
    let who = Identity { pid: 1, start: Timestamp(1), ppid: 0, uid: 0, ..Identity::default() };
    let image = table.get(who, "s");
    let enter = |packages: &mut Packages, scope: u64, name: &str, first: bool| {
        let cwd = machine.path(&format!("node_modules/{name}"));
        let cwd = cwd.as_os_str().as_bytes();
        let start = Start { exe: b"/bin/sh", argv: &[], cwd, script: b"", ecosystem: "npm", image: &image };
        packages.enter(Scope(scope), &start, first);
    };
    enter(&mut packages, 1, "late", false);
    enter(&mut packages, 1, "other", false);
    let name = |packages: &Packages| packages.of(Scope(1)).map(|package| package.name.to_string());
    assert_eq!(
        name(&packages).as_deref(),
        Some("late"),
        "the beginning was missed, the first that is seen stands in"
    );
    enter(&mut packages, 1, "first", true);
    assert_eq!(name(&packages).as_deref(), Some("first"));
    for scope in 2..=MAX_SCOPES as u64 + 10 {
        enter(&mut packages, scope, "x", true);
    }
    assert_eq!(packages.scopes.len(), MAX_SCOPES);
    assert_eq!(name(&packages), None);
}
