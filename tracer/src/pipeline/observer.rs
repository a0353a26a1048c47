//! One record at a time: decoded, enriched, judged, written.

use super::{
    accounts::{Accounts, Read},
    spaces::Spaces,
};
use crate::{
    enrich::{Clock, Process, Processes},
    event::{Event, Search, decode},
    kernel::counts::{Counts, cell_of, is_event},
    output::{Observation, TraceOutput},
};

/// When to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Events to show.
    pub events: Option<u64>,
}

/// What userspace shows of the events that the kernel half passed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Of this container alone: the beginning of its id.
    pub container: Option<String>,
    /// Nothing goes through the ring.
    pub count_only: bool,
    /// Events are read from the ring and counted, nothing else: to measure what that costs.
    pub discard: bool,
    /// Exits may be missed on this backend.
    pub misses: bool,
}

/// Takes records and turns them into output.
pub struct Observer<'a> {
    output: &'a mut dyn TraceOutput,
    processes: Processes,
    spaces: Spaces,
    clock: Clock,
    shown: Shown,
    limits: Limits,
    read: Read,
}

impl<'a> Observer<'a> {
    /// An observer that has seen nothing yet.
    pub fn new(
        output: &'a mut dyn TraceOutput,
        processes: Processes,
        spaces: Spaces,
        shown: Shown,
        limits: Limits,
    ) -> Self {
        let clock = Clock::sample();
        Self { output, processes, spaces, clock, shown, limits, read: Read::default() }
    }

    /// Samples the clocks: steps of the wall clock show from the next batch on.
    pub fn begin_batch(&mut self) {
        self.clock = Clock::sample();
        self.spaces.begin_batch();
    }

    /// Takes one record of the ring; what it gives is appended to `out`.
    pub fn take(&mut self, record: &[u8], out: &mut Vec<u8>) {
        if self.shown.discard {
            self.read.emitted += u64::from(is_event(record));
            return;
        }
        let event = match decode(record) {
            Ok(event) if event.self_test() => return,
            Ok(event) if event.names_leader() => {
                // Learnt by being asked for: its thread is the first, so its name is the process's.
                self.processes.of(&event);
                return;
            }
            Ok(event) => event,
            Err(error) => {
                log::debug!("{error}");
                self.read.undecodable += 1;
                return;
            }
        };
        if self.is_full() {
            self.read.surplus += 1;
            self.leave_out(record);
            return;
        }
        let process = self.processes.of(&event);
        if !in_container(self.shown.container.as_deref(), process) {
            self.read.filtered += 1;
            self.leave_out(record);
            return;
        }
        let search = search(&event, &mut self.spaces);
        let utc = self.clock.utc(event.mono());
        self.output.event(&Observation { event: &event, search, utc, process, holders: None }, out);
        self.read.emitted += 1;
    }

    fn leave_out(&mut self, record: &[u8]) {
        if let Some(count) = cell_of(record).and_then(|at| self.read.left_out.get_mut(at)) {
            *count += 1;
        }
    }

    /// Whether the limit of events is reached.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.limits.events.is_some_and(|most| self.read.emitted >= most)
    }

    /// The accounts as they stand.
    #[must_use]
    pub fn accounts(&self, counts: &Counts) -> Accounts {
        Accounts::close(counts, &self.read, self.shown.count_only, self.shown.misses)
    }

    /// Records that could not be decoded.
    #[must_use]
    pub fn undecodable(&self) -> u64 {
        self.read.undecodable
    }

    /// The output, for header and footer.
    pub fn output(&mut self) -> &mut dyn TraceOutput {
        self.output
    }
}

fn in_container(wanted: Option<&str>, process: &Process) -> bool {
    wanted.is_none_or(|wanted| process.container().is_some_and(|id| id.starts_with(wanted)))
}

fn search(event: &Event, spaces: &mut Spaces) -> Search {
    Search::of(event, &spaces.rules(event))
}
