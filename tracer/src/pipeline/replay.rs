//! A recording in place of the ring: its events, and what was told beside them.

use std::{io::Read, mem};

use super::{Consumer, Outlet, accounts::Accounts, frame::footer_of, intake::Intake, sieve::Sieve};
use crate::{
    enrich::{Clock, Rfc3339},
    event::{Kind, MonoNs, Outcome, decode},
    kernel::counts::{CELLS, Cell, Counts, Tally, cell_at, cell_of},
    output::records::Footer,
    recording::{Account, Chain, End, Ending, Entry, Facts, Note, ReadError, SceneNote},
};

/// Output is passed on at this size.
const PORTION: usize = 256 * 1024;
/// What the loop over a ring does each time, a replay does for each stretch of events that is so long.
const STRETCH_NS: u64 = 50_000_000;

/// Something that takes what a recording tells.
pub trait Player: Consumer {
    /// Takes what is told for the events that follow.
    fn told(&mut self, note: Note);
    /// All events up to this time have come.
    fn reached(&mut self, at: MonoNs);
}

/// Which events of a recording are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Between {
    /// None earlier.
    pub from: Option<MonoNs>,
    /// None later.
    pub to: Option<MonoNs>,
    /// Explicit binds that succeeded, too.
    pub explicit: bool,
    /// Releases, too.
    pub releases: bool,
}

/// Why a replay ends before its time.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The recording.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Output cannot be written.
    #[error("cannot write: {0}")]
    Write(#[from] std::io::Error),
}

/// What a recording told beside its events.
#[derive(Debug)]
pub struct Replayed {
    /// The host before the events that were wanted.
    pub before: Option<SceneNote>,
    /// The host after them; none where there is no other than `before`.
    pub after: Option<SceneNote>,
    /// What was counted beside those events.
    pub account: Account,
    /// What it ended with, if it was ended.
    pub end: Option<End>,
    /// How it ends.
    pub ending: Option<Ending>,
    /// The end of the window.
    pub at: MonoNs,
    /// The clock at the end.
    pub clock: Clock,
    /// Those that were wanted, by their cells.
    cells: Box<[u64; CELLS]>,
    /// All events of it were wanted.
    is_whole: bool,
}

impl Between {
    fn has_time(&self, at: MonoNs) -> bool {
        self.from.is_none_or(|from| at >= from) && self.to.is_none_or(|to| at <= to)
    }

    /// Whether the kernel half would have passed it without being asked for more.
    fn has_kind(&self, record: &[u8]) -> bool {
        let Ok(event) = decode(record) else { return true };
        match event.kind() {
            Kind::Allocation(_) => true,
            Kind::Explicit(_) => self.explicit || event.result() != Outcome::Ok,
            Kind::Release(_) => self.releases,
        }
    }
}

/// A replay, entry by entry.
#[derive(Debug)]
pub struct Replay {
    between: Between,
    told: Replayed,
    base: Account,
    /// The latest event that was read.
    last: MonoNs,
    stretch: MonoNs,
}

impl Replay {
    /// Nothing read yet.
    #[must_use]
    pub fn begin(facts: &Facts, between: &Between) -> Self {
        let told = Replayed {
            before: None,
            after: None,
            account: Account::default(),
            end: None,
            ending: None,
            at: facts.start,
            clock: Clock::with_offset(facts.clock_offset_ns),
            cells: Box::new([0; CELLS]),
            is_whole: between.from.is_none() && between.to.is_none(),
        };
        let stretch = MonoNs(facts.start.0.saturating_add(STRETCH_NS));
        Self { between: *between, told, base: Account::default(), last: MonoNs::default(), stretch }
    }

