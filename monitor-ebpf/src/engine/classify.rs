//! From bytes and addresses to groups of the verdict table, by the evaluator of `monitor_common::policy`.

use aya_ebpf::maps::lpm_trie::Key;
use monitor_common::policy::automaton::LexicalWalk;
use monitor_common::policy::{ANY_PORT, Automata, CHUNK, ExecClass, LONGEST_NAME, Layout, State};

use crate::engine::map::{DOMAIN_GROUPS, EXEC_CLASSES, LAYOUT, NET_GROUPS, NETWORKS, PORTS, WORDS};
use crate::engine::scratch::{self, BASE_END, Slot};
use crate::engine::{directory, protect};
use crate::kernel::file::Inode;
use crate::kernel::path::{self, PathText};
use crate::kernel::{offset, read};

/// The automata in their maps.
pub(crate) struct Tables {
    layout: &'static Layout,
}

impl Automata for Tables {
    #[inline(always)]
    fn word(&self, index: u32) -> u32 {
        WORDS.get(index / CHUNK).map_or(0, |chunk| chunk[(index % CHUNK) as usize])
    }

    #[inline(always)]
    fn class(&self, byte: u8) -> u32 {
        u32::from(self.layout.classes[byte as usize])
    }
}

/// The layout of the loaded policy.
#[inline(always)]
pub(crate) fn layout() -> Option<&'static Layout> {
    LAYOUT.get(0)
}

#[inline(always)]
fn tables() -> Option<Tables> {
    layout().map(|layout| Tables { layout })
}

/// Turns of the inner loop below.
///
/// <VERIFIER_ISSUE> the verifier follows every turn of a loop and keeps a list of branches to come back to, 8,192 at
/// most; one loop over a whole path exceeds it. A global function is checked once, so loops that call each other cost
/// the sum of their turns and not the product.
const BYTES: u32 = 32;
/// Bytes walked lexically by one call of `walk_blocks_lexically`.
const BLOCK: u32 = 256;
/// The longest text: a directory's path and what was written behind it.
const LONGEST: u32 = scratch::USER_MAX * 2;

/// Walks the bytes `from..to` of the scratch text, [`BASE_END`] at most, and returns the state reached.
#[inline(always)]
pub(crate) fn walk_text(slot: Slot, start: State, from: u32, to: u32) -> State {
    walk_in_slot(slot.0, start, from, to)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn walk_in_slot(slot: u32, start: State, from: u32, to: u32) -> State {
    let mut state = start;
    let mut at = from;
    let mut block = 0;
    while block < BASE_END / BYTES {
        // The dead state stays dead.
        if at >= to || state == 0 {
            break;
        }
        state = walk_block(slot, state, at, to);
        at = at.wrapping_add(BYTES);
        block += 1;
    }
    state
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn walk_block(slot: u32, start: State, from: u32, to: u32) -> State {
    let (Some(scratch), Some(tables)) = (scratch::get(Slot(slot)), tables()) else { return 0 };
    scratch.state = start;
    let mut index = 0;
    while index < BYTES {
        let at = from.wrapping_add(index);
        if at >= to {
            break;
        }
        let state = tables.step(forget(&mut scratch.state), scratch.byte(at));
        // SAFETY: a valid reference; volatile, see `forget`.
        unsafe { core::ptr::write_volatile(&raw mut scratch.state, state) };
        index += 1;
    }
    forget(&mut scratch.state)
}

/// Reads a value so that the verifier does not know it. <VERIFIER_ISSUE> half a state that is dead is the number 0 to it,
/// another one is any number, and it follows every turn for each of the four combinations.
#[inline(always)]
fn forget(state: &mut State) -> State {
    // SAFETY: a valid reference.
    unsafe { core::ptr::read_volatile(state) }
}

/// Walks up to 8 bytes of a word, the lowest first, as far as `left` says.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn walk_word(start: State, word: u64, left: u32) -> State {
    let Some(tables) = tables() else { return 0 };
    let mut state = start;
    let mut rest = word;
    let mut index = 0;
    while index < 8 {
        if index >= left {
            break;
        }
        state = tables.step(state, rest as u8);
        rest >>= 8;
        index += 1;
    }
    state
}

/// A file met by a name of the kernel's own.
#[derive(Clone, Copy)]
pub(crate) struct Met {
    /// The name, in the working memory.
    pub(crate) path: PathText,
    /// Group of the name.
    pub(crate) named: u16,
    /// Group of the name that this very file, a secret, was met by before; 0 if none.
    pub(crate) known: u16,
}

/// Writes the name of a dentry in a mount (`struct vfsmount`), classifies it, and remembers or recognises secrets.
#[inline(always)]
pub(crate) fn meet(slot: Slot, mount: u64, dentry: u64, inode: u64) -> Met {
    let packed = meet_in_slot(slot.0, mount, dentry, inode);
    Met {
        path: PathText { start: packed as u32 & 0xffff, end: BASE_END, flags: (packed >> 16) as u16 },
        named: (packed >> 32) as u16,
        known: (packed >> 48) as u16,
    }
}

/// A function of its own that the verifier checks once per program. Four numbers of 16 bits: start, flags, groups.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn meet_in_slot(slot: u32, mount: u64, dentry: u64, inode: u64) -> u64 {
    let path = path::of_dentry(Slot(slot), mount, dentry);
    let start = layout().map_or(0, |layout| layout.file_start);
    let length = read::word::<u32>(dentry, &offset::DENTRY_LENGTH);
    let own = if length < path.end.wrapping_sub(path.start) { path.end - length } else { path.start };
    let behind = walk_text(Slot(slot), start, path.start, own);
    if path.flags == 0 {
        directory::remember(Slot(slot), mount, dentry, behind);
    }
    let named = accepts(walk_text(Slot(slot), behind, own, path.end)) as u16;
    let known = if inode != 0 { protect::meet(Inode(inode), named) } else { 0 };
    u64::from(path.start & 0xffff)
        | u64::from(path.flags) << 16
        | u64::from(named) << 32
        | u64::from(known) << 48
}

