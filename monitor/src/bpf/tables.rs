//! Filling the kernel's maps with a compiled policy.

use std::borrow::{Borrow, BorrowMut};
use std::io::Read as _;

use aya::Ebpf;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::stack::Stack;
use aya::maps::{Array, HashMap, MapData, MapError};
use monitor_common::label::WATCHED_CHUNK;
use monitor_common::policy::{CHUNK, SECRET};

use super::call;
use super::load::Error;
use super::resolvers::Configuration;
use crate::policy::Policy;
use crate::policy::network::mapped;

/// Elements that each map of the policy needs; the loader sizes the maps by it.
#[must_use]
pub fn sizes(policy: &Policy) -> [(&'static str, u32); 12] {
    [
        ("SCRATCH", slots()),
        ("FREE_SLOTS", slots()),
        ("WATCHED", process_ids().div_ceil(WATCHED_CHUNK)),
        ("GROUP_FLAGS", chunks(policy.names.groups.len())),
        ("GROUP_SECRETS", chunks(policy.group_secrets.len())),
        ("WORDS", chunks(policy.words.len())),
        ("CELLS", chunks(policy.cells.len())),
        ("OUTCOMES", entries(policy.outcomes.len())),
        ("EXEC_CLASSES", entries(policy.exec_classes.len())),
        ("NET_GROUPS", chunks(policy.net_groups.len())),
        ("DOMAIN_GROUPS", chunks(policy.domain_groups.len())),
        ("NETWORKS", entries(policy.networks.len())),
    ]
}

/// Pieces of working memory: each processor uses one at a time, and a few more where programs are preempted.
fn slots() -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    entries(processors * 4).max(16)
}

/// One more than the largest process id.
fn process_ids() -> u32 {
    const LARGEST: u32 = 1 << 22;
    let text = std::fs::read_to_string("/proc/sys/kernel/pid_max").unwrap_or_default();
    text.trim().parse().unwrap_or(LARGEST)
}

fn entries(length: usize) -> u32 {
    u32::try_from(length.max(1)).unwrap_or(u32::MAX)
}

fn chunks(length: usize) -> u32 {
    entries(length.div_ceil(CHUNK as usize))
}

/// Writes every table.
///
/// # Errors
/// Names the map that could not be written.
pub fn fill(ebpf: &mut Ebpf, policy: &Policy) -> Result<(), Error> {
    elements(ebpf, "LAYOUT", &[policy.layout])?;
    elements(ebpf, "OUTCOMES", &policy.outcomes)?;
    elements(ebpf, "EXEC_CLASSES", &policy.exec_classes)?;
    elements(ebpf, "IDENTITIES", &policy.identities)?;
    elements(ebpf, "ACTORS", &policy.actors)?;
    chunked(ebpf, "GROUP_FLAGS", &group_flags(policy))?;
    chunked(ebpf, "GROUP_SECRETS", &policy.group_secrets)?;
    chunked(ebpf, "WORDS", &policy.words)?;
    chunked(ebpf, "CELLS", &policy.cells)?;
    chunked(ebpf, "NET_GROUPS", &policy.net_groups)?;
    chunked(ebpf, "DOMAIN_GROUPS", &policy.domain_groups)?;
    chunked(ebpf, "PORTS", &policy.ports)?;

    let name = "FREE_SLOTS";
    let map = ebpf.map_mut(name).ok_or(Error::NoMap(name))?;
    let mut free: Stack<&mut MapData, u32> =
        Stack::try_from(map).map_err(|source| Error::Map { name, source })?;
    for slot in 0..slots() {
        free.push(slot, 0).map_err(|source| Error::Map { name, source })?;
    }

    let name = "NETWORKS";
    let map = ebpf.map_mut(name).ok_or(Error::NoMap(name))?;
    let mut trie: LpmTrie<&mut MapData, [u8; 16], u32> =
        LpmTrie::try_from(map).map_err(|source| Error::Map { name, source })?;
    for network in &policy.networks {
        let key = Key::new(network.prefix_len, network.address);
        trie.insert(&key, u32::from(network.set), 0).map_err(|source| Error::Map { name, source })?;
    }

    let seed = random().map_err(Error::Random)?;
    elements(ebpf, "SEED", &[seed])?;
    let configured = Configuration::of_machine();
    present::<[u8; 16]>(ebpf, "RESOLVERS", configured.servers.iter().map(|server| mapped(*server)))?;
    present::<u64>(ebpf, "SEARCHED", configured.searched(seed))?;

    let mut calls = array(ebpf, "CALLS")?;
    for (number, call) in call::watched() {
        calls.set(number, call, 0).map_err(|source| Error::Map { name: "CALLS", source })?;
    }
    Ok(())
}

/// Puts keys into a table of which only they count. More than fit are left out: they are then none of the machine's.
fn present<K: aya::Pod>(
    ebpf: &mut Ebpf,
    name: &'static str,
    keys: impl Iterator<Item = K>,
) -> Result<(), Error> {
    let map = ebpf.map_mut(name).ok_or(Error::NoMap(name))?;
    let failed = |source| Error::Map { name, source };
    let mut table: HashMap<&mut MapData, K, u8> = HashMap::try_from(map).map_err(failed)?;
    for key in keys.take(MOST_PRESENT) {
        table.insert(key, 1, 0).map_err(failed)?;
    }
    Ok(())
}

/// As many as the smallest of these tables holds.
const MOST_PRESENT: usize = 64;

fn random() -> std::io::Result<u64> {
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// What the kernel must know of each group.
fn group_flags(policy: &Policy) -> Vec<u8> {
    let names = &policy.names;
    // What is protected from writers is known by its inode too.
    let own = names.group(policy.file_group(b"/etc/pkgwarden/rules"));
    let is_secret = |object: &String| {
        own.contains(object) || names.objects.get(object).is_some_and(|object| object.secret.is_some())
    };
    names.groups.iter().map(|group| if group.iter().any(is_secret) { SECRET } else { 0 }).collect()
}

fn array<'a, T: aya::Pod>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<Array<&'a mut MapData, T>, Error> {
    let map = ebpf.map_mut(name).ok_or(Error::NoMap(name))?;
    Array::try_from(map).map_err(|source| Error::Map { name, source })
}

fn elements<T: aya::Pod>(ebpf: &mut Ebpf, name: &'static str, values: &[T]) -> Result<(), Error> {
    let mut array = array::<T>(ebpf, name)?;
    write_all(&mut array, values.iter().copied()).map_err(|source| Error::Map { name, source })
}

fn chunked<T: aya::Pod + Default>(ebpf: &mut Ebpf, name: &'static str, values: &[T]) -> Result<(), Error> {
    let mut array = array::<[T; CHUNK as usize]>(ebpf, name)?;
    let chunks = values.chunks(CHUNK as usize).map(|chunk| {
        let mut whole = [T::default(); CHUNK as usize];
        whole[..chunk.len()].copy_from_slice(chunk);
        whole
    });
    write_all(&mut array, chunks).map_err(|source| Error::Map { name, source })
}

fn write_all<M, T>(array: &mut Array<M, T>, values: impl Iterator<Item = T>) -> Result<(), MapError>
where
    M: Borrow<MapData> + BorrowMut<MapData>,
    T: aya::Pod,
{
    for (index, value) in (0..).zip(values) {
        array.set(index, value, 0)?;
    }
    Ok(())
}
