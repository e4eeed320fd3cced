use super::*;

/// The lines of a package in a text, by name and version.
fn lines(file: &str, ecosystem: &str, text: &str) -> Vec<(String, Option<String>, usize)> {
    let (_, scan) = files(ecosystem).find(|(name, _)| *name == file).unwrap();
    scan(text).into_iter().map(|entry| (entry.name, entry.version, entry.line)).collect()
}

fn found(file: &str, ecosystem: &str, text: &str) -> Vec<String> {
    lines(file, ecosystem, text)
        .into_iter()
        .map(|(name, version, line)| {
            format!("{line} {name} {}", version.unwrap_or_default()).trim_end().to_owned()
        })
        .collect()
}

#[test]
fn npm_lockfiles_of_every_version() {
    let text = r#"{
  "name": "app",
  "lockfileVersion": 3,
  "packages": {
    "": { "name": "app", "version": "1.0.0" },
    "node_modules/@s/b": {
      "version": "2.0.0"
    },
    "node_modules/alias": { "name": "real", "version": "3.0.0" },
    "node_modules/a/node_modules/@s/b": { "version": "1.0.0" },
    "packages/member": { "version": "0.1.0" }
  }
}"#;
    let expected =
        ["5 app 1.0.0", "6 @s/b 2.0.0", "10 @s/b 1.0.0", "9 real 3.0.0", "11 packages/member 0.1.0"];
    assert_eq!(found("package-lock.json", "npm", text), expected);
    let old = "{\n\"lockfileVersion\": 1,\n\"dependencies\": {\n\"a\": {\n\"version\": \"1.0.0\",\n\"dependencies\": {\n\"b\": {\"version\": \"2.0.0\"}}}}}";
    assert_eq!(found("package-lock.json", "npm", old), ["4 a 1.0.0", "7 b 2.0.0"]);
    assert_eq!(found("npm-shrinkwrap.json", "npm", "{ broken"), Vec::<String>::new());
}

#[test]
fn pnpm_lockfiles_of_every_version() {
    let text = "lockfileVersion: '9.0'\n\nimporters:\n\n  .:\n    dependencies:\n      a:\n        version: 1.0.0\n\npackages:\n\n  '@s/b@2.0.0':\n    resolution: {integrity: x}\n\n  a@1.0.0(peer@3.0.0):\n    hasBin: true\n\nsnapshots:\n\n  a@1.0.0: {}\n";
    assert_eq!(found("pnpm-lock.yaml", "npm", text), ["12 @s/b 2.0.0", "15 a 1.0.0"]);
    let old = "packages:\n\n  /@s/b@2.0.0:\n    dev: true\n  /c@1.0.0:\n    dev: true\n  /d/1.2.3_peer@1:\n    dev: true\n";
    assert_eq!(found("pnpm-lock.yaml", "npm", old), ["3 @s/b 2.0.0", "5 c 1.0.0", "7 d 1.2.3"]);
}

#[test]
fn yarn_lockfiles_classic_and_berry() {
    let classic = "# yarn lockfile v1\n\n\n\"@s/b@^2.0.0\", \"@s/b@^2.1.0\":\n  version \"2.1.0\"\n  resolved \"x\"\n\na@^1:\n  version \"1.0.0\"\n";
    assert_eq!(found("yarn.lock", "npm", classic), ["4 @s/b 2.1.0", "8 a 1.0.0"]);
    let berry = "__metadata:\n  version: 8\n\n\"alias@npm:real@^1.0.0\":\n  version: 1.2.0\n  resolution: \"real@npm:1.2.0\"\n";
    assert_eq!(found("yarn.lock", "npm", berry), ["4 alias 1.2.0", "4 real 1.2.0"]);
}

#[test]
fn the_other_files_of_javascript() {
    let bun = "{\n  \"packages\": {\n    \"@s/b\": [\"@s/b@2.0.0\", \"\", {}, \"sha512-x\"],\n  }\n}\n";
    assert_eq!(found("bun.lock", "npm", bun), ["3 @s/b 2.0.0"]);
    let manifest = "{\n\"name\": \"app\",\n\"dependencies\": {\n\"a\": \"^1\"\n},\n\"devDependencies\": {\"b\": \"file:../b\"}\n}";
    assert_eq!(found("package.json", "npm", manifest), ["4 a", "6 b"]);
}

