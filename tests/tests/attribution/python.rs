//! pip, uv, poetry and pipx: source distributions whose build reads a decoy.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pkgwarden_tests::{run, servers, words};

use crate::bench::{Bench, Job, commit, write};
use crate::table::Row;
use crate::way::{Truth, Way};

const HOOK: &[&str] = &["build_wheel"];
/// pip asks for the metadata first; what was built for that is taken later.
const PIP_HOOK: &[&str] = &["prepare_metadata_for_build_wheel"];

/// What lies in the index: name, version, dependency, way.
const PUBLISHED: [(&str, &str, &str, Option<Way>); 5] = [
    ("direct-dist", "1.2.3", "", Some(Way::Direct)),
    ("parent-dist", "1.0.0", "nested-dist==2.4.6", None),
    ("nested-dist", "2.4.6", "", Some(Way::Nested)),
    ("global-dist", "4.0.0", "", Some(Way::Global)),
    ("oneshot-dist", "5.0.2", "", None),
];

/// A build backend of its own, so that nothing else is needed to build.
const BACKEND: &str = r#"
import os, zipfile

NAME, VERSION, REQUIRES, DECOY, COMMAND = @
HOME = os.environ["HOME"]


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    if DECOY:
        open(os.path.join(HOME, DECOY)).read()
    name = NAME.replace("-", "_")
    info = f"{name}-{VERSION}.dist-info"
    read = "import os\n\ndef main():\n    open(os.path.expanduser('~/.ssh/id_one-shot')).read()\n"
    requires = f"Requires-Dist: {REQUIRES}\n" if REQUIRES else ""
    files = {
        f"{name}/__init__.py": read if COMMAND else "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n{requires}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if COMMAND:
        files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{NAME} = {name}:main\n"
    record = f"{info}/RECORD"
    files[record] = "".join(f"{file},,\n" for file in [*files, record])
    wheel = f"{name}-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, wheel), "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return wheel


build_editable = build_wheel
"#;

/// A source tree.
pub(crate) fn source(folder: &Path, name: &str, version: &str, requires: &str, way: Option<Way>) {
    let decoy = way.map_or_else(String::new, Way::decoy);
    let command = if ["oneshot-dist", "global-dist"].contains(&name) { "True" } else { "False" };
    let constants = format!("{name:?}, {version:?}, {requires:?}, {decoy:?}, {command}");
    write(&folder.join("backend.py"), &BACKEND.replace('@', &constants));
    let requires = if requires.is_empty() { String::new() } else { format!("Requires-Dist: {requires}\n") };
    let info = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}");
    write(&folder.join("PKG-INFO"), &info);
    write(
        &folder.join("pyproject.toml"),
        &format!(
            "[project]\nname = \"{name}\"\nversion = \"{version}\"\ndynamic = [\"dependencies\"]\n\n\
             [build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n"
        ),
    );
}

/// Puts a source distribution up in the index.
pub(crate) fn publish(bench: &Bench, folder: &Path, stem: &str) {
    let target = bench.folder("internet/pypi/packages").join(format!("{stem}.tar.gz"));
    run(Command::new("tar").arg("-czf").arg(target).arg("-C").arg(folder).arg(stem));
}

/// A world with an index, a repository and a directory.
pub(crate) fn furnish() -> Bench {
    let mut bench = Bench::new();
    bench.world.internet_mut().pypi(&[]);
    let staging = bench.folder("published");
    for (name, version, requires, way) in PUBLISHED {
        let stem = format!("{}-{version}", name.replace('-', "_"));
        source(&staging.join(&stem), name, version, requires, way);
        publish(&bench, &staging, &stem);
    }
    let repository = bench.folder("repository");
    source(&repository, "from-git", "0.3.0", "", Some(Way::Git));
    commit(&repository);
    source(&bench.folder("somewhere"), "from-file", "0.7.0", "", Some(Way::File));
    bench
}

pub(crate) fn pip(bench: &Bench) -> Row {
    let git = format!("git+file://{}", bench.folder("repository").display());
    let mut line = words("pip install --no-cache-dir --target site direct-dist parent-dist");
    line.extend([git, bench.folder("somewhere").display().to_string()]);
    let watched = bench.watch(&job(bench, line, "pip"));
    let by_pip = |truth| Truth { scripts: PIP_HOOK, ..truth };
    let row = Row::new("pip").add(&dependencies().map(by_pip), &watched);
    let line = words("pip install --no-cache-dir --user global-dist");
    row.add(&[by_pip(global())], &bench.watch(&job(bench, line, "pip")))
}

