//! Why protection could not be switched on.

use aya::programs::ProgramError;

use super::{btf, cgroup, function, object};

/// Protection could not be switched on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This binary carries no kernel object.
    #[error(transparent)]
    NoObject(#[from] object::NoObject),
    /// Not allowed to load programs.
    #[error("loading programs into the kernel needs root; run it with sudo")]
    NotRoot,
    /// Type information.
    #[error(transparent)]
    Btf(#[from] btf::Error),
    /// Cgroups.
    #[error(transparent)]
    Cgroup(#[from] cgroup::Error),
    /// The cgroup root could not be opened.
    #[error("cannot open the cgroup2 hierarchy at {path}")]
    CgroupRoot {
        /// Mount point.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The object as a whole was refused.
    #[error(
        "the kernel refused the maps of the kernel object; `pkgwarden doctor` says what this kernel allows"
    )]
    Object(#[source] Box<aya::EbpfError>),
    /// One program was refused.
    #[error(
        "the kernel refused the program {name}, which watches {sees}; `pkgwarden doctor` says what this kernel allows"
    )]
    Program {
        /// Program.
        name: &'static str,
        /// What it is for.
        sees: &'static str,
        /// Why.
        #[source]
        source: Box<ProgramError>,
    },
    /// One program on a kernel function was refused, or its function is not there.
    #[error("no program could be put on {name}, which sees {sees}")]
    Function {
        /// Function.
        name: &'static str,
        /// What it is for.
        sees: &'static str,
        /// Why.
        #[source]
        source: function::Error,
    },
    /// The object could not be read a second time.
    #[error("programs on kernel functions cannot be prepared")]
    Functions(#[source] function::Error),
    /// The tier that was asked for is not fully reached.
    #[error(
        "the `{tier}` tier is not fully reached on this kernel: {missing}; `pkgwarden doctor` says more, and without --tier the best tier is taken"
    )]
    Incomplete {
        /// Tier.
        tier: &'static str,
        /// Programs that are not attached.
        missing: String,
    },
    /// The object lacks a program of the list.
    #[error("the kernel object has no program {0}; rebuild it with `cargo xtask build`")]
    NoProgram(&'static str),
    /// The object lacks a map.
    #[error("the kernel object has no map {0}; rebuild it with `cargo xtask build`")]
    NoMap(&'static str),
    /// A map could not be written or opened.
    #[error("cannot use the map {name}")]
    Map {
        /// Map.
        name: &'static str,
        /// Why.
        #[source]
        source: aya::maps::MapError,
    },
    /// Out of file descriptors.
    #[error("cannot keep a program open; raise the limit of open files: ulimit -n")]
    Descriptor(#[source] std::io::Error),
    /// A pin could not be made or removed.
    #[error("cannot pin at {}; is a bpf file system mounted there? mount -t bpf bpf /sys/fs/bpf", path.display())]
    Pin {
        /// Path.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The kernel attaches in a way that cannot be pinned.
    #[error(
        "this kernel cannot keep a cgroup hook when its process ends; links have been there since Linux 5.7"
    )]
    NoLink(#[source] aya::programs::links::LinkError),
    /// Something is pinned that was switched on with other rules.
    #[error(
        "{} was pinned with other rules, whose state cannot be taken over; end what is pinned first", pinned.display()
    )]
    OtherRules {
        /// What is there.
        pinned: std::path::PathBuf,
    },
    /// No randomness for the join words.
    #[error("cannot read /dev/urandom")]
    Random(#[source] std::io::Error),
}
