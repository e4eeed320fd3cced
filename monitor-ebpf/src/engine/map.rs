//! Every map, with its size and why.

use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::LpmTrie;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, ProgramArray, RingBuf, Stack};
use monitor_common::call::{CALLS as CALL_ENTRIES, Call};
use monitor_common::counter;
use monitor_common::dns::shape::Asked;
use monitor_common::label::{Label, Scope, Tree, WATCHED_CHUNK};
use monitor_common::policy::decide::Outcome;
use monitor_common::policy::{Actor, CHUNK, ExecClass, Identity, Layout, Lesson, MAX_ACTORS, MAX_IDENTITIES};
use monitor_common::socket::{AddressKey, BoundKey, Flow, FlowKey, NameText, Names, Pending, QueryKey};

use crate::engine::directory::{Known, Place};
use crate::engine::protect::HINT_CHUNK;
use crate::engine::scratch::Scratch;
use crate::kernel::file::FileId;

/// Labels by thread group id: as many processes as a 64 Ki pid space holds. When it is full a fork dooms its tree.
#[map]
pub(crate) static TASKS: HashMap<u32, Label> = HashMap::with_max_entries(65_536, 0);

/// Trees by root process: `run` has one, the daemon a few hundred.
#[map]
pub(crate) static TREES: HashMap<u32, Tree> = HashMap::with_max_entries(1024, 0);

/// Scopes by id. A scope that cannot be stored has no marks; it is counted.
#[map]
pub(crate) static SCOPES: HashMap<u64, Scope> = HashMap::with_max_entries(65_536, 0);

/// Files written by a tree, other than by linkers and managers.
#[map]
pub(crate) static DROPPED: HashMap<FileId, u8> = HashMap::with_max_entries(131_072, 0);

/// Calls whose path could not be read at entry: judged again when they return. Key: thread id.
#[map]
pub(crate) static LATE: HashMap<u32, u8> = HashMap::with_max_entries(4096, 0);

/// Events: 8 MiB hold a second of 65,000 short records while userspace is busy.
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// Failures, see `monitor_common::counter`.
#[map]
pub(crate) static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(counter::COUNTERS, 0);

/// Working memory, see `scratch`. The loader makes it a few slots a processor, and puts their numbers into `FREE_SLOTS`.
#[map]
pub(crate) static SCRATCH: Array<Scratch> = Array::with_max_entries(16, 0);

/// Slots of `SCRATCH` that nobody uses.
#[map]
pub(crate) static FREE_SLOTS: Stack<u32> = Stack::with_max_entries(16, 0);

/// One byte for each process id, not 0 if the process is watched: everybody else pays for this look only. The loader
/// makes it as large as the id space (`kernel.pid_max`).
#[map]
pub(crate) static WATCHED: Array<[u8; WATCHED_CHUNK as usize]> = Array::with_max_entries(1024, 0);

/// Processes of pkgwarden itself: nothing in a tree may touch them.
#[map]
pub(crate) static AGENTS: HashMap<u32, u8> = HashMap::with_max_entries(16, 0);

/// Secret files by identity, whatever they are called: the group of the name they were met by.
#[map]
pub(crate) static PROTECTED: HashMap<FileId, u16> = HashMap::with_max_entries(16_384, 0);

/// Directories that were met, see `directory`. One that is pushed out is walked again.
#[map]
pub(crate) static DIRECTORIES: LruHashMap<Place, Known> = LruHashMap::with_max_entries(8192, 0);

/// One element, not 0 once every program that `directory` relies on is attached.
#[map]
pub(crate) static REMEMBERING: Array<u32> = Array::with_max_entries(1, 0);

/// What the agent says of the file it opens.
#[map]
pub(crate) static LESSON: Array<Lesson> = Array::with_max_entries(1, 0);

/// By the low bits of an inode's number: whether `PROTECTED` can have it.
#[map]
pub(crate) static PROTECTED_HINT: Array<[u8; HINT_CHUNK as usize]> = Array::with_max_entries(16, 0);

/// By group, in chunks: `monitor_common::policy::SECRET` where an object of the group is a secret.
#[map]
pub(crate) static GROUP_FLAGS: Array<[u8; CHUNK as usize]> = Array::with_max_entries(1, 0);

/// Addresses of the machine's resolvers: their word is believed.
#[map]
pub(crate) static RESOLVERS: HashMap<[u8; 16], u8> = HashMap::with_max_entries(256, 0);

