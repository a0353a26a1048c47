//! The last minute or so of a stream that has no end, beside the whole of it.
//!
//! Statistics cannot forget single events, but parts of a stream can be merged. So there are always two parts, the
//! one that is being counted and the one before it; together they are the window, between one and two parts long.

use std::{sync::Arc, time::Duration};

use super::{
    accounts::since,
    draft::risen,
    gather::{Gathered, Gatherer, absorb},
    look::{Key, Peaks},
    series::Series,
};
use crate::{
    enrich::monotonic_now,
    event::MonoNs,
    kernel::{Armed, KernelError, counts::Tally},
    output::records::Accounting,
    stats::Stats,
    stock::Stock,
};

/// Length of a part.
const PART: Duration = Duration::from_secs(30);

/// Where a part began.
#[derive(Clone, Debug)]
struct Start {
    at: MonoNs,
    accounting: Accounting,
    stock: Arc<Stock>,
}

/// The parts that are over.
#[derive(Debug)]
pub struct Sliding {
    /// All parts before the last one that ended; none where nobody will ask for the whole.
    past: Option<(Stats, Peaks)>,
    /// The last one that ended, and where it began.
    last: Option<(Start, Arc<Stats>, Peaks)>,
    /// The one that is being counted.
    now: Start,
    /// Lost events that are in parts that are over.
    tallies: Vec<Tally>,
    /// The host when it was looked at last.
    stock: Arc<Stock>,
    /// The parts that ended since somebody asked for them; none where nobody does.
    ended: Option<Vec<Part>>,
}

/// A part that is over.
#[derive(Clone, Debug)]
pub struct Part {
    /// When it began.
    pub(super) begin: MonoNs,
    /// When it ended.
    pub(super) end: MonoNs,
    /// The accounts at its beginning.
    pub(super) accounting: Accounting,
    /// The host at its beginning.
    pub(super) stock: Arc<Stock>,
    pub(super) stats: Arc<Stats>,
    pub(super) peaks: Peaks,
}

impl Part {
    /// What was counted in it.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }
}

/// What a window is held against.
#[derive(Debug)]
pub struct Windowed {
    /// The window.
    pub gathered: Gathered,
    /// The host at its beginning.
    pub before: Arc<Stock>,
    /// The accounts since the start.
    pub accounting: Accounting,
}

/// What a window is made of: to be joined by whoever has time.
#[derive(Debug)]
pub struct Cut {
    current: Stats,
    peaks: Peaks,
    last: Option<(Arc<Stats>, Peaks)>,
    /// Empty where the course is not kept: a screen has rates of its own.
    series: Series<Key>,
    start: Start,
    accounting: Accounting,
    at: MonoNs,
}

impl Cut {
    /// The part that is being counted, as it was then.
    #[must_use]
    pub const fn current(&self) -> &Stats {
        &self.current
    }

    /// The window.
    #[must_use]
    pub fn join(self) -> Windowed {
        let Self { current, peaks: mut all_peaks, last, series, start, accounting, at } = self;
        let stats = match last {
            None => current,
            Some((last, peaks)) => {
                // What came later is merged into what came before it.
                let mut stats = Arc::unwrap_or_clone(last);
                stats.merge(current);
                all_peaks.merge(&peaks);
                stats
            }
        };
        let gathered = Gathered {
            stats,
            before: None,
            peaks: all_peaks,
            series,
            accounting: since(&accounting, &start.accounting),
            at,
        };
        Windowed { gathered, before: start.stock, accounting }
    }
}

impl Sliding {
    /// Begins where a gatherer does, with the host as it is then.
    #[must_use]
    pub fn begin(gatherer: &Gatherer, stock: &Arc<Stock>) -> Self {
        let at = gatherer.stats().settings().start;
        let now = Start { at, accounting: Accounting::default(), stock: Arc::clone(stock) };
        Self { past: None, last: None, now, tallies: Vec::new(), stock: Arc::clone(stock), ended: None }
    }

    /// Keeps each part that ends for [`Self::ended`], and not their sum.
    #[must_use]
    pub fn keeping_parts(self) -> Self {
        Self { ended: Some(Vec::new()), ..self }
    }

