//! The rows of the matrix: which kernels we test on, and where Debian keeps them.

use std::{fmt, path::PathBuf};

use clap::ValueEnum;

use crate::{arch::Arch, tree};

/// A kernel of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// Linux 5.10 of Debian 11.
    #[value(name = "5.10")]
    V5_10,
    /// Linux 6.1 of Debian 12.
    #[value(name = "6.1")]
    V6_1,
    /// Linux 6.12 of Debian 13.
    #[value(name = "6.12")]
    V6_12,
    /// The kernel of Debian's next suite.
    #[value(name = "newest")]
    Newest,
    /// What Debian 13 gets as a backport, which may be newer still.
    #[value(name = "backports")]
    Backports,
    /// Linux 6.1 of Debian 12 for aarch64.
    #[value(name = "6.1-aarch64")]
    V6_1Aarch64,
    /// Linux 6.12 of Debian 13 for aarch64.
    #[value(name = "6.12-aarch64")]
    V6_12Aarch64,
    /// The kernel of Debian's next suite for aarch64.
    #[value(name = "newest-aarch64")]
    NewestAarch64,
}

impl Row {
    /// The rows of this architecture that are run when none is named, oldest kernel first. Those of aarch64 are emulated on
    /// most machines at a tenth of the speed, and want a cross compiler: they are run by name.
    pub(crate) const USUAL: [Self; 5] = [Self::V5_10, Self::V6_1, Self::V6_12, Self::Newest, Self::Backports];

    /// The name that options, tables and tests use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V5_10 => "5.10",
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::Newest => "newest",
            Self::Backports => "backports",
            Self::V6_1Aarch64 => "6.1-aarch64",
            Self::V6_12Aarch64 => "6.12-aarch64",
            Self::NewestAarch64 => "newest-aarch64",
        }
    }

    /// The Debian suite that ships this kernel.
    pub(super) fn suite(self) -> &'static str {
        match self {
            Self::V5_10 => "bullseye",
            Self::V6_1 | Self::V6_1Aarch64 => "bookworm",
            Self::V6_12 | Self::V6_12Aarch64 => "trixie",
            Self::Newest | Self::NewestAarch64 => "sid",
            Self::Backports => "trixie-backports",
        }
    }

    /// The architecture.
    pub(crate) fn arch(self) -> Arch {
        match self {
            Self::V6_1Aarch64 | Self::V6_12Aarch64 | Self::NewestAarch64 => Arch::Aarch64,
            _ => Arch::X86_64,
        }
    }

    /// The folder for what is fetched of it.
    pub(super) fn folder(self) -> PathBuf {
        let suite = self.suite();
        tree::target("vm").join(match self.arch() {
            Arch::TESTED => suite.to_owned(),
            other => format!("{suite}-{other}"),
        })
    }

    /// Whether the suite has a companion with security updates.
    pub(super) fn has_security_suite(self) -> bool {
        !matches!(self, Self::Newest | Self::NewestAarch64 | Self::Backports)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The rows named, or the usual ones.
pub(crate) fn chosen(named: &[Row]) -> Vec<Row> {
    if named.is_empty() { Row::USUAL.to_vec() } else { named.to_vec() }
}
