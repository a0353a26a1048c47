//! When the next push is due.

use std::time::Duration;

/// However many fail, the next one is no later, unless pushes are rarer anyway.
const MOST: Duration = Duration::from_mins(5);
/// A collector that asks for more than this is asked again nevertheless.
const MOST_ASKED: Duration = Duration::from_hours(1);

/// How long to wait after so many failures in a row, the last of which asked to be left alone for a while.
pub(super) fn pause(every: Duration, failures: u32, asked: Option<Duration>) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
    let pause = every.saturating_mul(factor).min(MOST.max(every));
    pause.max(asked.unwrap_or_default().min(MOST_ASKED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_failures_and_have_an_end() {
        let seconds = |failures| pause(Duration::from_secs(30), failures, None).as_secs();
        assert_eq!([0, 1, 2, 3, 4, 5, 6, u32::MAX].map(seconds), [30, 30, 60, 120, 240, 300, 300, 300]);
        let rare = Duration::from_mins(20);
        assert_eq!([0, 1, 9].map(|failures| pause(rare, failures, None)), [rare; 3]);
    }

    #[test]
    fn a_collector_is_left_alone_as_long_as_it_asks_within_reason() {
        let asked = |seconds| pause(Duration::from_secs(30), 1, Some(Duration::from_secs(seconds))).as_secs();
        assert_eq!([0, 7, 45, 86_400].map(asked), [30, 30, 45, 3_600]);
    }
}