/// What a state accepts at the end of the input.
#[inline(always)]
pub(crate) fn accepts(state: State) -> u32 {
    tables().map_or(0, |tables| tables.accepts(state))
}

/// One byte from a state.
#[inline(always)]
pub(crate) fn step(state: State, byte: u8) -> State {
    tables().map_or(0, |tables| tables.step(state, byte))
}

/// Walks a path as a user wrote it (`from..to` of the scratch text) and returns what it accepts; `u32::MAX` if it is
/// too deep.
#[inline(always)]
pub(crate) fn walk_lexically(slot: Slot, start: State, from: u32, to: u32) -> u32 {
    walk_lexically_in_slot(slot.0, start, from, to)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn walk_lexically_in_slot(slot: u32, start: State, from: u32, to: u32) -> u32 {
    let (Some(scratch), Some(tables)) = (scratch::get(Slot(slot)), tables()) else { return 0 };
    scratch.walk = LexicalWalk::new(&tables, start, &mut scratch.stack);
    let mut at = from;
    let mut block = 0;
    while block < LONGEST / BLOCK {
        if at >= to {
            break;
        }
        walk_blocks_lexically(slot, at, to);
        at = at.wrapping_add(BLOCK);
        block += 1;
    }
    if scratch.walk.overflow { u32::MAX } else { scratch.walk.accepts(&tables) }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn walk_blocks_lexically(slot: u32, from: u32, to: u32) -> u32 {
    let mut at = from;
    let mut block = 0;
    while block < BLOCK / LEXICAL_BYTES {
        if at >= to {
            break;
        }
        walk_block_lexically(slot, at, to);
        at = at.wrapping_add(LEXICAL_BYTES);
        block += 1;
    }
    0
}

/// As [`BYTES`], for turns that have more branches.
const LEXICAL_BYTES: u32 = 8;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn walk_block_lexically(slot: u32, from: u32, to: u32) -> u32 {
    let (Some(scratch), Some(tables)) = (scratch::get(Slot(slot)), tables()) else { return 0 };
    let mut index = 0;
    while index < LEXICAL_BYTES {
        let at = from.wrapping_add(index);
        if at >= to {
            break;
        }
        let byte = scratch.byte(at);
        scratch.walk.push(&tables, &mut scratch.stack, byte);
        index += 1;
    }
    0
}

/// What an automaton over programs or command lines accepted.
#[inline(always)]
pub(crate) fn exec_class(accepted: u32) -> ExecClass {
    EXEC_CLASSES.get(accepted).copied().unwrap_or_default()
}

/// Group of an address and a port (host byte order).
#[inline(always)]
pub(crate) fn endpoint(address: &[u8; 16], port: u16) -> u16 {
    let whole = u128::from_ne_bytes(*address);
    endpoint_of(whole as u64, (whole >> 64) as u64, u32::from(port)) as u16
}

/// A function of its own, so that its key is not on its callers' stacks.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn endpoint_of(low: u64, high: u64, port: u32) -> u32 {
    let Some(layout) = layout() else { return 0 };
    let address = (u128::from(low) | u128::from(high) << 64).to_ne_bytes();
    let set = NETWORKS.get(&Key::new(128, address)).copied().unwrap_or(0);
    let port_set = PORTS.get(port / CHUNK).map_or(0, |chunk| chunk[(port % CHUNK) as usize]);
    let index = set * layout.port_sets + u32::from(port_set);
    NET_GROUPS.get(index / CHUNK).map_or(0, |chunk| u32::from(chunk[(index % CHUNK) as usize]))
}

/// Group of the name of a host (`from..to` of the scratch text) and a port (host byte order).
#[inline(always)]
pub(crate) fn domain(slot: Slot, from: u32, to: u32, port: u16) -> u16 {
    domain_group(domain_set(slot, from, to), port)
}

/// Group of a name as it is resolved: there is no port then, and objects are asked for their names only.
#[inline(always)]
pub(crate) fn resolved(slot: Slot, from: u32, to: u32) -> u16 {
    group_of_name(u32::from(domain_set(slot, from, to)), ANY_PORT)
}

/// Domain set of a name: what can be remembered of it until a port is known. 0 if no object is about it.
#[inline(always)]
pub(crate) fn domain_set(slot: Slot, from: u32, to: u32) -> u16 {
    walk_name(slot.0, from, to) as u16
}

/// Group of a domain set and a port (host byte order).
#[inline(always)]
pub(crate) fn domain_group(set: u16, port: u16) -> u16 {
    let port = u32::from(port);
    let port_set = PORTS.get(port / CHUNK).map_or(0, |chunk| chunk[(port % CHUNK) as usize]);
    group_of_name(u32::from(set), u32::from(port_set))
}

#[inline(always)]
fn group_of_name(set: u32, port_set: u32) -> u16 {
    let Some(layout) = layout() else { return 0 };
    let index = set.wrapping_mul(layout.port_sets).wrapping_add(port_set);
    DOMAIN_GROUPS.get(index / CHUNK).map_or(0, |chunk| chunk[(index % CHUNK) as usize])
}

/// Blocks of [`BYTES`] in the longest name.
const NAME_BLOCKS: u32 = (LONGEST_NAME as u32).div_ceil(BYTES);

/// Walks a name from its end and returns what it accepts. A last dot counts for nothing.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn walk_name(slot: u32, from: u32, to: u32) -> u32 {
    let (Some(scratch), Some(layout)) = (scratch::get(Slot(slot)), layout()) else { return 0 };
    let mut end = to;
    if end > from && scratch.byte(end.wrapping_sub(1)) == b'.' {
        end = end.wrapping_sub(1);
    }
    // No pattern is about a name that cannot be.
    if from >= end || end.wrapping_sub(from) > LONGEST_NAME as u32 {
        return 0;
    }
    let mut state = layout.domain_start;
    let mut block = 0;
    while block < NAME_BLOCKS {
        if end <= from || state == 0 {
            break;
        }
        state = walk_name_block(slot, state, from, end);
        end = end.saturating_sub(BYTES);
        block += 1;
    }
    accepts(state)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn walk_name_block(slot: u32, start: State, from: u32, to: u32) -> State {
    let (Some(scratch), Some(tables)) = (scratch::get(Slot(slot)), tables()) else { return 0 };
    let mut state = start;
    let mut index = 0;
    while index < BYTES {
        if to <= from.wrapping_add(index) {
            break;
        }
        let byte = scratch.byte(to.wrapping_sub(index).wrapping_sub(1));
        let byte = if byte.is_ascii_uppercase() { byte | 0x20 } else { byte };
        state = tables.step(state, byte);
        index += 1;
    }
    state
}
