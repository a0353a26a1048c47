//! The numbers of one row.

use super::ports::PortSet;
use crate::{
    event::{Event, Kind, MonoNs},
    stats::{
        ByErrno, Churn, Holds, Lost, Quantiles, SearchSums, Searched,
        churn::Peak,
        ratio::{real, seconds},
        runs::Part,
        search::SearchTimes,
    },
};

/// Seconds that the 64 busiest rows keep one by one, for forecasts.
const SECONDS: usize = 64;

/// What only the 64 busiest rows of a table keep: 16 KiB, and a bitmap of ports.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Detail {
    times: SearchTimes<u32>,
    opened: Churn,
    freed: Churn,
}

impl Detail {
    fn new() -> Self {
        Self { times: SearchTimes::default(), opened: Churn::new(SECONDS), freed: Churn::new(SECONDS) }
    }
}

/// What one process, destination or group did, as sums that add up.
///
/// In the order of use: with ten thousand rows each line of the cache that an event touches is a miss.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub struct Row {
    allocations: u64,
    detail: Option<Box<Detail>>,
    first: Option<MonoNs>,
    last: MonoNs,
    peak: Peak,
    search: SearchSums,
    holds: Holds,
    ports: PortSet,
    failures: u64,
    failed_checks: u64,
    lost: u64,
    by_errno: ByErrno,
}

impl Row {
    pub(in crate::stats) fn allocate(&mut self, part: &Part<'_>) {
        let count = u64::from(part.count);
        self.allocations += count;
        self.seen(part.first, part.last);
        self.peak.add(part.second, part.count);
        self.search.merge(part.sums);
        if part.failed {
            self.failures += count;
            self.by_errno.add(part.event.errno(), count);
            return;
        }
        self.holds.open(count, part.at_sum);
        self.ports.insert_all(part.ports, self.detail.is_some());
        if let Some(detail) = &mut self.detail {
            detail.times.take(part.lengths);
            detail.opened.add_in(part.second, part.count);
        }
    }

    /// Takes a check of a named port that failed.
    pub(in crate::stats) fn fail_check(&mut self, event: &Event) {
        self.failed_checks += 1;
        self.by_errno.add(event.errno(), 1);
        self.seen(event.mono(), event.mono());
    }

    pub(in crate::stats) fn release(&mut self, event: &Event) {
        self.holds.release(event);
        if let Some(detail) = &mut self.detail {
            detail.freed.add(event.mono(), 1);
        }
    }

    pub(in crate::stats) fn absorb(&mut self, lost: &Lost) {
        let failed = match lost.result {
            crate::event::Outcome::Ok => None,
            crate::event::Outcome::Failed { errno } => Some(errno),
        };
        self.lost += lost.count;
        match lost.kind {
            Kind::Allocation(_) => {
                self.allocations += lost.count;
                self.failures += if failed.is_some() { lost.count } else { 0 };
            }
            Kind::Explicit(_) => self.failed_checks += if failed.is_some() { lost.count } else { 0 },
            Kind::Release(_) => {}
        }
        if let Some(errno) = failed {
            self.by_errno.add(errno, lost.count);
        }
    }

    #[inline]
    fn seen(&mut self, from: MonoNs, to: MonoNs) {
        if self.first.is_none_or(|first| from < first) {
            self.first = Some(from);
        }
        self.last = self.last.max(to);
    }

    pub(in crate::stats) fn merge(&mut self, other: &Self, may_grow: bool) {
        self.allocations += other.allocations;
        self.failures += other.failures;
        self.failed_checks += other.failed_checks;
        self.lost += other.lost;
        self.first = self.first.into_iter().chain(other.first).min();
        self.last = self.last.max(other.last);
        self.peak.merge(other.peak);
        self.search.merge(&other.search);
        self.holds.merge(&other.holds);
        self.by_errno.merge(&other.by_errno);
        match (&mut self.detail, &other.detail) {
            (Some(mine), Some(more)) => {
                mine.times.merge(&more.times);
                mine.opened.merge(&more.opened);
                mine.freed.merge(&more.freed);
            }
            (None, Some(more)) => self.detail = Some(more.clone()),
            _ => {}
        }
        self.ports.merge(&other.ports, may_grow);
    }

