//! From events to what is written down of them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use monitor_common::action::Action;
use monitor_common::verdict::Achieved;

use super::format::Act;
use super::normal;
use super::place::Places;
use crate::event::Event;
use crate::event::model::{Object, Thing, What};
use crate::event::text::Text;

/// Classes so wide that they tell nothing of an object.
const WIDE: [&str; 6] =
    ["any-name", "any-other-machine", "any-socket", "beyond-this-machine", "home-files", "off-machine"];
/// Directories that everybody makes who finds them missing.
const SHELVES: [&str; 5] = ["~/.cache", "~/.config", "~/.local", "~/.local/share", "~/.local/state"];
/// The class of a process that outlived its command: nothing was done then.
const SURVIVOR: &str = "survivor";
/// The first port that Linux gives to those who name none (`ip_local_port_range`).
const EPHEMERAL: u16 = 32768;
const UDP: u64 = 17;
const DNS: u16 = 53;
/// The flag of a path whose beginning is missing.
const CUT: &[&str] = &["path-too-deep", "path-too-long"];

/// What an event says of its script: nothing, one thing or two.
pub(super) fn acts(event: &Event, places: &Places) -> Vec<Act> {
    match &event.what {
        What::Exec { script, .. } => {
            let program = event.process.exe.as_ref();
            program.map(|program| exec(program, script.as_ref(), places)).into_iter().collect()
        }
        What::Verdict(judgement) if judgement.object.classes.iter().any(|class| class == SURVIVOR) => {
            Vec::new()
        }
        // What was started is told by its own event, with its script.
        What::Verdict(judgement)
            if matches!(judgement.object.what, Thing::Program { .. })
                && judgement.achieved != Achieved::Denied =>
        {
            Vec::new()
        }
        What::Verdict(judgement) => of(event, judgement.action, &judgement.object, places),
        What::Act { object, .. } if is_nothing(event, object, places) => Vec::new(),
        What::Act { action, object } => of(event, *action, object, places),
        What::Fork { .. } | What::Exit { .. } | What::Orphaned | What::Resolved { .. } => Vec::new(),
    }
}

/// Whether an act that no rule is about is told otherwise, or is nobody's business.
fn is_nothing(event: &Event, object: &Object, places: &Places) -> bool {
    match &object.what {
        // What a manager keeps, it keeps also where a script has started it.
        Thing::File { path } => {
            let line = places.line(path.as_bytes());
            places.is_own(path.as_bytes())
                || SHELVES.iter().any(|shelf| line.as_bytes() == shelf.as_bytes())
                || (object.classes.is_empty() && event.actor.starts_with("manager:"))
        }
        // What a resolver is asked is told by its names; port 0 is only a question about routes.
        Thing::Address { port, .. } => (*port == DNS || *port == 0) && reaches(event),
        _ => false,
    }
}

fn reaches(event: &Event) -> bool {
    matches!(event.what, What::Act { action: Action::Connect | Action::Send, .. })
}

fn exec(program: &Text, script: Option<&Text>, places: &Places) -> Act {
    let mut line = places.line(program.as_bytes()).as_bytes().to_vec();
    // What `env` is given is no script but a program, which is told by itself.
    if let Some(script) = script.filter(|_| program.base_name().as_bytes() != b"env") {
        line.push(b' ');
        line.extend_from_slice(places.line(script.as_bytes()).as_bytes());
    }
    Act { action: Action::Exec, object: Text::from(line), classes: BTreeSet::new() }
}

