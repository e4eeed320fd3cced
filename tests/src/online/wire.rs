//! The machine's network and the internet: two namespaces and one wire between them.

use std::io::Write;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio, id};

use crate::namespace::Namespace;

use super::place::{MACHINE, ROUTER, everybody};

/// Lays a wire between the two, and gives everybody their addresses and the machine its way out.
pub(super) fn connect(machine: &Namespace, internet: &Namespace) {
    // `ip` takes a namespace by a path; ours has none but this one.
    let far = format!("/proc/{}/fd/{}", id(), internet.handle().as_raw_fd());
    machine.enter(|| {
        ip(
            &[],
            &[
                "link set lo up".to_owned(),
                format!("link add wire type veth peer name wire netns {far}"),
                format!("addr add {}/24 dev wire", MACHINE.v4),
                // Without `nodad` an address is not to be used for a second.
                format!("addr add {}/64 dev wire nodad", MACHINE.v6),
                "link set wire up".to_owned(),
            ],
        );
    });
    internet.enter(|| {
        let mut orders = vec![
            "link set lo up".to_owned(),
            format!("addr add {}/24 dev wire", ROUTER.v4),
            format!("addr add {}/64 dev wire nodad", ROUTER.v6),
            "link set wire up".to_owned(),
        ];
        orders.extend(everybody().into_iter().map(|address| match address {
            IpAddr::V4(v4) => format!("addr add {v4}/32 dev lo"),
            IpAddr::V6(v6) => format!("addr add {v6}/128 dev lo nodad"),
        }));
        ip(&[], &orders);
    });
    machine.enter(|| {
        ip(&[], &[format!("route add default via {} dev wire", ROUTER.v4)]);
        ip(&["-6"], &[format!("route add default via {} dev wire", ROUTER.v6)]);
    });
}

/// Gives orders to `ip`, one a line.
fn ip(options: &[&str], orders: &[String]) {
    let mut child = Command::new("ip")
        .args(options)
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("start ip (package iproute2)");
    let mut input = child.stdin.take().expect("ip has a standard input");
    input.write_all(orders.join("\n").as_bytes()).expect("write to ip");
    input.write_all(b"\n").expect("write to ip");
    drop(input);
    assert!(child.wait().expect("wait for ip").success(), "ip could not do: {orders:?}");
}