pub(crate) fn uv(bench: &Bench) -> Row {
    let project = bench.folder("home/work/uv");
    let (repository, somewhere) = (bench.folder("repository"), bench.folder("somewhere"));
    write(
        &project.join("pyproject.toml"),
        &format!(
            "[project]\nname = \"app\"\nversion = \"1.0.0\"\nrequires-python = \">=3.8\"\n\
             dependencies = [\"direct-dist\", \"parent-dist\", \"from-git\", \"from-file\", \"ws-member\"]\n\n\
             [tool.uv]\npackage = false\n\n[tool.uv.workspace]\nmembers = [\"packages/*\"]\n\n[tool.uv.sources]\n\
             from-git = {{ git = \"file://{}\" }}\nfrom-file = {{ path = \"{}\" }}\nws-member = {{ workspace = true }}\n",
            repository.display(),
            somewhere.display()
        ),
    );
    source(&project.join("packages/member"), "ws-member", "0.4.0", "", Some(Way::Workspace));
    let uv = installed_uv(bench, "uv").display().to_string();
    let watched = bench.watch(&job(bench, [vec![uv.clone()], words("sync --python python3")].concat(), "uv"));
    let member = Truth { scripts: &["build_editable"], ..pypi(Way::Workspace, "ws-member", "0.4.0") };
    let row = Row::new("uv").add(&dependencies(), &watched).add(&[member], &watched);
    let line = [vec![uv], words("tool install --python python3 global-dist")].concat();
    let row = row.add(&[global()], &bench.watch(&job(bench, line, "elsewhere")));
    let uvx = installed_uv(bench, "uvx").display().to_string();
    let line = [vec![uvx], words("--python python3 oneshot-dist")].concat();
    row.add(&[one_shot()], &bench.watch(&job(bench, line, "elsewhere")))
}

pub(crate) fn installed_uv(bench: &Bench, name: &str) -> PathBuf {
    let path = bench.world.home().path().join(".local/bin").join(name);
    fs::create_dir_all(path.parent().expect("a directory")).expect("make a directory for uv");
    fs::copy(servers().join("python/bin").join(name), &path).expect("copy uv");
    path
}

pub(crate) fn poetry(bench: &Bench) -> Row {
    let project = bench.folder("home/work/poetry");
    let (repository, somewhere) = (bench.folder("repository"), bench.folder("somewhere"));
    write(
        &project.join("pyproject.toml"),
        &format!(
            "[tool.poetry]\npackage-mode = false\n\n[tool.poetry.dependencies]\npython = \">=3.8\"\n\
             direct-dist = \"1.2.3\"\nparent-dist = \"1.0.0\"\nfrom-git = {{ git = \"file://{}\" }}\n\
             from-file = {{ path = \"{}\" }}\n\n[[tool.poetry.source]]\nname = \"ours\"\n\
             url = \"https://pypi.packages.example/simple/\"\npriority = \"primary\"\n",
            repository.display(),
            somewhere.display()
        ),
    );
    let poetry = servers().join("python-managers/bin/poetry").display().to_string();
    bench.prepare(&job(bench, [vec![poetry.clone()], words("lock --no-interaction")].concat(), "poetry"));
    let line = [vec![poetry], words("install --no-interaction")].concat();
    Row::new("poetry 2").add(&dependencies(), &bench.watch(&job(bench, line, "poetry")))
}

pub(crate) fn pipx(bench: &Bench) -> Row {
    // It works with uv, with a cache of its own; by pip it would want the newest pip first.
    installed_uv(bench, "uv");
    let job = |line| {
        let mut job = job(bench, line, "elsewhere");
        job.environment.push(("UV_CACHE_DIR", bench.folder("home/.cache/uv-of-pipx").into()));
        job
    };
    let pipx = servers().join("python-managers/bin/pipx").display().to_string();
    let line = [vec![pipx.clone()], words("install --backend uv global-dist")].concat();
    let row = Row::new("pipx").add(&[global()], &bench.watch(&job(line)));
    let line = [vec![pipx], words("run --backend uv oneshot-dist")].concat();
    row.add(&[one_shot()], &bench.watch(&job(line)))
}

fn dependencies() -> [Truth; 4] {
    [
        pypi(Way::Direct, "direct-dist", "1.2.3"),
        pypi(Way::Nested, "nested-dist", "2.4.6"),
        pypi(Way::Git, "from-git", "0.3.0"),
        pypi(Way::File, "from-file", "0.7.0"),
    ]
}

fn global() -> Truth {
    pypi(Way::Global, "global-dist", "4.0.0")
}

fn one_shot() -> Truth {
    Truth { scripts: &["oneshot-dist"], ..pypi(Way::OneShot, "oneshot-dist", "5.0.2") }
}

fn pypi(way: Way, name: &'static str, version: &'static str) -> Truth {
    Truth { way, ecosystem: "pypi", name, version, scripts: HOOK }
}

fn job(bench: &Bench, line: Vec<String>, project: &str) -> Job {
    let own = std::env::var_os("PATH").unwrap_or_default();
    let folders = [bench.world.home().path().join(".local/bin")];
    let path = std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&own)));
    let environment: Vec<(&str, OsString)> = vec![("PATH", path.expect("a search path"))];
    Job { line, cwd: bench.folder(&format!("home/work/{project}")), environment }
}
