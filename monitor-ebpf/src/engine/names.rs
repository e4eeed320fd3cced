//! Which names an address has: learnt from the answers of this machine's resolvers, asked at every connection.

use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use monitor_common::dns::record::kept_for;
use monitor_common::socket::{AddressKey, NAMES, Name, Names, is_link_local};

use crate::engine::classify;
use crate::engine::map::ADDRESS_NAMES;

/// Seconds since boot.
#[inline(always)]
pub(crate) fn seconds() -> u32 {
    // SAFETY: no arguments. Since v5.8.
    (unsafe { bpf_ktime_get_boot_ns() } / 1_000_000_000) as u32
}

/// Gives an address a name for `ttl` seconds, within bounds.
///
/// Not one that only a link knows: nobody honest calls those by a name, and a stranger's domain that leads to the metadata
/// service of a cloud is an attack.
#[inline(always)]
pub(crate) fn learn(key: &AddressKey, name: Name, ttl: u32) {
    if is_link_local(&key.address) {
        return;
    }
    let now = seconds();
    let name = Name { expires: now.wrapping_add(kept_for(ttl)), ..name };
    if let Some(names) = ADDRESS_NAMES.get_ptr_mut(key) {
        // SAFETY: a map value, valid while the program runs; integers only. Of two answers at once one may be lost: the
        // address has a name less then.
        unsafe { (*names).add(name, now) };
        return;
    }
    let mut names = Names::default();
    names.0[0] = name;
    // The oldest entry makes room, so this fails only if the kernel is out of memory; the address has no name then.
    let _ = ADDRESS_NAMES.insert(key, &names, 0);
}

/// What the names of an address come to.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    /// Groups of the names that count, for a port; 0 where there is none.
    pub(crate) groups: [u16; NAMES],
    /// Their hashes.
    pub(crate) hashes: [u64; NAMES],
    /// The first of them; 0 if the address has no name.
    pub(crate) first: u64,
}

/// The names of an address that count for a tree.
#[inline(always)]
pub(crate) fn of(key: &AddressKey, tree: u32, port: u16) -> Known {
    let mut known = Known { groups: [0; NAMES], hashes: [0; NAMES], first: 0 };
    // SAFETY: a map value, valid while the program runs; a torn read mixes names of this very address.
    let Some(names) = (unsafe { ADDRESS_NAMES.get(key) }) else {
        return known;
    };
    let which = names.for_tree(tree, seconds());
    let mut index = 0;
    while index < NAMES {
        if which & 1 << index != 0 {
            let name = &names.0[index];
            known.groups[index] = classify::domain_group(name.set, port);
            known.hashes[index] = name.hash;
            if known.first == 0 {
                known.first = name.hash;
            }
        }
        index += 1;
    }
    known
}