fn of(event: &Event, action: Action, object: &Object, places: &Places) -> Vec<Act> {
    let is_cut = event.flags.iter().any(|flag| CUT.contains(&flag.as_str()));
    let path = |path: &Text| {
        if is_cut { places.deep(path.as_bytes()) } else { places.line(path.as_bytes()) }
    };
    let lines = match &object.what {
        Thing::Program { path: program, .. } => vec![path(program)],
        Thing::File { path: file } => vec![path(file)],
        Thing::Address { address, port, protocol, domain, server_name } => {
            let names: BTreeSet<&Text> = domain.iter().chain(server_name).collect();
            if names.is_empty() {
                vec![endpoint(None, *address, *port, *protocol)]
            } else {
                names.into_iter().map(|name| endpoint(Some(name), *address, *port, *protocol)).collect()
            }
        }
        Thing::Name { domain: Some(domain), .. } => vec![domain.clone()],
        Thing::Name { domain: None, resolver, port, protocol, .. } => {
            vec![endpoint(None, *resolver, *port, *protocol)]
        }
        Thing::Socket { socket } => vec![self::socket(socket, places)],
        Thing::Process { .. } => vec![Text::from("<pid>")],
        Thing::Kernel { kernel, .. } => vec![Text::from(kernel.as_str())],
        Thing::None => vec![Text::from("-")],
    };
    let classes: BTreeSet<String> = if action == Action::Exec {
        BTreeSet::new()
    } else {
        object.classes.iter().filter(|class| !WIDE.contains(&class.as_str())).cloned().collect()
    };
    lines.into_iter().map(|object| Act { action, object, classes: classes.clone() }).collect()
}

/// `example.org:443`, `203.0.113.7:8000`, `[2001:db8::1]:53/udp`. Ports that nobody chose are `*`.
fn endpoint(name: Option<&Text>, address: IpAddr, port: u16, protocol: u64) -> Text {
    let mut line = match (name, address) {
        (Some(name), _) => name.as_bytes().to_vec(),
        (None, IpAddr::V4(address)) => address.to_string().into_bytes(),
        (None, IpAddr::V6(address)) => format!("[{address}]").into_bytes(),
    };
    let chosen_by_nobody =
        (address.is_loopback() || address.is_unspecified()) && (port == 0 || port >= EPHEMERAL);
    let port = if chosen_by_nobody { "*".to_owned() } else { port.to_string() };
    line.extend_from_slice(format!(":{port}").as_bytes());
    if protocol == UDP {
        line.extend_from_slice(b"/udp");
    }
    Text::from(line)
}

/// A path, or `@` and an abstract name.
fn socket(name: &Text, places: &Places) -> Text {
    match name.as_bytes() {
        [b'@', rest @ ..] => {
            let parts: Vec<Vec<u8>> = rest.split(|byte| *byte == b'/').map(normal::name).collect();
            Text::from([&b"@"[..], &parts.join(&b'/')].concat())
        }
        path => places.line(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let at = |address: &str, port, protocol| {
            endpoint(None, address.parse().unwrap(), port, protocol).to_string()
        };
        assert_eq!(at("203.0.113.7", 8000, 6), "203.0.113.7:8000");
        assert_eq!(at("203.0.113.7", 40000, 6), "203.0.113.7:40000");
        assert_eq!(at("2001:db8::1", 53, 17), "[2001:db8::1]:53/udp");
        assert_eq!(at("127.0.0.1", 40123, 6), "127.0.0.1:*");
        assert_eq!(at("127.0.0.1", 4873, 6), "127.0.0.1:4873");
        assert_eq!(at("0.0.0.0", 0, 6), "0.0.0.0:*");
        let name = Text::from("example.org");
        let address = "203.0.113.7".parse().unwrap();
        assert_eq!(endpoint(Some(&name), address, 443, 6).to_string(), "example.org:443");
    }

    #[test]
    fn sockets() {
        let line = |name: &str| socket(&Text::from(name), &Places::default()).to_string();
        assert_eq!(line("/run/user/1000/bus"), "/run/user/*/bus");
        assert_eq!(line("@/tmp/.X11-unix/X0"), "@/tmp/.X11-unix/X0");
        assert_eq!(line("@agent-3f0c2a7be19d4c55"), "@agent-*");
    }
}
