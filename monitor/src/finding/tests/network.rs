//! Names and traffic.

use super::*;
use crate::bpf::traffic::Flow;

#[test]
fn names_are_told_with_queries_answers_and_connections() {
    let mut script = Script::install("/p");
    let mut address = [0; 16];
    address[10..].copy_from_slice(&[0xff, 0xff, 203, 0, 113, 7]);
    let header = Header { tgid: 20, start: 20, scope: SCOPE, address, ..Header::default() };
    let resolved = Header { kind: Kind::Resolved as u8, detail: 60, ..header };
    assert_eq!(
        script.push(resolved, &[b"a.example"]).what,
        What::Resolved { domain: "a.example".into(), address: "203.0.113.7".parse().unwrap(), ttl: 60 }
    );
    let verdict = Header { kind: Kind::Verdict as u8, port: 443, ..header };
    let connect = Header { subject: Subject::Address as u8, detail: 6, ..verdict };
    let resolve = Header { subject: Subject::Name as u8, detail: 17 << 32 | 28, ..verdict };
    let thing = |event: &Event| match &event.what {
        What::Verdict(judgement) => judgement.object.what.clone(),
        other => panic!("{other:?}"),
    };
    let Thing::Address { domain, server_name, .. } =
        thing(script.push(connect, &[b"a.example", b"b.example"]))
    else {
        panic!("no address");
    };
    assert_eq!((domain, server_name), (Some("a.example".into()), Some("b.example".into())));
    let Thing::Name { domain, record, protocol, .. } = thing(script.push(resolve, &[b""])) else {
        panic!("no name");
    };
    assert_eq!((domain, record, protocol), (None, 28, 17));
}

#[test]
fn traffic_is_told_with_its_actor_and_the_most_first() {
    let script = Script::install("/p");
    let flow = |scope, sent| Flow {
        tree: 10,
        scope,
        actor: 2,
        address: "203.0.113.7".parse().unwrap(),
        port: 443,
        protocol: 6,
        domain: b"a.example".to_vec(),
        sent,
        refused: 1,
    };
    let traffic = script.pipeline.traffic(&[flow(10, 5), flow(SCOPE, 9)]);
    let told: Vec<_> = traffic.iter().map(|flow| (flow.scope, flow.actor.as_str(), flow.sent)).collect();
    assert_eq!(told, [(Some(Scope(SCOPE)), "script:npm", 9), (None, "script:npm", 5)]);
    assert_eq!(traffic[0].domain, Some("a.example".into()));
}
