use std::os::unix::fs::symlink;

use super::*;

/// A home and a project, with these files below them.
fn machine(files: &[(&str, &str)], variables: &[(&str, &str)]) -> (tempfile::TempDir, Configured) {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let found = read(root.path(), variables);
    (root, found)
}

fn read(root: &Path, variables: &[(&str, &str)]) -> Configured {
    let mut variables: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    variables.insert("HOME".to_owned(), root.join("home").display().to_string());
    configured(&Environment { project: root.join("project"), variables, ..Environment::default() })
}

/// Hosts of an ecosystem, as text.
fn hosts(found: &Configured, ecosystem: &str) -> Vec<String> {
    let shown = |endpoint: &Endpoint| match &endpoint.host {
        Host::Name(name) => format!("{name}:{}", endpoint.port),
        Host::Address(address) => format!("{address}:{}", endpoint.port),
    };
    found.hosts.get(ecosystem).into_iter().flatten().map(shown).collect()
}

#[test]
fn npm_and_its_kin() {
    let (_root, found) = machine(
        &[
            (
                "home/.npmrc",
                "; mine\nregistry = \"https://user:pw@npm.corp.test/npm/\"\n@me:registry=http://10.0.0.7:4873\n//npm.corp.test/:_authToken=${NOT_SET}\n",
            ),
            ("project/.npmrc", "registry=${MIRROR}\nsave-exact=true\n"),
            (
                "home/.yarnrc.yml",
                "npmRegistryServer: \"https://yarn.corp.test\"\nnpmScopes:\n  me:\n    npmRegistryServer: http://[2001:db8::7]:80/\n",
            ),
            ("project/.yarnrc", "registry \"https://old.corp.test\"\n"),
            (
                "project/bunfig.toml",
                "[install]\nregistry = { url = \"https://bun.corp.test\", token = \"x\" }\n[install.scopes]\nme = \"https://scope.corp.test:8443/\"\n",
            ),
        ],
        &[("MIRROR", "https://mirror.corp.test:444"), ("NPM_CONFIG_REGISTRY", "bücher.test")],
    );
    assert_eq!(
        hosts(&found, "npm"),
        [
            "bun.corp.test:443",
            "mirror.corp.test:444",
            "npm.corp.test:443",
            "old.corp.test:443",
            "scope.corp.test:8443",
            "xn--bcher-kva.test:443",
            "yarn.corp.test:443",
            "10.0.0.7:4873",
            "2001:db8::7:80",
        ]
    );
    assert_eq!(found.warnings, [""; 0]);
}

#[test]
fn python() {
    let (_root, found) = machine(
        &[
            (
                "home/.config/pip/pip.conf",
                "[global]\nindex-url = https://pip.corp.test/simple\nextra-index-url =\n    http://one.corp.test/simple?a=b\n    http://two.corp.test:8080\n[install]\nfind_links = /srv/wheels\ntrusted-host = no.corp.test\n",
            ),
            (
                "project/uv.toml",
                "index-url = \"https://uv.corp.test\"\n[[index]]\nname = \"x\"\nurl = \"https://named.corp.test\"\n",
            ),
            (
                "project/pyproject.toml",
                "[project]\nname = \"x\"\n[[tool.poetry.source]]\nname = \"p\"\nurl = \"https://poetry.corp.test/simple\"\n[tool.uv]\nextra-index-url = [\"https://more.corp.test\"]\n",
            ),
        ],
        &[
            ("PIP_EXTRA_INDEX_URL", "http://a.test http://b.test:81"),
            ("UV_INDEX", "mine=https://c.test/simple"),
        ],
    );
    assert_eq!(
        hosts(&found, "pypi"),
        [
            "a.test:80",
            "b.test:81",
            "c.test:443",
            "more.corp.test:443",
            "named.corp.test:443",
            "one.corp.test:80",
            "pip.corp.test:443",
            "poetry.corp.test:443",
            "two.corp.test:8080",
            "uv.corp.test:443",
        ]
    );
    assert_eq!(found.warnings, [""; 0]);
}

