//! How sure one can be of a ratio: of two counts, of two shares of counts, of two quantiles.

use crate::stats::beta_quantile;

/// Both tails of a 95 % interval.
const TAILS: [f64; 2] = [0.025, 0.975];

/// A count and what it was counted over: seconds, or attempts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Counted {
    pub(super) count: u64,
    pub(super) over: f64,
}

impl Counted {
    /// What comes on one second, or one attempt; none of nothing.
    pub(super) fn rate(self) -> Option<f64> {
        (self.over > 0.0).then(|| real(self.count) / self.over)
    }
}

/// Where a ratio is with a probability of 95 %; without an upper end where that is open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    pub(super) low: f64,
    pub(super) high: Option<f64>,
}

impl Interval {
    /// Whether it leaves room for no difference.
    pub(super) fn takes_in_one(self) -> bool {
        self.low <= 1.0 && self.high.is_none_or(|high| high >= 1.0)
    }
}

/// The ratio of the rate of B to that of A.
///
/// Of two Poisson counts, the second is binomial when their sum is given, so that the interval of its share (Clopper
/// and Pearson) is that of the ratio: exact, also where one is 0. Where events come in bursts, a count of n says as
/// much as n ÷ dispersion that come one by one.
pub(super) fn of_counts(a: Counted, b: Counted, dispersion: f64) -> Option<Interval> {
    if a.over <= 0.0 || b.over <= 0.0 || (a.count == 0 && b.count == 0) {
        return None;
    }
    let burst = dispersion.max(1.0);
    let [in_a, in_b] = [a.count, b.count].map(|count| real(count) / burst);
    let scale = a.over / b.over;
    let odds = |share: f64| (share < 1.0).then(|| share / (1.0 - share) * scale);
    let low = if b.count == 0 { 0.0 } else { beta_quantile(TAILS[0], in_b, in_a + 1.0) };
    let high = if a.count == 0 { 1.0 } else { beta_quantile(TAILS[1], in_b + 1.0, in_a) };
    Some(Interval { low: odds(low)?, high: odds(high) })
}

/// The ratio of two numbers that have an interval each, by the method of variance estimates recovery on their
/// logarithms (Zou and Donner 2008). None where one of the numbers is 0: there are no logarithms.
pub(super) fn of_intervals(a: (u64, [u64; 2]), b: (u64, [u64; 2])) -> Option<Interval> {
    let log = |number: u64| (number != 0).then(|| real(number).ln());
    let logs = |(middle, [low, high]): (u64, [u64; 2])| Some((log(middle)?, log(low)?, log(high)?));
    let ((a, from_a, upto_a), (b, from_b, upto_b)) = (logs(a)?, logs(b)?);
    let down = (b - from_b).hypot(upto_a - a);
    let up = (upto_b - b).hypot(a - from_a);
    Some(Interval { low: (b - a - down).exp(), high: Some((b - a + up).exp()) })
}

#[expect(clippy::cast_precision_loss, reason = "counts and times for people, of which 52 bits are enough")]
pub(super) const fn real(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(a: u64, b: u64, dispersion: f64) -> Interval {
        of_counts(Counted { count: a, over: 10.0 }, Counted { count: b, over: 10.0 }, dispersion).unwrap()
    }

    #[test]
    fn the_interval_is_that_of_the_exact_conditional_test() {
        // R: poisson.test(c(11, 6 + 8 + 7), c(800, 1083 + 1050 + 878)): ratio 1.971488, 0.8584 to 4.2773.
        let (a, b) = (Counted { count: 21, over: 3_011.0 }, Counted { count: 11, over: 800.0 });
        let found = of_counts(a, b, 1.0).unwrap();
        assert!(
            (found.low - 0.858_426).abs() < 1e-5 && (found.high.unwrap() - 4.277_266).abs() < 1e-5,
            "{found:?}"
        );
        assert!(found.takes_in_one());
    }

    #[test]
    fn none_on_one_side_leaves_that_end_open() {
        // 0 against 5: the share is above 0.025^(1/5) = 0.4782, so the ratio above 0.9164.
        let found = counts(0, 5, 1.0);
        assert!((found.low - 0.9164).abs() < 1e-3 && found.high.is_none() && found.takes_in_one());
        assert!(!counts(0, 6, 1.0).takes_in_one());
        let gone = counts(6, 0, 1.0);
        assert!(gone.low <= 0.0 && gone.high.unwrap() < 1.0);
        assert_eq!(of_counts(Counted { count: 0, over: 1.0 }, Counted { count: 0, over: 1.0 }, 1.0), None);
        assert_eq!(of_counts(Counted { count: 1, over: 0.0 }, Counted { count: 1, over: 1.0 }, 1.0), None);
    }

    #[test]
    fn bursts_make_it_wider_and_evenness_does_not_make_it_narrower() {
        assert!(!counts(1_000, 1_200, 1.0).takes_in_one());
        assert!(counts(1_000, 1_200, 10.0).takes_in_one());
        assert_eq!(counts(1_000, 1_200, 0.1), counts(1_000, 1_200, 1.0));
    }

    #[test]
    fn high_counts_have_narrow_intervals() {
        let found = counts(10_000_000, 10_100_000, 1.0);
        assert!(
            (found.low - 1.0091).abs() < 1e-4 && (found.high.unwrap() - 1.0109).abs() < 1e-4,
            "{found:?}"
        );
    }

    #[test]
    fn quantiles_that_are_sure_make_a_sure_ratio() {
        let found = of_intervals((1_000, [1_000, 1_000]), (20_000, [10_000, 40_000])).unwrap();
        assert!((found.low - 10.0).abs() < 1e-9 && (found.high.unwrap() - 40.0).abs() < 1e-9, "{found:?}");
        assert!(of_intervals((1_000, [900, 1_100]), (1_020, [930, 1_150])).unwrap().takes_in_one());
        assert_eq!(of_intervals((0, [0, 5]), (5, [5, 5])), None);
    }
}
