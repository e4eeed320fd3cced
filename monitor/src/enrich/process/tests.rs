use super::*;

fn who(pid: u32, start: u64, ppid: u32) -> Identity {
    Identity { pid, start: Timestamp(start), ppid, uid: 1000, ..Identity::default() }
}

fn program(exe: &str) -> Program {
    Program::new(Some(exe.into()), vec![exe.into()], Some("/w".into()))
}

fn chain(image: &Image) -> Vec<(u32, String)> {
    let exe = |text: &Option<Text>| text.as_ref().map_or("?".to_owned(), ToString::to_string);
    ancestry(image).iter().map(|ancestor| (ancestor.pid, exe(&ancestor.exe))).collect()
}

fn named(pairs: &[(u32, &str)]) -> Vec<(u32, String)> {
    pairs.iter().map(|(pid, exe)| (*pid, (*exe).to_owned())).collect()
}

#[test]
fn ancestry_survives_exits_and_new_parents() {
    let mut table = ProcessTable::new();
    table.exec(who(1, 10, 0), "manager:npm", program("npm"));
    table.fork(who(1, 10, 0), "manager:npm", 2);
    table.exec(who(2, 20, 1), "script:npm", program("sh"));
    table.fork(who(2, 20, 1), "script:npm", 3);
    table.exit(who(2, 20, 1));
    table.exit(who(1, 10, 0));
    let image = table.exec(who(3, 30, 1), "script:npm", program("node"));
    assert_eq!(chain(&image), named(&[(2, "sh"), (1, "npm")]));
    assert_eq!(ancestry(&image)[0].start, Some(Timestamp(20)));
    assert_eq!(ancestry(&image)[1].actor, "manager:npm");
    assert_eq!(table.seen(), 3);
}

#[test]
fn a_second_exec_is_a_step_of_its_own_but_not_without_end() {
    let mut table = ProcessTable::new();
    table.exec(who(1, 10, 0), "m", program("npm"));
    table.fork(who(1, 10, 0), "m", 2);
    table.exec(who(2, 20, 1), "s", program("sh"));
    let image = table.exec(who(2, 20, 1), "s", program("node"));
    assert_eq!(chain(&image), named(&[(2, "sh"), (1, "npm")]));
    let mut last = image;
    for _ in 0..1000 {
        last = table.exec(who(2, 20, 1), "s", program("again"));
    }
    assert!(chain(&last).len() <= usize::from(MAX_EXECS) + 1, "{:?}", chain(&last));
    assert_eq!(chain(&last).last(), Some(&(1, "npm".to_owned())));
}

#[test]
fn a_reused_process_id_is_another_process() {
    let mut table = ProcessTable::new();
    table.exec(who(1, 10, 0), "m", program("npm"));
    table.fork(who(1, 10, 0), "m", 2);
    table.exec(who(2, 20, 1), "s", program("evil"));
    let image = table.get(who(2, 99, 1), "s");
    assert_eq!(image.program().exe, None, "nothing of the old one is told of the new one");
    assert_eq!(chain(&image), named(&[(1, "npm")]));
    table.exit(who(2, 20, 1));
    assert_eq!(table.get(who(2, 99, 1), "s").start.get(), Some(&Timestamp(99)));
}

#[test]
fn missing_records_leave_gaps() {
    let mut table = ProcessTable::new();
    let image = table.get(who(5, 50, 4), "s");
    assert_eq!(chain(&image), []);
    table.exit(who(77, 1, 1));
    let child = table.exec(who(6, 60, 5), "s", program("node"));
    assert_eq!(chain(&child), named(&[(5, "?")]));
}

