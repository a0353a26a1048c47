//! The processes that were seen lately.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustc_hash::FxHashMap;

use crate::enrich::{Cgroup, Process, proc::ProcessDir};
use crate::event::{Comm, Event, MonoNs, Pid, StartTime};

/// Processes that are remembered; the oldest is forgotten for the next.
pub const MOST_PROCESSES: usize = 16_384;
/// Texts of `/proc/PID/cgroup` that are kept to be shared.
const MOST_CGROUPS: usize = 4_096;
/// How long a process without a known start is believed to be the same one: its number may be reused.
const TRUST_NS: u64 = 5_000_000_000;
/// A process that was renamed (by exec, or by itself) is read again at once, but so often within this time at most.
const RENAME_NS: u64 = 100_000_000;
const MOST_RENAMES: u8 = 8;

/// What is known of the processes behind events, read from `/proc` at the first event of each.
///
/// An event of a known process costs one look-up. A process that is gone before it was read keeps what its
/// event tells.
#[derive(Debug)]
pub struct Processes {
    /// None where processes are told, not read.
    root: Option<PathBuf>,
    capacity: usize,
    places: FxHashMap<u64, usize>,
    /// A ring in order of age: the next place is the oldest once the ring is full.
    entries: Vec<Entry>,
    next: usize,
    /// The place that was last asked for: events come in bursts.
    last: usize,
    cgroups: HashMap<String, Arc<Cgroup>>,
    nobody: Process,
}

#[derive(Debug)]
struct Entry {
    key: u64,
    read_at: MonoNs,
    /// Name of the first thread.
    leader: Option<Comm>,
    /// How often it was read again without a pause of [`RENAME_NS`].
    renames: u8,
    process: Process,
}

impl Entry {
    #[inline]
    fn is_fresh(&self, event: &Event) -> bool {
        let age_ns = event.mono().since(self.read_at);
        let same_name = !event.by_leader()
            || event.comm().is_none()
            || event.comm() == self.leader
            // Old kernels leave the rest of a longer name behind the NUL.
            || event.comm().zip(self.leader).is_some_and(|(one, other)| one.bytes() == other.bytes());
        let is_hasty = self.renames >= MOST_RENAMES && age_ns < RENAME_NS;
        (same_name || (self.leader.is_some() && is_hasty)) && (event.start().is_some() || age_ns < TRUST_NS)
    }
}

/// The number and the start of a process.
fn key(event: &Event) -> u64 {
    key_of(event.pid(), event.start())
}

#[inline]
fn key_of(pid: Pid, start: Option<StartTime>) -> u64 {
    u64::from(pid.0) << 32 | u64::from(start.map_or(0, |start| start.0))
}

impl Processes {
    /// None is known yet; `root` is `/proc`, or what stands for it.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self::with_capacity(root, MOST_PROCESSES)
    }

    /// As [`Processes::new`], remembering at most `capacity`.
    #[must_use]
    pub fn with_capacity(root: &Path, capacity: usize) -> Self {
        Self {
            root: Some(root.to_owned()),
            capacity: capacity.max(1),
            places: FxHashMap::default(),
            entries: Vec::new(),
            next: 0,
            last: 0,
            cgroups: HashMap::new(),
            nobody: Process::unknown(),
        }
    }

    /// Those of a recording: what is not told is not known.
    #[must_use]
    pub fn told() -> Self {
        Self { root: None, ..Self::with_capacity(Path::new(""), MOST_PROCESSES) }
    }

    /// Tells a process of a recording, in place of what was known of this number and start.
    pub fn tell(&mut self, pid: Pid, start: Option<StartTime>, process: Process) {
        let key = key_of(pid, start);
        let entry = Entry { key, read_at: MonoNs(0), leader: None, renames: 0, process };
        match self.places.get(&key).and_then(|place| self.entries.get_mut(*place)) {
            Some(known) => *known = entry,
            None => _ = self.keep(entry),
        }
    }

    /// How many are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The process of an event.
    #[inline]
    pub fn of(&mut self, event: &Event) -> &Process {
        let key = key(event);
        let is_told = self.root.is_none();
        let is_it = |entry: &Entry| entry.key == key && (is_told || entry.is_fresh(event));
        if !self.entries.get(self.last).is_some_and(is_it) {
            self.find(key, event);
        }
        self.entries.get(self.last).map_or(&self.nobody, |entry| &entry.process)
    }

    #[inline(never)]
    fn find(&mut self, key: u64, event: &Event) {
        let known = self.places.get(&key).copied();
        self.last = match known.and_then(|place| Some((place, self.entries.get(place)?))) {
            Some((place, entry)) if self.root.is_none() || entry.is_fresh(event) => place,
            Some((place, _)) => self.read_again(place, event),
            None => self.read(key, event),
        };
    }

    fn read(&mut self, key: u64, event: &Event) -> usize {
        let (leader, process) = self.ask(event, None);
        self.keep(Entry { key, read_at: event.mono(), leader, renames: 0, process })
    }

    /// Keeps an entry in the place of the oldest.
    fn keep(&mut self, entry: Entry) -> usize {
        let (place, key) = (self.next, entry.key);
        if let Some(oldest) = self.entries.get_mut(place) {
            self.places.remove(&oldest.key);
            *oldest = entry;
        } else {
            self.entries.push(entry);
        }
        self.places.insert(key, place);
        self.next = place.saturating_add(1).checked_rem(self.capacity).unwrap_or(0);
        place
    }

    fn read_again(&mut self, place: usize, event: &Event) -> usize {
        let before = self.entries.get(place).and_then(|entry| entry.process.shared_cgroup());
        let (leader, process) = self.ask(event, before);
        if let Some(entry) = self.entries.get_mut(place) {
            let is_soon = event.mono().since(entry.read_at) < RENAME_NS;
            let renames = if is_soon { entry.renames.saturating_add(1) } else { 0 };
            *entry = Entry { key: entry.key, read_at: event.mono(), leader, renames, process };
        }
        place
    }

    /// Reads what `/proc` tells; of a process that is gone, what its event tells.
    fn ask(&mut self, event: &Event, before: Option<Arc<Cgroup>>) -> (Option<Comm>, Process) {
        let dir = self.root.as_ref().and_then(|root| ProcessDir::open(root, event.pid(), event.start()));
        let told = event.comm().filter(|_| event.by_leader());
        let exe = dir.as_ref().and_then(ProcessDir::exe);
        let now = dir.as_ref().and_then(ProcessDir::comm);
        let leader = told.or(now);
        // Another name since the event may mean another executable: that of the name that was told is not known.
        let is_that = told.is_none_or(|told| now.is_some_and(|now| told.bytes() == now.bytes()));
        let exe = exe.filter(|_| is_that);
        let cgroup = dir.as_ref().and_then(ProcessDir::cgroup).map(|text| self.cgroup(text)).or(before);
        let comm = leader.as_ref().map(Comm::lossy);
        (leader, Process::new(comm.as_deref(), exe.as_deref(), cgroup))
    }

    fn cgroup(&mut self, text: String) -> Arc<Cgroup> {
        if let Some(known) = self.cgroups.get(&text) {
            return Arc::clone(known);
        }
        if self.cgroups.len() >= MOST_CGROUPS {
            self.cgroups.retain(|_, cgroup| Arc::strong_count(cgroup) > 1);
        }
        let cgroup = Arc::new(Cgroup::parse(&text));
        if self.cgroups.len() < MOST_CGROUPS {
            self.cgroups.insert(text, Arc::clone(&cgroup));
        }
        cgroup
    }
}

#[cfg(test)]
mod tests;
