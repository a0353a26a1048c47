//! What `report` does while it gathers: a line of progress, a report of each interval, one for who asks by a signal.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{super::exit, teller::Teller};
use crate::{
    cli::progress::Progress,
    kernel::{Armed, KernelError, counts::Counts},
    output::report::grouped,
    pipeline::{
        Accounts, Consumer, Gatherer,
        conclude::{Conclusion, Watched},
        draft::{Draft, Intervals},
    },
};

/// When it began, and when it will end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    pub(super) began: Instant,
    /// None: when the command ends, or when it is asked to.
    pub(super) after: Option<Duration>,
}

/// Gathers, and tells on the way.
pub(super) struct Live {
    gatherer: Gatherer,
    teller: Teller,
    term: Term,
    progress: Option<Progress>,
    intervals: Option<Regular>,
    asked: Option<Draft>,
    /// What each report is to know.
    watched: Watched,
}

/// Intervals of one length.
struct Regular {
    every: Duration,
    next: Instant,
    intervals: Intervals,
    draft: Option<Draft>,
}

impl Live {
    pub(super) fn new(
        mut gatherer: Gatherer,
        teller: Teller,
        term: Term,
        watched: Watched,
        every: Option<Duration>,
    ) -> Self {
        let intervals = every.map(|every| Regular {
            every,
            next: term.began + every,
            intervals: Intervals::begin(&mut gatherer, watched.before.clone()),
            draft: None,
        });
        Self { gatherer, teller, term, progress: None, intervals, asked: None, watched }
    }

    /// Shows a line of progress from now on.
    pub(super) fn with_progress(self, progress: Option<Progress>) -> Self {
        Self { progress, ..self }
    }

    /// Begins with a report on all so far, for stderr.
    pub(super) fn ask(&mut self, armed: &Armed) -> Result<(), KernelError> {
        if self.asked.is_some() {
            return Ok(());
        }
        let (accounts, tallies) = self.gatherer.account(armed)?;
        let gathered = self.gatherer.so_far(&accounts, &tallies);
        self.asked = begun(Draft::begin(gathered, self.watched(), proc_root()));
        Ok(())
    }

    /// Ends: the last interval goes to `out`; what was gathered, and what each report is to know, come back.
    pub(super) fn finish(
        mut self,
        armed: &Armed,
        out: &mut Vec<u8>,
    ) -> Result<(Gatherer, Teller, Watched), KernelError> {
        self.progress = None;
        if let Some(draft) = self.asked.take() {
            self.tell_asked(draft);
        }
        if let Some(draft) = self.intervals.as_mut().and_then(|regular| regular.draft.take()) {
            self.tell_interval(draft, out);
        }
        if self.intervals.is_some() {
            self.cut(armed)?;
            if let Some(draft) = self.intervals.as_mut().and_then(|regular| regular.draft.take()) {
                self.tell_interval(draft, out);
            }
        }
        Ok((self.gatherer, self.teller, self.watched))
    }

    fn watched(&self) -> Watched {
        self.watched.clone()
    }

    /// Ends an interval.
    fn cut(&mut self, armed: &Armed) -> Result<(), KernelError> {
        let watched = self.watched();
        let Some(regular) = &mut self.intervals else { return Ok(()) };
        let (gathered, watched) = regular.intervals.cut(&mut self.gatherer, armed, watched)?;
        regular.draft = begun(Draft::begin(gathered, watched, proc_root()));
        Ok(())
    }

    fn tell_interval(&mut self, draft: Draft, out: &mut Vec<u8>) {
        let Some(conclusion) = self.waited(draft) else { return };
        self.teller.interval(&conclusion.report, out);
        if let Some(regular) = &mut self.intervals {
            regular.intervals.stock = conclusion.stock;
        }
    }

    /// Waits for a draft, and clears the line for what comes of it.
    fn waited(&mut self, draft: Draft) -> Option<Conclusion> {
        let waited = draft.wait();
        if let Some(progress) = &mut self.progress {
            progress.wipe();
        }
        waited.inspect_err(missed).ok()
    }

    fn tell_asked(&mut self, draft: Draft) {
        let Some(conclusion) = self.waited(draft) else { return };
        exit::tell(&self.teller.text(&conclusion.report));
    }

    /// An interval is over; one that would leave a scrap at the end goes on to the end.
    fn is_due(&self) -> bool {
        let now = Instant::now();
        self.intervals.as_ref().is_some_and(|regular| {
            let left = self.term.after.map(|after| (self.term.began + after).saturating_duration_since(now));
            now >= regular.next
                && regular.draft.is_none()
                && left.is_none_or(|left| left > regular.every / 10)
        })
    }

    fn progressed(&mut self) {
        let Self { progress: Some(progress), gatherer, term, .. } = self else { return };
        progress.show(|| {
            let totals = gatherer.stats().totals();
            let elapsed = term.began.elapsed().as_secs_f64();
            let of = term.after.map(|after| format!(" of {:.0}", after.as_secs_f64())).unwrap_or_default();
            format!(
                "gathering: {elapsed:.1}{of} s, {} ports asked for, {} refused; Ctrl-C ends it",
                grouped(totals.allocations()),
                grouped(totals.failures()),
            )
        });
    }
}

fn proc_root() -> PathBuf {
    Path::new("/proc").to_owned()
}

fn begun(draft: std::io::Result<Draft>) -> Option<Draft> {
    draft.inspect_err(missed).ok()
}

/// The counts of an interval are none the less part of the whole.
fn missed(error: &impl std::fmt::Display) {
    exit::complain(&format!("no report on the way: {error}; what was counted is in the last one"));
}

impl Consumer for Live {
    fn begin_batch(&mut self) {
        self.gatherer.begin_batch();
    }

    fn take(&mut self, record: &[u8], out: &mut Vec<u8>) {
        self.gatherer.take(record, out);
    }

    fn end_batch(&mut self) {
        self.gatherer.end_batch();
    }

    fn is_full(&self) -> bool {
        self.gatherer.is_full()
    }

    fn accounts(&self, counts: &Counts) -> Accounts {
        self.gatherer.accounts(counts)
    }

    fn tick(&mut self, armed: &Armed, out: &mut Vec<u8>) -> Result<(), KernelError> {
        self.gatherer.tick(armed, out)?;
        let done = |draft: &mut Draft| draft.is_done();
        if let Some(draft) = self.intervals.as_mut().and_then(|regular| regular.draft.take_if(done)) {
            self.tell_interval(draft, out);
        }
        if let Some(draft) = self.asked.take_if(done) {
            self.tell_asked(draft);
        }
        if self.is_due() {
            self.cut(armed)?;
            if let Some(regular) = &mut self.intervals {
                // The next one keeps to the clock; those that a slow look at the host took in are left out.
                while regular.next <= Instant::now() {
                    regular.next += regular.every;
                }
            }
        }
        // What is to be printed comes first: the line would stand before it.
        if out.is_empty() {
            self.progressed();
        }
        Ok(())
    }
}
