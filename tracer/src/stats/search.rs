//! How hard the searches were: time, candidates, collisions.

use super::{
    histogram::{Bucket, Count, Histogram},
    quantiles::{QuantileIntervals, Quantiles, intervals, quantiles},
    ratio::{real, share},
};
use crate::event::{Event, MonoNs, Port, Search, Site};

/// What the sums want of one allocation, read from its event once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allocation {
    pub(super) at: MonoNs,
    pub(super) failed: bool,
    pub(super) port: Option<Port>,
    pub(super) search_ns: Option<u32>,
    upper_bound: bool,
    pub(super) search: Search,
}

impl Allocation {
    #[inline]
    pub(super) fn of(event: &Event, search: &Search) -> Self {
        Self {
            at: event.mono(),
            failed: event.failed(),
            port: event.local_port(),
            search_ns: event.search_ns(),
            upper_bound: event.search_upper_bound(),
            search: *search,
        }
    }
}

/// Searches that found a port in the first half, or in the other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Searched {
    /// How many were timed.
    pub searches: u64,
    /// Mean wall time in nanoseconds; none of no search.
    pub mean_ns: Option<f64>,
    /// Quantiles; none where too few were timed, or part of them only is in a histogram.
    pub times: Quantiles,
}

/// Searches that were timed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timed {
    /// How many.
    pub searches: u64,
    /// Wall time of all of them in nanoseconds, preemption included.
    pub sum_ns: u64,
    /// The longest, in nanoseconds; 4.29 s and more are shown as 4.29 s.
    pub max_ns: u64,
    /// Of these, those whose time is an upper bound: it holds more than the search.
    pub upper_bounds: u64,
}

impl Timed {
    #[inline]
    fn add(&mut self, ns: u32, upper_bound: bool) {
        self.searches += 1;
        self.sum_ns += u64::from(ns);
        self.max_ns = self.max_ns.max(u64::from(ns));
        self.upper_bounds += u64::from(upper_bound);
    }

    fn merge(&mut self, other: &Self) {
        self.searches += other.searches;
        self.sum_ns += other.sum_ns;
        self.max_ns = self.max_ns.max(other.max_ns);
        self.upper_bounds += other.upper_bounds;
    }

    /// Mean wall time in nanoseconds; none of no search.
    #[must_use]
    pub fn mean_ns(&self) -> Option<f64> {
        share(self.sum_ns, self.searches)
    }
}

/// A number that is known of some searches only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Searches of which it is known.
    pub searches: u64,
    /// Its sum over these.
    pub sum: u64,
}

impl Known {
    #[inline]
    fn add(&mut self, value: Option<u32>) {
        self.searches += u64::from(value.is_some());
        self.sum += u64::from(value.unwrap_or(0));
    }

    fn merge(&mut self, other: Self) {
        self.searches += other.searches;
        self.sum += other.sum;
    }

    /// What came after `earlier`.
    pub(super) const fn since(self, earlier: Self) -> Self {
        Self {
            searches: self.searches.saturating_sub(earlier.searches),
            sum: self.sum.saturating_sub(earlier.sum),
        }
    }

    /// The sum; none where it is known of no search.
    #[must_use]
    pub const fn total(self) -> Option<u64> {
        if self.searches == 0 { None } else { Some(self.sum) }
    }

    /// The mean over the searches of which it is known; none where there is none.
    #[must_use]
    pub fn mean(self) -> Option<f64> {
        share(self.sum, self.searches)
    }
}

/// Sums over the searches of allocations; merged exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SearchSums {
    /// Searches that found a port.
    pub found: Timed,
    /// Candidates of those that found one, the chosen port included.
    pub candidates: Known,
    /// Of these searches, those whose candidates are exact: no other search overlapped.
    pub candidates_exact: u64,
    /// Collisions of those that found one.
    pub collisions: Known,
    /// Whether those that found one had crossed to the other half: 1 each, 0 for the others.
    pub crossed: Known,
    /// Of those that found one, the ones that had crossed.
    pub found_crossed: Timed,
    /// Searches that failed: in no mean.
    pub failed: Timed,
}

impl SearchSums {
    #[inline]
    pub(super) fn take(&mut self, one: &Allocation) {
        if let Some(ns) = one.search_ns {
            let timed = if one.failed { &mut self.failed } else { &mut self.found };
            timed.add(ns, one.upper_bound);
            if !one.failed && one.search.crossed_half == Some(true) {
                self.found_crossed.add(ns, one.upper_bound);
            }
        }
        if !one.failed {
            self.candidates.add(one.search.candidates);
            self.candidates_exact += u64::from(one.search.candidates_exact == Some(true));
            self.collisions.add(one.search.collisions);
            self.crossed.add(one.search.crossed_half.map(u32::from));
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.found.merge(&other.found);
        if other.found_crossed.searches != 0 {
            self.found_crossed.merge(&other.found_crossed);
        }
        if other.failed.searches != 0 {
            self.failed.merge(&other.failed);
        }
        self.candidates.merge(other.candidates);
        self.candidates_exact += other.candidates_exact;
        self.collisions.merge(other.collisions);
        self.crossed.merge(other.crossed);
    }

    /// Searches and their times of those that had crossed to the other half, or of the others; a search that knows no
    /// halves has not crossed. The quantiles come from the histogram beside these sums.
    pub(super) fn side<C: Count>(&self, crossed: bool, times: Option<&SearchTimes<C>>) -> Searched {
        let (far, all) = (&self.found_crossed, &self.found);
        let (searches, sum_ns) = if crossed {
            (far.searches, far.sum_ns)
        } else {
            (all.searches.saturating_sub(far.searches), all.sum_ns.saturating_sub(far.sum_ns))
        };
        // Part of them must not pass for all.
        let known = times
            .map(|times| times.quantiles_of(crossed))
            .filter(|known| known.searches.saturating_mul(10) >= searches.saturating_mul(9));
        Searched { searches, mean_ns: share(sum_ns, searches), times: known.unwrap_or_default() }
    }

    /// CPUs that the searches kept busy, failed ones included: Σ `search_ns` ÷ window. None of an empty window,
    /// and where no search was timed.
    ///
    /// An estimate, from above: `search_ns` is wall time, preemption included.
    #[must_use]
    pub fn cpus(&self, start: MonoNs, at: MonoNs) -> Option<f64> {
        let window_ns = at.since(start);
        let timed = self.found.searches + self.failed.searches;
        (timed != 0 && window_ns != 0).then(|| real(self.found.sum_ns + self.failed.sum_ns) / real(window_ns))
    }
}

/// When a search was as long as that, and whether it had crossed to the other half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Length {
    bucket: Bucket,
    crossed: bool,
}

