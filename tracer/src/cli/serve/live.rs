//! What `serve` does while it gathers: puts down figures now and then, and answers questions about the past.

use std::{
    path::Path,
    sync::{Arc, mpsc::Receiver},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, Timespec, clock_gettime};
use sd_notify::NotifyState;

use crate::{
    enrich::{Clock, UtcNs, monotonic_now},
    event::MonoNs,
    kernel::{Armed, KernelError, counts::Counts},
    pipeline::{
        Accounts, Choices, Consumer, Gatherer, History, Ledger, Part, Sliding, Windowed,
        conclude::{Watched, conclude},
        figures,
        host::ThisHost,
    },
    serve::{Board, Question},
    stock::Stock,
};

/// Figures are no older than this, unless they take long.
const EVERY: Duration = Duration::from_secs(1);
/// At most 1 ÷ 100 of a CPU goes into them.
const PAUSE: u32 = 99;
/// After an answer comes a rest of so many times its length: whoever asks again and again gets a quarter of a CPU.
const REST: u32 = 3;

/// What a thread that draws up figures gives back.
struct Drawn {
    ledger: Ledger,
    /// Parts that are history now.
    ended: Vec<Part>,
    stock: Option<Arc<Stock>>,
    /// CPU time that it took: on a busy host that is far from how long it took.
    cost: Duration,
}

/// Gathers, and tells.
pub(super) struct Live {
    gatherer: Gatherer,
    choices: Choices,
    sliding: Sliding,
    history: History,
    /// None while a thread has it.
    ledger: Option<Ledger>,
    watched: Watched,
    board: Arc<Board>,
    questions: Receiver<Question>,
    most: usize,
    draft: Option<(JoinHandle<Drawn>, Instant)>,
    answer: Option<(JoinHandle<()>, Instant)>,
    next: Instant,
    next_answer: Instant,
    /// How often systemd wants to hear, and when it did last.
    watchdog: Option<(Duration, Instant)>,
}

impl Live {
    pub(super) fn new(
        gatherer: Gatherer,
        stock: &Arc<Stock>,
        watched: Watched,
        (board, questions): (Arc<Board>, Receiver<Question>),
        most: usize,
        keep: Duration,
    ) -> Self {
        let now = Instant::now();
        let gatherer = gatherer.with_course(keep);
        Self {
            sliding: Sliding::begin(&gatherer, stock).keeping_parts(),
            gatherer,
            choices: Choices::default(),
            history: History::new(keep),
            ledger: Some(Ledger::new(most)),
            watched,
            board,
            questions,
            most,
            draft: None,
            answer: None,
            next: now,
            next_answer: now,
            watchdog: sd_notify::watchdog_enabled().map(|within| (within / 3, now)),
        }
    }

    /// Begins with figures, if they are due and none are being drawn up.
    fn begin_draft(&mut self, armed: &Armed) -> Result<(), KernelError> {
        if self.draft.is_some() || Instant::now() < self.next {
            return Ok(());
        }
        let Some(ledger) = self.ledger.take() else { return Ok(()) };
        let (accounts, tallies) = self.gatherer.account(armed)?;
        let at = monotonic_now();
        let cut = self.sliding.cut(at, &mut self.gatherer, &accounts.accounting(), &tallies);
        let mut ended = self.sliding.ended();
        let sites = self.choices.counts(self.gatherer.intake(), &tallies);
        let watched = self.watched.clone();
        let (board, most) = (Arc::clone(&self.board), self.most);
        let draw = move || {
            let mut ledger = ledger;
            let told = ledger.bring_up(ended.iter().map(Part::stats), cut.current(), at);
            ended.iter_mut().for_each(Part::condense);
            let Windowed { gathered, before, accounting } = cut.join();
            let watched = Watched { before, ..watched };
            // Namespaces are entered here, never on the thread that reads the ring.
            let stock = match conclude(&gathered, watched, &ThisHost::new(Path::new("/proc"))) {
                Ok(conclusion) => {
                    let snapshot =
                        figures(&conclusion, told, sites, accounting, seconds(Clock::sample().utc(at)), most);
                    let stock = Arc::clone(&conclusion.stock);
                    board.publish(snapshot, conclusion);
                    Some(stock)
                }
                Err(error) => {
                    log::debug!("{error}");
                    None
                }
            };
            Drawn { ledger, ended, stock, cost: thread_time() }
        };
        match thread::Builder::new().name("figures".into()).spawn(draw) {
            Ok(drawn) => self.draft = Some((drawn, Instant::now())),
            // What was counted is lost with it: the next one begins anew.
            Err(error) => self.begin_anew(&error.to_string()),
        }
        Ok(())
    }

