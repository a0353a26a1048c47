//! Events, all together, to statistics; and the stock beside them, looked at now and then.

use std::{path::Path, sync::Arc, time::Duration};

use super::{
    Callers, Consumer, Player,
    accounts::{Accounts, kind, outcome, protocol, since},
    history,
    intake::{Arrival, Intake},
    look::{Key, Look, Peaks},
    looker::Looker,
    series::{Count, Series},
};
use crate::{
    enrich::monotonic_now,
    event::{Cause, Comm, Course, Glimpse, MonoNs, Pid},
    kernel::{
        Armed, KernelError,
        counts::{Counts, Tally},
    },
    output::records::{Accounting, CallSitesRecord},
    recording::Note,
    stats::{Lost, Settings, Stats},
};

/// What was counted in a window.
#[derive(Debug)]
pub struct Gathered {
    /// The counts of the window.
    pub stats: Stats,
    /// Those before it, which know who made a connection before the window; none where it knows that itself.
    pub before: Option<Arc<Stats>>,
    /// How full pools were at most.
    pub peaks: Peaks,
    /// The course of the run so far, from its start.
    pub series: Series<Key>,
    /// The accounts.
    pub accounting: Accounting,
    /// The end of the window.
    pub at: MonoNs,
}

/// Takes records and counts them.
#[derive(Debug)]
pub struct Gatherer {
    intake: Intake,
    stats: Stats,
    /// The same for an interval, where there are intervals.
    interval: Option<(Stats, Peaks)>,
    peaks: Peaks,
    series: Series<Key>,
    /// For windows of the last hour or so; none where nobody asks for them.
    course: Option<history::Course>,
    /// What was counted in parts that are over.
    past: Count,
    /// None where looks are told, too.
    looker: Option<Looker>,
    /// None where no stacks are taken.
    callers: Option<Callers>,
}

impl Gatherer {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(intake: Intake, settings: Settings, proc_root: &Path) -> Self {
        Self { looker: Some(Looker::new(proc_root)), ..Self::of_recording(intake, settings) }
    }

    /// Nothing counted yet, of events that were recorded.
    #[must_use]
    pub fn of_recording(intake: Intake, settings: Settings) -> Self {
        Self {
            intake,
            stats: Stats::new(settings),
            interval: None,
            peaks: Peaks::default(),
            series: Series::new(settings.start),
            course: None,
            past: Count::default(),
            looker: None,
            callers: None,
        }
    }

    /// Keeps the course of the last hour or so.
    #[must_use]
    pub fn with_course(self, keep: Duration) -> Self {
        Self { course: Some(history::Course::new(keep)), ..self }
    }

    /// Follows who calls from where.
    #[must_use]
    pub fn with_callers(self, callers: Option<Callers>) -> Self {
        Self { callers, ..self }
    }

    /// Who called from where; none where no stacks are taken.
    ///
    /// # Errors
    ///
    /// The kernel half does not tell.
    pub fn call_sites(&mut self, armed: &Armed) -> Result<Option<CallSitesRecord>, KernelError> {
        let Self { callers, intake, .. } = self;
        callers.as_mut().map(|callers| callers.end(armed, |pid| intake.is_ours(pid))).transpose()
    }

    /// The course since then; empty where it is not kept.
    #[must_use]
    pub fn course_since(&self, start: MonoNs, at: MonoNs) -> Series<Key> {
        self.course
            .as_ref()
            .map_or_else(|| Series::new(start), |course| course.series(start, at, self.running()))
    }

