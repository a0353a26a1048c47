//! The kernel rows of the matrix and what each of them promises.

use std::fmt;

use anyhow::{Result, bail};

use super::Need;
use crate::backend::Backend;

/// A row of the kernel matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// The machine that the tests were started on, whatever it is.
    Host,
    /// Debian 11.
    V5_10,
    /// Debian 12.
    V6_1,
    /// Debian 13.
    V6_12,
    /// Debian unstable.
    Newest,
    /// Debian 13 with a backported kernel.
    Backports,
    /// Debian 12 on aarch64.
    V6_1Aarch64,
    /// Debian 13 on aarch64.
    V6_12Aarch64,
    /// Debian unstable on aarch64.
    NewestAarch64,
}

/// What a row says of a need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// It is met: a skip is a failure.
    Met,
    /// It is not met: finding it is a failure.
    Unmet,
    /// Either.
    Open,
}

impl Row {
    /// Every row.
    pub const ALL: [Self; 9] = [
        Self::Host,
        Self::V5_10,
        Self::V6_1,
        Self::V6_12,
        Self::Newest,
        Self::Backports,
        Self::V6_1Aarch64,
        Self::V6_12Aarch64,
        Self::NewestAarch64,
    ];

    /// The row that `PORTSCOPE_KERNEL_ROW` names, or the host.
    ///
    /// # Errors
    ///
    /// When it names no row.
    pub fn current() -> Result<Self> {
        match std::env::var("PORTSCOPE_KERNEL_ROW") {
            Ok(word) => Self::from_word(&word),
            Err(_) => Ok(Self::Host),
        }
    }

    /// The promise of this row.
    #[must_use]
    pub fn promise(self, need: Need) -> Promise {
        use Promise::{Met, Open, Unmet};
        match (self, need) {
            (Self::Host, _)
            | (
                _,
                Need::Tools | Need::Veth | Need::Conntrack | Need::Browser | Need::Prometheus | Need::Python,
            ) => Open,
            (_, Need::RefusedBackend)
            | (Self::V5_10, Need::Mptcp | Need::LocalPortRange)
            | (Self::V5_10 | Self::V6_1 | Self::V6_1Aarch64, Need::BoundShown | Need::IoUringBind)
            | (Self::V6_1Aarch64, Need::Backend(Backend::Fentry) | Need::DataSymbols)
            | (
                Self::Newest | Self::NewestAarch64 | Self::Backports,
                Need::UdpLite | Need::Dccp | Need::Smc,
            ) => Unmet,
            _ => Met,
        }
    }

    fn from_word(word: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|row| row.word() == word) {
            Some(row) => Ok(row),
            None => bail!("PORTSCOPE_KERNEL_ROW names {word:?}: not a row"),
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Host => "host",
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
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_of_the_matrix_run_every_backend_as_root() {
        for row in Row::ALL.into_iter().filter(|row| *row != Row::Host) {
            assert_eq!(row.promise(Need::Root), Promise::Met, "{row}");
            assert_eq!(row.promise(Need::RefusedBackend), Promise::Unmet, "{row}");
            for backend in Backend::ALL {
                // For aarch64 Linux has trampolines from 6.4 on.
                let lacks = (row, backend) == (Row::V6_1Aarch64, Backend::Fentry);
                let promised = if lacks { Promise::Unmet } else { Promise::Met };
                assert_eq!(row.promise(Need::Backend(backend)), promised, "{row} {backend}");
            }
        }
    }

    #[test]
    fn the_host_promises_nothing() {
        for need in [Need::Root, Need::Backend(Backend::Fentry), Need::UdpLite, Need::RefusedBackend] {
            assert_eq!(Row::Host.promise(need), Promise::Open);
        }
    }

    #[test]
    fn expected_skips_are_those_of_the_kernels() {
        let unmet = |row: Row| {
            const PATHS: [Need; 12] = [
                Need::Ipv6,
                Need::UdpLite,
                Need::Mptcp,
                Need::LocalPortRange,
                Need::Fastopen,
                Need::Sctp,
                Need::Dccp,
                Need::Smc,
                Need::Vrf,
                Need::Nfs,
                Need::IoUring,
                Need::IoUringBind,
            ];
            PATHS.into_iter().filter(|need| row.promise(*need) == Promise::Unmet).collect::<Vec<_>>()
        };
        assert_eq!(unmet(Row::V5_10), [Need::Mptcp, Need::LocalPortRange, Need::IoUringBind]);
        for row in [Row::V6_1, Row::V6_1Aarch64] {
            assert_eq!(unmet(row), [Need::IoUringBind]);
        }
        for row in [Row::V6_12, Row::V6_12Aarch64] {
            assert_eq!(unmet(row), []);
        }
        for row in [Row::Newest, Row::NewestAarch64, Row::Backports] {
            assert_eq!(unmet(row), [Need::UdpLite, Need::Dccp, Need::Smc]);
        }
    }

    #[test]
    fn rows_are_found_by_the_words_of_the_matrix() {
        for row in Row::ALL {
            assert_eq!(Row::from_word(row.word()).unwrap(), row);
        }
        assert!(Row::from_word("6.2").is_err());
    }
}
