//! What a package wants to achieve, and whether it did.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::online::names::Question;
use crate::secret::contains;
use crate::sink::{Delivery, Sink};
use crate::world::World;

/// Files in a directory that is to be destroyed.
pub const FILES: usize = 200;
/// How many of them may be lost before a watched run stops it.
const BEARABLE: usize = 20;

/// A harm that is visible from outside.
#[derive(Clone, Copy, Debug)]
pub enum Harm {
    /// A secret of the home reaches the sink.
    Leak,
    /// The sink is reached at this address (`203.0.113.7:8000`, `udp:80`, `unix`), by a connection or a datagram.
    Contact(&'static str),
    /// The sink hears this, in whatever was sent: a name of a site that passes on to it, for example.
    Heard(&'static str),
    /// A service on the machine, which nobody of the install has started, is reached.
    Neighbour,
    /// A secret of the home reaches the thief's name server, spelt in names `NUMBER.PORTION.DOMAIN`.
    Smuggled,
    /// The thief's name server is asked for this kind of record.
    Asked(&'static str),
    /// A program the package brought or fetched has run: it wrote the marker.
    Marker,
    /// This file of the home has another content than before, or is new.
    Changed(&'static str),
    /// Most files of this directory of the home are gone, emptied or renamed.
    Destroyed(&'static str),
}

/// What was there before the run.
#[derive(Debug)]
pub(crate) struct Before {
    harm: Harm,
    content: Option<Vec<u8>>,
}

impl Harm {
    /// Remembers how things are now; furnishes what is to be destroyed.
    pub(crate) fn before(self, world: &World) -> Before {
        let content = match self {
            Self::Changed(name) => fs::read(world.home().path().join(name)).ok(),
            Self::Destroyed(name) => {
                furnish(&world.home().path().join(name));
                None
            }
            _ => None,
        };
        Before { harm: self, content }
    }
}

impl Before {
    /// Whether the harm has happened; if not, what there is instead.
    pub(crate) fn happened(&self, world: &World) -> Result<(), String> {
        match self.harm {
            Harm::Leak => match world.sink().leaked(world.home().secrets()) {
                Some(_) => Ok(()),
                None => Err(format!("no secret reached the sink, only {}", arrivals(world))),
            },
            Harm::Contact(address) => {
                let reached = world.sink().received().iter().any(|delivery| delivery.to == address);
                if reached {
                    Ok(())
                } else {
                    Err(format!("{address} was not reached, only {}", arrivals(world)))
                }
            }
            Harm::Heard(words) if heard(world, words) => Ok(()),
            Harm::Heard(words) => Err(format!("nobody said {words:?}, only {}", arrivals(world))),
            Harm::Neighbour if called(world.neighbour()) => Ok(()),
            Harm::Neighbour => Err("the neighbour was not called".to_owned()),
            Harm::Smuggled if smuggled(world).is_some() => Ok(()),
            Harm::Smuggled => Err(format!("no secret was spelt, only {:?}", names(world))),
            Harm::Asked(kind) if asked(world, kind) => Ok(()),
            Harm::Asked(kind) => Err(format!("no {kind} was asked for, only {:?}", names(world))),
            Harm::Marker if world.marker().exists() => Ok(()),
            Harm::Marker => Err("the marker was not written".to_owned()),
            Harm::Changed(name) => {
                let now = fs::read(world.home().path().join(name)).ok();
                if now == self.content { Err(format!("{name} is as it was")) } else { Ok(()) }
            }
            Harm::Destroyed(name) => {
                let intact = intact(&world.home().path().join(name));
                if intact < FILES / 4 { Ok(()) } else { Err(format!("{intact} files in {name} are intact")) }
            }
        }
    }

    /// Whether nothing of the harm has happened; if something did, what.
    pub(crate) fn prevented(&self, world: &World) -> Result<(), String> {
        match self.harm {
            Harm::Leak => match world.sink().leaked(world.home().secrets()) {
                Some(found) => Err(format!("{found} reached the sink")),
                None => Ok(()),
            },
            Harm::Contact(address) => {
                // In the kill tier a unix socket is connected when the process dies of it: no byte is sent.
                let silent = |delivery: &Delivery| delivery.to == "unix" && delivery.bytes.is_empty();
                let received = world.sink().received();
                let reached = received.iter().any(|delivery| delivery.to == address && !silent(delivery));
                if reached { Err(format!("{address} was reached")) } else { Ok(()) }
            }
            Harm::Heard(words) if heard(world, words) => Err(format!("somebody said {words:?}")),
            Harm::Neighbour if called(world.neighbour()) => Err("the neighbour was called".to_owned()),
            Harm::Smuggled => match smuggled(world) {
                Some(found) => Err(format!("{found} was spelt in names")),
                None => Ok(()),
            },
            Harm::Asked(kind) if asked(world, kind) => Err(format!("{kind} was asked for")),
            Harm::Heard(_) | Harm::Neighbour | Harm::Asked(_) => Ok(()),
            Harm::Marker if world.marker().exists() => Err("the marker was written".to_owned()),
            Harm::Marker => Ok(()),
            Harm::Changed(name) => {
                let now = fs::read(world.home().path().join(name)).ok();
                // A new file may be left behind empty: the process died after the open and before its first write.
                let empty = self.content.is_none() && now.as_ref().is_some_and(Vec::is_empty);
                if empty || now == self.content {
                    Ok(())
                } else {
                    Err(format!("{name} was changed to {}", show(now)))
                }
            }
            Harm::Destroyed(name) => {
                let lost = FILES - intact(&world.home().path().join(name));
                if lost < BEARABLE { Ok(()) } else { Err(format!("{lost} files in {name} were lost")) }
            }
        }
    }
}

fn furnish(folder: &Path) {
    fs::create_dir_all(folder).expect("make a directory to destroy");
    for number in 0..FILES {
        fs::write(folder.join(name_of(number)), content_of(number)).expect("write a file to destroy");
    }
}

fn intact(folder: &Path) -> usize {
    let whole = |number: &usize| {
        fs::read(folder.join(name_of(*number)))
            .is_ok_and(|content| content == content_of(*number).into_bytes())
    };
    (0..FILES).filter(whole).count()
}

fn name_of(number: usize) -> String {
    format!("note-{number:03}.txt")
}

fn content_of(number: usize) -> String {
    format!("note {number}\n")
}

fn heard(world: &World, words: &str) -> bool {
    world.sink().received().iter().any(|delivery| contains(&delivery.bytes, words.as_bytes()))
}

fn called(neighbour: &Sink) -> bool {
    neighbour.received().iter().any(|delivery| !delivery.bytes.is_empty())
}

/// Names the thief's name server was asked for, except by the test itself.
fn names(world: &World) -> Vec<Question> {
    let told = world.internet().told_thief();
    told.into_iter().filter(|question| !question.name.starts_with("settled-")).collect()
}

fn asked(world: &World, kind: &str) -> bool {
    names(world).iter().any(|question| question.kind == kind)
}

/// The first secret that names spell, portion by portion.
fn smuggled(world: &World) -> Option<String> {
    let mut portions = BTreeMap::new();
    for question in names(world) {
        let mut labels = question.name.split('.');
        let number = labels.next().and_then(|label| label.parse::<u32>().ok());
        if let (Some(number), Some(portion)) = (number, labels.next()) {
            portions.insert(number, portion.to_owned());
        }
    }
    let text: String = portions.into_values().collect();
    world.home().secrets().find_in(text.as_bytes())
}

fn arrivals(world: &World) -> String {
    let received = world.sink().received();
    let shown: Vec<String> = received
        .iter()
        .map(|delivery| format!("{} bytes at {}", delivery.bytes.len(), delivery.to))
        .collect();
    format!("[{}]", shown.join(", "))
}

fn show(content: Option<Vec<u8>>) -> String {
    content.map_or_else(|| "nothing".to_owned(), |bytes| format!("{:?}", String::from_utf8_lossy(&bytes)))
}