#[test]
fn cargo_ruby_php_and_go() {
    let (_root, found) = machine(
        &[
            (
                "project/.cargo/config.toml",
                "[source.crates-io]\nreplace-with = \"m\"\n[source.m]\nregistry = \"sparse+https://cargo.corp.test/index/\"\n[source.v]\ndirectory = \"vendor\"\n[registries.own]\nindex = \"ssh://git@forge.corp.test/index.git\"\n",
            ),
            (
                "home/.bundle/config",
                "---\nBUNDLE_MIRROR__HTTPS://RUBYGEMS__ORG/: \"https://gems.corp.test/\"\nBUNDLE_PATH: \"vendor\"\n",
            ),
            ("home/.gemrc", "---\n:sources:\n- https://rc.corp.test/\n:verbose: true\n"),
            (
                "project/Gemfile",
                "source 'https://file.corp.test' do\n  gem 'x'\nend\nsources = \"nothing\"\n",
            ),
            (
                "project/composer.json",
                "{\"repositories\": [{\"type\": \"composer\", \"url\": \"https://php.corp.test\"}, {\"type\": \"path\", \"url\": \"../x\"}]}",
            ),
            ("home/.config/go/env", "GOPROXY=https://go.corp.test,direct\nGOFLAGS=-mod=mod\n"),
        ],
        &[("CARGO_REGISTRIES_ENV_INDEX", "https://env.corp.test")],
    );
    assert_eq!(hosts(&found, "cargo"), ["cargo.corp.test:443", "env.corp.test:443", "forge.corp.test:22"]);
    assert_eq!(hosts(&found, "gem"), ["file.corp.test:443", "gems.corp.test:443", "rc.corp.test:443"]);
    assert_eq!(hosts(&found, "composer"), ["php.corp.test:443"]);
    assert_eq!(hosts(&found, "golang"), ["go.corp.test:443"]);
    assert_eq!(found.warnings, [""; 0]);
}

#[test]
fn a_name_of_the_hosts_file_is_also_its_addresses() {
    let (_root, found) = machine(&[("project/.npmrc", "registry=http://LOCALHOST:4873/\n")], &[]);
    let hosts = hosts(&found, "npm");
    for endpoint in ["localhost:4873", "127.0.0.1:4873", "::1:4873"] {
        assert!(hosts.iter().any(|host| host == endpoint), "{hosts:?}");
    }
    assert_eq!(hosts_file("10.1.2.3 a b # c\nnot an address\n")["b"], [IpAddr::from([10, 1, 2, 3])]);
}

#[test]
fn what_is_broken_adds_nothing_and_says_so_without_the_value() {
    let (_root, found) = machine(
        &[
            (
                "home/.npmrc",
                "registry=https://user:sec\u{1b}ret@:x/\n@a:registry=${NOT_SET}\n@b:registry=https://good.test\n",
            ),
            ("project/.yarnrc.yml", "a: [b\n"),
            ("project/uv.toml", "index-url = \n"),
            ("project/composer.json", "{"),
        ],
        &[("GOPROXY", "http://exa mple")],
    );
    assert_eq!(hosts(&found, "npm"), ["good.test:443"]);
    assert_eq!(hosts(&found, "pypi"), [""; 0]);
    let all = found.warnings.join("\n");
    assert_eq!(found.warnings.len(), 5, "{all}");
    for word in ["`registry` in", "`@a:registry` in", ".yarnrc.yml", "uv.toml", "composer.json"] {
        assert!(all.contains(word), "{word}: {all}");
    }
    assert!(!all.contains("ret@") && !all.contains('\u{1b}'), "{all}");
}

#[test]
fn the_project_is_not_read_through_links_and_nothing_large_or_odd_is() {
    let (root, _) = machine(&[("elsewhere", "registry=https://linked.test\n"), ("project/x", "")], &[]);
    symlink(root.path().join("elsewhere"), root.path().join("project/.npmrc")).unwrap();
    let found = read(root.path(), &[]);
    assert_eq!(hosts(&found, "npm"), [""; 0]);
    // People keep their own files behind links.
    fs::create_dir_all(root.path().join("home")).unwrap();
    symlink(root.path().join("elsewhere"), root.path().join("home/.npmrc")).unwrap();
    assert_eq!(hosts(&read(root.path(), &[]), "npm"), ["linked.test:443"]);

    fs::write(root.path().join("elsewhere"), "#".repeat(2 << 20)).unwrap();
    nix::unistd::mkfifo(&root.path().join("project/uv.toml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let found = read(root.path(), &[]);
    assert_eq!(found.warnings.len(), 1, "{:?}", found.warnings);
    assert!(found.warnings[0].contains("larger than"), "{:?}", found.warnings);
}

#[test]
fn variables_that_files_refer_to_are_noted() {
    let (root, found) = machine(
        &[
            ("home/.npmrc", "//r.example/:_authToken=${NPM_TOKEN}\n//s.example/:_authToken=$BARE\n"),
            ("project/.npmrc", "//t.example/:_authToken=${OURS-none}${NPM_TOKEN}\n; ${1} ${} $"),
            (
                "project/bunfig.toml",
                "[install]\nregistry = { url = 'https://b.example', token = '$BUN_ONE' }\n",
            ),
            ("project/requirements.txt", "--index-url https://u:${PIP_PASS}@p.example/simple\n"),
            ("project/pyproject.toml", "[tool.x]\ny = '${AWS_SECRET_ACCESS_KEY}'\n"),
        ],
        &[],
    );
    let names: Vec<&str> = found.references.keys().map(String::as_str).collect();
    assert_eq!(names, ["BUN_ONE", "NPM_TOKEN", "OURS", "PIP_PASS"]);
    assert_eq!(found.references["NPM_TOKEN"], root.path().join("home/.npmrc"));
}