    /// Takes an entry; what it gives is appended to `out`.
    pub fn take(&mut self, entry: Entry, consumer: &mut impl Player, out: &mut Vec<u8>) {
        let Self { between, told, base, last, stretch } = self;
        match entry {
            Entry::Event(row) => {
                let (at, record) = (row.mono(), row.bytes());
                *last = at.max(*last);
                if at >= *stretch {
                    *stretch = turn(consumer, at);
                }
                if !between.has_time(at) || !between.has_kind(record) {
                    return;
                }
                told.at = told.at.max(at);
                if let Some(count) = cell_of(record).and_then(|at| told.cells.get_mut(at)) {
                    *count += 1;
                }
                consumer.take(record, out);
            }
            Entry::Note(note) => told.note(*note, between, base, consumer),
        }
    }

    /// What was told so far.
    #[must_use]
    pub fn told(&self) -> &Replayed {
        &self.told
    }

    /// The accounts of what was taken so far, and whose events were lost.
    pub fn accounts(&mut self, intake: &Intake, sieve: Option<&Sieve>) -> (Accounts, Vec<Tally>) {
        let Self { told, base, .. } = self;
        let net = told.net(base);
        let whole = mem::replace(&mut told.account, net);
        let (tallies, unjudged) = told.tallies(sieve);
        let accounts = told.accounts(intake, &tallies, unjudged, sieve.is_some());
        told.account = whole;
        (accounts, tallies)
    }

    /// Whether an error comes behind all that was wanted.
    #[must_use]
    pub fn can_do_without(&self, error: &ReadError) -> bool {
        let is_damaged = matches!(error, ReadError::Damaged { .. });
        is_damaged && self.between.to.is_some_and(|to| self.last > to)
    }

    /// What was told, when no more is to be read.
    #[must_use]
    pub fn end(self, ending: Option<Ending>) -> Replayed {
        let Self { between, mut told, base, .. } = self;
        told.ending = ending;
        told.close(&between, &base);
        told
    }
}

/// Reads a recording to its end, or until the consumer wants no more.
///
/// # Errors
///
/// A recording that is damaged, and output that cannot be written.
pub fn replay<R: Read>(
    chain: &mut Chain<R>,
    between: &Between,
    consumer: &mut impl Player,
    outlet: &mut impl Outlet,
) -> Result<Replayed, ReplayError> {
    let mut replay = Replay::begin(&chain.opening().facts, between);
    let mut out = Vec::new();
    consumer.begin_batch();
    while !consumer.is_full() {
        match chain.next() {
            None => break,
            Some(Ok(entry)) => replay.take(entry, consumer, &mut out),
            Some(Err(error)) if replay.can_do_without(&error) => break,
            Some(Err(error)) => {
                // What came before is to be seen, whatever is wrong behind it.
                outlet.flush(&mut out)?;
                return Err(error.into());
            }
        }
        if out.len() >= PORTION {
            outlet.flush(&mut out)?;
        }
    }
    consumer.end_batch();
    outlet.flush(&mut out)?;
    let told = replay.end(chain.ending());
    consumer.reached(told.at);
    Ok(told)
}

/// Ends a batch, and begins another one.
fn turn(consumer: &mut impl Player, at: MonoNs) -> MonoNs {
    consumer.end_batch();
    consumer.reached(at);
    consumer.begin_batch();
    MonoNs(at.0.saturating_add(STRETCH_NS))
}

impl Replayed {
    fn note(&mut self, note: Note, between: &Between, base: &mut Account, consumer: &mut impl Player) {
        match note {
            Note::Scene(scene) => self.scene(*scene, between),
            Note::Account(account) => self.account(account, between, base),
            Note::End(end) => {
                self.account(end.account.clone(), between, base);
                self.end = Some(*end);
            }
            Note::Look(look) if !between.has_time(look.at) => {}
            Note::Moments { moments } => {
                let within = moments.into_iter().filter(|moment| between.has_time(moment.at)).collect();
                consumer.told(Note::Moments { moments: within });
            }
            Note::Clock { offset_ns } => {
                self.clock = Clock::with_offset(offset_ns);
                consumer.told(Note::Clock { offset_ns });
            }
            other => consumer.told(other),
        }
    }

