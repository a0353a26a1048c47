//! What happened, where, and how it ended.

use serde::{Deserialize, Serialize};

use super::Errno;

/// Where the kernel chooses or checks a port.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Site {
    /// Inside `connect` of a stream socket.
    Connect,
    /// Inside `bind`.
    Bind,
    /// Inside `listen`.
    Listen,
    /// At the first connect or send of an unbound datagram socket.
    Autobind,
}

impl Site {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Connect, Self::Bind, Self::Listen, Self::Autobind];

    /// The word that stands in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Bind => "bind",
            Self::Listen => "listen",
            Self::Autobind => "autobind",
        }
    }
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The kernel chose a port, or failed to.
    Allocation(Site),
    /// The caller had named the port; the kernel only checked it.
    Explicit(Site),
    /// A port that the kernel had chosen became free again.
    Release(ReleaseState),
}

impl Kind {
    /// Where it happened; none for a release.
    #[must_use]
    pub const fn site(self) -> Option<Site> {
        match self {
            Self::Allocation(site) | Self::Explicit(site) => Some(site),
            Self::Release(_) => None,
        }
    }
}

/// What ended a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReleaseState {
    /// The end of a TIME_WAIT.
    TimeWait,
    /// A close.
    Closed,
    /// A number of a later version of the kernel half.
    Unknown(u8),
}

impl ReleaseState {
    /// The word that stands in every output; none for an unknown state.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::TimeWait => Some("time_wait"),
            Self::Closed => Some("closed"),
            Self::Unknown(_) => None,
        }
    }
}

/// How the choice or the check ended: not the system call, which may still fail later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It succeeded.
    Ok,
    /// It failed.
    Failed {
        /// Why, as the kernel says it; none where it could not be seen.
        errno: Option<Errno>,
    },
}

/// What a failure comes down to.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// No port of the range could be given.
    Exhausted,
    /// A connect from a bound port: its 4-tuple is in use.
    TupleBusy,
    /// The named port is in use.
    InUse,
    /// The address is not one of this host's.
    NoAddress,
    /// The caller may not.
    Denied,
    /// Something else, such as want of memory.
    Other,
}

impl Cause {
    /// All.
    pub const ALL: [Self; 6] =
        [Self::Exhausted, Self::TupleBusy, Self::InUse, Self::NoAddress, Self::Denied, Self::Other];

    /// The word that stands in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::TupleBusy => "tuple_busy",
            Self::InUse => "in_use",
            Self::NoAddress => "no_address",
            Self::Denied => "denied",
            Self::Other => "other",
        }
    }

    /// Tells what an errno means at a site: the errno alone does not prove exhaustion.
    ///
    /// None where the event did not fail, and where the errno was not seen: a search may also fail for want
    /// of memory.
    #[must_use]
    pub const fn of(kind: Kind, result: Outcome) -> Option<Self> {
        let Outcome::Failed { errno: Some(errno) } = result else {
            return None;
        };
        Some(match (kind, errno) {
            (_, Errno::EACCES | Errno::EPERM) => Self::Denied,
            (Kind::Allocation(Site::Connect), Errno::EADDRNOTAVAIL)
            | (
                Kind::Allocation(Site::Bind | Site::Listen | Site::Autobind),
                Errno::EADDRINUSE | Errno::EAGAIN,
            ) => Self::Exhausted,
            (Kind::Explicit(Site::Connect), Errno::EADDRNOTAVAIL) => Self::TupleBusy,
            (Kind::Explicit(Site::Bind | Site::Listen), Errno::EADDRINUSE) => Self::InUse,
            (Kind::Allocation(Site::Bind) | Kind::Explicit(Site::Bind), Errno::EADDRNOTAVAIL) => {
                Self::NoAddress
            }
            _ => Self::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_depends_on_site_and_errno() {
        use Kind::{Allocation, Explicit};
        use Site::{Autobind, Bind, Connect, Listen};
        let table = [
            (Allocation(Connect), Errno::EADDRNOTAVAIL, Cause::Exhausted),
            (Allocation(Connect), Errno::EADDRINUSE, Cause::Other),
            (Allocation(Connect), Errno::ENOMEM, Cause::Other),
            (Explicit(Connect), Errno::EADDRNOTAVAIL, Cause::TupleBusy),
            (Allocation(Bind), Errno::EADDRINUSE, Cause::Exhausted),
            (Allocation(Listen), Errno::EADDRINUSE, Cause::Exhausted),
            (Allocation(Autobind), Errno::EAGAIN, Cause::Exhausted),
            (Allocation(Bind), Errno::EADDRNOTAVAIL, Cause::NoAddress),
            (Explicit(Bind), Errno::EADDRINUSE, Cause::InUse),
            (Explicit(Listen), Errno::EADDRINUSE, Cause::InUse),
            (Explicit(Bind), Errno::EADDRNOTAVAIL, Cause::NoAddress),
            (Explicit(Bind), Errno::EACCES, Cause::Denied),
            (Allocation(Bind), Errno::EPERM, Cause::Denied),
            (Explicit(Bind), Errno::EINVAL, Cause::Other),
            (Explicit(Connect), Errno::EADDRINUSE, Cause::Other),
        ];
        for (kind, errno, cause) in table {
            assert_eq!(
                Cause::of(kind, Outcome::Failed { errno: Some(errno) }),
                Some(cause),
                "{kind:?} {errno}"
            );
        }
    }

    #[test]
    fn an_unseen_errno_proves_nothing() {
        let failed = Outcome::Failed { errno: None };
        for kind in Site::ALL.into_iter().flat_map(|site| [Kind::Allocation(site), Kind::Explicit(site)]) {
            assert_eq!(Cause::of(kind, failed), None);
            assert_eq!(Cause::of(kind, Outcome::Ok), None);
        }
    }
}