    /// What was counted with its detail since the start.
    fn running(&self) -> Count {
        let mut running = self.past;
        running.add(counted(&self.stats));
        running
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The course of the run so far.
    #[must_use]
    pub fn series(&self) -> &Series<Key> {
        &self.series
    }

    /// What was taken in.
    pub fn intake(&mut self) -> &mut Intake {
        &mut self.intake
    }

    /// Begins an interval: from here on everything is counted twice, for the whole and for the interval. What was
    /// counted in the interval before, if there was one.
    pub fn begin_interval(&mut self, at: MonoNs) -> Option<(Stats, Peaks)> {
        let settings = Settings { start: at, ..*self.stats.settings() };
        self.interval.replace((Stats::new(settings), Peaks::default()))
    }

    /// The accounts, and the events of which the kernel half kept the count alone.
    ///
    /// # Errors
    ///
    /// The kernel half does not tell.
    pub fn account(&mut self, armed: &Armed) -> Result<(Accounts, Vec<Tally>), KernelError> {
        let counts = armed.counts()?;
        let tallies = if counts.raw().lost == 0 { Vec::new() } else { self.intake.sift(armed.tallies()?) };
        Ok((self.intake.accounts(&counts), tallies))
    }

    /// What was counted since the start; counting goes on.
    #[must_use]
    pub fn so_far(&self, accounts: &Accounts, tallies: &[Tally]) -> Gathered {
        let accounting = since(&accounts.accounting(), &Accounting::default());
        let at = monotonic_now();
        let (mut stats, peaks, mut series) = (self.stats.copy(), self.peaks.clone(), self.series.clone());
        series.end(at, counted(&stats));
        absorb(&mut stats, tallies);
        Gathered { stats, before: None, peaks, series, accounting, at }
    }

    /// Counts from here on in a new part: what was counted before, to be merged by whoever wants more than a part.
    pub(super) fn begin_part(&mut self, at: MonoNs) -> (Stats, Peaks) {
        self.past = self.running();
        (self.stats.end_part(at), std::mem::take(&mut self.peaks))
    }

    /// How full pools were at most.
    pub(super) fn peaks(&self) -> &Peaks {
        &self.peaks
    }

    /// Takes in what a look found.
    pub(super) fn looked(&mut self, look: &Look) {
        self.peaks.raise(look);
        self.series.look(look.at, look.shares(), look.all);
        if let Some(course) = &mut self.course {
            course.look(look);
        }
        if let Some((_, peaks)) = &mut self.interval {
            peaks.raise(look);
        }
        for (key, now) in look.occupancies() {
            self.stats.occupied(key, now);
            if let Some((stats, _)) = &mut self.interval {
                stats.occupied(key, now);
            }
        }
    }

    /// So far everything has been taken in.
    pub(super) fn reach(&mut self, at: MonoNs) {
        let running = self.running();
        self.series.sample(at, || counted(&self.stats));
        if let Some(course) = &mut self.course {
            course.sample(at, || running);
        }
    }

    /// What was counted since the start, at the end.
    #[must_use]
    pub fn into_gathered(self, at: MonoNs, accounting: Accounting, tallies: &[Tally]) -> Gathered {
        let Self { mut stats, peaks, mut series, .. } = self;
        series.end(at, counted(&stats));
        absorb(&mut stats, tallies);
        Gathered { stats, before: None, peaks, series, accounting, at }
    }
}

impl Consumer for Gatherer {
    fn begin_batch(&mut self) {
        self.intake.begin_batch();
    }

    fn take(&mut self, record: &[u8], _out: &mut Vec<u8>) {
        let Self { intake, stats, interval, looker, .. } = self;
        let glimpse = Glimpse::of(record);
        if interval.is_none() && glimpse.is_some_and(|glimpse| intake.pass(|| stats.take_more(glimpse))) {
            return;
        }
        intake.take(record, |arrival| {
            let (search, Arrival { event, rules, process }) = (arrival.search(), arrival);
            if let Some(looker) = looker {
                looker.refuse(event.cause() == Some(Cause::Exhausted));
            }
            let more = stats.take(event, &search, process);
            if let Some((stats, _)) = interval {
                stats.take(event, &search, process);
            } else if more && let Some(course) = Course::of(event, &rules) {
                stats.expect_more(event, course);
            }
        });
    }

    fn end_batch(&mut self) {
        self.stats.settle();
        if let Some((stats, _)) = &mut self.interval {
            stats.settle();
        }
    }

    fn is_full(&self) -> bool {
        self.intake.is_full()
    }

    fn accounts(&self, counts: &Counts) -> Accounts {
        self.intake.accounts(counts)
    }

    fn tick(&mut self, armed: &Armed, _out: &mut Vec<u8>) -> Result<(), KernelError> {
        if let Some(callers) = &mut self.callers {
            callers.tick(armed)?;
        }
        if let Some(descent) = self.intake.descent() {
            descent.keep_up();
        }
        self.reach(monotonic_now());
        let Self { looker, interval, peaks, .. } = self;
        let before = || interval.iter().map(|(_, peaks)| peaks.clone()).chain([peaks.clone()]).collect();
        if let Some(look) = looker.as_mut().and_then(|looker| looker.tick(before)) {
            self.looked(&look);
        }
        Ok(())
    }
}

impl Player for Gatherer {
    fn told(&mut self, note: Note) {
        match note {
            Note::Look(look) => self.looked(&look.into()),
            Note::Moments { moments } => {
                let moments = moments.into_iter().map(|moment| Arc::new(moment.into())).collect();
                self.peaks.raise(&Look { moments, ..Look::default() });
            }
            other => self.intake.told(other),
        }
    }

    fn reached(&mut self, at: MonoNs) {
        self.reach(at);
    }
}

/// What was counted with its detail.
fn counted(stats: &Stats) -> Count {
    Count { allocations: stats.totals().allocations(), failures: stats.totals().failures() }
}

/// Adds events of which the kernel half kept the count alone.
pub(super) fn absorb(stats: &mut Stats, tallies: &[Tally]) {
    for tally in tallies {
        stats.absorb(&Lost {
            pid: Some(Pid(tally.pid)),
            comm: Some(Comm(tally.comm).lossy().into_owned()),
            kind: kind(tally.cell.kind),
            protocol: protocol(tally.cell.protocol),
            result: outcome(tally.cell.result),
            count: tally.cell.count,
        });
    }
}

/// What is counted in a window that begins now.
#[must_use]
pub fn window(checks: bool, releases: bool) -> Settings {
    window_at(monotonic_now(), checks, releases)
}

/// What is counted in a window that begins then.
#[must_use]
pub fn window_at(start: MonoNs, checks: bool, releases: bool) -> Settings {
    Settings { releases, checks, ..Settings::new(start) }
}