#[test]
fn the_table_is_bounded_and_the_exited_go_first() {
    let mut table = ProcessTable::new();
    table.exec(who(1, 1, 0), "m", program("npm"));
    for pid in 2..=20_000 {
        table.fork(who(1, 1, 0), "m", pid);
        table.exec(who(pid, u64::from(pid), 1), "s", program("node"));
        table.exit(who(pid, u64::from(pid), 1));
    }
    assert!(table.len() <= MAX_EXITED + 1, "{}", table.len());
    for pid in 30_000..40_000 {
        table.fork(who(1, 1, 0), "m", pid);
    }
    assert!(table.len() <= MAX_PROCESSES);
    assert!(table.order.len() <= 2 * MAX_PROCESSES + 1);
    let image = table.get(who(1, 1, 0), "m");
    assert_eq!(image.program().exe, Some("npm".into()), "the living root is kept");
}

#[test]
fn bytes_are_bounded() {
    let mut table = ProcessTable::new();
    for pid in 1..4000 {
        let argv = vec![Text::from(vec![b'a'; 100_000])];
        table.exec(who(pid, 1, 0), "s", Program::new(None, argv, None));
    }
    assert!(table.bytes <= MAX_BYTES, "{}", table.bytes);
    let sum: usize = table.entries.values().map(|entry| entry.image.program.bytes()).sum();
    assert_eq!(sum, table.bytes);
}

#[test]
fn a_chain_of_forks_keeps_its_root() {
    let mut table = ProcessTable::new();
    table.exec(who(1, 1, 0), "m", program("npm"));
    for pid in 1..5000 {
        table.fork(who(pid, u64::from(pid), pid.saturating_sub(1)), "m", pid + 1);
        table.exit(who(pid, u64::from(pid), pid.saturating_sub(1)));
    }
    let image = table.get(who(5000, 5000, 1), "m");
    let chain = chain(&image);
    assert!(chain.len() <= usize::from(MAX_DEPTH) + 1, "{}", chain.len());
    assert_eq!(chain.last(), Some(&(1, "npm".to_owned())));
}

#[test]
fn long_arguments_are_cut_visibly() {
    let program = Program::new(None, vec!["a".into(), Text::from(vec![b'b'; 9000]), "c".into()], None);
    assert_eq!(program.argv.len(), 2);
    assert!(program.argv[1].as_bytes().ends_with(b"bb..."));
    assert!(program.bytes() < MAX_ARGUMENTS + 200);
}

#[test]
fn a_process_is_found_by_its_id_with_what_it_inherited() {
    let mut table = ProcessTable::new();
    let parent = Identity { tree: 1, scope: Some(Scope(7)), ..who(2, 20, 1) };
    table.exec(parent, "script:npm", program("sh"));
    table.fork(parent, "script:npm", 3);
    let (child, image) = table.find(3).unwrap();
    assert_eq!((child.tree, child.scope, child.ppid, child.uid), (1, Some(Scope(7)), 2, 1000));
    assert_eq!(image.program().exe, Some("sh".into()));
    assert!(table.find(4).is_none());
}

#[test]
fn a_start_that_is_nearly_known_finds_its_process_and_begins_none() {
    const TICK: u64 = 10_000_000;
    let mut table = ProcessTable::new();
    table.exec(who(1, 3 * TICK + 7, 0), "m", program("npm"));
    table.fork(who(1, 3 * TICK + 7, 0), "m", 2);
    let (exact, image) = table.nearly(1, Timestamp(3 * TICK)).expect("the same process");
    assert_eq!((exact, image.program()), (Some(Timestamp(3 * TICK + 7)), &program("npm")));
    assert!(table.nearly(1, Timestamp(4 * TICK)).is_none());
    assert!(table.nearly(1, Timestamp(TICK)).is_none());
    assert!(table.nearly(9, Timestamp(3 * TICK)).is_none());
    // Nobody knows the start of a fork before its first record, and asking does not settle it.
    assert!(table.nearly(2, Timestamp(5 * TICK)).is_some_and(|(exact, _)| exact.is_none()));
    let image = table.get(who(2, 5 * TICK + 9, 1), "m");
    assert_eq!(image.program(), &program("npm"));
}
