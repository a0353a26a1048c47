//! How soon a port, or a whole 4-tuple, is used again.

use std::hash::{Hash as _, Hasher as _};

use rustc_hash::FxHasher;

use super::{
    histogram::{Bucket, Histogram},
    holds::{TIME_WAIT_NS, closed_at},
    ratio::{SECOND_NS, share},
    recent::Recent,
    rows::DestinationKey,
    scope::Again,
};
use crate::event::{Event, MonoNs};

/// 4-tuples whose close is remembered: 1.5 MiB.
const TUPLES: usize = 65_536;

/// The two times that matter: a TIME_WAIT (60 s), and conntrack's own (120 s).
const WITHIN_NS: [u64; 2] = [60 * SECOND_NS, 120 * SECOND_NS];

/// Allocations made later than T after the start, and those of them that came within T of a close.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Within {
    later: u64,
    within: u64,
}

impl Within {
    fn merge(&mut self, other: Self) {
        self.later += other.later;
        self.within += other.within;
    }
}

/// What is told of reuse.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReuseReport {
    /// Share of the allocations made later than 60 s after the start whose port was closed less than 60 s
    /// before, in the same namespace and protocol. None while the window is not longer than that, and where no
    /// release is recorded.
    pub within_60s: Option<f64>,
    /// The same with 120 s.
    pub within_120s: Option<f64>,
    /// As `within_60s`, of allocations with a remote end whose 4-tuple was closed.
    pub same_tuple_within_60s: Option<f64>,
    /// As `within_120s`, of allocations with a remote end whose 4-tuple was closed.
    pub same_tuple_within_120s: Option<f64>,
    /// Median of the intervals from close to next allocation of a 4-tuple, in milliseconds, of 20 and more.
    pub same_tuple_interval_ms_p50: Option<u64>,
    /// Fewest allocations from one of a port to the next of that port in the same namespace and protocol; the
    /// next one is 1. None where no port came again.
    pub distance_min: Option<u32>,
    /// Median of these distances, within 1 %, of 20 and more.
    pub distance_p50: Option<u64>,
    /// 4-tuples that had to be forgotten for others: the shares of same tuples are low by as much.
    pub forgotten: u64,
}

/// Distances and intervals; those between two events of one part only, after a merge of parts that were not cut from
/// one stream.
#[derive(Clone, Debug)]
pub(super) struct Reuse {
    /// Since when closes are known.
    start: MonoNs,
    releases: bool,
    distances: Histogram<u64>,
    distance_min: Option<u32>,
    ports: [Within; 2],
    tuples: [Within; 2],
    intervals_ms: Histogram<u64>,
    closed: Recent<u64>,
}

impl Reuse {
    pub(super) fn new(start: MonoNs, releases: bool) -> Self {
        Self {
            start,
            releases,
            distances: Histogram::default(),
            distance_min: None,
            ports: Default::default(),
            tuples: Default::default(),
            intervals_ms: Histogram::default(),
            closed: Recent::new(TUPLES),
        }
    }

    /// Whether it wants to know more of an allocation than how far it is from the last of its port.
    #[inline]
    pub(super) const fn follows_closes(&self) -> bool {
        self.releases
    }

    /// Takes a distance, if there is one.
    #[inline]
    pub(super) fn come_again(&mut self, again: Again) {
        if let Some(distance) = again.distance {
            self.distance_min = Some(self.distance_min.map_or(distance, |least| least.min(distance)));
            self.distances.take([Bucket::of(distance)]);
        }
    }

    /// Takes a successful allocation of a scope that is followed.
    #[inline]
    pub(super) fn allocate(&mut self, event: &Event, again: Again, remote: Option<DestinationKey>) {
        self.come_again(again);
        if self.releases {
            self.interval(event, again.closed, remote);
        }
    }

