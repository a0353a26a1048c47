//! What `top` does while it gathers: looks at the host, draws, and does what keys say.

mod obey;

pub(super) use obey::is_gone;

use std::{
    io,
    path::Path,
    sync::{Arc, mpsc::Receiver},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{input::Input, rates::Rates, screen::Screen};
use crate::{
    enrich::{Clock, TimeColumn, monotonic_now},
    event::NetnsId,
    kernel::{Armed, KernelError, counts::Counts},
    load::Target,
    output::{Observation, cells},
    pipeline::{
        Accounts, Consumer, Gatherer, Recent, Sliding, Windowed,
        conclude::{Conclusion, Watched, conclude_and},
        host::ThisHost,
    },
    stock::StockError,
    tui::{Commanded, EventRow, PoolId, Screen as Shown, Seen, Ui, View, frame},
};

/// At most 1 ÷ 40 of a CPU goes into reports; the gatherer's own looks come beside them.
const PAUSE: u32 = 39;
/// A frame waits no longer than this for its report.
const PATIENCE: Duration = Duration::from_millis(500);
/// Events that are made into rows.
const MOST_ROWS: usize = 500;

/// Where frames go.
pub(super) enum Face {
    Screen(Box<Screen>),
    Text,
}

/// When frames are due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) every: Duration,
    pub(super) most: Option<u64>,
}

type Drawn = Result<(Conclusion, Seen), StockError>;

/// Gathers, and shows.
pub(super) struct Live {
    gatherer: Gatherer,
    recent: Recent,
    sliding: Sliding,
    watched: Watched,
    view: View,
    ui: Ui,
    face: Face,
    inputs: Receiver<Input>,
    pace: Pace,
    time: TimeColumn,
    /// A report that is being drawn up, and since when.
    draft: Option<(JoinHandle<Drawn>, Instant)>,
    /// No report before.
    rest: Instant,
    /// When the last report was there.
    reported: Instant,
    /// The next frame.
    next: Instant,
    /// A frame is due, since then, and waits for its report.
    due: Option<Instant>,
    shown: u64,
    rates: Rates,
    /// The pool whose map was asked for.
    pictured: Option<PoolId>,
    /// The command that runs, and was not interrupted.
    target: Option<Target>,
    is_stopped: bool,
    is_done: bool,
    /// The terminal is gone.
    is_gone: bool,
    failed: Option<io::Error>,
}

impl Live {
    pub(super) fn new(
        gatherer: Gatherer,
        sliding: Sliding,
        watched: Watched,
        ui: Ui,
        face: Face,
        inputs: Receiver<Input>,
        pace: Pace,
    ) -> Self {
        let now = Instant::now();
        Self {
            gatherer,
            recent: Recent::default(),
            sliding,
            watched,
            view: View::default(),
            ui,
            face,
            inputs,
            pace,
            time: TimeColumn::local(),
            draft: None,
            rest: now,
            reported: now,
            next: now + pace.every,
            due: None,
            shown: 0,
            rates: Rates::default(),
            pictured: None,
            target: None,
            is_stopped: false,
            is_done: false,
            is_gone: false,
            failed: None,
        }
    }

    /// A command runs beside it.
    pub(super) fn beside(mut self, command: Option<Commanded>, target: Option<Target>) -> Self {
        self.view.command = command;
        Self { target, ..self }
    }

    /// The next frame is due at once.
    pub(super) fn hurry(&mut self) {
        self.next = Instant::now();
    }

    /// Gives the terminal back; what was gathered comes back, unless there is nobody to tell.
    pub(super) fn close(self) -> io::Result<Option<(Gatherer, Sliding)>> {
        let Self { face, gatherer, sliding, is_gone, failed, .. } = self;
        drop(face);
        match failed {
            Some(error) => Err(error),
            None => Ok((!is_gone).then_some((gatherer, sliding))),
        }
    }

