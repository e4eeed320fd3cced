//! The ways a package comes into a project.

/// How a package was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// By the project, from a registry.
    Direct,
    /// By another package, in another version than the project has.
    Nested,
    /// With a scope in its name.
    Scoped,
    /// As a part of the project.
    Workspace,
    /// From a git repository.
    Git,
    /// From a directory.
    File,
    /// By the project, under another name.
    Alias,
    /// For the user, by no project.
    Global,
    /// For one command.
    OneShot,
    /// As a part of the compiler or the manager itself, in whose process it runs.
    Inside,
}

impl Way {
    /// All of them, in the order of the table.
    pub(crate) const ALL: [Self; 10] = [
        Self::Direct,
        Self::Nested,
        Self::Scoped,
        Self::Workspace,
        Self::Git,
        Self::File,
        Self::Alias,
        Self::Global,
        Self::OneShot,
        Self::Inside,
    ];

    /// Its name, in tables and in the name of its decoy.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nested => "nested",
            Self::Scoped => "scoped",
            Self::Workspace => "workspace",
            Self::Git => "git",
            Self::File => "file",
            Self::Alias => "alias",
            Self::Global => "global",
            Self::OneShot => "one-shot",
            Self::Inside => "inside",
        }
    }

    /// The decoy that a package which came this way reads, below the home.
    pub(crate) fn decoy(self) -> String {
        format!(".ssh/id_{}", self.word())
    }
}

/// What was really installed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Truth {
    /// How.
    pub(crate) way: Way,
    /// purl type.
    pub(crate) ecosystem: &'static str,
    /// Name.
    pub(crate) name: &'static str,
    /// Version.
    pub(crate) version: &'static str,
    /// The scripts that read the decoy; each must be seen, and no other.
    pub(crate) scripts: &'static [&'static str],
}
