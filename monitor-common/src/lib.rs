//! What both halves of pkgwarden compile: the kernel object and the userspace program.
//!
//! | module | subject |
//! |---|---|
//! | [`action`] | the verbs a process can do to an object |
//! | [`verdict`] | what is asked, and what was achieved |
//! | [`label`] | what the kernel remembers of a process, a scope and a tree |
//! | [`object`] | objects only the kernel can recognise (`dropped`, `fileless`, ...) |
//! | [`policy`] | the compiled rules and the one evaluator of them |
//! | [`dns`] | names that are asked for, and addresses that are answered |
//! | [`event`] | records in the ring buffer |
//! | [`socket`] | what is remembered of sockets, queries and addresses |
//! | [`hello`] | the name of a host that a connection begins with |
//! | [`field`] | kernel struct fields, resolved from the running kernel's BTF |
//! | [`call`] | how system calls are read |
//! | [`counter`] | the kernel side's failure counters |
//!
//! Everything here is plain integers and arrays: a record is copied out of the ring byte by byte, so no type may
//! have an invalid bit pattern, and padding is explicit.
#![no_std]

pub mod action;
pub mod call;
pub mod counter;
pub mod dns;
pub mod event;
pub mod field;
pub mod hello;
pub mod label;
pub mod object;
pub mod policy;
pub mod socket;
pub mod verdict;

/// Defines a closed list of names with stable numbers: the `u8` constant, the way back, and the word used in rules,
/// events and documents.
#[macro_export]
macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $number:literal, $word:literal;)* }) => {
        $(#[$meta])*
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vmeta])* $variant = $number,)* }

        impl $name {
            /// Every member, in the order of its number.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The number in a record or table, if it is one of ours: numbers are read from the kernel and never trusted.
            #[must_use]
            pub const fn from_raw(raw: u8) -> Option<Self> {
                match raw { $($number => Some($name::$variant),)* _ => None }
            }

            /// The word used in rules, events and documents.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }

            /// The member that `word` names.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some($name::$variant),)* _ => None }
            }
        }
    };
}