    /// The parts that ended since the last call.
    pub fn ended(&mut self) -> Vec<Part> {
        self.ended.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// When the part began that is being counted, with the accounts and the host as they were then.
    pub(super) fn begun(&self) -> (MonoNs, &Accounting, &Arc<Stock>) {
        (self.now.at, &self.now.accounting, &self.now.stock)
    }

    /// The part that is being counted, as it is now.
    #[must_use]
    pub fn current(&self, gatherer: &Gatherer, tallies: &[Tally]) -> Stats {
        let mut stats = gatherer.stats().copy();
        absorb(&mut stats, &risen(tallies, &self.tallies));
        stats
    }

    /// Notes what the host was when it was looked at last.
    pub fn looked(&mut self, stock: &Arc<Stock>) {
        self.stock = Arc::clone(stock);
    }

    /// The window as it is now; a part that is long enough ends.
    ///
    /// # Errors
    ///
    /// The kernel half does not tell what was lost.
    pub fn window(&mut self, gatherer: &mut Gatherer, armed: &Armed) -> Result<Windowed, KernelError> {
        let (accounts, tallies) = gatherer.account(armed)?;
        Ok(self.window_of(monotonic_now(), gatherer, &accounts.accounting(), &tallies))
    }

    /// The window as it was then, with these accounts.
    pub fn window_of(
        &mut self,
        at: MonoNs,
        gatherer: &mut Gatherer,
        accounting: &Accounting,
        tallies: &[Tally],
    ) -> Windowed {
        self.cut(at, gatherer, accounting, tallies).join()
    }

    /// What that window is made of; a part that is long enough ends.
    pub fn cut(
        &mut self,
        at: MonoNs,
        gatherer: &mut Gatherer,
        accounting: &Accounting,
        tallies: &[Tally],
    ) -> Cut {
        let accounting = since(accounting, &Accounting::default());
        if Duration::from_nanos(at.since(self.now.at)) >= PART {
            self.turn(gatherer, at, &accounting, tallies);
        }
        let last = self.last.as_ref();
        let start = last.map_or(&self.now, |(start, ..)| start).clone();
        Cut {
            current: self.current(gatherer, tallies),
            peaks: gatherer.peaks().clone(),
            series: gatherer.course_since(start.at, at),
            start,
            last: last.map(|(_, stats, peaks)| (Arc::clone(stats), peaks.clone())),
            accounting,
            at,
        }
    }

    /// Ends a part.
    fn turn(&mut self, gatherer: &mut Gatherer, at: MonoNs, accounting: &Accounting, tallies: &[Tally]) {
        let (mut stats, peaks) = gatherer.begin_part(at);
        absorb(&mut stats, &risen(tallies, &self.tallies));
        self.tallies = tallies.to_vec();
        let next = Start { at, accounting: accounting.clone(), stock: Arc::clone(&self.stock) };
        let start = std::mem::replace(&mut self.now, next);
        let stats = Arc::new(stats);
        if let Some(ended) = &mut self.ended {
            let Start { at: begin, accounting, stock } = start.clone();
            let (stats, peaks) = (Arc::clone(&stats), peaks.clone());
            ended.push(Part { begin, end: at, accounting, stock, stats, peaks });
        }
        let before = self.last.replace((start, stats, peaks));
        if let (Some((_, stats, peaks)), None) = (before, &self.ended) {
            let stats = Arc::unwrap_or_clone(stats);
            match &mut self.past {
                None => self.past = Some((stats, peaks)),
                Some((past, past_peaks)) => {
                    past.merge(stats);
                    past_peaks.merge(&peaks);
                }
            }
        }
    }

    /// Everything since the start, at the end.
    ///
    /// # Errors
    ///
    /// The kernel half does not tell what was lost.
    pub fn whole(self, mut gatherer: Gatherer, armed: &Armed) -> Result<Gathered, KernelError> {
        let (accounts, tallies) = gatherer.account(armed)?;
        Ok(self.whole_of(gatherer, monotonic_now(), accounts.accounting(), &tallies))
    }

    /// Everything up to then, with these accounts.
    #[must_use]
    pub fn whole_of(
        self,
        gatherer: Gatherer,
        at: MonoNs,
        accounting: Accounting,
        tallies: &[Tally],
    ) -> Gathered {
        let unseen = risen(tallies, &self.tallies);
        let mut all = gatherer.into_gathered(at, accounting, &unseen);
        let last = self.last.map(|(_, stats, peaks)| (Arc::unwrap_or_clone(stats), peaks));
        for (before, peaks) in [last, self.past].into_iter().flatten() {
            let later = std::mem::replace(&mut all.stats, before);
            all.stats.merge(later);
            all.peaks.merge(&peaks);
        }
        all
    }
}

#[cfg(test)]
mod tests;
