//! A recording without an end, of which the last part is kept: a flight recorder.
//!
//! Each segment reads alone. A new one is begun when the last is long enough, with the sockets as they are then. What
//! cannot be written is counted as lost, and tracing goes on.

mod dump;
mod judged;
mod trigger;
mod watch;

use std::{
    io,
    time::{Duration, Instant},
};

use arrow_schema::ArrowError;
pub use trigger::Trigger;
pub use watch::AFTER;
use watch::Watch;

use self::dump::Dumper;
use super::{Accounts, Consumer, Recorder};
use crate::{
    enrich::{Clock, monotonic_now},
    kernel::{Armed, KernelError, counts::Counts},
    output::records::CommandEnd,
    recording::{Dumps, Folder, SceneNote},
};

/// A segment is a sixteenth of the ring, but not smaller than this.
const LEAST_SEGMENT: u64 = 64 << 10;
/// While nothing can be written it is said so often.
const TELL_EVERY: Duration = Duration::from_mins(1);
/// And tried again after so long, then twice as long, up to [`TELL_EVERY`].
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// How a flight recorder is set.
#[derive(Debug)]
pub struct FlightPlan {
    /// Bytes of all segments.
    pub size: u64,
    /// What a dump holds, at least where there is as much.
    pub window: Duration,
    /// What makes it dump.
    pub triggers: Vec<Trigger>,
    /// The boot, for names.
    pub boot: String,
    /// Where it says what happens: a line, and whether it is no more than news.
    pub tell: fn(&str, bool),
}

/// Nothing can be written.
#[derive(Debug)]
struct Stop {
    told: Instant,
    again: Instant,
    pause: Duration,
    events: u64,
}

/// How it ended.
#[derive(Debug)]
pub struct Flown {
    /// The accounts.
    pub accounts: Accounts,
    /// Events that could not be written; they are among the lost.
    pub unwritten: u64,
    /// The last segment has no end, for this reason.
    pub unended: Option<io::Error>,
    /// Why nothing could be encoded any more.
    pub failed: Option<ArrowError>,
}

/// Records into a folder.
pub struct Flight {
    recorder: Recorder,
    folder: Folder,
    dumper: Dumper,
    watch: Watch,
    plan: FlightPlan,
    bytes: Vec<u8>,
    /// Bytes that the segment began with.
    restated: u64,
    stop: Option<Stop>,
    unwritten: u64,
    failed: Option<ArrowError>,
}

impl Flight {
    /// Begins with the first bytes of a recorder.
    ///
    /// # Errors
    ///
    /// They cannot be written.
    pub fn begin(
        recorder: Recorder,
        first: &[u8],
        mut folder: Folder,
        dumps: Dumps,
        mut plan: FlightPlan,
    ) -> io::Result<Self> {
        folder.begin(Clock::sample().utc(monotonic_now()), &plan.boot, first)?;
        let triggers = std::mem::take(&mut plan.triggers);
        let mut flight = Self {
            recorder: recorder.in_files(),
            restated: folder.written(),
            folder,
            dumper: Dumper::new(dumps),
            watch: Watch::new(triggers, plan.window),
            plan,
            bytes: Vec::new(),
            stop: None,
            unwritten: 0,
            failed: None,
        };
        flight.recorder.wrote();
        Ok(flight)
    }

    /// What records.
    pub fn recorder(&mut self) -> &mut Recorder {
        &mut self.recorder
    }

