//! What `top -r` knows of a recording up to a time in it.

use std::sync::Arc;

use super::{
    super::{Failure, reading::Recording},
    rates::Rates,
};
use crate::{
    enrich::{Clock, TimeColumn},
    event::{MonoNs, NetnsId},
    output::{Observation, cells},
    pipeline::{
        Accounts, Consumer as _, Gatherer, Recent, Replay, Scene, Sieve, Sliding, Windowed,
        conclude::{Conclusion, Watched, conclude, conclude_and},
    },
    recording::{Entry, Note, SceneNote},
    tui::{EventRow, Seen, Ui, View},
};

/// Events that are made into rows.
const MOST_ROWS: usize = 500;
const SECOND_NS: u64 = 1_000_000_000;

/// A recording that is being played.
pub(super) struct Playback {
    pub(super) recording: Recording,
    pub(super) gatherer: Gatherer,
    pub(super) sliding: Sliding,
    pub(super) watched: Watched,
    replay: Replay,
    sieve: Option<Sieve>,
    recent: Recent,
    rates: Rates,
    /// The entry behind what was played, and its time.
    next: Option<(Entry, Option<MonoNs>)>,
    /// Everything up to here was played.
    pub(super) played: MonoNs,
    to: Option<MonoNs>,
    pub(super) is_over: bool,
    scratch: Vec<u8>,
}

/// What goes before the first frame.
pub(super) struct Beginning {
    pub(super) recording: Recording,
    pub(super) gatherer: Gatherer,
    pub(super) replay: Replay,
    pub(super) watched: Watched,
    pub(super) sieve: Option<Sieve>,
    pub(super) from: MonoNs,
    /// No further.
    pub(super) to: Option<MonoNs>,
}

impl Playback {
    /// Plays up to the first look at the sockets, and to the beginning of what is wanted.
    pub(super) fn begin(beginning: Beginning) -> Result<Self, Failure> {
        let Beginning { recording, mut gatherer, replay, watched, sieve, from, to } = beginning;
        let sliding = Sliding::begin(&gatherer, &watched.before);
        gatherer.begin_batch();
        let mut all = Self {
            recording,
            gatherer,
            sliding,
            watched,
            replay,
            sieve,
            recent: Recent::default(),
            rates: Rates::default(),
            next: None,
            played: from,
            to,
            is_over: false,
            scratch: Vec::new(),
        };
        while !all.is_over && all.scene().is_none() {
            all.step(MonoNs(u64::MAX))?;
        }
        let Some(scene) = all.scene() else {
            return Err(Failure::new("the recording was cut before it told what sockets there were"));
        };
        let stock = Arc::new(scene.stock.copy());
        all.sliding = Sliding::begin(&all.gatherer, &stock);
        all.watched.before = stock;
        all.play_to(from, || true)?;
        Ok(all)
    }

    /// The last look at the sockets.
    fn scene(&self) -> Option<&SceneNote> {
        let told = self.replay.told();
        told.after.as_ref().or(told.before.as_ref())
    }

    /// The clock there.
    pub(super) fn clock(&self) -> Clock {
        self.replay.told().clock
    }

    /// Plays up to a time, or as long as `goes_on`; whether that was reached.
    pub(super) fn play_to(
        &mut self,
        until: MonoNs,
        mut goes_on: impl FnMut() -> bool,
    ) -> Result<bool, Failure> {
        let mut count = 0_u32;
        while self.step(until)? {
            count = count.wrapping_add(1);
            if count.is_multiple_of(4096) && !goes_on() {
                return Ok(false);
            }
        }
        if !self.is_over {
            self.reach(until);
        }
        Ok(true)
    }

