//! Ports asked for and refused, second by second.

use std::collections::VecDeque;

use crate::{output::records::Totals, tui::Rate};

/// Seconds that a line of little columns may show.
const MOST: usize = 200;

/// The last seconds.
#[derive(Debug, Default)]
pub(super) struct Rates {
    list: VecDeque<Rate>,
    /// The second that was noted last, and the sums at its end.
    last: Option<(u64, [u64; 2])>,
}

impl Rates {
    /// Whether another second has begun than that which was noted last.
    pub(super) fn is_over(&self, second: u64) -> bool {
        self.last.is_none_or(|(last, _)| last != second)
    }

    /// Notes what came to the totals since the last time.
    pub(super) fn note(&mut self, second: u64, totals: &Totals) {
        let now = [totals.allocations, totals.by_error.values().sum()];
        if let Some((last, before)) = self.last.replace((second, now)) {
            // After a stop several seconds are one.
            let seconds = second.saturating_sub(last).max(1);
            let each = |now: u64, before: u64| {
                u32::try_from(now.saturating_sub(before) / seconds).unwrap_or(u32::MAX)
            };
            if self.list.len() == MOST {
                self.list.pop_front();
            }
            let [asked, refused] = [0, 1].map(|at: usize| each(now[at], before[at]));
            self.list.push_back(Rate { asked, refused });
        }
    }

    /// All that are kept, the newest last.
    pub(super) fn all(&self) -> Vec<Rate> {
        self.list.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn totals(allocations: u64, refused: u64) -> Totals {
        let by_error = BTreeMap::from([("EADDRNOTAVAIL".to_owned(), refused)]);
        Totals { allocations, by_error, ..Totals::default() }
    }

    #[test]
    fn each_second_has_what_came_in_it_and_a_stop_is_spread() {
        let mut rates = Rates::default();
        assert!(rates.is_over(0));
        for (second, allocations, refused) in [(10, 100, 3), (11, 150, 3), (14, 180, 9)] {
            assert!(rates.is_over(second));
            rates.note(second, &totals(allocations, refused));
            assert!(!rates.is_over(second));
        }
        assert_eq!(rates.all(), [Rate { asked: 50, refused: 0 }, Rate { asked: 10, refused: 2 }]);
    }

    #[test]
    fn old_seconds_go() {
        let mut rates = Rates::default();
        for second in 0..=MOST as u64 + 5 {
            rates.note(second, &totals(second * second, 0));
        }
        assert_eq!(rates.all().len(), MOST);
    }
}