    /// Begins with a report, if none is being drawn up and the last one was long enough ago.
    fn begin_report(&mut self, armed: &Armed) -> Result<(), KernelError> {
        let now = Instant::now();
        if self.draft.is_some() || now < self.rest {
            return Ok(());
        }
        let draw = self.report(armed)?;
        // Namespaces are entered there, never on the thread that reads the ring.
        let drawn = thread::Builder::new().name("draft".into()).spawn(draw);
        match drawn {
            Ok(drawn) => self.draft = Some((drawn, now)),
            Err(error) => log::debug!("no thread for a report: {error}"),
        }
        Ok(())
    }

    /// What draws up a report on the window that ends now.
    fn report(
        &mut self,
        armed: &Armed,
    ) -> Result<impl FnOnce() -> Drawn + Send + 'static + use<>, KernelError> {
        let Windowed { gathered, before, .. } = self.sliding.window(&mut self.gatherer, armed)?;
        let watched = Watched { before, ..self.watched.clone() };
        let wanted = self.ui.opened.clone();
        Ok(move || {
            conclude_and(&gathered, watched, &ThisHost::new(Path::new("/proc")), |survey, refusals| {
                Seen::of(&survey.stock, &survey.pools, refusals, wanted.as_ref())
            })
        })
    }

    /// Where frames are text and were not counted off: the last one, which has all up to the end.
    pub(super) fn last(&mut self, armed: &Armed, out: &mut Vec<u8>) -> Result<(), KernelError> {
        if self.is_done || !matches!(self.face, Face::Text) {
            return Ok(());
        }
        let draw = self.report(armed)?;
        match draw() {
            Ok((conclusion, seen)) => {
                self.reported = Instant::now();
                self.view.report = Some(Arc::new(conclusion.report));
                self.view.seen = Arc::new(seen);
            }
            Err(error) => log::debug!("{error}"),
        }
        self.refresh(armed)?;
        self.show(out);
        Ok(())
    }

    /// Takes a report that is done.
    fn end_report(&mut self) {
        let Some((draft, began)) = self.draft.take_if(|(draft, _)| draft.is_finished()) else { return };
        let now = Instant::now();
        // The first one, of an empty window, is to be followed by one that tells something.
        let pause = if self.view.report.is_none() { 0 } else { PAUSE };
        self.rest = now + now.duration_since(began) * pause;
        match draft.join() {
            Ok(Ok((conclusion, seen))) => {
                self.sliding.looked(&conclusion.stock);
                self.reported = now;
                if !self.ui.paused {
                    self.view.report = Some(Arc::new(conclusion.report));
                    self.view.seen = Arc::new(seen);
                }
            }
            Ok(Err(error)) => log::debug!("{error}"),
            Err(_) => log::debug!("the report failed"),
        }
    }

    /// Looks at once for the map of a pool that was opened: once for each time that one is.
    fn picture(&mut self, armed: &Armed) -> Result<(), KernelError> {
        if self.ui.opened.is_none() {
            self.pictured = None;
        } else if self.draft.is_none() && self.pictured != self.ui.opened {
            self.pictured.clone_from(&self.ui.opened);
            self.rest = Instant::now();
            self.begin_report(armed)?;
        }
        Ok(())
    }

    /// Notes the counts of each second as it ends, lost events included.
    fn count(&mut self, armed: &Armed) -> Result<(), KernelError> {
        let second = monotonic_now().0 / 1_000_000_000;
        if !self.rates.is_over(second) {
            return Ok(());
        }
        let accounts = self.gatherer.accounts(&armed.counts()?);
        self.rates.note(second, &accounts.totals);
        Ok(())
    }

    /// Brings up to date what needs no look at the host.
    fn refresh(&mut self, armed: &Armed) -> Result<(), KernelError> {
        if self.ui.paused {
            return Ok(());
        }
        self.view.accounting = self.gatherer.accounts(&armed.counts()?).accounting();
        let clock = Clock::sample();
        let mono = monotonic_now();
        let mut time = Vec::new();
        self.time.write(mono, clock.utc(mono), &mut time);
        let time = String::from_utf8_lossy(&time);
        self.view.time = time.split('.').next().unwrap_or_default().trim().to_owned();
        self.view.rates = self.rates.all();
        self.view.age_s = self.reported.elapsed().as_secs();
        if self.ui.screen == Shown::Events && self.ui.follows() {
            self.view.events = self.rows(clock);
        }
        Ok(())
    }

    /// The last events that pass, the newest last.
    fn rows(&mut self, clock: Clock) -> Vec<EventRow> {
        let Self { recent, gatherer, ui, view, time, .. } = self;
        let mut rows = Vec::new();
        for event in recent.newest(ui.filter.failed()) {
            let Some((search, process)) = gatherer.intake().recall(event) else { continue };
            let netns = event.netns().map_or_else(String::new, |id| view.seen.netns(NetnsId::get(id)));
            if !ui.filter.event(event, process.comm(), &netns) {
                continue;
            }
            let seen = Observation { event, search, utc: clock.utc(event.mono()), process, holders: None };
            rows.push(EventRow { cells: cells(&seen, time), failed: event.failed() });
            if rows.len() == MOST_ROWS {
                break;
            }
        }
        rows.reverse();
        rows
    }

    /// Draws, or appends a frame of text.
    fn show(&mut self, out: &mut Vec<u8>) {
        let shown = match &mut self.face {
            Face::Screen(_) if self.is_stopped => return,
            Face::Screen(screen) => screen.draw(&self.view, &mut self.ui),
            Face::Text => {
                if self.shown != 0 {
                    out.push(b'\n');
                }
                out.extend_from_slice(frame(&self.view, &self.ui).as_bytes());
                Ok(())
            }
        };
        self.noted(shown);
    }

    /// Whether a frame is to be shown now: it is due, and its report is there or has had its time.
    fn is_time(&mut self, armed: &Armed) -> Result<bool, KernelError> {
        let now = Instant::now();
        if self.due.is_none() && now >= self.next {
            self.due = Some(now);
            // What a slow moment took in is left out.
            while self.next <= now {
                self.next += self.pace.every;
            }
        }
        let Some(since) = self.due else { return Ok(false) };
        if !self.ui.paused && self.reported < since {
            self.begin_report(armed)?;
            let patience = if self.view.report.is_none() { PATIENCE * 20 } else { PATIENCE };
            // Also for the end of a rest that is over soon.
            let is_near = self.draft.is_some() || self.rest < since + patience;
            if is_near && now < since + patience {
                return Ok(false);
            }
        }
        self.due = None;
        Ok(true)
    }
}

