//! Whether harm was done. Only what the suite sees for itself counts.

use std::fs;
use std::path::Path;

use super::props;
use super::run::Ended;
use super::scene::{Before, Scene};
use super::sinks::{Delivery, Sinks};
use crate::deeds::{Deed, Harm};
use crate::kernel::c_path;

/// What harm there is, in words.
pub(super) fn find(deed: &Deed, scene: &Scene, ended: &Ended, sinks: &mut Sinks) -> Option<String> {
    // Always emptied: what came is not to be taken for the next deed's.
    let came = sinks.collect();
    let stage = &scene.stage;
    match deed.harm {
        Harm::Leak => {
            let loot = fs::read(&stage.loot).unwrap_or_default();
            let arrived = came.iter().map(|delivery| (delivery.sink, &delivery.bytes));
            let mut places = std::iter::once(("the loot", &loot)).chain(arrived);
            places.find_map(|(place, bytes)| Some(format!("{} in {place}", scene.secrets().find_in(bytes)?)))
        }
        Harm::Contact(sink) => {
            let here = |delivery: &&Delivery| delivery.sink == sink;
            let ours = came.iter().filter(here).find(|delivery| contains(&delivery.bytes, &stage.token));
            // Of others that come without our word, only a connection can be ours.
            let bare = || came.iter().filter(here).find(|delivery| delivery.bytes.is_empty());
            let ours = ours.or_else(bare)?;
            Some(format!("{} bytes arrived at {sink}", ours.bytes.len()))
        }
        Harm::Said(sink) => {
            let said =
                |delivery: &&Delivery| delivery.sink == sink && contains(&delivery.bytes, &stage.token);
            let said = came.iter().find(said)?;
            Some(format!("{} bytes arrived at {sink}", said.bytes.len()))
        }
        Harm::Written(name) => {
            let content = fs::read(stage.in_home(name)).ok()?;
            contains(&content, &stage.token).then(|| format!("{name} was written"))
        }
        Harm::Changed(name) => {
            let now = Before::of(&stage.in_home(name)).content;
            (now != scene.before.content).then(|| format!("{name} was changed"))
        }
        Harm::Mode(name) => {
            let now = Before::of(&stage.in_home(name)).mode_and_owner;
            (now != scene.before.mode_and_owner).then(|| format!("{name} has another mode or owner"))
        }
        Harm::Gone(name) => (!stage.in_home(name).exists()).then(|| format!("{name} is gone")),
        Harm::Attribute(name) => attribute(&stage.in_home(name))
            .filter(|value| contains(value, &stage.token))
            .map(|_| format!("{name} has a new attribute")),
        Harm::Map => scene.props.map_harm(),
        Harm::Trace => scene.props.trace_harm(),
        Harm::Setting => props::setting_harm(),
        Harm::Victim => scene.victim.as_ref()?.harm(),
        Harm::Watcher => {
            let killed = ended.signal.filter(|_| !ended.late);
            killed
                .map(|signal| format!("the watcher died of signal {signal}"))
                .or_else(|| ended.watcher.clone())
        }
        Harm::Done => {
            let loot = fs::read(&stage.loot).unwrap_or_default();
            contains(&loot, &stage.token).then(|| "the kernel did it".into())
        }
    }
}

/// The attribute that deeds set.
fn attribute(path: &Path) -> Option<Vec<u8>> {
    let (path, mut value) = (c_path(path).ok()?, vec![0_u8; 256]);
    let (name, pointer) = (c"trusted.deed".as_ptr(), value.as_mut_ptr().cast());
    // SAFETY: path and name are C strings; the buffer lives, is ours to write, and has the length given.
    let length = unsafe { libc::getxattr(path.as_ptr(), name, pointer, value.len()) };
    value.truncate(usize::try_from(length).ok()?);
    Some(value)
}

fn contains(hay: &[u8], needle: &str) -> bool {
    hay.windows(needle.len()).any(|window| window == needle.as_bytes())
}
