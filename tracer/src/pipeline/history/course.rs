//! The course of the last hour or so, second by second, from which that of any window in it can be made.

use std::{collections::VecDeque, time::Duration};

use super::super::{
    look::{Key, Look},
    series::{Count, Series},
};
use crate::event::MonoNs;

const SECOND_NS: u64 = 1_000_000_000;
/// The fullest pools of a look that are kept: a chart shows no more.
const MOST_POOLS: usize = 16;

/// What a look found: how full pools were, and whether all were looked at.
type Found = (MonoNs, Box<[(Key, f32)]>, bool);

/// Totals and looks, the oldest first.
#[derive(Clone, Debug)]
pub(in super::super) struct Course {
    keep_ns: u64,
    totals: VecDeque<(MonoNs, Count)>,
    looks: VecDeque<Found>,
}

impl Course {
    pub(in super::super) fn new(keep: Duration) -> Self {
        Self { keep_ns: super::nanos(keep), totals: VecDeque::new(), looks: VecDeque::new() }
    }

    /// Takes the running totals, once a second.
    pub(in super::super) fn sample(&mut self, at: MonoNs, totals: impl FnOnce() -> Count) {
        let is_new = |last: &(MonoNs, Count)| at.0 / SECOND_NS > last.0.0 / SECOND_NS;
        if self.totals.back().is_none_or(is_new) {
            self.totals.push_back((at, totals()));
            while self.totals.front().is_some_and(|(first, _)| at.since(*first) > self.keep_ns) {
                self.totals.pop_front();
            }
        }
    }

    /// Takes what a look found.
    pub(in super::super) fn look(&mut self, look: &Look) {
        let mut found: Vec<_> = look.shares().filter(|(_, share)| *share > 0.0).collect();
        let all = look.all && found.len() <= MOST_POOLS;
        found.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        found.truncate(MOST_POOLS);
        self.looks.push_back((look.at, found.into_boxed_slice(), all));
        while self.looks.front().is_some_and(|(first, ..)| look.at.since(*first) > self.keep_ns) {
            self.looks.pop_front();
        }
    }

    /// The course from `start` to `at`, where there were these totals.
    pub(in super::super) fn series(&self, start: MonoNs, at: MonoNs, totals: Count) -> Series<Key> {
        let before = self.totals.iter().rev().find(|(sampled, _)| *sampled <= start);
        let begun = before.map_or(Count::default(), |(_, totals)| *totals);
        let mut series = Series::new(start);
        for (sampled, totals) in self.totals.iter().filter(|(sampled, _)| *sampled > start) {
            series.sample(*sampled, || totals.since(begun));
        }
        for (looked, found, all) in self.looks.iter().filter(|(looked, ..)| *looked >= start) {
            series.look(*looked, found.iter().copied(), *all);
        }
        series.end(at, totals.since(begun));
        series
    }

    /// How many seconds and looks are kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize) {
        (self.totals.len(), self.looks.len())
    }
}
