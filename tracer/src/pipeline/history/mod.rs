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
    look::Peaks,
    series::Series,
    sliding::{Part, Sliding, Windowed},
};
use crate::{
    event::MonoNs, kernel::counts::Tally, output::records::Accounting, pipeline::look::Key, stats::Stats,
    stock::Stock,
};

/// Parts of one length, before the two oldest of them become one.
const MOST_ALIKE: usize = 6;

/// Processes, and destinations, of a part that keep a row: there are some forty parts.
const ROWS: usize = 1_024;

/// Parts, the oldest first.
#[derive(Debug)]
pub struct History {
    keep: Duration,
    parts: VecDeque<(u32, Arc<Part>)>,
}

impl History {
    /// Of at least so long, once it is.
    #[must_use]
    pub const fn new(keep: Duration) -> Self {
        Self { keep, parts: VecDeque::new() }
    }

    /// Takes in a part that is over and [condensed](Part::condense).
    pub fn push(&mut self, part: Part) {
        let end = part.end;
        self.parts.push_back((0, Arc::new(part)));
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
        let part = Arc::make_mut(part);
        absorb(part, Arc::unwrap_or_clone(later));
        part.condense();
        *age += 1;
        true
    }

    /// The parts from the last one on that began no later than `from`, or all of them.
    fn since(&self, from: MonoNs) -> Vec<Arc<Part>> {
        let first = self.parts.iter().rposition(|(_, part)| part.begin <= from).unwrap_or(0);
        self.parts.iter().skip(first).map(|(_, part)| Arc::clone(part)).collect()
    }

    /// What a window from `from` on, or a little earlier, until `at` is made of, with these accounts; `sliding` has the
    /// part that is being counted. Takes no time: whoever wants it joins it, on a thread of its own.
    #[must_use]
    pub fn stretch(
        &self,
        from: MonoNs,
        at: MonoNs,
        (sliding, gatherer): (&Sliding, &Gatherer),
        accounting: &Accounting,
        tallies: &[Tally],
    ) -> Stretch {
        let (now, accounts, stock) = sliding.begun();
        let parts = if now > from { self.since(from) } else { Vec::new() };
        let (start, accounts, before) = match parts.first() {
            Some(part) => (part.begin, &part.accounting, &part.stock),
            None => (now, accounts, stock),
        };
        Stretch {
            begun: accounts.clone(),
            before: Arc::clone(before),
            parts,
            current: (sliding.current(gatherer, tallies), gatherer.peaks().clone()),
            series: gatherer.course_since(start, at),
            accounting: since(accounting, &Accounting::default()),
            at,
        }
    }

    /// When it begins; none where no part is over.
    #[must_use]
    pub fn begin(&self) -> Option<MonoNs> {
        self.parts.front().map(|(_, part)| part.begin)
    }
}

/// What a window is made of.
#[derive(Debug)]
pub struct Stretch {
    /// Those that are over, the oldest first.
    parts: Vec<Arc<Part>>,
    /// The one that is being counted.
    current: (Stats, Peaks),
    series: Series<Key>,
    /// The accounts at its beginning.
    begun: Accounting,
    /// The host at its beginning.
    before: Arc<Stock>,
    /// The accounts now.
    accounting: Accounting,
    at: MonoNs,
}

impl Stretch {
    /// The window.
    #[must_use]
    pub fn join(self) -> Windowed {
        let Self { parts, current: (current, now), series, begun, before, accounting, at } = self;
        let (stats, peaks) = match joined(&parts) {
            Some(Part { stats, mut peaks, .. }) => {
                let mut stats = Arc::unwrap_or_clone(stats);
                stats.merge(current);
                peaks.merge(&now);
                (stats, peaks)
            }
            None => (current, now),
        };
        let accounts = since(&accounting, &begun);
        let gathered = Gathered { stats, before: None, peaks, series, accounting: accounts, at };
        Windowed { gathered, before, accounting }
    }
}

/// All in one; none of none.
fn joined(parts: &[Arc<Part>]) -> Option<Part> {
    let (first, rest) = parts.split_first()?;
    let mut all = Part::clone(first);
    for part in rest {
        absorb(&mut all, Part::clone(part));
    }
    Some(all)
}

impl Part {
    /// Makes it small: before it becomes history.
    pub fn condense(&mut self) {
        Arc::make_mut(&mut self.stats).condense(ROWS);
    }
}

/// Adds what came right after it.
fn absorb(part: &mut Part, later: Part) {
    Arc::make_mut(&mut part.stats).merge(Arc::unwrap_or_clone(later.stats));
    part.peaks.merge(&later.peaks);
    part.end = later.end;
}

fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
