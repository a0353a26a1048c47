//! Quantiles of search times, and how sure they are.

use super::histogram::{Count, Histogram};

/// Thousandths below each of the [`Quantiles`].
const QUANTILES: [u16; 4] = [500, 900, 990, 999];

/// Quantiles of search times in nanoseconds, each within 1 %.
///
/// Of the quantile p one is given only where at least 10 ÷ (1 − p) searches were timed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantiles {
    /// Searches that they are taken from.
    pub searches: u64,
    /// The median: of 20 searches and more.
    pub p50: Option<u64>,
    /// Of 100 searches and more.
    pub p90: Option<u64>,
    /// Of 1,000 searches and more.
    pub p99: Option<u64>,
    /// Of 10,000 searches and more.
    pub p999: Option<u64>,
}

/// Between which times each of the [`Quantiles`] is with a probability of 95 %, if searches were drawn one by one; none
/// where there is no quantile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuantileIntervals {
    /// Of the median.
    pub p50: Option<[u64; 2]>,
    /// Of 90 %.
    pub p90: Option<[u64; 2]>,
    /// Of 99 %.
    pub p99: Option<[u64; 2]>,
    /// Of 99.9 %.
    pub p999: Option<[u64; 2]>,
}

pub(super) fn quantiles<C: Count>(times: &Histogram<C>) -> Quantiles {
    let searches = times.len();
    let at = |thousandths: u16| {
        let enough = searches.saturating_mul(u64::from(1000 - thousandths)) >= 10_000;
        times.quantile(thousandths).filter(|_| enough)
    };
    let [p50, p90, p99, p999] = QUANTILES.map(at);
    Quantiles { searches, p50, p90, p99, p999 }
}

pub(super) fn intervals<C: Count>(times: &Histogram<C>) -> QuantileIntervals {
    let known = quantiles(times);
    let [p50, p90, p99, p999] = QUANTILES.map(|thousandths| times.interval(thousandths));
    QuantileIntervals {
        p50: known.p50.and(p50),
        p90: known.p90.and(p90),
        p99: known.p99.and(p99),
        p999: known.p999.and(p999),
    }
}
