//! Sums over a few searches, quick to add to: what a run keeps of them.

use super::search::{self, SearchSums, Timed};
use crate::event::Search;

/// What is known of each search of a run, counted side by side: a byte each, which 32 do not fill.
#[derive(Clone, Copy, Debug, Default)]
struct Counts(u64);

impl Counts {
    const CANDIDATES: u32 = 0;
    const EXACT: u32 = 8;
    const COLLISIONS: u32 = 16;
    const HALVES: u32 = 24;
    const CROSSED: u32 = 32;
    const UPPER_BOUND: u32 = 40;

    const fn bit(is: bool, place: u32) -> u64 {
        if is { 1 << place } else { 0 }
    }

    const fn number(self, place: u32) -> u64 {
        self.0 >> place & 0xff
    }
}

/// Sums over the searches of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    counts: Counts,
    ns: u64,
    most_ns: u32,
    crossed_ns: u64,
    most_crossed_ns: u32,
    crossed_upper_bounds: u64,
    candidates: u64,
    collisions: u64,
}

/// What is known of each of some searches beforehand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known(u64);

impl Known {
    /// Whether there are candidates and collisions, and halves; whether the time holds more than the search.
    pub(super) const fn new((counted, halves): (bool, bool), upper_bound: bool) -> Self {
        Self(
            Counts::bit(counted, Counts::CANDIDATES)
                | Counts::bit(counted, Counts::COLLISIONS)
                | Counts::bit(halves, Counts::HALVES)
                | Counts::bit(upper_bound, Counts::UPPER_BOUND),
        )
    }
}

impl Sums {
    /// Adds a search of which that is known: `collisions` are 0 where there are none to count.
    #[inline]
    pub(super) fn add_known(&mut self, ns: u32, known: Known, collisions: u32, crossed: bool, exact: bool) {
        let counted = known.0 & 1;
        self.counts.0 += known.0 | (u64::from(exact) & counted) << Counts::EXACT;
        self.ns += u64::from(ns);
        self.most_ns = self.most_ns.max(ns);
        self.candidates += u64::from(collisions) + counted;
        self.collisions += u64::from(collisions);
        if crossed {
            self.cross(ns, known.0 >> Counts::UPPER_BOUND & 1);
        }
    }

    /// Adds a search.
    #[inline]
    pub(super) fn add(&mut self, ns: u32, search: &Search, upper_bound: bool) {
        self.counts.0 += Counts::bit(search.candidates.is_some(), Counts::CANDIDATES)
            | Counts::bit(search.candidates_exact == Some(true), Counts::EXACT)
            | Counts::bit(search.collisions.is_some(), Counts::COLLISIONS)
            | Counts::bit(search.crossed_half.is_some(), Counts::HALVES)
            | Counts::bit(upper_bound, Counts::UPPER_BOUND);
        self.ns += u64::from(ns);
        self.most_ns = self.most_ns.max(ns);
        self.candidates += u64::from(search.candidates.unwrap_or(0));
        self.collisions += u64::from(search.collisions.unwrap_or(0));
        if search.crossed_half == Some(true) {
            self.cross(ns, upper_bound.into());
        }
    }

    #[inline]
    fn cross(&mut self, ns: u32, upper_bound: u64) {
        self.counts.0 += 1 << Counts::CROSSED;
        self.crossed_ns += u64::from(ns);
        self.most_crossed_ns = self.most_crossed_ns.max(ns);
        self.crossed_upper_bounds += upper_bound;
    }

    pub(super) fn total(&self, searches: u64) -> SearchSums {
        let number = |place| self.counts.number(place);
        SearchSums {
            found: Timed {
                searches,
                sum_ns: self.ns,
                max_ns: self.most_ns.into(),
                upper_bounds: number(Counts::UPPER_BOUND),
            },
            candidates: search::Known { searches: number(Counts::CANDIDATES), sum: self.candidates },
            candidates_exact: number(Counts::EXACT),
            collisions: search::Known { searches: number(Counts::COLLISIONS), sum: self.collisions },
            crossed: search::Known { searches: number(Counts::HALVES), sum: number(Counts::CROSSED) },
            found_crossed: Timed {
                searches: number(Counts::CROSSED),
                sum_ns: self.crossed_ns,
                max_ns: self.most_crossed_ns.into(),
                upper_bounds: self.crossed_upper_bounds,
            },
            failed: Timed::default(),
        }
    }
}

/// When the allocations of a run were, in nanoseconds from the beginning of its second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) sum: u64,
}

impl Times {
    pub(super) const NONE: Self = Self { first: u32::MAX, last: 0, sum: 0 };

    #[inline]
    pub(super) fn add(&mut self, since_ns: u32) {
        self.first = self.first.min(since_ns);
        self.last = self.last.max(since_ns);
        self.sum += u64::from(since_ns);
    }
}
