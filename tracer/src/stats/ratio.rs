//! Counts as real numbers, and shares of them.

/// A count as a real number: exact up to 2^53, beyond it within one part in 10^15.
#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "a mean needs no more than 53 bits")]
pub(super) const fn real(count: u64) -> f64 {
    count as f64
}

/// A sum as a real number, within one part in 10^15.
#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "a mean needs no more than 53 bits")]
pub(super) const fn real_wide(sum: u128) -> f64 {
    sum as f64
}

/// `part` ÷ `whole`; none of nothing.
pub(super) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole != 0).then(|| real(part) / real(whole))
}

/// Nanoseconds of a second.
pub(super) const SECOND_NS: u64 = 1_000_000_000;

/// Seconds of these nanoseconds.
pub(super) fn seconds(ns: u64) -> f64 {
    real(ns) / real(SECOND_NS)
}
