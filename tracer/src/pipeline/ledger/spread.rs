//! How numbers spread, in few buckets that never go back.

/// Search times are told up to these, in nanoseconds.
pub(super) const SEARCH_NS: [u64; 15] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
];

/// Allocations from one of a port to the next of that port are told up to these.
pub(super) const DISTANCE: [u64; 12] =
    [1, 10, 100, 300, 1_000, 2_000, 3_000, 5_000, 10_000, 20_000, 50_000, 100_000];

/// Times from the close of a 4-tuple to its next use are told up to these, in milliseconds: 60 s is a TIME_WAIT, 120 s what
/// connection tracking keeps.
pub(super) const INTERVAL_MS: [u64; 11] =
    [100, 1_000, 5_000, 15_000, 30_000, 60_000, 90_000, 120_000, 300_000, 600_000, 3_600_000];

/// How many numbers there are up to each of some edges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    edges: &'static [u64],
    /// Those up to each edge that are above the one before, and those above the last one.
    counts: Vec<u64>,
    sum: u64,
}

impl Spread {
    /// Nothing counted.
    #[must_use]
    pub fn new(edges: &'static [u64]) -> Self {
        Self { edges, counts: vec![0; edges.len() + 1], sum: 0 }
    }

    /// Of numbers in groups: the highest of each, and how many there are. Their sum is that of the highest.
    #[must_use]
    pub fn of(edges: &'static [u64], groups: &[(u64, u64)]) -> Self {
        let mut spread = Self::new(edges);
        for (highest, count) in groups {
            let at = edges.partition_point(|edge| edge < highest);
            if let Some(counted) = spread.counts.get_mut(at) {
                *counted = counted.saturating_add(*count);
            }
            spread.sum = spread.sum.saturating_add(highest.saturating_mul(*count));
        }
        spread
    }

    /// The same where the sum is known.
    #[must_use]
    pub fn with_sum(self, sum: u64) -> Self {
        Self { sum, ..self }
    }

    /// Adds one with the same edges.
    pub fn add(&mut self, other: &Self) {
        for (sum, part) in self.counts.iter_mut().zip(&other.counts) {
            *sum = sum.saturating_add(*part);
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// The edges, and the numbers up to each that are above the one before.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.edges.iter().copied().zip(self.counts.iter().copied())
    }

    /// The numbers above the last edge.
    #[must_use]
    pub fn above(&self) -> u64 {
        self.counts.last().copied().unwrap_or(0)
    }

    /// All added up.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_counted_up_to_the_edge_that_holds_them() {
        let mut spread = Spread::of(&DISTANCE, &[(1, 2), (10, 3), (11, 5), (200_000, 7)]);
        let buckets: Vec<(u64, u64)> = spread.buckets().take(3).collect();
        assert_eq!((buckets, spread.above()), (vec![(1, 2), (10, 3), (100, 5)], 7));
        assert_eq!(spread.sum(), 2 + 30 + 55 + 1_400_000);
        spread.add(&Spread::of(&DISTANCE, &[(5, 1)]).with_sum(4));
        assert_eq!((spread.buckets().nth(1), spread.sum()), (Some((10, 4)), 1_400_091));
        for edges in [SEARCH_NS.as_slice(), &DISTANCE, &INTERVAL_MS] {
            assert!(edges.is_sorted());
        }
    }
}
