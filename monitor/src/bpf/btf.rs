//! Offsets of kernel struct fields, from the running kernel's own type information.
//!
//! Format: Documentation/bpf/btf.rst (v6.18). Only what a field look-up needs is decoded; everything else is skipped
//! by its documented size.

use std::collections::HashMap;

use monitor_common::field::{ABSENT, FIELDS, Field};

/// Where the running kernel describes its types.
pub const KERNEL: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;

/// kernel/fork.c.
const IO_THREAD: &str = "create_io_thread";
/// The most members that one look-up may pass: the largest struct has some hundreds, its unions included, and type
/// information that leads back to itself would multiply them without end.
const MOST_MEMBERS: u32 = 1 << 14;
/// Functions kept by name besides `security_*`.
const OTHER_FUNCTIONS: &[&[u8]] = &[IO_THREAD.as_bytes(), b"create_user_ns"];

/// Type information could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No file.
    #[error(
        "cannot read the kernel's type information {KERNEL}; a kernel built with CONFIG_DEBUG_INFO_BTF=y has it"
    )]
    Unreadable(#[source] std::io::Error),
    /// Not BTF, or a kind this version does not know.
    #[error(
        "the kernel's type information {KERNEL} is not understood: {0}; please report it with the kernel's version"
    )]
    Malformed(&'static str),
    /// A field the kernel side cannot do without.
    #[error(
        "this kernel has no field {path} in struct {structure}, without which nothing can be watched; please report it with the kernel's version"
    )]
    Missing {
        /// Struct.
        structure: &'static str,
        /// Field.
        path: &'static str,
    },
}

/// The type information, parsed just enough to find members of structs.
pub struct Btf {
    bytes: Vec<u8>,
    /// Offset of each type's record in `bytes`, by type id; entry 0 is void.
    types: Vec<u32>,
    strings: usize,
    structs: HashMap<Vec<u8>, u32>,
    functions: HashMap<Vec<u8>, u32>,
}

struct Record {
    kind: u32,
    members: usize,
    /// Bit 31 of the info word: member offsets carry a bit-field size in their upper 8 bits.
    flag: bool,
    /// Size, or the type referred to.
    value: u32,
    /// Offset of what follows the common part.
    rest: usize,
}

const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_FUNCTION: u32 = 12;
const KIND_TYPE_TAG: u32 = 18;

impl Btf {
    /// Reads the running kernel's.
    ///
    /// # Errors
    /// If there is none, or it is not understood.
    pub fn of_kernel() -> Result<Self, Error> {
        Self::parse(std::fs::read(KERNEL).map_err(Error::Unreadable)?)
    }