impl Length {
    /// The length of a search that was timed.
    #[inline]
    pub(super) const fn new(ns: u32, crossed: bool) -> Self {
        Self { bucket: Bucket::of(ns), crossed }
    }
}

/// Times of searches that found a port: of those that had crossed to the other half, and of the others.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SearchTimes<C> {
    stayed: Histogram<C>,
    crossed: Histogram<C>,
}

impl<C: Count> SearchTimes<C> {
    /// Takes searches that found a port.
    #[inline]
    pub(super) fn take(&mut self, lengths: &[Length]) {
        // Most streams have one kind only.
        let crossed = lengths.iter().filter(|length| length.crossed).count();
        let all = lengths.iter().map(|length| length.bucket);
        let some = |is: bool| lengths.iter().filter(move |one| one.crossed == is).map(|one| one.bucket);
        match (crossed, lengths.len() - crossed) {
            (0, 0) => {}
            (0, _) => self.stayed.take(all),
            (_, 0) => self.crossed.take(all),
            _ => {
                self.stayed.take(some(false));
                self.crossed.take(some(true));
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.stayed.merge(&other.stayed);
        self.crossed.merge(&other.crossed);
    }

    pub(super) fn searches(&self) -> u64 {
        self.stayed.len() + self.crossed.len()
    }

    /// The longest time of each group of much the same length, ascending, and how many there are.
    pub(super) fn groups(&self) -> Vec<(u64, u64)> {
        let mut all = self.stayed.clone();
        all.merge(&self.crossed);
        all.iter().collect()
    }

    /// Of all.
    pub(super) fn quantiles(&self) -> Quantiles {
        if self.crossed.len() == 0 {
            return quantiles(&self.stayed);
        }
        let mut all = self.stayed.clone();
        all.merge(&self.crossed);
        quantiles(&all)
    }

    /// Between which times these are.
    pub(super) fn intervals(&self) -> QuantileIntervals {
        let mut all = self.stayed.clone();
        all.merge(&self.crossed);
        intervals(&all)
    }

    /// Of those that had crossed to the other half, or of the others.
    pub(super) fn quantiles_of(&self, crossed: bool) -> Quantiles {
        quantiles(if crossed { &self.crossed } else { &self.stayed })
    }
}

/// The searches of one site, or of all.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Searches {
    pub(super) sums: SearchSums,
    pub(super) times: SearchTimes<u64>,
}

impl Searches {
    fn merge(&mut self, other: &Self) {
        self.sums.merge(&other.sums);
        self.times.merge(&other.times);
    }
}

/// The searches of each site.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SearchesBySite([Searches; 4]);

impl SearchesBySite {
    /// Takes searches of one site, and the lengths of those that found a port.
    #[inline]
    pub(super) fn take(&mut self, site: Site, sums: &SearchSums, lengths: &[Length]) {
        if let Some(one) = self.0.get_mut(super::totals::site_index(site)) {
            one.sums.merge(sums);
            one.times.take(lengths);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, part)| sum.merge(part));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Site, &Searches)> {
        Site::ALL.into_iter().zip(&self.0)
    }

    /// All sites together.
    pub(super) fn all(&self) -> Searches {
        let mut all = Searches::default();
        self.0.iter().for_each(|one| all.merge(one));
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_wait_for_enough_searches() {
        let mut times = SearchTimes::<u32>::default();
        for (upto, known) in [(19, 0), (20, 1), (99, 1), (100, 2), (999, 2), (1_000, 3), (10_000, 4)] {
            while times.searches() < upto {
                times.take(&[Length::new(7, false)]);
            }
            let seen = times.quantiles();
            let seen = [seen.p50, seen.p90, seen.p99, seen.p999];
            assert_eq!(seen.iter().flatten().count(), known, "{upto}");
            assert!(seen.iter().flatten().all(|ns| *ns == 7));
        }
    }

    proptest! {
        #[test]
        fn quantiles_agree_with_a_sorted_list(
            mut list in proptest::collection::vec(0_u32..=u32::MAX, 1_000..1_500)
        ) {
            let mut times = SearchTimes::<u64>::default();
            for ns in &list {
                times.take(&[Length::new(*ns, ns & 1 == 1)]);
            }
            list.sort_unstable();
            let seen = times.quantiles();
            for (thousandths, seen) in [(500, seen.p50), (900, seen.p90), (990, seen.p99)] {
                let rank = (list.len() * thousandths).div_ceil(1000);
                let exact = f64::from(list[rank - 1]);
                let seen = real(seen.unwrap());
                prop_assert!((seen - exact).abs() <= exact * 0.01 + 1.0, "{thousandths}: {seen} {exact}");
            }
        }
    }
}
