//! Events per second: now, on average, and in the busiest second.

use super::ratio::{SECOND_NS, real, seconds};
use crate::event::MonoNs;

/// Counts by second of `CLOCK_MONOTONIC`, the last ones one by one, all of them in the sum.
///
/// Parts merge exactly as long as no second has left the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Churn {
    /// Second `s` stands at `s` modulo the length, 4 bytes a second.
    ring: Box<[u32]>,
    newest: Option<u64>,
    total: u64,
    /// The highest of the seconds that have left the ring.
    peak_before: u32,
}

impl Churn {
    /// Nothing counted; the last `seconds` (at least 2) are kept.
    #[must_use]
    pub fn new(seconds: usize) -> Self {
        Self { ring: vec![0; seconds.max(2)].into_boxed_slice(), newest: None, total: 0, peak_before: 0 }
    }

    /// Counts `count` events at a time.
    #[inline]
    pub(super) fn add(&mut self, at: MonoNs, count: u32) {
        self.add_in(at.0 / SECOND_NS, count);
    }

    /// Counts `count` events of a second.
    #[inline]
    pub(super) fn add_in(&mut self, second: u64, count: u32) {
        if self.newest != Some(second) {
            self.turn(second);
        }
        self.put(second, count);
    }

    fn put(&mut self, second: u64, count: u32) {
        self.total += u64::from(count);
        let slot = if self.holds(second) { self.slot(second) } else { None };
        if let Some(slot) = slot {
            *slot = slot.saturating_add(count);
        } else {
            // It came too late for its second: part of the sum, and a peak if it was one by itself.
            self.peak_before = self.peak_before.max(count);
        }
    }

    fn holds(&self, second: u64) -> bool {
        self.newest.is_some_and(|newest| second <= newest && newest - second < self.length())
    }

    fn length(&self) -> u64 {
        u64::try_from(self.ring.len()).unwrap_or(u64::MAX)
    }

    fn slot(&mut self, second: u64) -> Option<&mut u32> {
        let at = usize::try_from(second % self.length()).ok()?;
        self.ring.get_mut(at)
    }

    /// Makes `second` the newest, if it is newer.
    fn turn(&mut self, second: u64) {
        let first = match self.newest {
            Some(newest) if newest >= second => return,
            Some(newest) => newest + 1,
            None => second,
        };
        let first = first.max((second + 1).saturating_sub(self.length()));
        for passed in first..=second {
            let left = self.slot(passed).map_or(0, std::mem::take);
            self.peak_before = self.peak_before.max(left);
        }
        self.newest = Some(second);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        let Some(newest) = other.newest else { return };
        let kept = |second: u64| {
            let at = usize::try_from(second % other.length()).ok();
            at.and_then(|at| other.ring.get(at)).copied().unwrap_or(0)
        };
        let before = self.total;
        self.turn(newest);
        for second in (newest + 1).saturating_sub(other.length())..=newest {
            match kept(second) {
                0 => {}
                count => self.put(second, count),
            }
        }
        self.peak_before = self.peak_before.max(other.peak_before);
        self.total = before + other.total;
    }

    /// Events in all.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Events of the last whole second before `at`; none where that second is before what was kept.
    #[must_use]
    pub fn now(&self, at: MonoNs) -> Option<u32> {
        self.series(at, 1).pop()
    }

    /// Events per second of the window; none of an empty window.
    #[must_use]
    pub fn mean(&self, start: MonoNs, at: MonoNs) -> Option<f64> {
        let window_ns = at.since(start);
        (window_ns != 0).then(|| real(self.total) / seconds(window_ns))
    }

    /// Events of the busiest second of the clock: exact, but after a merge of parts that shared a second which
    /// had left the ring, and then at least that.
    #[must_use]
    pub fn peak(&self) -> u32 {
        self.ring.iter().copied().max().unwrap_or(0).max(self.peak_before)
    }

    /// Events of each of the last `count` whole seconds before `at`, oldest first; fewer where no more are kept.
    ///
    /// Seconds without an event count as 0. The caller asks for none from before the window.
    #[must_use]
    pub fn series(&self, at: MonoNs, count: u64) -> Vec<u32> {
        let now = at.0 / SECOND_NS;
        let Some(newest) = self.newest else { return Vec::new() };
        let oldest = (newest + 1).saturating_sub(self.length());
        let first = now.saturating_sub(count).max(oldest);
        (first..now)
            .map(|second| {
                let at = usize::try_from(second % self.length()).ok();
                let kept = at.and_then(|at| self.ring.get(at)).copied().unwrap_or(0);
                if second > newest { 0 } else { kept }
            })
            .collect()
    }
}

/// The busiest second of one row, in 12 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Peak {
    second: u32,
    count: u32,
    highest: u32,
}

impl Peak {
    /// Counts events of a second; those that are late by a second or more count for the newest.
    #[inline]
    pub(super) fn add(&mut self, second: u64, count: u32) {
        // 136 years since boot fit.
        let second = u32::try_from(second).unwrap_or(u32::MAX);
        if second > self.second {
            self.second = second;
            self.count = 0;
        }
        self.count = self.count.saturating_add(count);
        self.highest = self.highest.max(self.count);
    }

    /// Exact where the parts were cut at whole seconds; else at least the highest of the parts.
    pub(super) fn merge(&mut self, other: Self) {
        if other.second == self.second {
            self.count = self.count.saturating_add(other.count);
        } else if other.second > self.second {
            (self.second, self.count) = (other.second, other.count);
        }
        self.highest = self.highest.max(other.highest).max(self.count);
    }

    pub(super) const fn highest(self) -> u32 {
        self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64, ms: u64) -> MonoNs {
        MonoNs(seconds * SECOND_NS + ms * 1_000_000)
    }

    #[test]
    fn seconds_are_told_apart_and_gaps_are_zero() {
        let mut churn = Churn::new(8);
        for (second, count) in [(100, 3), (101, 5), (103, 1)] {
            churn.add(at(second, 10), count);
        }
        assert_eq!(churn.series(at(105, 0), 5), [3, 5, 0, 1, 0]);
        assert_eq!((churn.total(), churn.peak(), churn.now(at(102, 1))), (9, 5, Some(5)));
        assert_eq!(churn.mean(at(100, 0), at(106, 0)), Some(1.5));
        assert_eq!(churn.mean(at(100, 0), at(100, 0)), None);
    }

    #[test]
    fn the_peak_outlives_the_ring() {
        let mut churn = Churn::new(4);
        churn.add(at(10, 0), 70);
        churn.add(at(20, 0), 1);
        churn.add(at(10, 0), 2);
        assert_eq!((churn.peak(), churn.total()), (70, 73));
        assert_eq!(churn.series(at(21, 0), 9), [0, 0, 0, 1]);
    }

    #[test]
    fn nothing_is_not_zero_per_second() {
        assert_eq!(Churn::new(4).now(at(5, 0)), None);
    }
}