    /// Plays an entry that is not later; whether there was one.
    fn step(&mut self, until: MonoNs) -> Result<bool, Failure> {
        if self.next.is_none() && !self.is_over {
            match self.recording.chain.next() {
                None => self.end(),
                Some(Err(error)) if self.replay.can_do_without(&error) => self.end(),
                Some(Err(error)) => return Err(self.recording.unreadable(&error)),
                Some(Ok(entry)) => {
                    let at = time_of(&entry);
                    self.next = Some((entry, at));
                }
            }
        }
        let Some((entry, at)) = self.next.take() else { return Ok(false) };
        if at.zip(self.to).is_some_and(|(at, to)| at > to) && self.scene().is_some() {
            self.end();
            return Ok(false);
        }
        if at.is_some_and(|at| at > until) {
            self.next = Some((entry, at));
            return Ok(false);
        }
        if let Some(at) = at {
            self.reach(at);
        }
        if let Entry::Event(row) = &entry {
            self.recent.note(row.bytes());
        }
        self.replay.take(entry, &mut self.gatherer, &mut self.scratch);
        Ok(true)
    }

    fn end(&mut self) {
        self.is_over = true;
        self.gatherer.end_batch();
    }

    /// Notes the counts of each second as it ends.
    fn reach(&mut self, at: MonoNs) {
        self.played = self.played.max(at);
        let second = self.played.0 / SECOND_NS;
        if self.rates.is_over(second) {
            let (accounts, _) = self.accounts();
            self.rates.note(second, &accounts.totals);
        }
    }

    /// The accounts so far, and whose events were lost.
    pub(super) fn accounts(&mut self) -> (Accounts, Vec<crate::kernel::counts::Tally>) {
        let Self { replay, gatherer, sieve, .. } = self;
        replay.accounts(gatherer.intake(), sieve.as_ref())
    }

    fn host(&self) -> Option<Scene> {
        let scene = self.scene()?;
        let copy = SceneNote {
            stock: scene.stock.copy(),
            holders: scene.holders.clone(),
            descriptors: scene.descriptors.clone(),
            node_agents: scene.node_agents.clone(),
            own_netns: scene.own_netns,
        };
        let told = self.replay.told();
        Some(Scene::new(copy, told.clock, told.account.cost.clone()))
    }

    /// Draws up the report on the last minute or so before the time that was reached.
    pub(super) fn look(&mut self, view: &mut View, ui: &Ui) -> Result<(), Failure> {
        let (accounts, tallies) = self.accounts();
        let all = accounts.accounting();
        let window = self.sliding.window_of(self.played, &mut self.gatherer, &all, &tallies);
        let Windowed { gathered, before, accounting } = window;
        let Some(host) = self.host() else { return Ok(()) };
        let watched = Watched { before, ..self.watched.clone() };
        let wanted = ui.opened.as_ref();
        let (conclusion, seen) = conclude_and(&gathered, watched, &host, |survey, refusals| {
            Seen::of(&survey.stock, &survey.pools, refusals, wanted)
        })?;
        self.sliding.looked(&conclusion.stock);
        view.accounting = accounting;
        view.report = Some(Arc::new(conclusion.report));
        view.seen = Arc::new(seen);
        view.rates = self.rates.all();
        let looked = self.scene().map_or(self.played, |scene| scene.stock.began);
        view.age_s = self.played.since(looked) / SECOND_NS;
        Ok(())
    }

    /// The last events that pass, the newest last.
    pub(super) fn rows(&mut self, view: &View, ui: &Ui, time: &mut TimeColumn) -> Vec<EventRow> {
        let clock = self.clock();
        let Self { recent, gatherer, .. } = self;
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

    /// The verdict on all that was played.
    pub(super) fn conclude(mut self) -> Result<(Conclusion, Accounts), Failure> {
        let (accounts, tallies) = self.accounts();
        let Some(host) = self.host() else {
            return Err(Failure::new("the recording was cut before it told what sockets there were"));
        };
        let Self { gatherer, sliding, watched, played, .. } = self;
        let all = sliding.whole_of(gatherer, played, accounts.accounting(), &tallies);
        Ok((conclude(&all, watched, &host)?, accounts))
    }
}

/// The time of an entry; none where it is of what follows.
fn time_of(entry: &Entry) -> Option<MonoNs> {
    match entry {
        Entry::Event(row) => Some(row.mono()),
        Entry::Note(note) => match &**note {
            Note::Look(look) => Some(look.at),
            Note::Account(account) => Some(account.at),
            Note::End(end) => Some(end.account.at),
            Note::Scene(scene) => Some(scene.stock.ended),
            _ => None,
        },
    }
}