#[test]
fn files_of_python() {
    let lock = "version = 1\n\n[[package]]\nname = \"six\"\nversion = \"1.16.0\"\n\n[[package.wheels]]\nname = \"no\"\n\n[[package]]\nname = \"Foo_Bar\"\nversion = \"2\"\n";
    for file in ["uv.lock", "poetry.lock", "pdm.lock"] {
        assert_eq!(found(file, "pypi", lock), ["4 six 1.16.0", "11 Foo_Bar 2"], "{file}");
    }
    let requirements = "# x\n-r other.txt\nsix==1.16.0 ; python_version > \"3\"\nfoo[bar]>=2 # why\n--hash=sha256:x\n./local\nbaz @ https://host/x\nplain\ntwo words\n";
    let expected = ["3 six 1.16.0", "4 foo", "7 baz", "8 plain"];
    assert_eq!(found("requirements.txt", "pypi", requirements), expected);
    let project = "[project]\nname = \"app\"\ndescription = \"requests are nice\"\ndependencies = [\n  \"six>=1\",\n]\n[tool.poetry.dependencies]\npython = \"^3\"\nfoo = { version = \"1\" }\n[tool.other]\nx = \"y\"\n";
    assert_eq!(found("pyproject.toml", "pypi", project), ["2 app", "5 six", "8 python", "9 foo"]);
    let pipfile = "{\n\"default\": {\n\"six\": {\"version\": \"==1.16.0\"}\n},\n\"develop\": {}\n}";
    assert_eq!(found("Pipfile.lock", "pypi", pipfile), ["3 six 1.16.0"]);
}

#[test]
fn files_of_the_others() {
    let cargo = "version = 4\n\n[[package]]\nname = \"libz-sys\"\nversion = \"1.1.20\"\ndependencies = [\n \"cc\",\n]\n";
    assert_eq!(found("Cargo.lock", "cargo", cargo), ["4 libz-sys 1.1.20"]);
    let manifest = "[package]\nname = \"app\"\n[dependencies]\nlibz-sys = \"1\"\nz = { package = \"real\", version = \"1\" }\n[dev-dependencies.tempfile]\nversion = \"3\"\n";
    assert_eq!(found("Cargo.toml", "cargo", manifest), ["4 libz-sys", "5 z", "5 real", "6 tempfile"]);
    let gem = "GEM\n  remote: https://host/\n  specs:\n    nokogiri (1.16.0-x86_64-linux)\n      racc (~> 1.4)\n    racc (1.7.3)\n\nPLATFORMS\n  ruby\n\nDEPENDENCIES\n  nokogiri (~> 1)\n";
    assert_eq!(found("Gemfile.lock", "gem", gem), ["4 nokogiri 1.16.0-x86_64-linux", "6 racc 1.7.3"]);
    let gemfile = "source 'x'\ngem 'racc', '~> 1'\n  gem(\"puma\")\n# gem 'no'\n";
    assert_eq!(found("Gemfile", "gem", gemfile), ["2 racc", "3 puma"]);
    let composer = "{\n\"packages\": [\n{\n\"name\": \"v/n\",\n\"version\": \"v1.2.3\"}],\n\"packages-dev\": [\n{\"name\": \"v/d\"}]}";
    assert_eq!(found("composer.lock", "composer", composer), ["4 v/n 1.2.3", "7 v/d"]);
}

proptest::proptest! {
    /// Whatever a file holds: no panic, and lines that are there.
    #[test]
    fn any_text_is_survived(text in "(\\PC|[\n\"'@:={}\\[\\](),/ ]){0,200}") {
        for ecosystem in ["npm", "pypi", "cargo", "gem", "composer"] {
            for (file, scan) in files(ecosystem) {
                for entry in scan(&text) {
                    proptest::prop_assert!(entry.line >= 1 && entry.line <= text.lines().count().max(1), "{}", file);
                }
            }
        }
    }
}
