//! Counts that never go back, for whoever asks now and then and takes differences.
//!
//! Statistics begin anew with each part of the stream, and tell of as many programs as there are. The ledger adds the
//! parts up, for a fixed number of programs and one place for all others: their sum is the total, always.

mod spread;

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

pub use self::spread::Spread;
use self::spread::{DISTANCE, INTERVAL_MS, SEARCH_NS};
use super::series::Count;
use crate::{
    event::MonoNs,
    stats::{By, Identity, Stats},
};

/// A program that has asked for nothing for so long gives its place to another.
const IDLE_NS: u64 = 3_600 * 1_000_000_000;

/// What distinguishes programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Program {
    /// Its executable without the path, else the name of its first thread; empty where neither is known.
    pub name: String,
    /// systemd service or scope; empty in a container and where it has none.
    pub unit: String,
    /// Id of the container; empty outside of one.
    pub container: String,
    /// UID of the Kubernetes pod; empty outside of one.
    pub pod: String,
}

impl From<&Identity> for Program {
    fn from(identity: &Identity) -> Self {
        let Identity { comm, exe, unit, container, pod } = identity;
        let file = exe.as_deref().map(|exe| exe.rsplit('/').next().unwrap_or(exe));
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let unit = if container.is_some() { None } else { unit.as_deref() };
        let [container, pod] = [container, pod].map(|id| text(id.as_deref()));
        Self { name: text(file.or(comm.as_deref())), unit: text(unit), container, pod }
    }
}

/// What never goes back beside programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spreads {
    /// How long searches took that found a port, in nanoseconds.
    pub searches: Spread,
    /// How soon ports were given again, in allocations.
    pub distances: Spread,
    /// How soon 4-tuples were used again, in milliseconds.
    pub intervals: Spread,
}

impl Default for Spreads {
    fn default() -> Self {
        Self {
            searches: Spread::new(&SEARCH_NS),
            distances: Spread::new(&DISTANCE),
            intervals: Spread::new(&INTERVAL_MS),
        }
    }
}

impl Spreads {
    fn of(stats: &Stats) -> Self {
        let sum_ns = stats.search().0.found.sum_ns;
        Self {
            searches: Spread::of(&SEARCH_NS, &stats.search_times()).with_sum(sum_ns),
            distances: Spread::of(&DISTANCE, &stats.reuse_distances()),
            intervals: Spread::of(&INTERVAL_MS, &stats.reuse_intervals_ms()),
        }
    }

    fn add(&mut self, other: &Self) {
        self.searches.add(&other.searches);
        self.distances.add(&other.distances);
        self.intervals.add(&other.intervals);
    }
}

/// What the ledger tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Programs that have a place, by name.
    pub programs: Vec<(Program, Count)>,
    /// All others.
    pub others: Count,
    /// Of programs that had a place and gave it away, as it was then.
    pub gone: Count,
    /// Searches, and how soon ports come again.
    pub spreads: Spreads,
}

/// A program that has a place.
#[derive(Clone, Debug)]
struct Place {
    /// What counts for it, of parts that are over.
    past: Count,
    /// Of the part that is being counted: what was counted for the others before it had a place.
    of_others: Count,
    /// All that counts for it.
    all: Count,
    /// When that changed last.
    changed: MonoNs,
}

/// Programs, and what they asked for in a part.
type Asked = FxHashMap<Program, Count>;

/// The ledger.
#[derive(Clone, Debug)]
pub struct Ledger {
    most: usize,
    places: BTreeMap<Program, Place>,
    /// What was counted for the others of programs that have no place, in the part that is being counted.
    told: Asked,
    /// Everything in parts that are over.
    past: Count,
    spreads: Spreads,
    /// Of programs that had a place and gave it away.
    gone: Count,
}

impl Ledger {
    /// With places for so many programs.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            places: BTreeMap::new(),
            told: Asked::default(),
            past: Count::default(),
            spreads: Spreads::default(),
            gone: Count::default(),
        }
    }

    /// Takes in the parts that ended since the last time, and the one that is being counted, as they are at `at`.
    pub fn bring_up<'a>(
        &mut self,
        ended: impl IntoIterator<Item = &'a Stats>,
        current: &Stats,
        at: MonoNs,
    ) -> Told {
        for stats in ended {
            let asked = asked(stats);
            self.count(&asked, at);
            for place in self.places.values_mut() {
                (place.past, place.of_others) = (place.all, Count::default());
            }
            self.told.clear();
            self.past = sum(self.past, total(stats));
            self.spreads.add(&Spreads::of(stats));
        }
        let asked = asked(current);
        self.count(&asked, at);
        self.admit(&asked, at);
        let all = sum(self.past, total(current));
        let placed = self.places.values().fold(Count::default(), |so_far, place| sum(so_far, place.all));
        self.told = asked.into_iter().filter(|(program, _)| !self.places.contains_key(program)).collect();
        let mut spreads = self.spreads.clone();
        spreads.add(&Spreads::of(current));
        Told {
            programs: self.places.iter().map(|(program, place)| (program.clone(), place.all)).collect(),
            others: all.since(placed).since(self.gone),
            gone: self.gone,
            spreads,
        }
    }

    /// Counts for those who have a place.
    fn count(&mut self, asked: &Asked, at: MonoNs) {
        for (program, place) in &mut self.places {
            let here = asked.get(program).copied().unwrap_or_default();
            // A table that is full forgets a process: what was told of it stays told.
            let all = most(place.all, sum(place.past, here.since(place.of_others)));
            if all != place.all {
                (place.all, place.changed) = (all, at);
            }
        }
    }

    /// Gives places that are free, or have been idle for long, to the busiest without one.
    fn admit(&mut self, asked: &Asked, at: MonoNs) {
        let mut waiting: Vec<_> =
            asked.iter().filter(|(program, _)| !self.places.contains_key(*program)).collect();
        waiting.sort_by(|(one, a), (other, b)| {
            (b.allocations, b.failures, one).cmp(&(a.allocations, a.failures, other))
        });
        for (program, here) in waiting {
            if self.places.len() >= self.most && !self.clear(at) {
                return;
            }
            let of_others = self.told.get(program).copied().unwrap_or_default();
            let all = here.since(of_others);
            let place = Place { past: Count::default(), of_others, all, changed: at };
            self.places.insert(program.clone(), place);
        }
    }

    /// Takes its place from the program that has been idle longest, if it has been for long.
    fn clear(&mut self, at: MonoNs) -> bool {
        let idle = self.places.iter().filter(|(_, place)| at.since(place.changed) >= IDLE_NS);
        let longest = idle.min_by_key(|(_, place)| place.changed).map(|(program, _)| program.clone());
        let Some(place) = longest.and_then(|program| self.places.remove(&program)) else { return false };
        self.gone = sum(self.gone, place.all);
        true
    }
}

fn asked(stats: &Stats) -> Asked {
    let mut asked = Asked::default();
    for group in stats.processes(By::Program) {
        let count = asked.entry(Program::from(&group.identity)).or_default();
        *count = sum(*count, Count { allocations: group.row.allocations(), failures: group.row.failures() });
    }
    asked
}

fn total(stats: &Stats) -> Count {
    Count { allocations: stats.totals().allocations(), failures: stats.totals().failures() }
}

fn sum(mut one: Count, other: Count) -> Count {
    one.add(other);
    one
}

fn most(one: Count, other: Count) -> Count {
    Count { allocations: one.allocations.max(other.allocations), failures: one.failures.max(other.failures) }
}

#[cfg(test)]
mod tests;
