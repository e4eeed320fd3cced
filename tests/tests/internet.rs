//! The internet of the tests itself: if it does not do what it is built for, tests in it prove nothing.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt;
use std::panic;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use pkgwarden_tests::online::names;
use pkgwarden_tests::online::place::{CROWD_SIZE, Family, REGISTRIES, RESOLVER, SHARED, THIEF};
use pkgwarden_tests::{Harm, Member, Scenario, Watch, World, deadline, deed, words};

/// A question for the IPv4 address of a name, as old clients ask it: without EDNS.
fn question(name: &str) -> Vec<u8> {
    let mut bytes = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).expect("a short label"));
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.extend([0, 0, 1, 0, 1]);
    bytes
}

/// Runs a line of node on the machine and gives what it prints.
fn node(world: &World, script: &str) -> String {
    let program = world.program(&["node", "-e", script]);
    let ended = world.enter(|| program.run(&world.folder("results")));
    assert_eq!(ended.code(), 0, "{}", ended.output());
    String::from_utf8_lossy(&ended.stdout).trim().to_owned()
}

/// What the C library finds, in whatever order.
fn lookup(world: &World, name: &str) -> Vec<IpAddr> {
    let script = format!(
        "require('dns').promises.lookup('{name}', {{all: true}}).then(found => console.log(found.map(one => one.address).join(' ')))"
    );
    let mut found: Vec<IpAddr> =
        node(world, &script).split(' ').map(|word| word.parse().expect("an address")).collect();
    found.sort_unstable();
    found
}

fn names_have_addresses(family: Family) {
    let world = World::online(family);
    // Two aliases and no time to live, an ordinary one, and one that is asked for again by TCP.
    assert_eq!(lookup(&world, names::NPM), SHARED.of(family));
    assert_eq!(lookup(&world, names::PYPI), REGISTRIES.of(family));
    assert_eq!(lookup(&world, names::SHARED_THIEF), SHARED.of(family));
    assert_eq!(lookup(&world, names::COLLECT), THIEF.of(family));
    let each = if family == Family::Both { 2 } else { 1 };
    assert_eq!(lookup(&world, names::CRATES).len(), usize::from(CROWD_SIZE) * each);
    // Whoever asked: the thief hears of it from the resolver.
    world.settle();
    let told = world.internet().told_thief();
    let asked = told.iter().find(|question| question.name == names::COLLECT).expect("a question");
    assert!(RESOLVER.both().iter().any(|address| address.to_string() == asked.from), "{asked:?}");
}

#[test]
#[ignore = "needs root and the servers"]
fn names_have_addresses_by_ipv4() {
    names_have_addresses(Family::V4);
}

#[test]
#[ignore = "needs root and the servers"]
fn names_have_addresses_by_ipv6() {
    names_have_addresses(Family::V6);
}

#[test]
#[ignore = "needs root and the servers"]
fn names_have_addresses_by_both() {
    names_have_addresses(Family::Both);
}

#[test]
#[ignore = "needs root and the servers"]
fn a_long_answer_is_cut_short_and_whole_by_tcp() {
    let world = World::online(Family::Both);
    let question = question(names::CRATES);
    let (short, whole) = world.enter(|| {
        let socket = UdpSocket::bind(("0.0.0.0", 0)).expect("a datagram socket");
        socket.set_read_timeout(Some(deadline::SOON)).expect("set a read timeout");
        socket.send_to(&question, (RESOLVER.v4, 53)).expect("ask");
        let mut short = [0; 4096];
        let count = socket.recv(&mut short).expect("an answer");
        let mut stream = TcpStream::connect((RESOLVER.v6, 53)).expect("connect to the resolver");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set a read timeout");
        let length = u16::try_from(question.len()).expect("a short question").to_be_bytes();
        stream.write_all(&[length.as_slice(), &question].concat()).expect("ask");
        let mut length = [0; 2];
        stream.read_exact(&mut length).expect("the length of an answer");
        let mut whole = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut whole).expect("an answer");
        (short[..count].to_vec(), whole)
    });
    assert!(short.len() <= 512 && short[2] & 2 != 0, "not cut short: {} bytes", short.len());
    assert_eq!(u16::from_be_bytes([whole[6], whole[7]]), u16::from(CROWD_SIZE));
}

#[test]
#[ignore = "needs root and the servers"]
fn sites_on_one_address_are_told_apart_by_name() {
    let world = World::online(Family::Both);
    world.internet().put_up("hello", b"honest");
    for (name, expected) in [(names::FILES, "honest"), (names::SHARED_THIEF, "ok")] {
        let mut line = words("curl -sSf --max-time 20");
        line.push(format!("https://{name}/hello"));
        let program = world.program(&line);
        let ended = world.enter(|| program.run(&world.folder("results")));
        assert_eq!(String::from_utf8_lossy(&ended.stdout), expected, "{}", ended.output());
        let noted = deadline::until(deadline::SOON, || {
            world.internet().arrivals().iter().any(|arrival| arrival.sni == name && arrival.status == 200)
        });
        assert!(noted, "the site has not noted it: {:?}", world.internet().arrivals());
    }
}