impl Consumer for Live {
    fn begin_batch(&mut self) {
        self.gatherer.begin_batch();
    }

    fn take(&mut self, record: &[u8], out: &mut Vec<u8>) {
        self.recent.note(record);
        self.gatherer.take(record, out);
    }

    fn end_batch(&mut self) {
        self.gatherer.end_batch();
    }

    fn is_full(&self) -> bool {
        self.is_done || self.gatherer.is_full()
    }

    fn accounts(&self, counts: &Counts) -> Accounts {
        self.gatherer.accounts(counts)
    }

    fn tick(&mut self, armed: &Armed, out: &mut Vec<u8>) -> Result<(), KernelError> {
        self.gatherer.tick(armed, out)?;
        let mut looks_different = self.obey(armed)?;
        self.count(armed)?;
        self.picture(armed)?;
        let had_none = self.view.report.is_none();
        if had_none && matches!(self.face, Face::Screen(_)) {
            // Whoever looks at a screen waits for no interval to see the first one.
            self.begin_report(armed)?;
            looks_different |= self.shown == 0 && self.view.time.is_empty();
            self.refresh(armed)?;
        }
        let had_picture = self.view.seen.picture.is_some();
        self.end_report();
        let is_new =
            had_none && self.view.report.is_some() || !had_picture && self.view.seen.picture.is_some();
        looks_different |= is_new && matches!(self.face, Face::Screen(_));
        if self.is_time(armed)? {
            self.refresh(armed)?;
            self.show(out);
            self.shown += 1;
            self.is_done |= self.pace.most.is_some_and(|most| self.shown >= most);
        } else if looks_different && !self.is_done {
            self.show(out);
        }
        Ok(())
    }
}
