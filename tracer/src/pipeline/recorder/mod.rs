//! Events, one by one, into a recording; and beside them whatever a report or a trace would learn of the host.

mod rolling;

use std::{
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use arrow_schema::ArrowError;
use rustc_hash::FxHashMap;

use super::{
    Consumer,
    accounts::{Accounts, Cells},
    culprits::Culprits,
    frame::diagnostics,
    host::{Host as _, ThisHost},
    intake::{Arrival, Intake},
    look::{Key, Look, Moment, Peaks},
    looker::Looker,
    scene::capture,
};
use crate::{
    enrich::{Clock, MOST_PROCESSES, Process, monotonic_now},
    event::{Cause, Pid, Row, StartTime},
    kernel::{
        Armed, KernelError,
        counts::{CELLS, Counts, Tally, cell_of},
    },
    output::records::CommandEnd,
    recording::{Account, End, LostCount, MomentNote, Note, Opening, SceneNote, TellProcess, Writer},
    stock::{StockError, Wanted},
};

/// What was recorded is written so often.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// The same where there were no events.
const IDLE_FLUSH_EVERY: Duration = Duration::from_secs(10);
/// All sockets are recorded so often.
const SCENE_EVERY: Duration = Duration::from_mins(1);
/// The clock is told again when it has moved by so much.
const CLOCK_MOVED_NS: u64 = 10_000;
/// By more than this at once it was set; it is told before the next event.
const CLOCK_SET_NS: u64 = 1_000_000;

/// Takes records and keeps them.
pub struct Recorder {
    intake: Intake,
    culprits: Culprits,
    host: ThisHost,
    opening: Opening,
    writer: Writer,
    failed: Option<ArrowError>,
    looker: Looker,
    peaks: Peaks,
    /// How full the pools were of which a moment has been recorded.
    told: FxHashMap<Key, u32>,
    processes: FxHashMap<(Pid, Option<StartTime>), Process>,
    offset_ns: i64,
    written: Box<Cells>,
    has_events: bool,
    flushed: Instant,
    scene: Option<JoinHandle<Result<SceneNote, StockError>>>,
    scene_began: Instant,
    /// Events by their cells when the last bytes were written, and those whose bytes never were.
    kept: Box<Cells>,
    unwritten: u64,
    /// Scenes begin files: the next one to begin with.
    rolls: bool,
    fresh: Option<SceneNote>,
}

impl Recorder {
    /// Begins a recording of a host as it is now; the first bytes go to `out`.
    ///
    /// # Errors
    ///
    /// As Arrow's encoder.
    pub fn begin(
        mut intake: Intake,
        opening: Opening,
        scene: SceneNote,
        proc_root: &Path,
        out: &mut Vec<u8>,
    ) -> Result<Self, ArrowError> {
        intake.spaces().note_changes();
        let writer = Writer::begin(&opening, out)?;
        let mut recorder = Self {
            intake,
            culprits: Culprits::new(proc_root),
            host: ThisHost::new(proc_root),
            offset_ns: opening.facts.clock_offset_ns,
            opening,
            writer,
            failed: None,
            looker: Looker::new(proc_root),
            peaks: Peaks::default(),
            told: FxHashMap::default(),
            processes: FxHashMap::default(),
            written: Box::new([0; CELLS]),
            has_events: false,
            flushed: Instant::now(),
            scene: None,
            scene_began: Instant::now(),
            kept: Box::new([0; CELLS]),
            unwritten: 0,
            rolls: false,
            fresh: None,
        };
        recorder.state(scene)?;
        recorder.writer.flush(out)?;
        Ok(recorder)
    }

    /// What was taken in.
    pub fn intake(&mut self) -> &mut Intake {
        &mut self.intake
    }

    /// Why it stopped, if it could not go on.
    pub fn failure(&mut self) -> Option<ArrowError> {
        self.failed.take()
    }

    /// The accounts so far.
    ///
    /// # Errors
    ///
    /// The kernel half does not tell.
    pub fn account(&mut self, armed: &Armed) -> Result<(Accounts, Account), KernelError> {
        let counts = armed.counts()?;
        let tallies = if counts.raw().lost == 0 { Vec::new() } else { self.intake.sift(armed.tallies()?) };
        let accounts = self.accounts(&counts);
        let account = Account {
            at: monotonic_now(),
            filtered: accounts.filtered,
            lost: accounts.lost,
            missed: accounts.missed,
            inner_calls: accounts.inner_calls,
            inner_missed: accounts.inner_missed,
            diagnostics: diagnostics(&counts, self.intake.undecodable()),
            cost: accounts.cost(),
            lost_by: tallies.iter().map(lost_count).collect(),
        };
        Ok((accounts, account))
    }

    /// Ends the recording: its last bytes go to `out`.
    ///
    /// # Errors
    ///
    /// The kernel half does not tell its counts.
    pub fn finish(
        mut self,
        armed: &Armed,
        command: (Option<CommandEnd>, Option<u64>),
        out: &mut Vec<u8>,
    ) -> Result<(Accounts, Result<(), ArrowError>), KernelError> {
        let (accounts, account) = self.account(armed)?;
        let (command, command_cpu_ns) = command;
        let lost_cells = self.lost_cells(&armed.counts()?);
        let end = End { account, lost_cells, command, command_cpu_ns };
        let scene = self.host.stock(&Wanted::default()).and_then(|stock| capture(&self.host, stock));
        let ended = match self.failed.take() {
            Some(error) => Err(error),
            None => self.end(scene, end, out),
        };
        Ok((accounts, ended))
    }

    fn end(
        mut self,
        scene: Result<SceneNote, StockError>,
        end: End,
        out: &mut Vec<u8>,
    ) -> Result<(), ArrowError> {
        self.tell_clock(CLOCK_MOVED_NS)?;
        let moments = self.untold_moments();
        self.writer.note(&Note::Moments { moments })?;
        match scene {
            Ok(scene) => self.writer.note(&Note::Scene(Box::new(scene)))?,
            Err(error) => log::warn!("the sockets at the end are not recorded: {error}"),
        }
        self.writer.note(&Note::End(Box::new(end)))?;
        self.writer.end(out)
    }

    /// What the kernel half counted and nothing else became of.
    fn lost_cells(&self, counts: &Counts) -> Vec<(u32, u64)> {
        let known = |at: usize| {
            [&*self.written, self.intake.left_out()].iter().filter_map(|cells| cells.get(at)).sum::<u64>()
        };
        let lost = counts.cells().map(|cell| (cell.index(), cell.count.saturating_sub(known(cell.index()))));
        lost.filter(|(_, count)| *count != 0)
            .filter_map(|(at, count)| Some((u32::try_from(at).ok()?, count)))
            .collect()
    }

    fn keep(&mut self, done: Result<(), ArrowError>) {
        if let Err(error) = done {
            self.failed.get_or_insert(error);
        }
    }

    fn record(&mut self, record: &[u8]) -> Result<(), ArrowError> {
        let Self { intake, culprits, writer, looker, processes, .. } = self;
        let mut taken = false;
        let (mut teller, mut holders) = (None, None);
        let Some(row) = Row::of(record) else {
            // Whatever it is, it is counted as such.
            intake.take(record, |_| ());
            return Ok(());
        };
        let key = row.process();
        intake.take(record, |Arrival { event, process, .. }| {
            taken = true;
            looker.refuse(event.cause() == Some(Cause::Exhausted));
            if !processes.get(&key).is_some_and(|known| known.is(process)) {
                let is_news = processes.get(&key).is_none_or(|known| known != process);
                if processes.len() >= MOST_PROCESSES {
                    processes.clear();
                }
                processes.insert(key, process.clone());
                teller = is_news.then(|| process.clone());
            }
            if event.failed() {
                holders = culprits.of(event).map(<[_]>::to_vec);
            }
        });
        if !taken {
            return Ok(());
        }
        for config in intake.spaces().changed() {
            writer.note(&Note::Config(config))?;
        }
        if let Some(process) = teller {
            writer.note(&Note::Process(TellProcess { pid: key.0, start: key.1, process }))?;
        }
        if let Some(of_next) = holders {
            writer.note(&Note::Holders { of_next })?;
        }
        if let Some(count) = cell_of(record).and_then(|at| self.written.get_mut(at)) {
            *count += 1;
        }
        self.has_events = true;
        writer.event(&row)
    }

    fn looked(&mut self, mut look: Look) -> Result<(), ArrowError> {
        self.peaks.raise(&look);
        let told = &mut self.told;
        let is_news = |moment: &&Arc<Moment>| {
            let (had, pool) = (told.get(&moment.key()), &moment.pool);
            let step = pool.effective / 100 + 1;
            had.is_none_or(|had| {
                pool.barred > *had && (pool.barred >= had + step || pool.barred == pool.effective)
            })
        };
        let news: Vec<Arc<Moment>> = look.moments.iter().filter(is_news).map(Arc::clone).collect();
        told.extend(news.iter().map(|moment| (moment.key(), moment.pool.barred)));
        self.writer.look(look.note(news.iter().map(|moment| moment.note()).collect()))?;
        if self.scene.is_none()
            && self.scene_began.elapsed() >= SCENE_EVERY
            && let Some(stock) = look.stock.take()
        {
            self.scene_began = Instant::now();
            let host = self.host.clone();
            let spawned = thread::Builder::new().name("scene".into()).spawn(move || capture(&host, stock));
            self.scene = spawned.inspect_err(|error| log::debug!("no thread: {error}")).ok();
        }
        Ok(())
    }

    /// Moments that are fuller than those that were recorded.
    fn untold_moments(&mut self) -> Vec<MomentNote> {
        let told = &mut self.told;
        let all = self.peaks.all_moments();
        let untold: Vec<_> = all
            .filter(|moment| told.get(&moment.key()).is_none_or(|had| moment.pool.barred > *had))
            .collect();
        told.extend(untold.iter().map(|moment| (moment.key(), moment.pool.barred)));
        untold.into_iter().map(|moment| moment.note()).collect()
    }

    /// Tells the clock, if it has moved by so much since it was told.
    fn tell_clock(&mut self, by_ns: u64) -> Result<(), ArrowError> {
        let offset_ns = Clock::sample().offset_ns();
        if offset_ns.abs_diff(self.offset_ns) < by_ns {
            return Ok(());
        }
        self.offset_ns = offset_ns;
        self.writer.note(&Note::Clock { offset_ns })
    }

    fn keep_up(&mut self, armed: &Armed, out: &mut Vec<u8>) -> Result<Result<(), ArrowError>, KernelError> {
        let rest = if self.has_events { FLUSH_EVERY } else { IDLE_FLUSH_EVERY };
        if self.flushed.elapsed() < rest && !self.writer.is_full() {
            return Ok(Ok(()));
        }
        let (_, account) = self.account(armed)?;
        self.flushed = Instant::now();
        self.has_events = false;
        Ok(self
            .tell_clock(CLOCK_MOVED_NS)
            .and_then(|()| self.writer.note(&Note::Account(account)))
            .and_then(|()| self.writer.flush(out)))
    }
}

fn lost_count(tally: &Tally) -> LostCount {
    let cell = u32::try_from(tally.cell.index()).unwrap_or(u32::MAX);
    LostCount { pid: tally.pid, comm: tally.comm, cell, count: tally.cell.count }
}

impl Consumer for Recorder {
    /// Samples the clocks: when they are told with the next flush, the events after a step stand before that.
    fn begin_batch(&mut self) {
        let done = self.tell_clock(CLOCK_SET_NS);
        self.keep(done);
        self.intake.begin_batch();
    }

    fn take(&mut self, record: &[u8], out: &mut Vec<u8>) {
        let mut done = self.record(record);
        if self.writer.is_full() {
            done = done.and_then(|()| self.writer.flush(out));
        }
        self.keep(done);
    }

    fn end_batch(&mut self) {}

    fn is_full(&self) -> bool {
        self.failed.is_some() || self.intake.is_full()
    }

    fn accounts(&self, counts: &Counts) -> Accounts {
        let accounts = self.intake.accounts(counts);
        let unwritten = self.unwritten.min(accounts.emitted);
        Accounts { emitted: accounts.emitted - unwritten, lost: accounts.lost + unwritten, ..accounts }
    }

    fn tick(&mut self, armed: &Armed, out: &mut Vec<u8>) -> Result<(), KernelError> {
        if let Some(descent) = self.intake.descent() {
            descent.keep_up();
        }
        let Self { looker, peaks, .. } = self;
        if let Some(look) = looker.tick(|| vec![peaks.clone()]) {
            let done = self.looked(look);
            self.keep(done);
        }
        if let Some(scene) = self.scene.take_if(|scene| scene.is_finished()) {
            match scene.join() {
                Ok(Ok(scene)) if self.rolls => self.fresh = Some(scene),
                Ok(Ok(scene)) => {
                    let done = self.writer.note(&Note::Scene(Box::new(scene)));
                    self.keep(done);
                }
                Ok(Err(error)) => log::debug!("{error}"),
                Err(_) => log::debug!("the look at the sockets failed"),
            }
        }
        let done = self.keep_up(armed, out)?;
        self.keep(done);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