    /// The last scene that is not later than the window's beginning, and the first that is not earlier than its end:
    /// or the nearest there are.
    fn scene(&mut self, scene: SceneNote, between: &Between) {
        let began = scene.stock.began;
        let is_before = between.from.is_some_and(|from| began <= from);
        if self.before.is_none() || is_before {
            self.before = Some(scene);
            return;
        }
        let is_late = |to: MonoNs| self.after.as_ref().is_some_and(|after| after.stock.began >= to);
        if !between.to.is_some_and(is_late) {
            self.after = Some(scene);
        }
    }

    fn account(&mut self, account: Account, between: &Between, base: &mut Account) {
        if between.from.is_some_and(|from| account.at <= from) {
            *base = account.clone();
        }
        if between.to.is_none_or(|to| self.account.at < to) {
            self.account = account;
        }
    }

    /// Takes off what was counted before the window.
    fn close(&mut self, between: &Between, base: &Account) {
        self.at = between.to.map_or(self.at.max(self.account.at), |to| to.min(self.at.max(self.account.at)));
        self.account = self.net(base);
    }

    /// The accounts without what was counted before the window.
    fn net(&self, base: &Account) -> Account {
        let account = &self.account;
        Account {
            diagnostics: account.diagnostics.clone(),
            cost: account.cost.clone(),
            ..account.since(base)
        }
    }

    /// The lost events that a sieve lets pass, by process, and how many it cannot judge.
    #[must_use]
    pub fn tallies(&self, sieve: Option<&Sieve>) -> (Vec<Tally>, u64) {
        let (mut tallies, mut unjudged) = (Vec::new(), 0);
        for lost in &self.account.lost_by {
            let cell = cell_at(usize::try_from(lost.cell).unwrap_or(usize::MAX), lost.count);
            let name = crate::event::Comm(lost.comm);
            match sieve.map_or(Some(true), |sieve| sieve.passes_count(lost.pid, name.bytes(), &cell)) {
                Some(true) => tallies.push(Tally { pid: lost.pid, comm: lost.comm, cell }),
                Some(false) => {}
                None => unjudged += lost.count,
            }
        }
        (tallies, unjudged)
    }

    /// The accounts: those of the recording, and of the filters that were judged here.
    #[must_use]
    pub fn accounts(&self, intake: &Intake, tallies: &[Tally], unjudged: u64, is_sieved: bool) -> Accounts {
        let taken = self.cells.iter().enumerate().map(|(at, count)| (at, *count));
        let lost: Vec<(usize, u64)> = match &self.end {
            Some(end) if self.is_whole && !is_sieved => {
                let index = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
                end.lost_cells.iter().map(|(at, count)| (index(*at), *count)).collect()
            }
            _ => tallies.iter().map(|tally: &Tally| (Cell::index(&tally.cell), tally.cell.count)).collect(),
        };
        let counted = lost.iter().map(|(_, count)| count).sum::<u64>();
        let cells: Vec<(usize, u64)> = taken.chain(lost).collect();
        let Account { filtered, lost, missed, inner_calls, inner_missed, .. } = self.account;
        let inner = [inner_calls, inner_missed];
        // Those that a filter keeps out here are lost no longer.
        let kept = if is_sieved { (counted + unjudged).min(lost) } else { lost };
        let counts = Counts::told(&cells, filtered + (lost - kept), kept, missed, inner);
        let accounts = intake.accounts(&counts);
        // Of some lost events not even the kind is known.
        Accounts { seen: accounts.emitted + accounts.filtered + accounts.lost, astray: 0, ..accounts }
    }

    /// The footer of a trace.
    #[must_use]
    pub fn footer(&self, accounts: &Accounts, tallies: &[Tally]) -> Footer {
        let Account { diagnostics, cost, .. } = &self.account;
        let ended = Rfc3339::text(self.clock.utc(self.at));
        footer_of(accounts, tallies, diagnostics.clone(), ended, cost.clone())
    }
}
