//! The rows of the matrix: which kernels we test on, and where Debian keeps them.

use std::fmt;

use clap::ValueEnum;

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
}

impl Row {
    /// All rows, oldest kernel first.
    pub(crate) const ALL: [Self; 5] = [Self::V5_10, Self::V6_1, Self::V6_12, Self::Newest, Self::Backports];

    /// The name that options, tables and tests use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V5_10 => "5.10",
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::Newest => "newest",
            Self::Backports => "backports",
        }
    }

    /// The Debian suite that ships this kernel.
    pub(super) fn suite(self) -> &'static str {
        match self {
            Self::V5_10 => "bullseye",
            Self::V6_1 => "bookworm",
            Self::V6_12 => "trixie",
            Self::Newest => "sid",
            Self::Backports => "trixie-backports",
        }
    }

    /// Whether the suite has a companion with security updates.
    pub(super) fn has_security_suite(self) -> bool {
        !matches!(self, Self::Newest | Self::Backports)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The rows named, or all.
pub(crate) fn chosen(named: &[Row]) -> Vec<Row> {
    if named.is_empty() { Row::ALL.to_vec() } else { named.to_vec() }
}