/// Also when a test fails, or is killed and has no say in it.
#[test]
#[ignore = "needs root and the servers"]
fn servers_end_with_the_test() {
    let (told, members) = mpsc::channel();
    let failed = panic::catch_unwind(move || {
        let world = World::online(Family::V4);
        told.send(world.internet().internet().members()).expect("tell who is there");
        panic!("this failure is part of the test");
    });
    assert!(failed.is_err());
    let members = members.recv().expect("who was there");
    assert!(members.len() >= 3, "there were too few servers: {members:?}");
    assert_gone(&members);

    // This one is killed with its hand on the server.
    let mut holder = Command::new("sh");
    holder.args(["-c", "sleep 600 | \"$0\" tether sleep 600 & echo $!; wait"]).arg(deed());
    let mut holder = holder.stdout(Stdio::piped()).process_group(0).spawn().expect("start a holder");
    let mut line = String::new();
    let output = holder.stdout.take().expect("a holder has an output");
    BufReader::new(output).read_line(&mut line).expect("read who holds the server");
    let tether: i32 = line.trim().parse().expect("a process id");
    let server = deadline::until(deadline::SOON, || !children(tether).is_empty());
    assert!(server, "no server was started");
    let server: Vec<Member> =
        children(tether).into_iter().map(|pid| Member { pid, name: "sleep".to_owned() }).collect();
    // The tether itself, which cannot do anything about it: the kernel has to.
    kill(Pid::from_raw(tether), Signal::SIGKILL).expect("kill the tether");
    assert_gone(&server);
    killpg(Pid::from_raw(holder.id().cast_signed()), Signal::SIGKILL).expect("kill the rest");
    holder.wait().expect("wait for the holder");
}

fn children(pid: i32) -> Vec<i32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().map(|word| word.parse().expect("a process id")).collect()
}

fn assert_gone(members: &[Member]) {
    let alive = |member: &&Member| {
        let name = fs::read_to_string(format!("/proc/{}/comm", member.pid)).unwrap_or_default();
        let stat = fs::read_to_string(format!("/proc/{}/stat", member.pid)).unwrap_or_default();
        name.trim() == member.name && !stat.contains(") Z ")
    };
    let gone = deadline::until(deadline::SOON, || !members.iter().any(|member| alive(&member)));
    let left: Vec<&Member> = members.iter().filter(alive).collect();
    assert!(gone, "still there: {left:?}");
}

/// What shows that watched halves can fail: after a bare run the harm is there to be seen.
#[test]
#[ignore = "needs root and the servers"]
fn harm_that_happened_is_not_taken_for_prevented() {
    let online = |package| Scenario::npm(package).online(Family::Both).token("CI_TOKEN");
    for scenario in [
        online("evil-resolve").env("VARIANT", "labels").harm(Harm::Smuggled),
        online("evil-resolve").env("VARIANT", "foreign 203.0.113.53").harm(Harm::Asked("TXT")),
        online("evil-egress").env("VARIANT", "token https://collect.thief.example/").harm(Harm::Leak),
        online("evil-egress")
            .env("VARIANT", "visit https://shared.thief.example/")
            .harm(Harm::Heard("X-Name: shared.thief.example")),
        online("evil-loopback")
            .env("VARIANT", "http://127.0.0.1:8000/")
            .prepare(World::open_neighbour)
            .harm(Harm::Neighbour),
    ] {
        let outcome = scenario.run(Watch::Bare);
        outcome.assert_harm();
        let taken = panic::catch_unwind(panic::AssertUnwindSafe(|| {
            outcome.assert_no_harm();
        }));
        assert!(taken.is_err(), "a run without a watch looks as if it had been watched\n{}", outcome.story());
    }
}

/// Nothing but the wire leads out of the machine, and nothing leads out of the internet.
#[test]
#[ignore = "needs root and the servers"]
fn nothing_leads_out() {
    let world = World::online(Family::Both);
    for (namespace, allowed) in [(world.namespace(), true), (world.internet().internet(), false)] {
        let routes = namespace.enter(|| {
            let ended = Command::new("ip").args(["route", "show", "default"]).output();
            String::from_utf8_lossy(&ended.expect("start ip").stdout).into_owned()
        });
        assert_eq!(routes.contains("dev wire"), allowed, "{routes}");
    }
}
