//! Exact counts of everything that passed the filters, whatever became of the detail.

use super::ByErrno;
use crate::event::{Cause, Errno, Event, Kind, Outcome, Pid, Protocol, Site};

/// Events of which only the count is known: the ring was full when they came.
///
/// Counts are differences: what came since the last time, not since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Whose they are; none where that is not known either.
    pub pid: Option<Pid>,
    /// Name of the thread that was counted first.
    pub comm: Option<String>,
    /// What happened, and where.
    pub kind: Kind,
    /// Transport protocol.
    pub protocol: Protocol,
    /// How it ended; the errno is none where the counters keep none.
    pub result: Outcome,
    /// How many.
    pub count: u64,
}

/// Allocations, and those of them that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Choices by the kernel, failed ones included.
    pub allocations: u64,
    /// Of these, the failed ones.
    pub failures: u64,
}

/// The protocols that are told apart, `other` last, as the counters of the kernel half do.
const PROTOCOLS: [Protocol; 7] = [
    Protocol::Tcp,
    Protocol::Udp,
    Protocol::UdpLite,
    Protocol::Icmp,
    Protocol::Sctp,
    Protocol::Dccp,
    Protocol::Unknown(0),
];

/// Counts of events, exact at any rate, and merged exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    all: Counts,
    checks: u64,
    failed_checks: u64,
    releases: u64,
    lost: u64,
    by_errno: ByErrno,
    by_cause: [u64; 6],
    cause_unknown: u64,
    by_site: [Counts; 4],
    by_protocol: [Counts; 7],
}

impl Totals {
    #[inline]
    pub(super) fn take(&mut self, event: &Event) {
        self.add(event.kind(), event.protocol(), event.result(), 1);
    }

    /// Takes so many allocations that succeeded.
    #[inline]
    pub(super) fn give(&mut self, site: Site, protocol: Protocol, count: u64) {
        self.add(Kind::Allocation(site), protocol, Outcome::Ok, count);
    }

    pub(super) fn absorb(&mut self, lost: &Lost) {
        self.add(lost.kind, lost.protocol, lost.result, lost.count);
        self.lost += lost.count;
    }

    #[inline]
    fn add(&mut self, kind: Kind, protocol: Protocol, result: Outcome, count: u64) {
        let failed = match result {
            Outcome::Ok => None,
            Outcome::Failed { errno } => Some(errno),
        };
        match kind {
            Kind::Allocation(site) => {
                let counts =
                    Counts { allocations: count, failures: if failed.is_some() { count } else { 0 } };
                self.all.add(counts);
                if let Some(sum) = self.by_site.get_mut(site_index(site)) {
                    sum.add(counts);
                }
                if let Some(sum) = self.by_protocol.get_mut(protocol_index(protocol)) {
                    sum.add(counts);
                }
            }
            Kind::Explicit(_) => {
                self.checks += count;
                self.failed_checks += if failed.is_some() { count } else { 0 };
            }
            Kind::Release(_) => self.releases += count,
        }
        if let Some(errno) = failed {
            self.fail(kind, errno, result, count);
        }
    }

    fn fail(&mut self, kind: Kind, errno: Option<Errno>, result: Outcome, count: u64) {
        self.by_errno.add(errno, count);
        let cause = Cause::of(kind, result);
        match cause.and_then(|cause| self.by_cause.get_mut(cause_index(cause))) {
            Some(sum) => *sum += count,
            None => self.cause_unknown += count,
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.all.add(other.all);
        self.checks += other.checks;
        self.failed_checks += other.failed_checks;
        self.releases += other.releases;
        self.lost += other.lost;
        self.by_errno.merge(&other.by_errno);
        self.cause_unknown += other.cause_unknown;
        self.by_cause.iter_mut().zip(other.by_cause).for_each(|(sum, part)| *sum += part);
        self.by_site.iter_mut().zip(other.by_site).for_each(|(sum, part)| sum.add(part));
        self.by_protocol.iter_mut().zip(other.by_protocol).for_each(|(sum, part)| sum.add(part));
    }

    /// Choices by the kernel, failed ones included.
    #[must_use]
    pub const fn allocations(&self) -> u64 {
        self.all.allocations
    }

    /// Choices that failed.
    #[must_use]
    pub const fn failures(&self) -> u64 {
        self.all.failures
    }

    /// Checks of a port that the caller had named: all the failed ones; the others only where they are recorded.
    #[must_use]
    pub const fn checks(&self) -> u64 {
        self.checks
    }

    /// Checks of a named port that failed: not among [`Totals::failures`], but among those by errno and cause.
    #[must_use]
    pub const fn failed_checks(&self) -> u64 {
        self.failed_checks
    }

    /// Ports given back, where releases are recorded.
    #[must_use]
    pub const fn releases(&self) -> u64 {
        self.releases
    }

    /// Events of all kinds that are counted here and of which nothing else is known.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Failures of choices and of checks by errno.
    #[must_use]
    pub const fn by_errno(&self) -> &ByErrno {
        &self.by_errno
    }

    /// Failures of choices and of checks with a known cause.
    pub fn by_cause(&self) -> impl Iterator<Item = (Cause, u64)> + '_ {
        Cause::ALL.into_iter().zip(self.by_cause)
    }

    /// Failures whose cause is not known, since their errno was not seen.
    #[must_use]
    pub const fn cause_unknown(&self) -> u64 {
        self.cause_unknown
    }

    /// Allocations and failures by site.
    pub fn by_site(&self) -> impl Iterator<Item = (Site, Counts)> + '_ {
        Site::ALL.into_iter().zip(self.by_site)
    }

    /// Allocations and failures by protocol, all unknown ones together.
    pub fn by_protocol(&self) -> impl Iterator<Item = (Protocol, Counts)> + '_ {
        PROTOCOLS.into_iter().zip(self.by_protocol)
    }
}

impl Counts {
    const fn add(&mut self, other: Self) {
        self.allocations += other.allocations;
        self.failures += other.failures;
    }
}

pub(super) const fn site_index(site: Site) -> usize {
    match site {
        Site::Connect => 0,
        Site::Bind => 1,
        Site::Listen => 2,
        Site::Autobind => 3,
    }
}

const fn protocol_index(protocol: Protocol) -> usize {
    match protocol {
        Protocol::Tcp => 0,
        Protocol::Udp => 1,
        Protocol::UdpLite => 2,
        Protocol::Icmp => 3,
        Protocol::Sctp => 4,
        Protocol::Dccp => 5,
        Protocol::Unknown(_) => 6,
    }
}

const fn cause_index(cause: Cause) -> usize {
    match cause {
        Cause::Exhausted => 0,
        Cause::TupleBusy => 1,
        Cause::InUse => 2,
        Cause::NoAddress => 3,
        Cause::Denied => 4,
        Cause::Other => 5,
    }
}
