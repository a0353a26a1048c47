//! Numbers for people.

/// A number with its thousands apart: `28,232`.
pub use crate::findings::count as grouped;

/// What looking into searches came to; none where nobody does.
#[must_use]
pub fn inner_calls(calls: Option<u64>) -> Option<String> {
    calls.map(|calls| {
        let plural = if calls == 1 { "" } else { "s" };
        format!("{} call{plural} inside of searches looked at", grouped(calls))
    })
}

/// A share as a percentage with one digit; `-` where it is not known.
#[must_use]
pub fn share(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

/// A rate; `-` where it is not known.
#[must_use]
pub fn per_second(rate: Option<f64>) -> String {
    match rate {
        None => "-".to_owned(),
        Some(rate) if rate < 10.0 => format!("{rate:.1}/s"),
        Some(rate) => format!("{rate:.0}/s"),
    }
}

/// A time in nanoseconds, in the unit that fits.
#[must_use]
pub fn duration_ns(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..10_000 => format!("{:.1} us", real(ns) / 1e3),
        10_000..1_000_000 => format!("{:.0} us", real(ns) / 1e3),
        1_000_000..10_000_000 => format!("{:.1} ms", real(ns) / 1e6),
        10_000_000..1_000_000_000 => format!("{:.0} ms", real(ns) / 1e6),
        _ => format!("{:.1} s", real(ns) / 1e9),
    }
}

/// One number over another that is not 0.
pub(super) fn ratio(of: u64, over: u64) -> f64 {
    real(of) / real(over.max(1))
}

#[expect(clippy::cast_precision_loss, reason = "a number for people")]
fn real(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        for (number, text) in
            [(0_u64, "0"), (999, "999"), (1_000, "1,000"), (28_232, "28,232"), (1_234_567, "1,234,567")]
        {
            assert_eq!(grouped(number), text);
        }
        assert_eq!((share(Some(0.011)), share(None)), ("1.1 %".to_owned(), "-".to_owned()));
        assert_eq!(
            (per_second(Some(0.5)), per_second(Some(611.4))),
            ("0.5/s".to_owned(), "611/s".to_owned())
        );
        for (ns, text) in [
            (41, "41 ns"),
            (2_230, "2.2 us"),
            (41_000, "41 us"),
            (1_900_000, "1.9 ms"),
            (4_290_000_000, "4.3 s"),
        ] {
            assert_eq!(duration_ns(ns), text);
        }
    }
}
