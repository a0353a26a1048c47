//! Counts by size, in buckets that grow with it: any number up to 2^32 within 1 %, in 13 or 26 KiB.
//!
//! The buckets are those of an HDR histogram of two digits. A number's bucket is worked out once, and added up
//! wherever it counts: that is why this is no crate.

/// Numbers below this have a bucket each; from there on each octave has half as many.
const EXACT_BITS: u32 = 8;
/// Buckets in all: 256, and 128 for each of the 24 octaves above.
const BUCKETS: usize = 3_328;

/// Where a number is counted, less than [`BUCKETS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket(u16);

impl Bucket {
    #[inline]
    #[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "at most 24 · 128 + 255")]
    pub(super) const fn of(number: u32) -> Self {
        let shift = (u32::BITS - EXACT_BITS) - (number | 0xff).leading_zeros();
        Self(((shift << (EXACT_BITS - 1)) + (number >> shift)) as u16)
    }

    /// The highest number that is counted there.
    fn highest(at: u32) -> u64 {
        let shift = (at >> (EXACT_BITS - 1)).saturating_sub(1);
        let mantissa = at - (shift << (EXACT_BITS - 1));
        ((u64::from(mantissa) + 1) << shift) - 1
    }
}

/// A counter of a histogram.
pub(super) trait Count: Copy + Default + PartialEq {
    /// Adds one, and stays at the highest number that it can show.
    fn step(&mut self);
    /// Adds as [`Self::step`].
    fn add(&mut self, count: u64);
    /// The count.
    fn number(self) -> u64;
}

impl Count for u64 {
    #[inline]
    fn step(&mut self) {
        *self = self.saturating_add(1);
    }

    #[inline]
    fn add(&mut self, count: u64) {
        *self = self.saturating_add(count);
    }

    fn number(self) -> u64 {
        self
    }
}

/// For rows: half the memory.
impl Count for u32 {
    #[inline]
    fn step(&mut self) {
        *self = self.saturating_add(1);
    }

    #[inline]
    fn add(&mut self, count: u64) {
        *self = self.saturating_add(Self::try_from(count).unwrap_or(Self::MAX));
    }

    fn number(self) -> u64 {
        self.into()
    }
}

/// Counts by size; nothing is allocated before the first. Parts add up exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Histogram<C> {
    counts: Vec<C>,
    len: u64,
}

impl<C: Count> Histogram<C> {
    /// Counts each of these.
    #[inline]
    pub(super) fn take(&mut self, buckets: impl IntoIterator<Item = Bucket>) {
        if self.counts.is_empty() {
            self.make();
        }
        for Bucket(at) in buckets {
            if let Some(count) = self.counts.get_mut(usize::from(at)) {
                count.step();
                self.len += 1;
            }
        }
    }

    #[cold]
    fn make(&mut self) {
        self.counts = vec![C::default(); BUCKETS];
    }

    /// How many were counted.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// The highest number of each bucket that is not empty, ascending, and how many are counted there.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let counted = (0_u32..).zip(&self.counts).filter(|(_, count)| **count != C::default());
        counted.map(|(at, count)| (Bucket::highest(at), count.number()))
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if other.len == 0 {
            return;
        }
        if self.counts.is_empty() {
            self.make();
        }
        for (sum, part) in self.counts.iter_mut().zip(&other.counts) {
            sum.add(part.number());
        }
        self.len += other.len;
    }

    fn filled(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        (0_u32..).zip(&self.counts).map(|(at, count)| (at, count.number())).filter(|(_, count)| *count != 0)
    }

    /// The number that so many thousandths of the counted ones do not exceed, within 1 % and never too low; none
    /// where nothing was counted.
    pub(super) fn quantile(&self, thousandths: u16) -> Option<u64> {
        self.ranked(self.len.saturating_mul(u64::from(thousandths)).div_ceil(1_000))
    }

    /// Between which numbers that quantile of the source is with a probability of 95 %, if they were drawn from it one
    /// by one: the order statistics whose ranks are 1.96 √(np(1−p)) apart from it; none where nothing was counted.
    pub(super) fn interval(&self, thousandths: u16) -> Option<[u64; 2]> {
        let part = u64::from(thousandths.min(1_000));
        // 1.96² · n · p(1−p), in whole numbers.
        let square = u128::from(self.len) * u128::from(part * (1_000 - part)) * 38_416 / 10_000_000_000;
        let apart = u64::try_from(square.isqrt()).unwrap_or(u64::MAX).saturating_add(1);
        let rank = self.len.saturating_mul(part).div_ceil(1_000);
        let [low, high] = [rank.saturating_sub(apart), rank.saturating_add(apart).min(self.len)];
        Some([self.ranked(low)?, self.ranked(high)?])
    }

    /// The number of this rank, the lowest being the first.
    fn ranked(&self, rank: u64) -> Option<u64> {
        let rank = rank.max(1);
        let mut below = 0_u64;
        let reached = self.filled().find(|(_, count)| {
            below = below.saturating_add(*count);
            below >= rank
        });
        reached.map(|(at, _)| Bucket::highest(at))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        let mut last = None;
        for at in 0..u32::try_from(BUCKETS).unwrap() {
            let (low, high) = (last.map_or(0, |last: u64| last + 1), Bucket::highest(at));
            let of = |number: u64| Bucket::of(u32::try_from(number).unwrap()).0;
            assert_eq!((u32::from(of(low)), u32::from(of(high))), (at, at));
            assert!(high - low <= low / 100, "{low} {high}");
            last = Some(high);
        }
        assert_eq!(last, Some(u64::from(u32::MAX)));
    }

    #[test]
    fn nothing_has_no_quantile_and_a_counter_stays_at_its_highest() {
        let mut histogram = Histogram::<u32>::default();
        assert_eq!(histogram.quantile(500), None);
        let full = Histogram { counts: vec![u32::MAX; BUCKETS], len: 7 };
        histogram.take([Bucket::of(9)]);
        histogram.merge(&full);
        assert_eq!((histogram.counts[9], histogram.len()), (u32::MAX, 8));
    }

    #[test]
    fn the_interval_of_a_quantile_is_that_of_its_ranks() {
        let mut histogram = Histogram::<u64>::default();
        assert_eq!(histogram.interval(500), None);
        histogram.take((1..=100).map(Bucket::of));
        // √(100 · 0.5 · 0.5) · 1.96 = 9.8; √(100 · 0.9 · 0.1) · 1.96 = 5.9.
        assert_eq!(histogram.interval(500), Some([40, 60]));
        assert_eq!(histogram.interval(900), Some([84, 96]));
        assert_eq!(histogram.interval(1_000), Some([99, 100]));
    }

    proptest! {
        #[test]
        fn quantiles_agree_with_a_sorted_list_however_it_was_split(
            mut list in proptest::collection::vec(0_u32..=u32::MAX, 1..400), cut in 0_usize..400
        ) {
            let (one, other) = list.split_at(cut.min(list.len()));
            let of = |part: &[u32]| {
                let mut histogram = Histogram::<u64>::default();
                histogram.take(part.iter().map(|number| Bucket::of(*number)));
                histogram
            };
            let mut sum = of(one);
            sum.merge(&of(other));
            prop_assert!(sum == of(&list));
            list.sort_unstable();
            for thousandths in [1, 500, 900, 999, 1_000] {
                let exact = list[(list.len() * usize::from(thousandths)).div_ceil(1_000) - 1];
                let seen = sum.quantile(thousandths).unwrap();
                prop_assert!(seen >= exact.into() && seen - u64::from(exact) <= u64::from(exact) / 100);
            }
        }
    }
}
