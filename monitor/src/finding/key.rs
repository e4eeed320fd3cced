//! The key of a finding: the same for the same act of the same script in the next run.

use sha2::{Digest as _, Sha256};

use crate::event::Event;
use crate::event::model::Judgement;

/// Bytes of the digest that make the key: two findings of one report share one by chance in one of 10^10.
const BYTES: usize = 5;

/// Ten hexadecimal digits from the rule, the package and its script, the actor, the action and the classes of the object.
/// Neither times, process ids, paths nor versions are in it.
pub(super) fn key(event: &Event, judgement: &Judgement) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(judgement.rule.as_bytes());
    match &event.package {
        Some(package) => {
            part(package.ecosystem.as_bytes());
            part(package.name.as_bytes());
            part(package.script.as_ref().map_or(&[], |script| script.as_bytes()));
        }
        None => part(&[]),
    }
    part(event.actor.as_bytes());
    part(judgement.action.word().as_bytes());
    let mut classes: Vec<&String> = judgement.object.classes.iter().collect();
    classes.sort();
    for class in classes {
        part(class.as_bytes());
    }
    hash.finalize().iter().take(BYTES).map(|byte| format!("{byte:02x}")).collect()
}
