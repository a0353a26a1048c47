//! The last hour or so of a stream, in parts that are the longer the older they are.
//!
//! Parts that are over are merged two by two as they age: an hour is some twenty parts, whatever came in it. So a window
//! that ends now may begin a little earlier than was asked for, at most by a quarter or so of its length; it knows when.

mod course;

pub(super) use course::Course;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    accounts::since,
    gather::{Gathered, Gatherer},
    sliding::{Part, Sliding, Windowed},
};
use crate::{event::MonoNs, kernel::counts::Tally, output::records::Accounting};

/// Parts of one length, before the two oldest of them become one.
const MOST_ALIKE: usize = 6;

/// Parts, the oldest first.
#[derive(Debug)]
pub struct History {
    keep: Duration,
    parts: VecDeque<(u32, Part)>,
}

impl History {
    /// Of at least so long, once it is.
    #[must_use]
    pub const fn new(keep: Duration) -> Self {
        Self { keep, parts: VecDeque::new() }
    }

    /// Takes in a part that is over.
    pub fn push(&mut self, part: Part) {
        let end = part.end;
        self.parts.push_back((0, part));
        let mut doublings = 0;
        while self.alike(doublings) > MOST_ALIKE && self.join(doublings) {
            doublings += 1;
        }
        while self.parts.get(1).is_some_and(|(_, second)| end.since(second.begin) >= nanos(self.keep)) {
            self.parts.pop_front();
        }
    }

    fn alike(&self, doublings: u32) -> usize {
        self.parts.iter().filter(|(age, _)| *age == doublings).count()
    }

    /// Makes the two oldest parts that were doubled so often one.
    fn join(&mut self, doublings: u32) -> bool {
        let Some(at) = self.parts.iter().position(|(age, _)| *age == doublings) else { return false };
        let Some((_, later)) = self.parts.remove(at + 1) else { return false };
        let Some((age, part)) = self.parts.get_mut(at) else { return false };
        part.stats.merge(later.stats);
        part.peaks.merge(&later.peaks);
        part.end = later.end;
        *age += 1;
        true
    }

    /// Everything from the last part on that began no later than `from`, or the whole history; none where no part is over.
    #[must_use]
    pub fn from(&self, from: MonoNs) -> Option<Part> {
        let first = self.parts.iter().rposition(|(_, part)| part.begin <= from).unwrap_or(0);
        let mut parts = self.parts.iter().skip(first).map(|(_, part)| part);
        let mut all = parts.next()?.clone();
        for part in parts {
            all.stats.merge(part.stats.clone());
            all.peaks.merge(&part.peaks);
            all.end = part.end;
        }
        Some(all)
    }

    /// The window from `from` on, or a little earlier, until `at`, with these accounts; `sliding` has the part that is
    /// being counted.
    #[must_use]
    pub fn window(
        &self,
        from: MonoNs,
        at: MonoNs,
        (sliding, gatherer): (&Sliding, &Gatherer),
        accounting: &Accounting,
        tallies: &[Tally],
    ) -> Windowed {
        let accounting = since(accounting, &Accounting::default());
        let current = sliding.current(gatherer, tallies);
        let mut peaks = gatherer.peaks().clone();
        let (begin, begun, before, stats) = match self.from(from).filter(|_| sliding.begun().0 > from) {
            Some(Part { begin, accounting, stock, mut stats, peaks: past, .. }) => {
                stats.merge(current);
                peaks.merge(&past);
                (begin, accounting, stock, stats)
            }
            None => {
                let (begin, begun, stock) = sliding.begun();
                (begin, begun.clone(), Arc::clone(stock), current)
            }
        };
        let gathered = Gathered {
            stats,
            since_start: None,
            peaks,
            series: gatherer.course_since(begin, at),
            accounting: since(&accounting, &begun),
            at,
        };
        Windowed { gathered, before, accounting }
    }

    /// When it begins; none where no part is over.
    #[must_use]
    pub fn begin(&self) -> Option<MonoNs> {
        self.parts.front().map(|(_, part)| part.begin)
    }
}

fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