    /// Writes what was gathered.
    fn write(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.bytes);
        if self.stop.is_some() {
            self.lose();
        } else if let Err(error) = self.folder.append(&bytes) {
            self.halt(&error);
        } else {
            self.recorder.wrote();
        }
        self.bytes = bytes;
        self.bytes.clear();
    }

    /// Counts what was not written.
    fn lose(&mut self) {
        let lost = self.recorder.could_not_write();
        self.unwritten += lost;
        if let Some(stop) = &mut self.stop {
            stop.events += lost;
        }
    }

    /// Writes no more for a while.
    fn halt(&mut self, error: &io::Error) {
        self.folder.close();
        let now = Instant::now();
        self.stop = Some(Stop { told: now, again: now + TRY_AGAIN, pause: TRY_AGAIN, events: 0 });
        self.lose();
        let why = error.to_string();
        let why = why.split(" (os error").next().unwrap_or_default();
        let text = format!(
            "cannot write to {}: {why}; tracing goes on, and what is not written counts as lost",
            self.folder.path().display()
        );
        (self.plan.tell)(&text, false);
    }

    /// Says again that nothing is written, and tries to.
    fn try_again(&mut self) {
        let need = self.restated.saturating_mul(2).max(LEAST_SEGMENT);
        let Some(stop) = &mut self.stop else { return };
        let now = Instant::now();
        if now - stop.told >= TELL_EVERY {
            stop.told = now;
            let text = format!(
                "still nothing can be written to {}: {} events so far",
                self.folder.path().display(),
                stop.events
            );
            (self.plan.tell)(&text, false);
        }
        if now >= stop.again && self.folder.free() >= need {
            stop.again = now + stop.pause;
            stop.pause = (stop.pause * 2).min(TELL_EVERY);
            self.recorder.hurry_scene();
        }
    }

    /// Ends the segment, and begins another one.
    fn roll(&mut self, scene: SceneNote, armed: &Armed) -> Result<(), KernelError> {
        let mut end = self.recorder.ended(armed)?;
        if self.stop.is_none() {
            let mut last = std::mem::take(&mut self.bytes);
            if let Err(error) = self.recorder.close_file(&end, &mut last) {
                self.failed = Some(error);
                return Ok(());
            }
            match self.folder.end(&last) {
                Ok(()) => self.recorder.wrote(),
                Err(error) => self.halt(&error),
            }
        }
        if self.stop.is_some() {
            self.lose();
            end = self.recorder.ended(armed)?;
        }
        let began = Clock::sample().utc(monotonic_now());
        let mut first = Vec::new();
        if let Err(error) = self.recorder.begin_file(end, scene, &mut first) {
            self.failed = Some(error);
            return Ok(());
        }
        match self.folder.begin(began, &self.plan.boot, &first) {
            Ok(()) => {
                self.restated = self.folder.written();
                self.recorder.wrote();
                if let Some(stop) = self.stop.take() {
                    let text = format!(
                        "writes to {} again: {} events were not written",
                        self.folder.path().display(),
                        stop.events
                    );
                    (self.plan.tell)(&text, false);
                }
            }
            Err(error) if self.stop.is_none() => self.halt(&error),
            Err(error) => log::debug!("still: {error}"),
        }
        Ok(())
    }

    /// Whether the segment is long enough.
    fn is_long(&self) -> bool {
        let enough = (self.plan.size / 16).max(LEAST_SEGMENT).max(self.restated.saturating_mul(2));
        self.folder.written() >= enough
    }

    /// Looks after the triggers.
    fn watch(&mut self, armed: &Armed) -> Result<(), KernelError> {
        if self.watch.is_time() {
            let failures = self.recorder.accounts(&armed.counts()?).totals.failures;
            if self.watch.count(failures) {
                self.up_to_now();
                match self.recorded(self.watch.judged_time()) {
                    Ok(recorded) => self.watch.judge(recorded),
                    Err(error) => log::warn!("the last minute cannot be judged: {error}"),
                }
            }
        }
        if let Some(trigger) = self.watch.due(false) {
            self.dump(&trigger.word(), armed)?;
        }
        Ok(())
    }

    /// Writes what has come so far.
    fn up_to_now(&mut self) {
        if let Err(error) = self.recorder.flush(&mut self.bytes) {
            self.failed = Some(error);
        }
        self.write();
    }

    fn recorded(&self, window: Duration) -> io::Result<crate::recording::Splice> {
        let now = Instant::now();
        // A host that runs for less than a window has all of it.
        self.folder.since(now.checked_sub(window).unwrap_or(now))
    }

    /// Writes the window to a file of its own, on a thread of its own.
    ///
    /// # Errors
    ///
    /// The kernel half does not tell its counts.
    pub fn dump(&mut self, why: &str, armed: &Armed) -> Result<(), KernelError> {
        self.up_to_now();
        let end = self.recorder.ended(armed)?;
        let recorded = self.recorded(self.plan.window);
        self.dumper.begin(why, recorded, end, self.recorder.opening(), self.plan.tell);
        Ok(())
    }

    /// Ends it; a dump that is due is written first.
    ///
    /// # Errors
    ///
    /// The kernel half does not tell its counts.
    pub fn finish(
        mut self,
        armed: &Armed,
        command: (Option<CommandEnd>, Option<u64>),
    ) -> Result<Flown, KernelError> {
        self.up_to_now();
        self.dumper.end(self.plan.tell);
        if let Some(trigger) = self.watch.due(true) {
            self.dump(&trigger.word(), armed)?;
        }
        if self.stop.is_some() {
            self.lose();
        }
        let Self { recorder, mut folder, mut dumper, plan, stop, unwritten, failed, .. } = self;
        let mut last = Vec::new();
        let (accounts, ended) = recorder.finish(armed, command, &mut last)?;
        let unended = match stop {
            Some(_) => Some(io::Error::other("it could not write at the end")),
            None => folder.end(&last).err(),
        };
        dumper.end(plan.tell);
        Ok(Flown { accounts, unwritten, unended, failed: failed.or(ended.err()) })
    }
}

impl Consumer for Flight {
    fn begin_batch(&mut self) {
        self.recorder.begin_batch();
    }

    fn take(&mut self, record: &[u8], _out: &mut Vec<u8>) {
        self.recorder.take(record, &mut self.bytes);
        self.write();
    }

    fn end_batch(&mut self) {
        self.recorder.end_batch();
    }

    fn is_full(&self) -> bool {
        self.failed.is_some() || self.recorder.is_full()
    }

    fn accounts(&self, counts: &Counts) -> Accounts {
        self.recorder.accounts(counts)
    }

    fn tick(&mut self, armed: &Armed, _out: &mut Vec<u8>) -> Result<(), KernelError> {
        self.recorder.tick(armed, &mut self.bytes)?;
        self.write();
        if let Err(error) = self.folder.age() {
            log::warn!("an old segment cannot be removed: {error}");
        }
        if let Some(scene) = self.recorder.fresh_scene() {
            self.roll(scene, armed)?;
        }
        self.try_again();
        if self.stop.is_none() && self.is_long() {
            self.recorder.hurry_scene();
        }
        self.watch(armed)?;
        self.dumper.look(self.plan.tell);
        Ok(())
    }
}
