//! The rows of processes.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{
    By, Entry, Group, Identity, Row,
    evicted::{Evicted, Sum},
    group::{Member, grouped},
    identity::Identities,
    table::{Table, power_within},
};
use crate::{
    enrich::Process,
    event::{Event, Pid, StartTime},
    stats::{Lost, bound::Step, runs::Part},
};

/// A process: its number, and its start, which tells it from an earlier one of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcessKey {
    /// Thread-group id.
    pub pid: Pid,
    /// Start; none where it was not seen: then a reused number is one row.
    pub start: Option<StartTime>,
}

impl ProcessKey {
    #[inline]
    fn of(event: &Event) -> u64 {
        Self { pid: event.pid(), start: event.start() }.pack()
    }

    fn pack(self) -> u64 {
        u64::from(self.pid.0) << 32 | u64::from(self.start.map_or(0, |start| start.0))
    }

    fn unpack(key: u64) -> Self {
        let low = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(0);
        let start = low(key);
        Self { pid: Pid(low(key >> 32)), start: (start != 0).then_some(StartTime(start)) }
    }
}

/// What a row has only because it is a process's.
#[derive(Clone, Debug)]
pub(in crate::stats) struct Asker {
    pub(super) identity: Arc<Identity>,
    bound_connects: u64,
    /// Of these, those that hold their port; below 0 where they had connected in an earlier part.
    bound_held: i64,
}

/// One process, or several that are shown as one.
pub(in crate::stats) type ProcessEntry = Entry<u64, Asker>;

impl Asker {
    pub(super) const fn new(identity: Arc<Identity>) -> Self {
        Self { identity, bound_connects: 0, bound_held: 0 }
    }

    pub(super) const fn bound(&self) -> (u64, i64) {
        (self.bound_connects, self.bound_held)
    }

    pub(super) const fn join(&mut self, other: &Self) {
        self.bound_connects += other.bound_connects;
        self.bound_held += other.bound_held;
    }
}

/// The rows of processes, and what they are called.
#[derive(Clone, Debug)]
pub(in crate::stats) struct ProcessRows {
    table: Table<u64, Asker>,
    /// What is in the table no more.
    evicted: Evicted,
    identities: Identities,
    /// Processes of earlier parts that still matter.
    earlier: Arc<FxHashMap<u64, Arc<Identity>>>,
    most: usize,
}

impl ProcessRows {
    pub(in crate::stats) fn new(capacity: usize) -> Self {
        Self {
            table: Table::new(capacity),
            evicted: Evicted::default(),
            identities: Identities::default(),
            earlier: Arc::default(),
            most: capacity.max(1),
        }
    }

    pub(in crate::stats) fn allocate(&mut self, part: &Part<'_>) {
        self.count(part.event, part.process, u64::from(part.count), |row| row.allocate(part));
    }

    pub(in crate::stats) fn fail_check(&mut self, event: &Event, process: &Process) {
        self.count(event, process, 1, |row| row.fail_check(event));
    }

    fn count(&mut self, event: &Event, process: &Process, weight: u64, then: impl FnOnce(&mut Row)) {
        let Self { table, evicted, identities, most, .. } = self;
        // Distinct names never outnumber twice the rows: those of no row are dropped first.
        let most = most.saturating_mul(2);
        let key = ProcessKey::of(event);
        let mut asked = false;
        let made_room = table.count(
            key,
            weight,
            || Asker::new(identities.of(process, most)),
            |entry| {
                // A process may execute another program: a look now and then, cheap for the busy ones.
                asked = power_within(entry.row.allocations(), weight).is_some();
                then(&mut entry.row);
            },
        );
        if let Some(entry) = made_room {
            evicted.take(entry);
        }
        if asked && let Some(entry) = table.find(&key) {
            entry.extra.identity = identities.of(process, most);
        }
    }

    pub(in crate::stats) fn release(&mut self, event: &Event, process: &Process) {
        self.later(event, process, |row, _| row.release(event));
    }

    pub(in crate::stats) fn bound(&mut self, event: &Event, process: &Process, step: Step) {
        self.later(event, process, |_, asker| match step {
            Step::Connects => {
                asker.bound_connects += 1;
                asker.bound_held += 1;
            }
            Step::GivesBack => asker.bound_held -= 1,
        });
    }