    fn interval(&mut self, event: &Event, port_closed: Option<MonoNs>, remote: Option<DestinationKey>) {
        let (at, age_ns) = (event.mono(), event.mono().since(self.start));
        // The TIME_WAIT that a connect took over had begun less than 60 s before, and nobody saw when.
        let taken_over = event.time_wait_reused() == Some(true);
        let count = |shares: &mut [Within; 2], closed: Option<MonoNs>| {
            for (share, within_ns) in shares.iter_mut().zip(WITHIN_NS) {
                if age_ns > within_ns {
                    share.later += 1;
                    let soon = taken_over || closed.is_some_and(|closed| at.since(closed) < within_ns);
                    share.within += u64::from(soon);
                }
            }
        };
        count(&mut self.ports, port_closed);
        let Some(remote) = remote else { return };
        let closed = self.closed.remove(tuple(event, remote)).map(MonoNs);
        count(&mut self.tuples, closed);
        if let Some(closed) = closed.filter(|_| !taken_over) {
            let ms = u32::try_from(at.since(closed) / 1_000_000).unwrap_or(u32::MAX);
            self.intervals_ms.take([Bucket::of(ms)]);
        }
    }

    pub(super) fn release(&mut self, event: &Event, remote: Option<DestinationKey>) {
        self.releases = true;
        if let Some(remote) = remote {
            self.closed.put(tuple(event, remote), closed_at(event).0);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.start = self.start.min(other.start);
        self.releases |= other.releases;
        self.distances.merge(&other.distances);
        self.intervals_ms.merge(&other.intervals_ms);
        self.distance_min = self.distance_min.into_iter().chain(other.distance_min).min();
        self.ports.iter_mut().zip(other.ports).for_each(|(sum, part)| sum.merge(part));
        self.tuples.iter_mut().zip(other.tuples).for_each(|(sum, part)| sum.merge(part));
        self.closed.merge(&other.closed, |mine, more| mine.unwrap_or(0).max(more));
    }

    /// Lets go of what only events to come would want.
    pub(super) fn rest(&mut self) {
        self.closed = self.closed.emptied();
    }

    /// As it is, without that.
    pub(super) fn copy(&self) -> Self {
        Self {
            distances: self.distances.clone(),
            intervals_ms: self.intervals_ms.clone(),
            closed: self.closed.emptied(),
            ..*self
        }
    }

    /// Ends a part: what was counted in it. The next one knows what was closed, and since when.
    pub(super) fn end_part(&mut self) -> Self {
        let next = Self { releases: self.releases, ..Self::new(self.start, false) };
        let ended = std::mem::replace(self, next);
        let closed = ended.closed.emptied();
        self.closed = ended.closed;
        self.closed.forget_count();
        Self { closed, ..ended }
    }

    pub(super) fn distances(&self) -> Vec<(u64, u64)> {
        self.distances.iter().collect()
    }

    pub(super) fn intervals_ms(&self) -> Vec<(u64, u64)> {
        self.intervals_ms.iter().collect()
    }

    pub(super) fn report(&self, at: MonoNs) -> ReuseReport {
        let window_ns = at.since(self.start);
        let told = |shares: [Within; 2]| {
            let [sixty, twice] = shares.map(|one| share(one.within, one.later).filter(|_| self.releases));
            let [minute, two_minutes] = WITHIN_NS;
            (sixty.filter(|_| window_ns > minute), twice.filter(|_| window_ns > two_minutes))
        };
        let (within_60s, within_120s) = told(self.ports);
        let (same_tuple_within_60s, same_tuple_within_120s) = told(self.tuples);
        ReuseReport {
            within_60s,
            within_120s,
            same_tuple_within_60s,
            same_tuple_within_120s,
            same_tuple_interval_ms_p50: median(&self.intervals_ms),
            distance_min: self.distance_min,
            distance_p50: median(&self.distances),
            forgotten: self.closed.forgotten(),
        }
    }
}

fn median(histogram: &Histogram<u64>) -> Option<u64> {
    histogram.quantile(500).filter(|_| histogram.len() >= 20)
}

/// A key of the 4-tuple, its namespace and protocol: never 0.
fn tuple(event: &Event, remote: DestinationKey) -> u64 {
    let mut hasher = FxHasher::default();
    remote.hash(&mut hasher);
    event.local_addr().hash(&mut hasher);
    event.local_port().hash(&mut hasher);
    hasher.finish().max(1)
}

const _: () = assert!(WITHIN_NS[0] == TIME_WAIT_NS);
