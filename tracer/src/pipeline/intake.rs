//! One record at a time: decoded, enriched, judged by the filters that only userspace can judge.

use super::{
    accounts::{Accounts, Cells, Read},
    sieve::Sieve,
    spaces::Spaces,
};
use crate::{
    enrich::{Process, Processes},
    event::{Event, Pid, Search, SearchRules, decode},
    kernel::counts::{Counts, Tally, cell_of, is_event},
    load::Descent,
    recording::{Note, TellProcess},
};

/// What userspace takes of the events that the kernel half passed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Of this container alone: the beginning of its id.
    pub container: Option<String>,
    /// Of this Kubernetes pod alone: the beginning of its UID.
    pub pod: Option<String>,
    /// Nothing goes through the ring.
    pub count_only: bool,
    /// Events are read from the ring and counted, nothing else: to measure what that costs.
    pub discard: bool,
    /// Exits may be missed on this backend.
    pub misses: bool,
    /// No more than this many events.
    pub most: Option<u64>,
    /// Of a recording: what the filters let pass.
    pub sieve: Option<Sieve>,
}

/// An event with what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The event.
    pub event: &'a Event,
    /// What is known of its namespace.
    pub rules: SearchRules<'a>,
    /// The process that asked.
    pub process: &'a Process,
}

impl Arrival<'_> {
    /// What its search went through.
    #[must_use]
    #[inline]
    pub fn search(&self) -> Search {
        Search::of(self.event, &self.rules)
    }
}

/// Turns records into events, and keeps account of them.
#[derive(Debug)]
pub struct Intake {
    processes: Processes,
    spaces: Spaces,
    shown: Shown,
    /// Events of these alone; all events where there is none.
    descent: Option<Descent>,
    read: Read,
}

impl Intake {
    /// Nothing taken yet.
    #[must_use]
    pub fn new(processes: Processes, spaces: Spaces, shown: Shown) -> Self {
        Self { processes, spaces, shown, descent: None, read: Read::default() }
    }

    /// Takes events of descendants alone.
    #[must_use]
    pub fn with_descent(self, descent: Option<Descent>) -> Self {
        Self { descent, ..self }
    }

    /// Takes what a recording tells of processes and namespaces.
    pub(super) fn told(&mut self, note: Note) {
        match note {
            Note::Process(TellProcess { pid, start, process }) => self.processes.tell(pid, start, process),
            Note::Config(config) => self.spaces.tell(config),
            _ => {}
        }
    }

    /// What is known of namespaces, to be told more.
    pub(super) fn spaces(&mut self) -> &mut Spaces {
        &mut self.spaces
    }

    /// Whose events are taken; none where all are.
    pub fn descent(&mut self) -> Option<&mut Descent> {
        self.descent.as_mut()
    }

    /// Events of processes that were gone before it could be told whether they were descendants.
    #[must_use]
    pub fn untold(&self) -> u64 {
        self.read.untold
    }

    /// Whether a process is one of those that are traced.
    pub(super) fn is_ours(&self, pid: Pid) -> bool {
        self.descent.as_ref().is_none_or(|descent| descent.ever_ours(pid))
    }

    /// Of events of which the kernel half kept the count alone: those to be taken. The others are counted as filtered
    /// from here on.
    pub(super) fn sift(&mut self, tallies: Vec<Tally>) -> Vec<Tally> {
        let Some(descent) = &self.descent else { return tallies };
        let (taken, others): (Vec<Tally>, Vec<Tally>) =
            tallies.into_iter().partition(|tally| descent.ever_ours(Pid(tally.pid)));
        self.read.lost_of_others = others.iter().map(|tally| tally.cell.count).sum();
        taken
    }

    /// Notes the time, once a batch.
    pub(super) fn begin_batch(&mut self) {
        self.spaces.begin_batch();
    }

    /// Counts a record where nothing else is wanted, which is told.
    #[inline]
    pub(super) fn discards(&mut self, record: &[u8]) -> bool {
        if self.shown.discard {
            self.read.emitted += u64::from(is_event(record));
        }
        self.shown.discard
    }

    /// Takes one record of the ring; `sink` gets what is to be shown or counted.
    #[inline]
    pub(super) fn take(&mut self, record: &[u8], sink: impl FnOnce(Arrival<'_>)) {
        let event = match decode(record) {
            Ok(event) => event,
            Err(error) => {
                log::debug!("{error}");
                self.read.undecodable += 1;
                return;
            }
        };
        if event.self_test() {
            return;
        }
        if event.names_leader() {
            // Learnt by being asked for: its thread is the first, so its name is the process's.
            self.processes.of(&event);
            return;
        }
        if self.is_full() {
            self.read.surplus += 1;
            self.leave_out(record);
            return;
        }
        if let Some(descent) = &mut self.descent {
            let ours = descent.is_ours(event.pid(), event.start(), event.mono());
            if ours != Some(true) {
                self.read.filtered += 1;
                self.read.untold += u64::from(ours.is_none());
                self.leave_out(record);
                return;
            }
        }
        let process = self.processes.of(&event);
        let is_sieved = self.shown.sieve.as_ref().is_some_and(|sieve| !sieve.passes(&event, process));
        if is_sieved || !self.shown.is_of(process) {
            self.read.filtered += 1;
            self.leave_out(record);
            return;
        }
        let rules = self.spaces.rules(&event);
        sink(Arrival { event: &event, rules, process });
        self.read.emitted += 1;
    }

    /// What is known of an event that was taken before, for whoever shows it later; none of one that was left out.
    pub fn recall(&mut self, event: &Event) -> Option<(Search, &Process)> {
        if self.descent.as_ref().is_some_and(|descent| !descent.ever_ours(event.pid())) {
            return None;
        }
        let search = Search::of(event, &self.spaces.rules(event));
        let process = self.processes.of(event);
        self.shown.is_of(process).then_some((search, process))
    }

    /// Counts a record that is known to pass; whether there is room for it.
    #[inline]
    pub(super) fn pass(&mut self, take: impl FnOnce() -> bool) -> bool {
        let passes = !self.is_full() && self.shown.sieve.is_none() && take();
        self.read.emitted += u64::from(passes);
        passes
    }

    fn leave_out(&mut self, record: &[u8]) {
        if let Some(count) = cell_of(record).and_then(|at| self.read.left_out.get_mut(at)) {
            *count += 1;
        }
    }

    /// Events that a filter of userspace kept out, by their cells.
    pub(super) fn left_out(&self) -> &Cells {
        &self.read.left_out
    }

    /// Whether the limit of events is reached.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.shown.most.is_some_and(|most| self.read.emitted >= most)
    }

    /// The accounts as they stand.
    #[must_use]
    pub fn accounts(&self, counts: &Counts) -> Accounts {
        Accounts::close(counts, &self.read, self.shown.count_only, self.shown.misses)
    }

    /// Events that were passed on.
    #[must_use]
    pub const fn emitted(&self) -> u64 {
        self.read.emitted
    }

    /// Records that could not be decoded.
    #[must_use]
    pub fn undecodable(&self) -> u64 {
        self.read.undecodable
    }
}

impl Shown {
    /// Whether a process is in the container and the pod that are wanted.
    fn is_of(&self, process: &Process) -> bool {
        let begins = |wanted: Option<&str>, id: Option<&str>| {
            wanted.is_none_or(|wanted| id.is_some_and(|id| id.starts_with(wanted)))
        };
        begins(self.container.as_deref(), process.container()) && begins(self.pod.as_deref(), process.pod())
    }
}
