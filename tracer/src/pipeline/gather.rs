//! Events, all together, to statistics; and the stock beside them, looked at now and then.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    Consumer,
    accounts::{Accounts, kind, outcome, protocol, since},
    intake::{Arrival, Intake},
    look::{Key, Look, Peaks},
    series::{Count, Series},
};
use crate::{
    enrich::monotonic_now,
    event::{Cause, Comm, Course, Glimpse, MonoNs, Pid},
    kernel::{
        Armed, KernelError,
        counts::{Counts, Tally},
    },
    output::records::Accounting,
    stats::{Lost, Settings, Stats},
    stock::StockError,
};

/// The stock is looked at so often, unless a look takes long: then each is followed by a pause of
/// [`PAUSE_TO_LOOK`] times as long.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// At most 1 ÷ 25 of a CPU goes into looking.
const PAUSE_TO_LOOK: u32 = 24;

/// A look that has ended.
type Looked = Result<Look, StockError>;

/// What was counted in a window.
#[derive(Debug)]
pub struct Gathered {
    /// The counts of the window.
    pub stats: Stats,
    /// Those before it, which know who made a connection before the window; none where it began with the start.
    pub since_start: Option<Arc<Stats>>,
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
    proc_root: PathBuf,
    peaks: Peaks,
    series: Series<Key>,
    look: Option<JoinHandle<Looked>>,
    began: Instant,
    next: Instant,
    /// How long to rest after the last look.
    pause: Duration,
    /// It was looked ahead of time once.
    hurried: bool,
    /// A port was refused for want of one, and nobody has looked since.
    refused: bool,
}

impl Gatherer {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(intake: Intake, settings: Settings, proc_root: &Path) -> Self {
        Self {
            intake,
            stats: Stats::new(settings),
            interval: None,
            proc_root: proc_root.to_owned(),
            peaks: Peaks::default(),
            series: Series::new(settings.start),
            look: None,
            began: Instant::now(),
            next: Instant::now() + LOOK_EVERY,
            pause: Duration::ZERO,
            hurried: false,
            refused: false,
        }
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
        let (mut stats, peaks, mut series) = (self.stats.clone(), self.peaks.clone(), self.series.clone());
        series.end(at, counted(&stats));
        absorb(&mut stats, tallies);
        Gathered { stats, since_start: None, peaks, series, accounting, at }
    }

    /// Counts from here on in a new part: what was counted before, to be merged by whoever wants more than a part.
    pub(super) fn begin_part(&mut self, at: MonoNs) -> (Stats, Peaks) {
        let settings = Settings { start: at, ..*self.stats.settings() };
        (std::mem::replace(&mut self.stats, Stats::new(settings)), std::mem::take(&mut self.peaks))
    }

    /// How full pools were at most.
    pub(super) fn peaks(&self) -> &Peaks {
        &self.peaks
    }

    fn look(&mut self) {
        self.began = Instant::now();
        self.refused = false;
        let proc_root = self.proc_root.clone();
        let interval = self.interval.iter().map(|(_, peaks)| peaks.clone());
        let before: Vec<Peaks> = interval.chain([self.peaks.clone()]).collect();
        // Namespaces are entered there, never on the thread that reads the ring.
        let spawned =
            thread::Builder::new().name("stock".into()).spawn(move || Look::take(&proc_root, &before));
        match spawned {
            Ok(look) => self.look = Some(look),
            Err(error) => log::debug!("no thread to look at the stock: {error}"),
        }
        self.next = self.began + LOOK_EVERY;
    }

    /// Who holds a pool that was just found full may soon be gone: that is looked at ahead of time. At first at once,
    /// then no more often than the pause between looks allows.
    fn hurries(&mut self) -> bool {
        let hurries = self.refused && (!self.hurried || self.began.elapsed() >= self.pause);
        self.hurried |= hurries;
        hurries
    }

    fn looked(&mut self, look: JoinHandle<Looked>) {
        let took = self.began.elapsed();
        self.pause = took * PAUSE_TO_LOOK;
        self.next = self.next.max(Instant::now() + self.pause);
        match look.join() {
            Ok(Ok(look)) => {
                self.peaks.raise(&look);
                self.series.look(look.at, look.shares.iter().copied(), look.all);
                if let Some((_, peaks)) = &mut self.interval {
                    peaks.raise(&look);
                }
            }
            Ok(Err(error)) => log::debug!("{error}"),
            Err(_) => log::debug!("the look at the stock failed"),
        }
    }

    /// What was counted since the start, at the end.
    #[must_use]
    pub fn into_gathered(self, accounting: Accounting, tallies: &[Tally]) -> Gathered {
        let Self { mut stats, peaks, mut series, .. } = self;
        let at = monotonic_now();
        series.end(at, counted(&stats));
        absorb(&mut stats, tallies);
        Gathered { stats, since_start: None, peaks, series, accounting, at }
    }
}

impl Consumer for Gatherer {
    fn begin_batch(&mut self) {
        self.intake.begin_batch();
    }

    fn take(&mut self, record: &[u8], _out: &mut Vec<u8>) {
        let Self { intake, stats, interval, refused, .. } = self;
        let glimpse = Glimpse::of(record);
        if interval.is_none() && glimpse.is_some_and(|glimpse| intake.pass(|| stats.take_more(glimpse))) {
            return;
        }
        intake.take(record, |Arrival { event, search, rules, process }| {
            *refused |= event.cause() == Some(Cause::Exhausted);
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

    fn tick(&mut self, _armed: &Armed, _out: &mut Vec<u8>) -> Result<(), KernelError> {
        if let Some(descent) = self.intake.descent() {
            descent.keep_up();
        }
        self.series.sample(monotonic_now(), || counted(&self.stats));
        match self.look.take() {
            Some(look) if look.is_finished() => self.looked(look),
            Some(look) => self.look = Some(look),
            None if Instant::now() >= self.next || self.hurries() => self.look(),
            None => {}
        }
        Ok(())
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
    Settings { releases, checks, ..Settings::new(monotonic_now()) }
}
