//! cargo: crates whose build script reads a decoy, and one with a procedural macro that does.

use std::fs;
use std::path::Path;
use std::process::Command;

use pkgwarden_tests::{run, words};
use serde_json::json;

use crate::bench::{Bench, Job, commit, write};
use crate::table::Row;
use crate::way::{Truth, Way};

/// What lies in the registry: name, version, dependency, way.
const PUBLISHED: [(&str, &str, &str, Option<Way>); 7] = [
    ("direct-crate", "1.2.3", "", Some(Way::Direct)),
    ("parent-crate", "1.0.0", "nested-crate", None),
    ("nested-crate", "1.0.0", "", None),
    ("nested-crate", "2.4.6", "", Some(Way::Nested)),
    ("real-crate", "3.2.1", "", Some(Way::Alias)),
    ("global-crate", "4.0.0", "", Some(Way::Global)),
    ("macro-crate", "6.1.0", "", Some(Way::Inside)),
];

/// A crate.
fn source(folder: &Path, name: &str, version: &str, dependency: &str, way: Option<Way>) {
    let mut manifest = format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2021\"\n");
    if !dependency.is_empty() {
        manifest += &format!("\n[dependencies]\n{dependency} = \"=2.4.6\"\n");
    }
    let read = |way: Way| {
        format!(
            "{{ let home = std::env::var(\"HOME\").unwrap(); let _ = std::fs::read(format!(\"{{home}}/{}\")); }}",
            way.decoy()
        )
    };
    let (file, text) = match (name, way) {
        ("macro-crate", Some(way)) => {
            manifest += "\n[lib]\nproc-macro = true\n";
            let body = read(way);
            let text = format!(
                "#[proc_macro]\npub fn quiet(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{ {body} Default::default() }}\n"
            );
            ("src/lib.rs", text)
        }
        ("global-crate", _) => ("src/main.rs", "fn main() {}\n".to_owned()),
        _ => ("src/lib.rs", String::new()),
    };
    write(&folder.join(file), &text);
    if let Some(way) = way.filter(|way| *way != Way::Inside) {
        write(&folder.join("build.rs"), &format!("fn main() {}\n", read(way)));
    }
    write(&folder.join("Cargo.toml"), &manifest);
}

/// A world with a registry, a repository and a directory.
pub(crate) fn furnish() -> Bench {
    let mut bench = Bench::new();
    bench.world.internet_mut().crates(&[]);
    let (staging, site) = (bench.folder("published"), bench.folder("internet/crates"));
    for (name, version, dependency, way) in PUBLISHED {
        let stem = format!("{name}-{version}");
        source(&staging.join(&stem), name, version, dependency, way);
        let download = site.join(format!("dl/{name}/{version}/download"));
        fs::create_dir_all(download.parent().expect("a folder")).expect("make a directory for a crate");
        run(Command::new("tar").arg("-czf").arg(&download).arg("-C").arg(&staging).arg(&stem));
        let sum = Command::new("sha256sum").arg(&download).output().expect("start sha256sum").stdout;
        let sum = String::from_utf8_lossy(&sum).split(' ').next().unwrap_or_default().to_owned();
        let dependencies: Vec<_> = (!dependency.is_empty())
            .then(|| {
                json!({
                    "name": dependency, "req": "=2.4.6", "features": [], "optional": false,
                    "default_features": true, "target": null, "kind": "normal",
                })
            })
            .into_iter()
            .collect();
        let entry = json!({
            "name": name, "vers": version, "deps": dependencies, "cksum": sum, "features": {}, "yanked": false,
        });
        let index = site.join("index").join(&name[..2]).join(&name[2..4]).join(name);
        let known = fs::read_to_string(&index).unwrap_or_default();
        write(&index, &format!("{known}{entry}\n"));
    }
    let repository = bench.folder("repository");
    source(&repository, "from-git", "0.3.0", "", Some(Way::Git));
    commit(&repository);
    source(&bench.folder("somewhere"), "from-file", "0.7.0", "", Some(Way::File));
    bench
}

pub(crate) fn cargo(bench: &Bench) -> Row {
    let project = bench.folder("home/work/cargo");
    let manifest = format!(
        "[package]\nname = \"app\"\nversion = \"1.0.0\"\nedition = \"2021\"\n\n[workspace]\nmembers = [\"member\"]\n\n\
         [dependencies]\ndirect-crate = \"=1.2.3\"\nparent-crate = \"1\"\nnested-crate = \"=1.0.0\"\n\
         macro-crate = \"6\"\naka = {{ package = \"real-crate\", version = \"3.2.1\" }}\n\
         from-git = {{ git = \"file://{}\" }}\nfrom-file = {{ path = \"{}\" }}\n",
        bench.folder("repository").display(),
        bench.folder("somewhere").display()
    );
    write(&project.join("Cargo.toml"), &manifest);
    write(&project.join("src/main.rs"), "macro_crate::quiet!();\nfn main() {}\n");
    source(&project.join("member"), "ws-member", "0.4.0", "", Some(Way::Workspace));
    let job = |line: &str| Job { line: words(line), cwd: project.clone(), environment: Vec::new() };
    let watched = bench.watch(&job("cargo build --workspace"));
    let truths = [
        build(Way::Direct, "direct-crate", "1.2.3"),
        build(Way::Nested, "nested-crate", "2.4.6"),
        build(Way::Workspace, "ws-member", "0.4.0"),
        build(Way::Git, "from-git", "0.3.0"),
        build(Way::File, "from-file", "0.7.0"),
        build(Way::Alias, "real-crate", "3.2.1"),
        Truth { scripts: &["procedural macro"], ..build(Way::Inside, "macro-crate", "6.1.0") },
    ];
    let row = Row::new("cargo").add(&truths, &watched);
    let watched = bench.watch(&job("cargo install global-crate"));
    row.add(&[build(Way::Global, "global-crate", "4.0.0")], &watched)
}

fn build(way: Way, name: &'static str, version: &'static str) -> Truth {
    Truth { way, ecosystem: "cargo", name, version, scripts: &["build.rs"] }
}
