//! The kernels that are tried: what each is called, where it comes from, how it is booted.

/// A processor architecture, by its several names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Architecture {
    /// x86_64.
    X86,
    /// aarch64.
    Arm,
}

impl Architecture {
    /// This machine's, if it is one that is tried.
    pub(crate) fn host() -> Option<Self> {
        [Self::X86, Self::Arm].into_iter().find(|one| one.word() == std::env::consts::ARCH)
    }

    /// As compilers and qemu write it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::X86 => "x86_64",
            Self::Arm => "aarch64",
        }
    }

    /// As Debian writes it.
    pub(crate) fn debian(self) -> &'static str {
        match self {
            Self::X86 => "amd64",
            Self::Arm => "arm64",
        }
    }
}

/// A kernel with the way it is booted.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// What it is called here and in docs/evasions.md.
    pub(crate) name: &'static str,
    /// The first numbers of its release, with the character that ends them.
    pub(crate) series: &'static str,
    /// What it runs on.
    pub(crate) architecture: Architecture,
    /// Debian's suites that have it.
    pub(crate) suites: &'static [&'static str],
    /// Whether `bpf` is among the security modules: stock kernels of many distributions are booted without.
    pub(crate) bpf_in_lsm: bool,
}

const fn stock(name: &'static str, series: &'static str, suites: &'static [&'static str]) -> Kernel {
    Kernel { name, series, architecture: Architecture::X86, suites, bpf_in_lsm: false }
}

/// Every kernel, oldest first.
pub(crate) const KERNELS: &[Kernel] = &[
    stock("5.10", "5.10.", &["bullseye", "bullseye-security"]),
    stock("6.1", "6.1.", &["bookworm", "bookworm-security"]),
    stock("6.12", "6.12.", &["trixie", "trixie-security"]),
    stock("6.18", "6.18.", &["trixie-backports"]),
    stock("7.2", "7.2.", &["forky"]),
    Kernel { bpf_in_lsm: true, ..stock("6.12-bpf", "6.12.", &["trixie", "trixie-security"]) },
    Kernel {
        architecture: Architecture::Arm,
        ..stock("6.12-arm64", "6.12.", &["trixie", "trixie-security"])
    },
];

/// Those that every change is tried on: the oldest, the one most people have, the newest.
pub(crate) const FEW: &[&str] = &["5.10", "6.12", "7.2"];

/// The kernel of this name.
pub(crate) fn find(name: &str) -> Option<&'static Kernel> {
    KERNELS.iter().find(|kernel| kernel.name == name)
}

impl Kernel {
    /// Where it is kept in the cache; kernels that only boot differently share it.
    pub(crate) fn folder(&self) -> String {
        format!("{}-cloud-{}", self.series.trim_end_matches('.'), self.architecture.debian())
    }

    /// The release of a package that has this kernel: `linux-image-6.12.1+deb13-cloud-amd64` to
    /// `6.12.1+deb13-cloud-amd64`.
    pub(crate) fn release<'a>(&self, package: &'a str) -> Option<&'a str> {
        let release = package.strip_prefix(PACKAGE)?;
        let middle = release
            .strip_prefix(self.series)?
            .strip_suffix(self.architecture.debian())?
            .strip_suffix("-cloud-")?;
        // `6.12-cloud-amd64` names whatever is newest, `-rt` is another kernel, `~bpo` a rebuild for an older suite.
        let whole = middle.starts_with(|first: char| first.is_ascii_digit());
        (whole && !middle.contains("rt")).then_some(release)
    }

    /// The newest of these packages that has this kernel.
    pub(crate) fn newest<'a>(&self, packages: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        packages.filter_map(|package| self.release(package)).max_by_key(|release| numbers(release))
    }

    /// The security modules, as the kernel parameter has them.
    pub(crate) fn security_modules(&self) -> &'static str {
        if self.bpf_in_lsm {
            "lockdown,capability,landlock,yama,bpf"
        } else {
            "lockdown,capability,landlock,yama"
        }
    }
}

/// What the names of kernel packages begin with.
pub(crate) const PACKAGE: &str = "linux-image-";

/// The numbers in a release, for comparing.
fn numbers(release: &str) -> Vec<u64> {
    release
        .split(|c: char| !c.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().unwrap_or(u64::MAX))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{KERNELS, find};

    #[test]
    fn takes_the_newest_of_its_series() {
        let packages = [
            "linux-image-6.12-cloud-amd64",
            "linux-image-6.12.9+deb13-cloud-amd64",
            "linux-image-6.12.100+deb13-cloud-amd64",
            "linux-image-6.12.200+deb13-amd64",
            "linux-image-6.12.200+deb13-cloud-amd64-unsigned",
            "linux-image-6.12.200+deb13-rt-cloud-amd64",
            "linux-image-6.1.300-cloud-amd64",
        ];
        let newest = |name: &str| find(name).unwrap().newest(packages.into_iter());
        assert_eq!(newest("6.12"), Some("6.12.100+deb13-cloud-amd64"));
        assert_eq!(newest("6.1"), Some("6.1.300-cloud-amd64"));
        assert_eq!(newest("5.10"), None);
        assert_eq!(newest("6.12-arm64"), None);
    }

    #[test]
    fn names_each_kernel_once() {
        for kernel in KERNELS {
            assert_eq!(KERNELS.iter().filter(|other| other.name == kernel.name).count(), 1);
        }
    }
}
