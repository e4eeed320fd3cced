//! The only code that talks to the kernel about BPF: offsets, loading, attaching, maps, the ring.

pub mod attach;
pub mod btf;
pub mod call;
pub mod cgroup;
pub mod error;
pub mod function;
pub mod learn;
pub mod load;
pub mod object;
pub mod pin;
mod prepare;
pub mod resolvers;
pub mod ring;
pub mod tables;
pub mod traffic;
pub mod tree;
