use std::fs;

use super::*;
use crate::event::model::Ancestor;
use crate::report::tests::{finding, package};

/// A repository whose root is `root`, and a run of npm in `app` of it.
struct Project {
    directory: tempfile::TempDir,
    places: Places,
}

impl Project {
    fn new(ran_in: &str, argv: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join(".git")).unwrap();
        fs::create_dir_all(directory.path().join(ran_in)).unwrap();
        let mut process = finding().process;
        (process.pid, process.start) = (10, Timestamp(10));
        process.cwd = Some(Text::from(directory.path().join(ran_in).to_str().unwrap()));
        process.argv = argv.iter().map(|word| Text::from(*word)).collect();
        let event = Event {
            time: Timestamp(1),
            tree: 10,
            scope: None,
            actor: "manager:npm".into(),
            process,
            package: None,
            flags: vec![],
            what: What::Exec { script: None, new_scope: false },
        };
        let places = Places::follow(&mut std::iter::once(event));
        Self { directory, places }
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.directory.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn of(&mut self, ecosystem: &str, name: &str, version: &str) -> Option<(String, Option<usize>)> {
        let mut finding = finding();
        let start = Some(Timestamp(10));
        finding.ancestry =
            vec![Ancestor { pid: 10, start, actor: "manager:npm".into(), ..Ancestor::default() }];
        finding.process.cwd = None;
        let (name, version) = (name.into(), Some(version.into()));
        finding.package = Some(Package { ecosystem: ecosystem.into(), name, version, ..package() });
        self.places.of(&finding).map(|place| (place.uri, place.line))
    }
}

fn at(uri: &str, line: usize) -> Option<(String, Option<usize>)> {
    Some((uri.to_owned(), Some(line)))
}

#[test]
fn the_lockfile_of_the_project_where_the_manager_ran() {
    let mut project = Project::new("my app", &["npm", "ci"]);
    let lock = "{\n\"packages\": {\n\"node_modules/a\": {\"version\": \"1.0.0\"},\n\"node_modules/b/node_modules/a\":\n{\"version\": \"2.0.0\"}}}";
    project.write("my app/package-lock.json", lock);
    project.write("package-lock.json", "{\"packages\":{\"node_modules/a\":{\"version\":\"9.0.0\"}}}");
    assert_eq!(project.of("npm", "a", "2.0.0"), at("my%20app/package-lock.json", 5));
    assert_eq!(project.of("npm", "a", "1.0.0"), at("my%20app/package-lock.json", 3));
    // Another version than the lockfile has is still that package.
    assert!(project.of("npm", "a", "3.0.0").unwrap().1.is_some());
}

#[test]
fn a_member_of_a_workspace_is_locked_at_its_root() {
    let mut project = Project::new("packages/one", &["pnpm", "install"]);
    project.write("pnpm-lock.yaml", "packages:\n\n  a@1.0.0:\n    x: y\n");
    project.write("packages/one/package.json", "{\"dependencies\":{\"b\":\"1\"}}");
    assert_eq!(project.of("npm", "a", "1.0.0"), at("pnpm-lock.yaml", 3));
}

#[test]
fn names_of_python_are_compared_as_its_index_does() {
    let mut project = Project::new("", &["pip", "install", "-r", "requirements/dev.txt"]);
    project.write("requirements.txt", "six\n");
    project.write("requirements/dev.txt", "# x\nFoo_Bar==2.0\n");
    assert_eq!(project.of("pypi", "foo-bar", "2.0"), at("requirements/dev.txt", 2));
    assert_eq!(project.of("pypi", "six", "1"), at("requirements.txt", 1));
}

#[test]
fn what_no_file_names_is_at_the_first_file_that_is_there() {
    let mut project = Project::new("", &["cargo", "build"]);
    assert_eq!(project.of("cargo", "x", "1"), Some(("Cargo.toml".to_owned(), None)));
    assert_eq!(project.of("nothing", "x", "1"), None);
    project.write("Cargo.lock", "version = 4\n");
    // Files are read once for a report.
    project.places.read.clear();
    assert_eq!(project.of("cargo", "x", "1"), Some(("Cargo.lock".to_owned(), None)));
}

#[test]
fn platforms_of_gems_are_no_part_of_the_version() {
    let mut project = Project::new("", &["bundle"]);
    project.write("Gemfile.lock", "GEM\n  specs:\n    a (1.0.0)\n    a (1.0.1-x86_64-linux)\n");
    assert_eq!(project.of("gem", "a", "1.0.1"), at("Gemfile.lock", 4));
}

#[test]
fn nothing_outside_of_the_project_is_named() {
    let mut project = Project::new("", &["pip", "install", "-r", "/etc/passwd", "-r../x"]);
    assert_eq!(project.of("pypi", "root:x", "1"), Some(("pyproject.toml".to_owned(), None)));
    assert_eq!(uri(Path::new("/p"), Path::new("/q/x")), None);
    assert_eq!(uri(Path::new("/p"), Path::new("/p/a:b/\u{202e}")).as_deref(), Some("a%3Ab/%E2%80%AE"));
}