    /// Parses raw BTF, little endian.
    ///
    /// # Errors
    /// If it is not understood.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, Error> {
        const SHORT: Error = Error::Malformed("it ends too early");
        let header = |at| word(&bytes, at).ok_or(SHORT);
        if word(&bytes, 0).map(|word| word as u16) != Some(MAGIC) {
            return Err(Error::Malformed("wrong magic number"));
        }
        let body = header(4)? as usize;
        let first = body + header(8)? as usize;
        let end = first + header(12)? as usize;
        let strings = body + header(16)? as usize;
        if end > bytes.len() || strings > bytes.len() {
            return Err(SHORT);
        }
        // The kernel has some ten thousand structs; only those of the field table are kept by name.
        let wanted: Vec<&[u8]> = FIELDS.iter().map(|field| field.structure.as_bytes()).collect();
        let mut btf = Self { bytes, types: vec![0], strings, structs: HashMap::new(), functions: HashMap::new() };
        let mut at = first;
        while at < end {
            let record = btf.record_at(at).ok_or(SHORT)?;
            let rest = match record.kind {
                1 | 14 | 17 => 4,
                3 => 12,
                KIND_STRUCT | KIND_UNION | 15 | 19 => 12 * record.members,
                6 | 13 => 8 * record.members,
                2 | 7..=12 | 16 | KIND_TYPE_TAG => 0,
                _ => return Err(Error::Malformed("a kind of type that this version does not know")),
            };
            if record.kind == KIND_STRUCT {
                let name = btf.string(word(&btf.bytes, at).unwrap_or(0));
                if wanted.contains(&name) || cfg!(test) {
                    let (name, id) = (name.to_vec(), btf.types.len() as u32);
                    btf.structs.entry(name).or_insert(id);
                }
            }
            if record.kind == KIND_FUNCTION {
                let name = btf.string(word(&btf.bytes, at).unwrap_or(0));
                // Functions that programs are put on, or that tell what the kernel can do.
                if name.starts_with(b"security_") || OTHER_FUNCTIONS.contains(&name) {
                    let (name, id) = (name.to_vec(), btf.types.len() as u32);
                    btf.functions.entry(name).or_insert(id);
                }
            }
            btf.types.push(at as u32);
            at = record.rest + rest;
        }
        Ok(btf)
    }

    /// Byte offset of a member in a struct. `path` joins names by dots, and alternatives by `|`.
    #[must_use]
    pub fn offset(&self, structure: &str, path: &str) -> Option<u32> {
        let start = *self.structs.get(structure.as_bytes())?;
        path.split('|').find_map(|path| {
            let mut id = start;
            let mut total = 0_u32;
            let mut left = MOST_MEMBERS;
            for name in path.split('.') {
                let (bits, member) = self.member(self.resolve(id)?, name.as_bytes(), 0, &mut left)?;
                total = total.checked_add(bits)?;
                id = member;
            }
            Some(total / 8)
        })
    }

    /// Type id of a kernel function, by which programs are put on it.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<u32> {
        self.functions.get(name.as_bytes()).copied()
    }

    /// Whether the workers of an io_uring are threads of its process (io_uring/io-wq.c, since v5.12): before, they were
    /// kernel threads, and what they did for a process was done by nobody.
    #[must_use]
    pub fn has_io_threads(&self) -> bool {
        self.function(IO_THREAD).is_some()
    }

    /// Every field the kernel side reads with its offset; [`ABSENT`] where this kernel has no such optional field.
    ///
    /// # Errors
    /// Names the first required field that is missing.
    pub fn resolve_fields(&self) -> Result<Vec<(&'static Field, u32)>, Error> {
        FIELDS
            .iter()
            .map(|field| match self.offset(field.structure, field.path) {
                Some(offset) => Ok((field, offset)),
                None if field.required => {
                    Err(Error::Missing { structure: field.structure, path: field.path })
                }
                None => Ok((field, ABSENT)),
            })
            .collect()
    }

    fn record_at(&self, at: usize) -> Option<Record> {
        let info = word(&self.bytes, at + 4)?;
        Some(Record {
            kind: (info >> 24) & 0x1f,
            members: (info & 0xffff) as usize,
            flag: info >> 31 != 0,
            value: word(&self.bytes, at + 8)?,
            rest: at + 12,
        })
    }

    fn record(&self, id: u32) -> Option<Record> {
        self.record_at(*self.types.get(id as usize)? as usize)
    }

    /// Follows typedefs and qualifiers to a struct or union.
    fn resolve(&self, mut id: u32) -> Option<u32> {
        for _ in 0..32 {
            let record = self.record(id)?;
            match record.kind {
                KIND_STRUCT | KIND_UNION => return Some(id),
                KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_TYPE_TAG => {
                    id = record.value;
                }
                _ => return None,
            }
        }
        None
    }

    /// Bit offset and type of a member, looking through anonymous structs and unions.
    fn member(&self, id: u32, name: &[u8], depth: u32, left: &mut u32) -> Option<(u32, u32)> {
        let record = self.record(id)?;
        for index in 0..record.members {
            *left = left.checked_sub(1)?;
            let at = record.rest + index * 12;
            let (name_at, kind, offset) =
                (word(&self.bytes, at)?, word(&self.bytes, at + 4)?, word(&self.bytes, at + 8)?);
            let bits = if record.flag { offset & 0x00ff_ffff } else { offset };
            let own = self.string(name_at);
            if own == name {
                return Some((bits, kind));
            }
            if own.is_empty() && depth < 8 {
                let inner = self.resolve(kind).and_then(|id| self.member(id, name, depth + 1, left));
                if let Some((more, kind)) = inner {
                    return Some((bits.checked_add(more)?, kind));
                }
            }
        }
        None
    }

    fn string(&self, offset: u32) -> &[u8] {
        let tail = self.bytes.get(self.strings + offset as usize..).unwrap_or(&[]);
        tail.split(|byte| *byte == 0).next().unwrap_or(&[])
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Strings: 0 "", 1 "task", 6 "pid", 10 "inner", 16 "deep". Types: 1 int, 2 anonymous union { int deep },
    /// 3 struct task { int pid @0; union @32; } and 4 typedef inner -> 3.
    fn small() -> Vec<u8> {
        let int: &[u32] = &[0, 1 << 24, 4, 32];
        let union: &[u32] = &[0, (5 << 24) | 1, 4, 16, 1, 0];
        let task: &[u32] = &[1, (4 << 24) | 2, 8, 6, 1, 0, 0, 2, 32];
        let typedef: &[u32] = &[10, 8 << 24, 3];
        btf(&[int, union, task, typedef])
    }

    fn btf(types: &[&[u32]]) -> Vec<u8> {
        let strings = b"\0task\0pid\0inner\0deep\0";
        let words = types.concat();
        let mut bytes = Vec::new();
        bytes.extend(0xeb9f_u16.to_le_bytes());
        bytes.extend([1, 0]);
        for value in [24, 0, words.len() as u32 * 4, words.len() as u32 * 4, strings.len() as u32] {
            bytes.extend(value.to_le_bytes());
        }
        words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn finds_members_through_anonymous_unions() {
        let btf = Btf::parse(small()).unwrap();
        assert_eq!(btf.offset("task", "pid"), Some(0));
        assert_eq!(btf.offset("task", "deep"), Some(4));
        assert_eq!(btf.offset("task", "gone|pid"), Some(0));
        assert_eq!(btf.offset("task", "gone"), None);
        assert_eq!(btf.offset("nothing", "pid"), None);
    }

    #[test]
    fn refuses_what_is_not_btf() {
        assert!(Btf::parse(vec![]).is_err());
        assert!(Btf::parse(vec![1; 64]).is_err());
        for length in 0..small().len() {
            // Cut anywhere it is refused or answers, but never panics.
            if let Ok(btf) = Btf::parse(small()[..length].to_vec()) {
                let _ = btf.offset("task", "deep");
            }
        }
    }

    #[test]
    fn an_offset_that_fits_into_no_number_is_none() {
        let int: &[u32] = &[0, 1 << 24, 4, 32];
        let union: &[u32] = &[0, (5 << 24) | 1, 4, 16, 1, u32::MAX];
        let task: &[u32] = &[1, (4 << 24) | 2, 8, 10, 2, u32::MAX, 0, 2, 32];
        let btf = Btf::parse(btf(&[int, union, task])).unwrap();
        assert_eq!(btf.offset("task", "deep"), None);
        assert_eq!(btf.offset("task", "inner.deep"), None);
        assert_eq!(btf.offset("task", "inner"), Some(u32::MAX / 8));
    }

    #[test]
    fn a_struct_inside_itself_is_not_searched_for_ever() {
        // Sixty unnamed members, each of the struct's own type: eight levels of them are 10^14 members.
        let members = 60;
        let mut task = vec![1, (4 << 24) | members, 8];
        (0..members).for_each(|_| task.extend([0, 1, 0]));
        let btf = Btf::parse(btf(&[&task])).unwrap();
        assert_eq!(btf.offset("task", "pid"), None);
    }

    #[test]
    fn names_a_required_field_that_is_missing() {
        let error = Btf::parse(small()).unwrap().resolve_fields().unwrap_err();
        assert!(error.to_string().contains("struct task_struct"), "{error}");
    }
}