/// Registered domains, by hash, below which the machine's resolver tries every name.
#[map]
pub(crate) static SEARCHED: HashMap<u64, u8> = HashMap::with_max_entries(64, 0);

/// One element: what names are hashed with.
#[map]
pub(crate) static SEED: Array<u64> = Array::with_max_entries(1, 0);

/// Queries to these resolvers that wait for their answer, of every process of the machine. One that is pushed out is
/// answered all the same; its addresses then have no name.
#[map]
pub(crate) static QUERIES: LruHashMap<QueryKey, Pending> = LruHashMap::with_max_entries(8192, 0);

/// Names of addresses. One that is pushed out has none then, which is reported and not believed.
#[map]
pub(crate) static ADDRESS_NAMES: LruHashMap<AddressKey, Names> = LruHashMap::with_max_entries(131_072, 0);

/// Names as text, by hash: only for people.
#[map]
pub(crate) static NAME_TEXTS: LruHashMap<u64, NameText> = LruHashMap::with_max_entries(8192, 0);

/// By scope and registered domain: the names that were asked for.
#[map]
pub(crate) static ASKED: LruHashMap<[u64; 2], Asked> = LruHashMap::with_max_entries(16_384, 0);

/// What was sent where. What does not fit is counted, and judged all the same.
#[map]
pub(crate) static TRAFFIC: HashMap<FlowKey, Flow> = HashMap::with_max_entries(16_384, 0);

/// Ports that trees have bound. A port that is pushed out counts as a stranger's.
#[map]
pub(crate) static BOUND: LruHashMap<BoundKey, u8> = LruHashMap::with_max_entries(16_384, 0);

/// By group, in chunks: classes of the secrets in it.
#[map]
pub(crate) static GROUP_SECRETS: Array<[u64; CHUNK as usize]> = Array::with_max_entries(1, 0);

/// How each system call is read.
#[map]
pub(crate) static CALLS: Array<Call> = Array::with_max_entries(CALL_ENTRIES, 0);

/// Handlers by `monitor_common::call::Handler`.
#[map]
pub(crate) static ENTER_HANDLERS: ProgramArray = ProgramArray::with_max_entries(16, 0);

/// Handlers by `monitor_common::call::Handler`.
#[map]
pub(crate) static EXIT_HANDLERS: ProgramArray = ProgramArray::with_max_entries(16, 0);

// The compiled policy: sizes are set by the loader.

/// One element.
#[map]
pub(crate) static LAYOUT: Array<Layout> = Array::with_max_entries(1, 0);

/// Rows of the automata, in chunks.
#[map]
pub(crate) static WORDS: Array<[u32; CHUNK as usize]> = Array::with_max_entries(1, 0);

/// Verdict table, in chunks.
#[map]
pub(crate) static CELLS: Array<[u16; CHUNK as usize]> = Array::with_max_entries(1, 0);

/// Outcomes; number 0 is unused.
#[map]
pub(crate) static OUTCOMES: Array<Outcome> = Array::with_max_entries(1, 0);

/// What the automata over programs and command lines accept.
#[map]
pub(crate) static EXEC_CLASSES: Array<ExecClass> = Array::with_max_entries(1, 0);

/// Identities, in order of precedence.
#[map]
pub(crate) static IDENTITIES: Array<Identity> = Array::with_max_entries(MAX_IDENTITIES as u32, 0);

/// Actors by id.
#[map]
pub(crate) static ACTORS: Array<Actor> = Array::with_max_entries(MAX_ACTORS as u32, 0);

/// Address sets by network; IPv4 is mapped into IPv6. The kernel requires BPF_F_NO_PREALLOC (1).
#[map]
pub(crate) static NETWORKS: LpmTrie<[u8; 16], u32> = LpmTrie::with_max_entries(65_536, 1);

/// Port sets by port, in chunks.
#[map]
pub(crate) static PORTS: Array<[u8; CHUNK as usize]> = Array::with_max_entries(64, 0);

/// Groups by address set and port set, in chunks.
#[map]
pub(crate) static NET_GROUPS: Array<[u16; CHUNK as usize]> = Array::with_max_entries(1, 0);

/// Groups by domain set and port set, in chunks.
#[map]
pub(crate) static DOMAIN_GROUPS: Array<[u16; CHUNK as usize]> = Array::with_max_entries(1, 0);
