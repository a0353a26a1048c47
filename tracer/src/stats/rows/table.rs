//! A bounded table of rows: Space-Saving, with exact rows while there is room.

use std::hash::Hash;

use rustc_hash::FxHashMap;

use super::Row;

/// Rows that keep a histogram and a bitmap.
const MOST_DETAILED: usize = 64;

/// The same of a table that was condensed.
const MOST_CONDENSED: usize = 16;

/// Allocations from which on a row may take the detail of one that has less than half as many.
const WORTH_DETAIL: u64 = 32;

/// A row, whose it is, and what it may have missed.
#[derive(Clone, Debug)]
pub(in crate::stats) struct Entry<K, X> {
    pub(in crate::stats) key: K,
    pub(in crate::stats) row: Row,
    /// Events that the row may have missed before it was in the table: at most this many.
    pub(in crate::stats) missed: u64,
    /// What only this kind of row has.
    pub(in crate::stats) extra: X,
}

/// Space-Saving (Metwally et al. 2005) with `capacity` counters: true ∈ [seen, seen + missed], and missed is at
/// most the floor, which is at most events ÷ capacity; so after a merge.
///
/// What made room is handed to the caller, which may keep it elsewhere.
///
/// The count of the algorithm is seen + missed. The lowest counts are found by a scan of the counts that finds
/// all of them; the next scan finds a higher count, so that there are at most as many scans as events ÷
/// capacity, and their cost is constant per event.
#[derive(Clone, Debug)]
pub(super) struct Table<K, X> {
    capacity: usize,
    places: FxHashMap<K, usize>,
    entries: Vec<Entry<K, X>>,
    counts: Vec<u64>,
    /// What a key that is not in the table may have had: 0 while there is room.
    floor: u64,
    lowest: u64,
    /// Places whose count was the lowest when they were scanned.
    to_evict: Vec<usize>,
    detailed: Vec<usize>,
    last: usize,
}

/// The highest power of two, or else 0, that is not below `from` and below `from` + `count`.
#[inline]
pub(super) fn power_within(from: u64, count: u64) -> Option<u64> {
    let last = from.saturating_add(count).checked_sub(1)?;
    let power = if last == 0 { 0 } else { 1 << (u64::BITS - 1 - last.leading_zeros()) };
    (power >= from && count != 0).then_some(power)
}

