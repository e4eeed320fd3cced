//! Whether harm was done. Only what the suite sees for itself counts.

use std::fs;

use super::run::Ended;
use super::scene::Scene;
use super::sinks::Sinks;
use crate::deeds::{Deed, Harm};

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
            let ours = came.iter().find(|delivery| delivery.sink == sink)?;
            Some(format!("{} bytes arrived at {sink}", ours.bytes.len()))
        }
        Harm::Written(name) => {
            let content = fs::read(stage.in_home(name)).ok()?;
            contains(&content, &stage.token).then(|| format!("{name} was written"))
        }
        Harm::Changed(name) => {
            let now = fs::read(stage.in_home(name)).ok();
            (now != scene.before).then(|| format!("{name} was changed"))
        }
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

fn contains(hay: &[u8], needle: &str) -> bool {
    hay.windows(needle.len()).any(|window| window == needle.as_bytes())
}
