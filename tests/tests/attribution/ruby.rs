//! gem and bundler: gems whose extconf.rb reads a decoy.

use std::path::Path;
use std::process::Command;

use pkgwarden_tests::{run, words};

use crate::bench::{Bench, Job, commit, write};
use crate::table::Row;
use crate::way::{Truth, Way};

/// Where the gems are served from.
const SOURCE: &str = "https://files.packages.example/";

/// What lies there: name, version, dependency, way.
const PUBLISHED: [(&str, &str, &str, Option<Way>); 5] = [
    ("direct_gem", "1.2.3", "", Some(Way::Direct)),
    ("parent_gem", "1.0.0", "nested_gem", None),
    ("nested_gem", "2.4.6", "", Some(Way::Nested)),
    ("global_gem", "4.0.0", "", Some(Way::Global)),
    ("file_gem", "0.7.0", "", Some(Way::File)),
];

/// A gem's source.
fn source(folder: &Path, name: &str, version: &str, dependency: &str, way: Option<Way>) {
    let dependency = if dependency.is_empty() {
        String::new()
    } else {
        format!("  s.add_dependency \"{dependency}\", \"2.4.6\"\n")
    };
    let extension = if way.is_some() { "  s.extensions = [\"ext/extconf.rb\"]\n" } else { "" };
    let specification = format!(
        "Gem::Specification.new do |s|\n  s.name = \"{name}\"\n  s.version = \"{version}\"\n  s.summary = \"x\"\n  \
         s.authors = [\"x\"]\n  s.files = Dir[\"ext/*\"]\n{extension}{dependency}end\n"
    );
    write(&folder.join(format!("{name}.gemspec")), &specification);
    if let Some(way) = way {
        let text = format!(
            "File.read(File.join(ENV[\"HOME\"], \"{}\"))\nFile.write(\"Makefile\", \"all install clean:\\n\")\n",
            way.decoy()
        );
        write(&folder.join("ext/extconf.rb"), &text);
    }
}

/// A world with a server of gems and a repository.
pub(crate) fn furnish() -> Bench {
    let bench = Bench::new();
    let site = bench.folder("internet/files");
    let gems = bench.folder("internet/files/gems");
    for (name, version, dependency, way) in PUBLISHED {
        let folder = bench.folder(&format!("published/{name}"));
        source(&folder, name, version, dependency, way);
        let target = gems.join(format!("{name}-{version}.gem"));
        let mut build = Command::new("gem");
        build.args(["build", "--silent", "--force", &format!("{name}.gemspec"), "--output"]).arg(&target);
        run(build.current_dir(&folder));
    }
    run(Command::new("gem").args(["generate_index", "--directory"]).arg(&site));
    let repository = bench.folder("repository");
    source(&repository, "git_gem", "0.3.0", "", Some(Way::Git));
    commit(&repository);
    bench
}

pub(crate) fn gem(bench: &Bench) -> Row {
    let install = format!("gem install --no-document --clear-sources --source {SOURCE}");
    let watched =
        bench.watch(&job(bench, &format!("{install} --install-dir gems direct_gem parent_gem"), "gem"));
    let row = Row::new("gem")
        .add(&[ruby(Way::Direct, "direct_gem", "1.2.3"), ruby(Way::Nested, "nested_gem", "2.4.6")], &watched);
    let file = bench.folder("internet/files/gems").join("file_gem-0.7.0.gem");
    let line = format!("gem install --no-document --local --install-dir gems {}", file.display());
    let row = row.add(&[ruby(Way::File, "file_gem", "0.7.0")], &bench.watch(&job(bench, &line, "gem")));
    let watched = bench.watch(&job(bench, &format!("{install} --user-install global_gem"), "gem"));
    row.add(&[ruby(Way::Global, "global_gem", "4.0.0")], &watched)
}

pub(crate) fn bundler(bench: &Bench) -> Row {
    let project = bench.folder("home/work/bundler");
    let gemfile = format!(
        "source \"{SOURCE}\"\ngem \"direct_gem\"\ngem \"parent_gem\"\ngem \"git_gem\", git: \"file://{}\"\n",
        bench.folder("repository").display()
    );
    write(&project.join("Gemfile"), &gemfile);
    let truths = [
        ruby(Way::Direct, "direct_gem", "1.2.3"),
        ruby(Way::Nested, "nested_gem", "2.4.6"),
        ruby(Way::Git, "git_gem", "0.3.0"),
    ];
    Row::new("bundler").add(&truths, &bench.watch(&job(bench, "bundle install", "bundler")))
}

fn ruby(way: Way, name: &'static str, version: &'static str) -> Truth {
    Truth { way, ecosystem: "gem", name, version, scripts: &["extconf.rb"] }
}

fn job(bench: &Bench, line: &str, project: &str) -> Job {
    let cwd = bench.folder(&format!("home/work/{project}"));
    let environment = vec![("BUNDLE_PATH", cwd.join("vendor/bundle").into())];
    Job { line: words(line), cwd, environment }
}