impl<K: Copy + Eq + Hash, X> Table<K, X> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            places: FxHashMap::default(),
            entries: Vec::new(),
            counts: Vec::new(),
            floor: 0,
            lowest: 0,
            to_evict: Vec::new(),
            detailed: Vec::new(),
            last: 0,
        }
    }

    #[inline]
    fn place(&mut self, key: &K) -> Option<usize> {
        if self.entries.get(self.last).is_some_and(|entry| entry.key == *key) {
            return Some(self.last);
        }
        let place = *self.places.get(key)?;
        self.last = place;
        Some(place)
    }

    /// The row of a key, if it has one; nothing is counted.
    #[inline]
    pub(super) fn find(&mut self, key: &K) -> Option<&mut Entry<K, X>> {
        let place = self.place(key)?;
        self.entries.get_mut(place)
    }

    /// The row of a key that nothing is counted for: made where there is room, since part of a stream may begin
    /// with a release.
    pub(super) fn find_or_make(&mut self, key: K, make: impl FnOnce() -> X) -> Option<&mut Entry<K, X>> {
        let place = match self.place(&key) {
            Some(place) => place,
            None if self.entries.len() < self.capacity => self.admit(key, make()).0,
            None => return None,
        };
        if self.entries.get(place).is_some_and(|entry| entry.row.is_empty()) {
            self.ask_for_detail(place, 0);
        }
        self.entries.get_mut(place)
    }

    /// Counts `weight` events of a key and does `then` to its row, made first where it has none. The row that made room
    /// for it, if one had to.
    #[inline]
    pub(super) fn count(
        &mut self,
        key: K,
        weight: u64,
        make: impl FnOnce() -> X,
        then: impl FnOnce(&mut Entry<K, X>),
    ) -> Option<Entry<K, X>> {
        let (place, evicted) = match self.place(&key) {
            Some(place) => (place, None),
            None => self.admit(key, make()),
        };
        if let Some(count) = self.counts.get_mut(place) {
            *count += weight;
        }
        let entry = self.entries.get(place)?;
        // Before the events, so that the first are in the histogram; then ever more seldom.
        if !entry.row.has_detail()
            && let Some(allocations) = power_within(entry.row.allocations(), weight)
        {
            self.ask_for_detail(place, allocations);
        }
        if let Some(entry) = self.entries.get_mut(place) {
            then(entry);
        }
        evicted
    }

    #[cold]
    #[inline(never)]
    fn admit(&mut self, key: K, extra: X) -> (usize, Option<Entry<K, X>>) {
        let mut evicted = None;
        let place = if self.entries.len() < self.capacity {
            self.entries.push(Entry { key, row: Row::default(), missed: self.floor, extra });
            self.counts.push(self.floor);
            self.entries.len() - 1
        } else {
            let place = self.lowest();
            if let (Some(count), Some(entry)) = (self.counts.get_mut(place), self.entries.get_mut(place)) {
                self.floor = self.floor.max(*count);
                *count = self.floor;
                self.places.remove(&entry.key);
                let new = Entry { key, row: Row::default(), missed: self.floor, extra };
                evicted = Some(std::mem::replace(entry, new));
            }
            self.detailed.retain(|detailed| *detailed != place);
            place
        };
        self.places.insert(key, place);
        self.last = place;
        (place, evicted)
    }

    /// A place with the lowest count.
    fn lowest(&mut self) -> usize {
        loop {
            while let Some(place) = self.to_evict.pop() {
                if self.counts.get(place) == Some(&self.lowest) {
                    return place;
                }
            }
            self.lowest = self.counts.iter().copied().min().unwrap_or(0);
            let lowest = self.lowest;
            let places = self.counts.iter().enumerate().filter(|(_, count)| **count == lowest);
            // They are taken from the end: first whoever came first.
            self.to_evict.extend(places.map(|(place, _)| place).rev());
            if self.to_evict.is_empty() {
                return 0;
            }
        }
    }

    fn ask_for_detail(&mut self, place: usize, allocations: u64) {
        if self.entries.get(place).is_none_or(|entry| entry.row.has_detail()) {
            return;
        }
        if self.detailed.len() >= MOST_DETAILED {
            if allocations < WORTH_DETAIL {
                return;
            }
            let of = |place: &usize| self.entries.get(*place).map_or(0, |entry| entry.row.allocations());
            let weakest = self.detailed.iter().enumerate().min_by_key(|(_, place)| of(place));
            let Some((at, weakest)) = weakest.filter(|(_, place)| of(place) < allocations / 2) else {
                return;
            };
            if let Some(entry) = self.entries.get_mut(*weakest) {
                entry.row.withdraw_detail();
            }
            self.detailed.swap_remove(at);
        }
        if let Some(entry) = self.entries.get_mut(place) {
            entry.row.grant_detail();
            self.detailed.push(place);
        }
    }

    pub(super) fn entries(&self) -> &[Entry<K, X>] {
        &self.entries
    }

    /// Most events that a key which is not in the table may have had.
    pub(super) const fn floor(&self) -> u64 {
        self.floor
    }

    /// Adds another table: exact while the union has room, else within the bound (Agarwal et al. 2012). The rows for
    /// which there is no room.
    pub(super) fn merge(&mut self, other: Self, join: impl Fn(&mut X, X)) -> Vec<Entry<K, X>> {
        let (mine, theirs) = (self.floor, other.floor);
        let mut only_mine = vec![true; self.entries.len()];
        for (entry, count) in other.entries.into_iter().zip(other.counts) {
            let place = self.places.get(&entry.key).copied();
            let Some(place) = place else {
                self.places.insert(entry.key, self.entries.len());
                self.entries.push(Entry { missed: entry.missed + mine, ..entry });
                self.counts.push(count + mine);
                continue;
            };
            if let (Some(one), Some(sum)) = (self.entries.get_mut(place), self.counts.get_mut(place)) {
                *sum += count;
                one.missed += entry.missed;
                one.row.merge(&entry.row, true);
                join(&mut one.extra, entry.extra);
            }
            only_mine.get_mut(place).into_iter().for_each(|only| *only = false);
        }
        for ((entry, count), only) in self.entries.iter_mut().zip(&mut self.counts).zip(only_mine) {
            if only {
                entry.missed += theirs;
                *count += theirs;
            }
        }
        self.floor = mine + theirs;
        let evicted = self.shrink();
        self.choose_detailed(MOST_DETAILED);
        evicted
    }

    /// Keeps so many rows of the highest counts, few of them with detail, now and after each merge. The others.
    pub(super) fn condense(&mut self, capacity: usize) -> Vec<Entry<K, X>> {
        self.capacity = capacity.clamp(1, self.capacity);
        let evicted = self.shrink();
        self.choose_detailed(MOST_CONDENSED);
        self.entries.shrink_to_fit();
        self.counts.shrink_to_fit();
        self.places.shrink_to_fit();
        evicted
    }

    /// Keeps the highest counts, as many as there is room for. The others.
    fn shrink(&mut self) -> Vec<Entry<K, X>> {
        self.to_evict.clear();
        self.lowest = 0;
        self.last = 0;
        if self.entries.len() <= self.capacity {
            return Vec::new();
        }
        let entries = std::mem::take(&mut self.entries);
        let mut all: Vec<_> = std::mem::take(&mut self.counts).into_iter().zip(entries).collect();
        all.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        self.floor = self.floor.max(all.get(self.capacity).map_or(0, |(count, _)| *count));
        let evicted = all.drain(self.capacity..).map(|(_, entry)| entry).collect();
        (self.counts, self.entries) = all.into_iter().unzip();
        self.places = self.entries.iter().enumerate().map(|(place, entry)| (entry.key, place)).collect();
        evicted
    }

    fn choose_detailed(&mut self, most: usize) {
        let mut detailed: Vec<(u64, usize)> = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.row.has_detail())
            .map(|(place, entry)| (entry.row.allocations(), place))
            .collect();
        detailed.sort_unstable_by_key(|(allocations, place)| (std::cmp::Reverse(*allocations), *place));
        for (_, place) in detailed.iter().skip(most) {
            if let Some(entry) = self.entries.get_mut(*place) {
                entry.row.withdraw_detail();
            }
        }
        // A bitmap that came without a histogram to justify it goes too.
        for entry in self.entries.iter_mut().filter(|entry| !entry.row.has_detail()) {
            entry.row.withdraw_detail();
        }
        self.detailed = detailed.into_iter().take(most).map(|(_, place)| place).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::power_within;

    #[test]
    fn the_powers_that_single_steps_meet_are_met_by_longer_ones() {
        for from in 0..40_u64 {
            for count in 0..40 {
                let met = (from..from + count).filter(|at| *at == 0 || at.is_power_of_two()).max();
                assert_eq!(power_within(from, count), met, "{from} {count}");
            }
        }
    }
}