    fn begin_anew(&mut self, why: &str) {
        log::warn!("figures of programs begin anew: {why}");
        self.ledger = Some(Ledger::new(self.most));
        self.next = Instant::now() + EVERY;
    }

    /// Takes figures that are done.
    fn end_draft(&mut self) {
        let Some((draft, began)) = self.draft.take_if(|(draft, _)| draft.is_finished()) else { return };
        self.next = began + EVERY;
        match draft.join() {
            Ok(Drawn { ledger, ended, stock, cost }) => {
                for part in ended {
                    self.history.push(part);
                }
                self.next = began + EVERY.max(cost * (PAUSE + 1));
                self.ledger = Some(ledger);
                if let Some(stock) = stock {
                    self.sliding.looked(&stock);
                }
            }
            Err(_) => self.begin_anew("they could not be drawn up"),
        }
    }

    /// Answers a question, one at a time; this thread only hands over what it is made of.
    fn answer(&mut self, armed: &Armed) -> Result<(), KernelError> {
        if let Some((_, began)) = self.answer.take_if(|(answer, _)| answer.is_finished()) {
            self.next_answer = Instant::now() + began.elapsed() * REST;
        }
        // A part that ended may be missing in the history while figures are drawn up.
        if self.answer.is_some() || self.draft.is_some() || Instant::now() < self.next_answer {
            return Ok(());
        }
        let Ok(Question { last, reply }) = self.questions.try_recv() else { return Ok(()) };
        if reply.is_closed() {
            return Ok(());
        }
        let (accounts, tallies) = self.gatherer.account(armed)?;
        let at = monotonic_now();
        let from = MonoNs(at.0.saturating_sub(u64::try_from(last.as_nanos()).unwrap_or(u64::MAX)));
        let of = (&self.sliding, &self.gatherer);
        let stretch = self.history.stretch(from, at, of, &accounts.accounting(), &tallies);
        let watched = self.watched.clone();
        let answer = thread::Builder::new().name("answer".into()).spawn(move || {
            let Windowed { gathered, before, .. } = stretch.join();
            let watched = Watched { before, ..watched };
            let concluded = conclude(&gathered, watched, &ThisHost::new(Path::new("/proc")));
            // Who asked may have gone.
            drop(reply.send(concluded.map_err(|error| error.to_string())));
        });
        match answer {
            Ok(answer) => self.answer = Some((answer, Instant::now())),
            Err(error) => log::debug!("no thread for an answer: {error}"),
        }
        Ok(())
    }

    /// Tells systemd that the ring is read.
    fn feed(&mut self) {
        let Some((every, last)) = &mut self.watchdog else { return };
        if last.elapsed() >= *every {
            *last = Instant::now();
            notify(&[NotifyState::Watchdog]);
        }
    }
}

/// CPU time of this thread.
fn thread_time() -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(tv_sec).unwrap_or(0), u32::try_from(tv_nsec).unwrap_or(0))
}

/// Tells systemd, if it asked.
pub(super) fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::debug!("systemd does not listen: {error}");
    }
}

/// Since 1970.
#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "a metric is a float")]
pub(super) fn seconds(utc: UtcNs) -> f64 {
    utc.0 as f64 / 1e9
}

impl Consumer for Live {
    fn begin_batch(&mut self) {
        self.gatherer.begin_batch();
    }

    fn take(&mut self, record: &[u8], out: &mut Vec<u8>) {
        self.choices.note(record);
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
        self.board.alive();
        self.feed();
        self.gatherer.tick(armed, out)?;
        self.end_draft();
        // Before the next figures are begun: on a busy host there may be no moment without.
        self.answer(armed)?;
        self.begin_draft(armed)
    }
}