    /// What follows on something that was counted: in the row of the process, or of its program where it made room.
    fn later(&mut self, event: &Event, process: &Process, then: impl FnOnce(&mut Row, &mut Asker)) {
        let Self { table, evicted, identities, most, .. } = self;
        let most = most.saturating_mul(2);
        let make = || Asker::new(identities.of(process, most));
        if let Some(Entry { row, extra, .. }) = table.find_or_make(ProcessKey::of(event), make) {
            then(row, extra);
        } else if let Some(Sum { row, asker, .. }) = evicted.find(&identities.of(process, most)) {
            then(row, asker);
        }
    }

    /// Adds counts without detail to the latest process of that number; one that was never seen gets a row
    /// with the name that was counted first.
    pub(in crate::stats) fn absorb(&mut self, lost: &Lost) {
        let Some(pid) = lost.pid else { return };
        let of_pid = |entry: &&ProcessEntry| ProcessKey::unpack(entry.key).pid == pid;
        let latest = self.table.entries().iter().filter(of_pid).max_by_key(|entry| entry.row.last());
        let key = latest.map_or(u64::from(pid.0) << 32, |entry| entry.key);
        let Self { table, evicted, identities, most, .. } = self;
        let named = Process::new(lost.comm.as_deref(), None, None);
        let make = || Asker::new(identities.of(&named, *most));
        if let Some(entry) = table.count(key, lost.count, make, |entry| entry.row.absorb(lost)) {
            evicted.take(entry);
        }
    }

    /// Ends a part: what was counted in it. The next one knows what those are called that `still` tells.
    pub(in crate::stats) fn end_part(&mut self, still: impl Iterator<Item = ProcessKey>) -> Self {
        let next = Self { identities: std::mem::take(&mut self.identities), ..Self::new(self.most) };
        let ended = std::mem::replace(self, next);
        let called: FxHashMap<u64, &Arc<Identity>> =
            ended.table.entries().iter().map(|entry| (entry.key, &entry.extra.identity)).collect();
        let of = |key: &u64| called.get(key).copied().or_else(|| ended.earlier.get(key)).map(Arc::clone);
        let still = still.map(ProcessKey::pack).filter_map(|key| Some((key, of(&key)?)));
        self.earlier = Arc::new(still.collect());
        Self { earlier: Arc::default(), ..ended }
    }

    /// As it is, without what only events to come would want.
    pub(in crate::stats) fn copy(&self) -> Self {
        Self {
            table: self.table.clone(),
            evicted: self.evicted.clone(),
            identities: Identities::default(),
            earlier: Arc::clone(&self.earlier),
            most: self.most,
        }
    }

    /// Keeps so many rows, and the others by program.
    pub(in crate::stats) fn condense(&mut self, rows: usize) {
        for entry in self.table.condense(rows) {
            self.evicted.take(entry);
        }
        (self.identities, self.earlier) = (Identities::default(), Arc::default());
    }

    pub(in crate::stats) fn merge(&mut self, other: Self) {
        let evicted = self.table.merge(other.table, |mine, more| mine.join(&more));
        for entry in evicted {
            self.evicted.take(entry);
        }
        self.evicted.merge(&other.evicted);
        if self.earlier.is_empty() {
            self.earlier = other.earlier;
        } else if !other.earlier.is_empty() {
            let later = other.earlier.iter().map(|(key, identity)| (*key, Arc::clone(identity)));
            Arc::make_mut(&mut self.earlier).extend(later);
        }
    }

    /// What a process is called that has a row, or that was given a port in an earlier part.
    pub(in crate::stats) fn identity(&self, key: ProcessKey) -> Option<&Identity> {
        let packed = key.pack();
        let entry = self.table.entries().iter().find(|entry| entry.key == packed);
        entry.map(|entry| &entry.extra.identity).or_else(|| self.earlier.get(&packed)).map(AsRef::as_ref)
    }

    /// Most events that a row which is not there may have had, where rows are collapsed like that.
    pub(in crate::stats) const fn floor(&self, by: By) -> u64 {
        match by {
            By::Pid => self.table.floor(),
            _ => self.evicted.unnamed(),
        }
    }

    pub(in crate::stats) fn len(&self) -> usize {
        self.table.entries().len()
    }

    pub(in crate::stats) fn grouped(&self, by: By) -> Vec<Group> {
        let rows = self.table.entries().iter().map(|entry| Member {
            process: Some(ProcessKey::unpack(entry.key)),
            processes: 1,
            row: &entry.row,
            asker: &entry.extra,
            missed: entry.missed,
        });
        let others = self.evicted.sums().map(|sum| Member {
            process: None,
            processes: sum.processes,
            row: &sum.row,
            asker: &sum.asker,
            missed: 0,
        });
        grouped(rows.chain(others), by)
    }
}