    pub(super) fn grant_detail(&mut self) {
        if self.detail.is_none() {
            self.detail = Some(Box::new(Detail::new()));
        }
    }

    pub(super) fn withdraw_detail(&mut self) {
        self.detail = None;
        self.ports.give_up_bitmap();
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.allocations == 0
    }

    #[inline]
    pub(super) const fn has_detail(&self) -> bool {
        self.detail.is_some()
    }

    /// Allocations, failed and lost ones included.
    #[must_use]
    pub const fn allocations(&self) -> u64 {
        self.allocations
    }

    /// Allocations that failed, lost ones included.
    #[must_use]
    pub const fn failures(&self) -> u64 {
        self.failures
    }

    /// Checks of a named port that failed.
    #[must_use]
    pub const fn failed_checks(&self) -> u64 {
        self.failed_checks
    }

    /// Events of which only the count is known; they are in no number but the counts and the errnos.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Failures of choices and of checks by errno.
    #[must_use]
    pub const fn by_errno(&self) -> &ByErrno {
        &self.by_errno
    }

    /// Allocations per second over the window; none of an empty window.
    #[must_use]
    pub fn churn_mean(&self, start: MonoNs, at: MonoNs) -> Option<f64> {
        let window_ns = at.since(start);
        (window_ns != 0).then(|| real(self.allocations) / seconds(window_ns))
    }

    /// Allocations in the busiest second of the clock, lost ones not included. After a merge, and of a group, it
    /// is exact where the parts were cut at whole seconds, else at least the highest of the parts.
    #[must_use]
    pub const fn churn_peak(&self) -> u32 {
        self.peak.highest()
    }

    /// Different ports that were given; none where there are more than 32 and the row is not one of the 64 that
    /// keep a bitmap.
    #[must_use]
    pub fn distinct_ports(&self) -> Option<u32> {
        self.ports.count()
    }

    /// Sums over the searches.
    #[must_use]
    pub const fn search(&self) -> &SearchSums {
        &self.search
    }

    /// Quantiles of search times. None but for the 64 busiest rows, and where less than nine tenths of the
    /// row's searches are in the histogram: part of them must not pass for all.
    #[must_use]
    pub fn quantiles(&self) -> Option<Quantiles> {
        let times = &self.detail.as_ref()?.times;
        let most = times.searches().saturating_mul(10) >= self.search.found.searches.saturating_mul(9);
        most.then(|| times.quantiles())
    }

    /// Its searches that found a port after they had crossed to the other half, or those that had not.
    #[must_use]
    pub fn searched(&self, crossed: bool) -> Searched {
        self.search.side(crossed, self.detail.as_ref().map(|detail| &detail.times))
    }

    /// Holds, as far as releases are recorded.
    #[must_use]
    pub const fn holds(&self) -> &Holds {
        &self.holds
    }

    /// Successful allocations less releases in each of the last `count` whole seconds before `at`, oldest first;
    /// none but for the 64 busiest rows. A release is the end of a hold, of TIME_WAIT too.
    #[must_use]
    pub fn net_per_second(&self, at: MonoNs, count: u64) -> Option<Vec<i64>> {
        let detail = self.detail.as_ref()?;
        let opened = detail.opened.series(at, count);
        let freed = detail.freed.series(at, count);
        // A second without an event of one kind may not be in its ring yet.
        let missing = opened.len().saturating_sub(freed.len());
        let freed = std::iter::repeat_n(0, missing).chain(freed);
        Some(opened.into_iter().zip(freed).map(|(one, other)| i64::from(one) - i64::from(other)).collect())
    }

    /// First allocation or failed check; none where only counts are known.
    #[must_use]
    pub const fn first(&self) -> Option<MonoNs> {
        self.first
    }

    /// Last allocation or failed check; none where only counts are known.
    #[must_use]
    pub fn last(&self) -> Option<MonoNs> {
        self.first.map(|_| self.last)
    }
}
