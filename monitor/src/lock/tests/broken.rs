//! Lockfiles that are none, and files that change under our hands: nothing is lost, and the error says where.

use std::fs;

use super::*;

const GOOD: &str = "\
schema: pkgwarden.lock/1
packages:
  npm:
    colours:
      1.2.3:
        postinstall:
          exec:
          - /usr/bin/node
";

#[test]
fn a_broken_file_is_refused_at_its_line() {
    assert_eq!(parse(&source(GOOD)).unwrap().acts(), 1);
    for (text, message, line) in [
        ("", "the lockfile is empty", 1),
        ("# nothing\n", "the lockfile is empty", 1),
        ("packages: {}\n", "the key `schema` is missing", 1),
        ("schema: pkgwarden.lock/9\npackages: {}\n", "this lockfile has the schema `pkgwarden.lock/9`", 1),
        ("schema: \"\\e[31m\\u202e\"\n", "this lockfile has the schema `\\x1b[31m\\xe2\\x80\\xae`", 1),
        (&GOOD.replace("exec:", "execs:"), "unknown key `execs`", 7),
        (&GOOD.replace("packages:", "package:"), "unknown key `package`", 2),
        (&GOOD.replace("- /usr/bin/node", "- \"\\\\xZZ\""), "the backslash at byte 0", 8),
        (&GOOD.replace("          - /usr/bin/node\n", "            a: b\n"), "", 8),
        (&GOOD.replace("- /usr/bin/node", "- \"/usr/bin"), "", 9),
        (&format!("{GOOD}<<<<<<< ours\n"), "", 9),
        (&format!("{GOOD}    colours: {{}}\n"), "the key `colours` is here twice", 9),
        (&format!("schema: pkgwarden.lock/1\npackages: {}{}\n", "[".repeat(500), "]".repeat(500)), "", 2),
        ("schema: pkgwarden.lock/1\nx: &a [1]\ny: [*a,*a]\n", "unknown key `x`", 2),
    ] {
        let finding = parse(&source(text)).map(|lock| panic!("{lock:?} from {text}")).unwrap_err();
        assert!(finding.message().starts_with(message), "{} for {text}", finding.message());
        assert!(finding.message().chars().all(crate::event::text::is_visible), "{}", finding.message());
        assert!(
            finding.line().is_some_and(|(_, found)| found <= line + 1),
            "{:?} for {text}",
            finding.line()
        );
    }
}

#[test]
fn what_cannot_be_read_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pkgwarden.lock");
    for bytes in [&b"schema: nonsense\n"[..], b"\xff\xfe", b"", b"schema: pkgwarden.lock/1\npackages: 7\n"] {
        fs::write(&path, bytes).unwrap();
        assert!(Store::open(&path).is_err());
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let problems = Store::open(&path).unwrap_err().to_string();
    assert!(problems.contains("is no regular file"), "{problems}");
    let problems = Store::open(Path::new("/nonexistent/x/pkgwarden.lock")).unwrap_err().to_string();
    assert!(problems.contains("cannot be made"), "{problems}");
}

#[test]
fn it_is_written_as_a_whole_and_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pkgwarden.lock");
    let own = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let mut store = Store::open(&path).unwrap();
    assert!(!store.is_there());
    store.lock = harmless();
    store.write(own).unwrap();
    assert_eq!(read(&path).unwrap().0, harmless());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let link = folder.path().join("link.lock");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let mut store = Store::open(&link).unwrap();
    store.lock.merge(&harmful());
    store.write(own).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(read(&path).unwrap().0.acts(), harmless().acts() + harmful().acts());
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn a_file_that_somebody_else_wrote_meanwhile_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pkgwarden.lock");
    let mut store = Store::open(&path).unwrap();
    store.lock = harmless();
    fs::write(&path, GOOD).unwrap();
    let own = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let error = store.write(own).unwrap_err();
    assert!(matches!(error, StoreError::Changed { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), GOOD);
    assert_eq!(read(&folder.path().join("pkgwarden.lock.new")).unwrap().0, harmless());
    fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(
        matches!(store.write(own), Err(StoreError::Changed { .. })),
        "a pipe was waited for, or replaced"
    );
}

#[test]
fn names_that_a_terminal_would_obey_are_written_out() {
    let name = "colours\u{202e}gnp\u{1b}[2J";
    let begin = line("1.2.4", BEGIN).replace("\"colours\"", "\"colours\\\\xe2\\\\x80\\\\xaegnp\\\\x1b[2J\"");
    let lock = recorded(&[begin]).lock;
    assert_eq!(lock.scripts().next().unwrap().0[1].as_bytes(), name.as_bytes());
    let told = words::news(&check(&Lock::default(), &lock));
    assert!(
        told.starts_with("colours\\xe2\\x80\\xaegnp\\x1b[2J 1.2.4 (npm, postinstall) is not in the lockfile"),
        "{told}"
    );
    let text = render(&lock).unwrap();
    assert_eq!(parse(&source(&text)).unwrap(), lock);
    // A file that has the mark itself means the same.
    let raw = text.replace("\\\\xe2\\\\x80\\\\xae", "\u{202e}").replace("\\xe2\\x80\\xae", "\u{202e}");
    assert!(raw.contains('\u{202e}'), "{text}");
}
