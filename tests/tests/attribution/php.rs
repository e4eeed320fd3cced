//! Composer: of what it installs only plugins run, inside Composer or in programs that they start; scripts are the
//! project's own.

use std::path::Path;
use std::process::Command;

use pkgwarden_tests::{run, words};
use serde_json::json;

use crate::bench::{Bench, Job, commit, write};
use crate::table::Row;
use crate::way::{Truth, Way};

/// A plugin that runs a program of its own when everything is installed, or reads by itself.
fn source(folder: &Path, name: &str, version: Option<&str>, requires: &str, way: Option<Way>) {
    let mut manifest = json!({ "name": format!("acme/{name}"), "type": "library", "require": {} });
    if let Some(version) = version {
        manifest["version"] = json!(version);
    }
    if !requires.is_empty() {
        manifest["require"][requires] = json!("*");
    }
    if let Some(way) = way {
        let class = format!("Plugin{}", name.replace('-', ""));
        manifest["type"] = json!("composer-plugin");
        manifest["require"]["composer-plugin-api"] = json!("^2.0");
        manifest["autoload"] = json!({ "classmap": ["Plugin.php"] });
        manifest["extra"] = json!({ "class": format!("Acme\\{class}") });
        let read = format!("file_get_contents(getenv('HOME') . '/{}');", way.decoy());
        let act = if way == Way::Inside {
            read.clone()
        } else {
            "exec('php ' . escapeshellarg(__DIR__ . '/read.php'));".to_owned()
        };
        write(&folder.join("read.php"), &format!("<?php {read}\n"));
        let text = format!(
            "<?php\nnamespace Acme;\nuse Composer\\Composer;\nuse Composer\\IO\\IOInterface;\n\
             class {class} implements \\Composer\\Plugin\\PluginInterface, \\Composer\\EventDispatcher\\EventSubscriberInterface {{\n\
             public function activate(Composer $c, IOInterface $io) {{}}\n\
             public function deactivate(Composer $c, IOInterface $io) {{}}\n\
             public function uninstall(Composer $c, IOInterface $io) {{}}\n\
             public static function getSubscribedEvents() {{ return ['post-autoload-dump' => 'act']; }}\n\
             public function act($event) {{ {act} }}\n}}\n"
        );
        write(&folder.join("Plugin.php"), &text);
    }
    write(&folder.join("composer.json"), &manifest.to_string());
}

/// A world with archives, a repository and a directory.
pub(crate) fn furnish() -> Bench {
    let bench = Bench::new();
    let archives = bench.folder("archives");
    for (name, version, requires, way) in [
        ("direct", "1.2.3", "", Some(Way::Direct)),
        ("parent", "1.0.0", "acme/nested", None),
        ("nested", "2.4.6", "", Some(Way::Nested)),
        ("global", "4.0.0", "", Some(Way::Global)),
        ("inside", "6.1.0", "", Some(Way::Inside)),
    ] {
        let folder = bench.folder(&format!("published/{name}"));
        source(&folder, name, Some(version), requires, way);
        let script = "import shutil, sys; shutil.make_archive(sys.argv[1], 'zip', sys.argv[2])";
        run(Command::new("python3").args(["-c", script]).arg(archives.join(name)).arg(&folder));
    }
    let repository = bench.folder("repository");
    source(&repository, "from-git", None, "", Some(Way::Git));
    commit(&repository);
    run(Command::new("git").args(["tag", "0.3.0"]).current_dir(&repository));
    source(&bench.folder("somewhere"), "from-file", Some("0.7.0"), "", Some(Way::File));
    bench
}

pub(crate) fn composer(bench: &Bench) -> Row {
    let project = bench.folder("home/work/composer");
    let cat = format!("cat \"$HOME/{}\" > /dev/null", Way::Workspace.decoy());
    let manifest = json!({
        "name": "acme/app", "version": "0.4.0",
        "scripts": { "post-update-cmd": cat },
        "require": {
            "acme/direct": "*", "acme/parent": "*", "acme/from-git": "0.3.0", "acme/from-file": "*",
        },
        "repositories": repositories(bench),
        "config": { "allow-plugins": true },
    });
    write(&project.join("composer.json"), &manifest.to_string());
    let update: &[&str] = &["post-update-cmd"];
    let truths = [
        php(Way::Direct, "acme/direct", "1.2.3"),
        php(Way::Nested, "acme/nested", "2.4.6"),
        Truth { scripts: update, ..php(Way::Workspace, "acme/app", "0.4.0") },
        php(Way::Git, "acme/from-git", "0.3.0"),
        php(Way::File, "acme/from-file", "0.7.0"),
    ];
    let row =
        Row::new("composer").add(&truths, &bench.watch(&job("composer update --no-interaction", &project)));
    let global = bench.folder("home/.config/composer");
    let manifest = json!({ "repositories": repositories(bench), "config": { "allow-plugins": true } });
    write(&global.join("composer.json"), &manifest.to_string());
    let line = "composer global require --no-interaction acme/global";
    let row = row.add(&[php(Way::Global, "acme/global", "4.0.0")], &bench.watch(&job(line, &project)));
    let alone = bench.folder("home/work/alone");
    let manifest = json!({
        "require": { "acme/inside": "*" },
        "repositories": repositories(bench),
        "config": { "allow-plugins": true },
    });
    write(&alone.join("composer.json"), &manifest.to_string());
    let truth = Truth { scripts: &["plugin"], ..php(Way::Inside, "acme/inside", "6.1.0") };
    row.add(&[truth], &bench.watch(&job("composer update --no-interaction", &alone)))
}

fn repositories(bench: &Bench) -> serde_json::Value {
    json!([
        { "type": "artifact", "url": bench.folder("archives") },
        { "type": "vcs", "url": bench.folder("repository") },
        { "type": "path", "url": bench.folder("somewhere"), "options": { "symlink": false } },
        { "packagist.org": false },
    ])
}

fn php(way: Way, name: &'static str, version: &'static str) -> Truth {
    Truth { way, ecosystem: "composer", name, version, scripts: &["read.php"] }
}

fn job(line: &str, project: &Path) -> Job {
    let environment = vec![("COMPOSER_ALLOW_SUPERUSER", "1".into())];
    Job { line: words(line), cwd: project.to_owned(), environment }
}
